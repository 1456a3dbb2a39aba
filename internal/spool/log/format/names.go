package format

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// Kind is a kind of file with salt and header.
type Kind byte

const (
	KindSegment    Kind = 'S'
	KindJournal    Kind = 'J'
	KindCheckpoint Kind = 'C'
	KindIndex      Kind = 'I' // has the number and the salt of its segment
)

// ID is what the name and the header of such a file say.
type ID struct {
	Kind Kind
	Num  uint32
	Salt uint64
}

// Name is the name of the file in the queue folder.
func (id ID) Name() string {
	switch id.Kind {
	case KindSegment:
		return fmt.Sprintf("seg-%010d-%016x.seg", id.Num, id.Salt)
	case KindIndex:
		return fmt.Sprintf("seg-%010d-%016x.idx", id.Num, id.Salt)
	case KindJournal:
		return fmt.Sprintf("state-%010d-%016x.log", id.Num, id.Salt)
	}
	return fmt.Sprintf("state-%010d-%016x.chk", id.Num, id.Salt)
}

// ParseName is the inverse of Name; false if name is none of ours.
func ParseName(name string) (id ID, ok bool) {
	parts := strings.Split(name, "-")
	if len(parts) != 3 || len(parts[2]) != 20 {
		return ID{}, false
	}
	num, err := strconv.ParseUint(parts[1], 10, 32)
	salt, err2 := strconv.ParseUint(parts[2][:16], 16, 64)
	if err != nil || err2 != nil {
		return ID{}, false
	}
	id = ID{Num: uint32(num), Salt: salt}
	for _, id.Kind = range []Kind{KindSegment, KindIndex, KindJournal, KindCheckpoint} {
		if id.Name() == name {
			return id, true
		}
	}
	return ID{}, false
}

// BodyName is the name of the file that holds the octets of a large message.
func BodyName(id mail.QueueID) string { return fmt.Sprintf("body-%016x.dat", uint64(id)) }

// SpareName is the name of a spare, a segment that is kept to be written over.
func SpareName(salt uint64) string { return fmt.Sprintf("spare-%016x.seg", salt) }

// IsSpareName reports whether name is one that SpareName makes.
func IsSpareName(name string) bool { return isSalted(name, "spare-", ".seg", SpareName) }

// isSalted reports whether make gives that name to a salt.
func isSalted(name, prefix, suffix string, make func(salt uint64) string) bool {
	hex, ok := strings.CutPrefix(name, prefix)
	hex, ok2 := strings.CutSuffix(hex, suffix)
	v, err := strconv.ParseUint(hex, 16, 64)
	return ok && ok2 && err == nil && make(v) == name
}

// ReserveName is the name of a file of the reserve, which becomes a journal or checkpoint when the disk is full.
func ReserveName(salt uint64) string { return fmt.Sprintf("reserve-%016x.log", salt) }

// IsReserveName reports whether name is one that ReserveName makes.
func IsReserveName(name string) bool { return isSalted(name, "reserve-", ".log", ReserveName) }

// ParseBodyName is the inverse of BodyName.
func ParseBodyName(name string) (mail.QueueID, bool) {
	hex, ok := strings.CutPrefix(name, "body-")
	hex, ok2 := strings.CutSuffix(hex, ".dat")
	v, err := strconv.ParseUint(hex, 16, 64)
	id := mail.QueueID(v)
	return id, ok && ok2 && err == nil && BodyName(id) == name
}

// AppendFiles appends how many there are, and them; Decoder.Files is the inverse.
func AppendFiles(dst []byte, list map[ID]bool) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for id := range list {
		dst = AppendFile(dst, id)
	}
	return dst
}

// AppendFile appends number and salt; Decoder.File is the inverse.
func AppendFile(dst []byte, id ID) []byte {
	return le.AppendUint64(binary.AppendUvarint(dst, uint64(id.Num)), id.Salt)
}

// IndexID names the index of a segment.
func IndexID(seg ID) ID { return ID{Kind: KindIndex, Num: seg.Num, Salt: seg.Salt} }
