package columns

import (
	"encoding/binary"
	"io"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// The index of a closed segment stands in seg-<number>-<salt>.idx: a header, a block with the directory, and
// a block for each part of each batch. It is not synced, and of no worth but speed: one that is missing, damaged,
// or does not name every message that lives in the segment is made anew.

// indexVersion is the version of what the blocks of an index hold. Another is made anew.
const indexVersion = 1

const (
	blockDirectory format.BlockKind = 'd'
	blockPart      format.BlockKind = 'p'
)

// File is an index in a file, by its directory.
type File struct {
	Size    int64 // octets
	Batches []Batch
}

// appendDirectory appends: version 1, number of batches; for each the messages that are described, the least
// and the largest id, 8 each, and the length of each part. Numbers without a length are uvarints.
func appendDirectory(dst []byte, batches []Batch) []byte {
	dst = append(dst, indexVersion)
	dst = binary.AppendUvarint(dst, uint64(len(batches)))
	for i := range batches {
		b := &batches[i]
		dst = binary.AppendUvarint(dst, uint64(b.N))
		dst = le.AppendUint64(le.AppendUint64(dst, uint64(b.Min)), uint64(b.Max))
		for _, n := range b.length {
			dst = binary.AppendUvarint(dst, uint64(n))
		}
	}
	return dst
}

// parseDirectory reads what appendDirectory made, in a file of that size.
func parseDirectory(p []byte, size int64) (batches []Batch, ok bool) {
	off := format.HeaderSize + format.BlockHeader + int64(len(p))
	d := format.Decoder{B: p}
	if d.Byte() != indexVersion {
		return nil, false
	}
	for n := d.Uvarint(); n > 0 && !d.Bad; n-- {
		var b Batch
		records := d.Uvarint()
		b.Min, b.Max, b.off = mail.QueueID(d.Uint64()), mail.QueueID(d.Uint64()), off
		for i := range b.length {
			length := d.Uvarint()
			if length > uint64(size) {
				return nil, false
			}
			b.length[i] = uint32(length)
			off += format.BlockHeader + int64(length)
		}
		if b.N = int(records); records > batchRecords || uint64(b.length[0]) < 8*records || b.length[0]%8 != 0 {
			return nil, false
		}
		batches = append(batches, b)
	}
	return batches, !d.Bad && len(d.B) == 0 && off == size
}

// Write writes the index that batches are to w, a new file, and gives up their memory.
func Write(w *format.Writer, batches []*Batch) (*File, error) {
	sc := &File{}
	for _, b := range batches {
		sc.Batches = append(sc.Batches, *b)
	}
	buf := appendDirectory(format.BeginBlock(nil), sc.Batches)
	if err := w.Write(buf, blockDirectory); err != nil {
		return nil, err
	}
	for i := range sc.Batches {
		b := &sc.Batches[i]
		b.off = w.Size
		for k, p := range b.memory {
			buf = append(format.BeginBlock(buf[:0]), p...)
			if err := w.Write(buf, blockPart); err != nil {
				return nil, err
			}
			b.memory[k] = nil
		}
	}
	sc.Size = w.Size
	return sc, nil
}

// Read reads the directory of an index. It fails with format.ErrDamage if it is not one of this version.
func Read(f vfs.File, id format.ID) (*File, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	var h [format.HeaderSize + format.BlockHeader]byte
	if err := format.ReadFull(f, h[:], 0); err != nil {
		return nil, err
	}
	if whole, err := id.CheckHeader(h[:]); !whole || err != nil {
		return nil, errIndex
	}
	length := int64(le.Uint32(h[format.HeaderSize+8:]))
	if length > size {
		return nil, errIndex
	}
	var buf []byte
	p, err := readPart(f, id, format.HeaderSize, int(length), blockDirectory, &buf)
	if err != nil {
		return nil, err
	}
	batches, ok := parseDirectory(p, size)
	if !ok {
		return nil, errIndex
	}
	return &File{Size: size, Batches: batches}, nil
}

// readPart reads the block at off with a payload of n octets into buf, which grows if need be.
func readPart(f io.ReaderAt, id format.ID, off int64, n int, kind format.BlockKind, buf *[]byte) ([]byte, error) {
	if cap(*buf) < format.BlockHeader+n {
		*buf = make([]byte, format.BlockHeader+n)
	}
	b := (*buf)[:format.BlockHeader+n]
	if err := format.ReadFull(f, b, off); err != nil {
		return nil, err
	}
	if le.Uint64(b) != id.Salt || int(le.Uint32(b[8:])) != n || b[12] != format.BlockVersion || b[13] != byte(kind) || le.Uint32(b[20:]) != format.BlockSum(b) {
		return nil, errIndex
	}
	return b[format.BlockHeader:], nil
}

// Part returns a part of the batch, which is good until the buffer is used again. f may be nil if the batch is in
// memory.
func (b *Batch) Part(i int, f io.ReaderAt, id format.ID, buf *[]byte) ([]byte, error) {
	if f == nil {
		return b.memory[i], nil
	}
	off := b.off
	for _, n := range b.length[:i] {
		off += format.BlockHeader + int64(n)
	}
	return readPart(f, id, off, int(b.length[i]), blockPart, buf)
}

// Search calls add with the messages of the batch for which all conditions may be true. f is the file, nil for
// a batch in memory.
func (b *Batch) Search(conds []Condition, f io.ReaderAt, id format.ID, buf *[]byte, add func(mail.QueueID)) error {
	var found bitset
	for i := range conds {
		column, err := b.Part(conds[i].col, f, id, buf)
		if err != nil {
			return err
		}
		set := newBitset(b.N)
		if err := conds[i].apply(column, b.N, set); err != nil {
			return err
		}
		if found == nil {
			found = set
		} else {
			found.and(set)
		}
		if found.empty() {
			break
		}
	}
	if odd := int(b.length[0])/8 > b.N; !odd && found != nil && found.empty() {
		return nil
	}
	ids, err := b.Part(0, f, id, buf)
	if err != nil {
		return err
	}
	for i := 0; i < len(ids)/8; i++ {
		if i >= b.N || found == nil || found.has(i) {
			add(mail.QueueID(le.Uint64(ids[8*i:])))
		}
	}
	return nil
}
