package format

import (
	"errors"
	"fmt"
	"io"

	"github.com/mailroot/mailroot/internal/mail"
)

// RecordKind says where the octets of a message are.
type RecordKind byte

const (
	RecordInline RecordKind = 1 // in the record
	RecordFile   RecordKind = 2 // in body-<id>.dat
)

// RecordMoved is the flag of a copy that was made by moving.
const RecordMoved = 1

// Record is the header of a segment record:
//
//	 0 salt 8      8 version 1    9 kind 1     10 flags 2   12 envelope length 4
//	16 id 8       24 size 8      32 original 8
//	40 durable 4  44 CRC of the envelope 4     48 CRC of the octets 4   52 zero 4
//	56 segment 4  60 CRC of all before it 4
//
// The octets follow (RecordInline), then the envelope, then zeros up to a multiple of 8. Salt,
// version, kind, lengths and this CRC will stay where they are in later versions, so that a record
// of such can be put aside whole.
type Record struct {
	Version  byte
	Kind     RecordKind
	Flags    uint16
	EnvLen   uint32
	ID       mail.QueueID
	Size     int64 // of the message
	Original mail.QueueID
	// Durable: all of the segment before this offset had been synced when the record was written.
	Durable uint32
	EnvCRC  uint32
	CRC     uint32 // of the message
}

const (
	MaxEnvelope = 256 << 20 // octets of an envelope
	RecordAlign = 8         // records begin at multiples of it
)

// Align rounds up to where a record may begin.
func Align(n int64) int64 { return (n + RecordAlign - 1) &^ (RecordAlign - 1) }

// EnvOff is where the envelope begins in the record.
func (r *Record) EnvOff() int64 {
	if r.Kind == RecordFile {
		return HeaderSize
	}
	return HeaderSize + r.Size
}

// Length is what the record takes in the segment.
func (r *Record) Length() int64 { return Align(r.EnvOff() + int64(r.EnvLen)) }

// Put writes the header into b for a place in the segment id.
func (r *Record) Put(b []byte, id ID) {
	_ = b[HeaderSize-1]
	le.PutUint64(b, id.Salt)
	b[8], b[9] = r.Version, byte(r.Kind)
	le.PutUint16(b[10:], r.Flags)
	le.PutUint32(b[12:], r.EnvLen)
	le.PutUint64(b[16:], uint64(r.ID))
	le.PutUint64(b[24:], uint64(r.Size))
	le.PutUint64(b[32:], uint64(r.Original))
	le.PutUint32(b[40:], r.Durable)
	le.PutUint32(b[44:], r.EnvCRC)
	le.PutUint32(b[48:], r.CRC)
	le.PutUint32(b[52:], 0)
	le.PutUint32(b[56:], id.Num)
	le.PutUint32(b[60:], Sum(b[:60]))
}

var (
	ErrNoRecord       = errors.New("no record here")
	ErrUnknownVersion = errors.New("a record of a version that is not known here")
)

// ParseRecord reads a header. With ErrUnknownVersion the record can be used to step over it, nothing else.
func ParseRecord(b []byte, id ID) (r Record, err error) {
	if len(b) < HeaderSize || le.Uint64(b) != id.Salt || le.Uint32(b[60:]) != Sum(b[:60]) || le.Uint32(b[56:]) != id.Num {
		return Record{}, ErrNoRecord
	}
	r = Record{
		Version: b[8], Kind: RecordKind(b[9]), Flags: le.Uint16(b[10:]), EnvLen: le.Uint32(b[12:]),
		ID: mail.QueueID(le.Uint64(b[16:])), Size: int64(le.Uint64(b[24:])), Original: mail.QueueID(le.Uint64(b[32:])),
		Durable: le.Uint32(b[40:]), EnvCRC: le.Uint32(b[44:]), CRC: le.Uint32(b[48:]),
	}
	switch {
	case r.EnvLen > MaxEnvelope || r.Size < 0 || r.Kind != RecordFile && r.Size > 1<<32:
		return Record{}, fmt.Errorf("%w: impossible lengths", ErrNoRecord)
	case r.Version == 0 || r.Version > RecordVersion || r.Kind != RecordInline && r.Kind != RecordFile:
		return r, ErrUnknownVersion
	case r.ID == 0:
		return Record{}, fmt.Errorf("%w: no id", ErrNoRecord)
	}
	return r, nil
}

// ReadRecord reads and checks the header of the record of a message.
func ReadRecord(f io.ReaderAt, id ID, off int64) (Record, error) {
	var h [HeaderSize]byte
	if err := ReadFull(f, h[:], off); err != nil {
		return Record{}, err
	}
	r, err := ParseRecord(h[:], id)
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrDamage, err)
	}
	return r, nil
}
