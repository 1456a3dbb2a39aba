package format

import (
	"bytes"
	"fmt"
)

// HeaderSize is the size of a file's header and of a record's.
const HeaderSize = 64

var fileMagic = []byte("mailroot")

// Reused is the flag of a segment that was made from a spare one, or of a journal from the reserve: behind its last
// record or block stand octets of its former life.
const Reused = 1

// Header is: magic 8, version 2, kind 1, flags 1, num 4, salt 8, zeros, CRC of all before it 4.
func (id ID) Header(flags byte) []byte {
	b := make([]byte, HeaderSize)
	copy(b, fileMagic)
	le.PutUint16(b[8:], FileVersion)
	b[10], b[11] = byte(id.Kind), flags
	le.PutUint32(b[12:], id.Num)
	le.PutUint64(b[16:], id.Salt)
	le.PutUint32(b[HeaderSize-4:], Sum(b[:HeaderSize-4]))
	return b
}

// CheckHeader compares the header b with what the name says. A damaged header is no
// reason to give up the file, since the name says the same: whole is false then. A later version is.
func (id ID) CheckHeader(b []byte) (whole bool, err error) {
	if !IsHeader(b) {
		return false, nil
	}
	if v := le.Uint16(b[8:]); v > FileVersion {
		return true, fmt.Errorf("version %d of the file is not known here", v)
	}
	own, _ := HeaderID(b)
	return own == id, nil
}

// IsHeader reports whether b is a whole header, of whatever file.
func IsHeader(b []byte) bool {
	return len(b) >= HeaderSize && bytes.HasPrefix(b, fileMagic) && le.Uint32(b[HeaderSize-4:]) == Sum(b[:HeaderSize-4])
}

// HeaderID returns what the header b says that its file is; false if it is damaged.
func HeaderID(b []byte) (id ID, ok bool) {
	if !IsHeader(b) {
		return ID{}, false
	}
	return ID{Kind: Kind(b[10]), Num: le.Uint32(b[12:]), Salt: le.Uint64(b[16:])}, true
}
