package log

import (
	"errors"
	"fmt"

	"github.com/mailroot/mailroot/internal/mail"
)

// recordKind says where the octets of a message are.
type recordKind byte

const (
	recordInline recordKind = 1 // in the record
	recordFile   recordKind = 2 // in body-<id>.dat
)

const recordMoved = 1 // flag: a copy made by the cleaner

// record is the header of a segment record:
//
//	 0 salt 8      8 version 1    9 kind 1     10 flags 2   12 envelope length 4
//	16 id 8       24 size 8      32 original 8
//	40 durable 4  44 CRC of the envelope 4     48 CRC of the octets 4   52 zero 4
//	56 segment 4  60 CRC of all before it 4
//
// The octets follow (recordInline), then the envelope, then zeros up to a multiple of 8. Salt,
// version, kind, lengths and this CRC will stay where they are in later versions, so that a record
// of such can be put aside whole.
type record struct {
	version  byte
	kind     recordKind
	flags    uint16
	envLen   uint32
	id       mail.QueueID
	size     int64 // of the message
	original mail.QueueID
	// durable: all of the segment before this offset had been synced when the record was written.
	durable uint32
	envCRC  uint32
	crc     uint32 // of the message
}

const (
	maxEnvelope = 256 << 20
	recordAlign = 8
)

func align(n int64) int64 { return (n + recordAlign - 1) &^ (recordAlign - 1) }

// envOff is where the envelope begins in the record.
func (r *record) envOff() int64 {
	if r.kind == recordFile {
		return headerSize
	}
	return headerSize + r.size
}

// length is what the record takes in the segment.
func (r *record) length() int64 { return align(r.envOff() + int64(r.envLen)) }

// put writes the header into b for a place in the segment id.
func (r *record) put(b []byte, id fileID) {
	_ = b[headerSize-1]
	le.PutUint64(b, id.salt)
	b[8], b[9] = r.version, byte(r.kind)
	le.PutUint16(b[10:], r.flags)
	le.PutUint32(b[12:], r.envLen)
	le.PutUint64(b[16:], uint64(r.id))
	le.PutUint64(b[24:], uint64(r.size))
	le.PutUint64(b[32:], uint64(r.original))
	le.PutUint32(b[40:], r.durable)
	le.PutUint32(b[44:], r.envCRC)
	le.PutUint32(b[48:], r.crc)
	le.PutUint32(b[52:], 0)
	le.PutUint32(b[56:], id.num)
	le.PutUint32(b[60:], sum(b[:60]))
}

var (
	errNoRecord       = errors.New("no record here")
	errUnknownVersion = errors.New("a record of a version that is not known here")
)

// parseRecord reads a header. With errUnknownVersion the record can be used to step over it, nothing else.
func parseRecord(b []byte, id fileID) (r record, err error) {
	if len(b) < headerSize || le.Uint64(b) != id.salt || le.Uint32(b[60:]) != sum(b[:60]) || le.Uint32(b[56:]) != id.num {
		return record{}, errNoRecord
	}
	r = record{
		version: b[8], kind: recordKind(b[9]), flags: le.Uint16(b[10:]), envLen: le.Uint32(b[12:]),
		id: mail.QueueID(le.Uint64(b[16:])), size: int64(le.Uint64(b[24:])), original: mail.QueueID(le.Uint64(b[32:])),
		durable: le.Uint32(b[40:]), envCRC: le.Uint32(b[44:]), crc: le.Uint32(b[48:]),
	}
	switch {
	case r.envLen > maxEnvelope || r.size < 0 || r.kind != recordFile && r.size > 1<<32:
		return record{}, fmt.Errorf("%w: impossible lengths", errNoRecord)
	case r.version == 0 || r.version > recordVersion || r.kind != recordInline && r.kind != recordFile:
		return r, errUnknownVersion
	case r.id == 0:
		return record{}, fmt.Errorf("%w: no id", errNoRecord)
	}
	return r, nil
}
