package log

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// Versions of what is written. A reader takes its own and all before.
const (
	formatVersion = 1 // of the folder
	fileVersion   = 1 // of a file's header
	recordVersion = 1 // of a segment record
	blockVersion  = 1 // of a block in a journal or checkpoint
)

const (
	formatName     = "format"
	lockName       = "lock"
	quarantineName = "quarantine"
	tmpSuffix      = ".tmp"
)

// fileKind is a kind of file with salt and header.
type fileKind byte

const (
	kindSegment    fileKind = 'S'
	kindJournal    fileKind = 'J'
	kindCheckpoint fileKind = 'C'
	kindIndex      fileKind = 'I' // has the number and the salt of its segment
)

// fileID is what the name and the header of such a file say.
type fileID struct {
	kind fileKind
	num  uint32
	salt uint64
}

func (id fileID) name() string {
	switch id.kind {
	case kindSegment:
		return fmt.Sprintf("seg-%010d-%016x.seg", id.num, id.salt)
	case kindIndex:
		return fmt.Sprintf("seg-%010d-%016x.idx", id.num, id.salt)
	case kindJournal:
		return fmt.Sprintf("state-%010d-%016x.log", id.num, id.salt)
	}
	return fmt.Sprintf("state-%010d-%016x.chk", id.num, id.salt)
}

// parseName is the inverse of name.
func parseName(name string) (id fileID, ok bool) {
	parts := strings.Split(name, "-")
	if len(parts) != 3 || len(parts[2]) != 20 {
		return fileID{}, false
	}
	num, err := strconv.ParseUint(parts[1], 10, 32)
	salt, err2 := strconv.ParseUint(parts[2][:16], 16, 64)
	if err != nil || err2 != nil {
		return fileID{}, false
	}
	id = fileID{num: uint32(num), salt: salt}
	for _, id.kind = range []fileKind{kindSegment, kindIndex, kindJournal, kindCheckpoint} {
		if id.name() == name {
			return id, true
		}
	}
	return fileID{}, false
}

func bodyName(id mail.QueueID) string { return fmt.Sprintf("body-%016x.dat", uint64(id)) }

// A spare is a segment that is kept to be written over.
func spareName(salt uint64) string { return fmt.Sprintf("spare-%016x.seg", salt) }

func isSpareName(name string) bool { return isSalted(name, "spare-", ".seg", spareName) }

// isSalted reports whether make gives that name to a salt.
func isSalted(name, prefix, suffix string, make func(salt uint64) string) bool {
	hex, ok := strings.CutPrefix(name, prefix)
	hex, ok2 := strings.CutSuffix(hex, suffix)
	v, err := strconv.ParseUint(hex, 16, 64)
	return ok && ok2 && err == nil && make(v) == name
}

// A reserve file becomes a journal or checkpoint when the disk is full.
func reserveName(salt uint64) string { return fmt.Sprintf("reserve-%016x.log", salt) }

func isReserveName(name string) bool { return isSalted(name, "reserve-", ".log", reserveName) }

func parseBodyName(name string) (mail.QueueID, bool) {
	hex, ok := strings.CutPrefix(name, "body-")
	hex, ok2 := strings.CutSuffix(hex, ".dat")
	v, err := strconv.ParseUint(hex, 16, 64)
	id := mail.QueueID(v)
	return id, ok && ok2 && err == nil && bodyName(id) == name
}

// newSalt returns what the records of a new file begin with. That nobody can guess it is what
// keeps a sender from writing records of the spool into a message.
func newSalt() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// All numbers in files are little-endian.
var le = binary.LittleEndian

// headerSize is the size of a file's header and of a record's.
const headerSize = 64

var fileMagic = []byte("mailroot")

// headerReused is the flag of a segment that was made from a spare one, or of a journal from the reserve: behind its last
// record or block stand octets of its former life.
const headerReused = 1

// header is: magic 8, version 2, kind 1, flags 1, num 4, salt 8, zeros, CRC of all before it 4.
func (id fileID) header(flags byte) []byte {
	b := make([]byte, headerSize)
	copy(b, fileMagic)
	le.PutUint16(b[8:], fileVersion)
	b[10], b[11] = byte(id.kind), flags
	le.PutUint32(b[12:], id.num)
	le.PutUint64(b[16:], id.salt)
	le.PutUint32(b[headerSize-4:], sum(b[:headerSize-4]))
	return b
}

// checkHeader compares the header b with what the name says. A damaged header is no
// reason to give up the file, since the name says the same: whole is false then. A later version is.
func (id fileID) checkHeader(b []byte) (whole bool, err error) {
	if !isHeader(b) {
		return false, nil
	}
	if v := le.Uint16(b[8:]); v > fileVersion {
		return true, fmt.Errorf("version %d of the file is not known here", v)
	}
	return b[10] == byte(id.kind) && le.Uint32(b[12:]) == id.num && le.Uint64(b[16:]) == id.salt, nil
}

// isHeader reports whether b is a whole header, of whatever file.
func isHeader(b []byte) bool {
	return len(b) >= headerSize && bytes.HasPrefix(b, fileMagic) && le.Uint32(b[headerSize-4:]) == sum(b[:headerSize-4])
}

// formatLine is the contents of the file "format".
func formatLine(version int) string {
	s := fmt.Sprintf("mailroot spool %d ", version)
	return fmt.Sprintf("%s%08x\n", s, sum([]byte(s)))
}

// parseFormat returns the version, or 0 if b is not such a line or is damaged.
func parseFormat(b []byte) int {
	f := strings.Fields(string(b))
	if len(f) != 4 {
		return 0
	}
	v, err := strconv.Atoi(f[2])
	if err != nil || formatLine(v) != string(b) {
		return 0
	}
	return v
}
