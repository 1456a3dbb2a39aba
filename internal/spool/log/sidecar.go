package log

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// The index of a closed segment stands in seg-<number>-<salt>.idx: a header, a block with the directory, and
// a block for each part of each batch. It is not synced, and of no worth but speed: one that is missing, damaged,
// or does not name every message that lives in the segment is made anew.

// indexVersion is the version of what the blocks of an index hold. Another is made anew.
const indexVersion = 1

const (
	blockDirectory blockKind = 'd'
	blockPart      blockKind = 'p'
)

// sidecar is the directory of an index in a file.
type sidecar struct {
	size    int64
	batches []batch
}

func indexID(seg fileID) fileID { return fileID{kindIndex, seg.num, seg.salt} }

// appendDirectory appends: version 1, number of batches; for each the messages that are described, the least
// and the largest id, 8 each, and the length of each part. Numbers without a length are uvarints.
func appendDirectory(dst []byte, batches []batch) []byte {
	dst = append(dst, indexVersion)
	dst = binary.AppendUvarint(dst, uint64(len(batches)))
	for i := range batches {
		b := &batches[i]
		dst = binary.AppendUvarint(dst, uint64(b.n))
		dst = le.AppendUint64(le.AppendUint64(dst, uint64(b.min)), uint64(b.max))
		for _, n := range b.length {
			dst = binary.AppendUvarint(dst, uint64(n))
		}
	}
	return dst
}

// parseDirectory reads what appendDirectory made, in a file of that size.
func parseDirectory(p []byte, size int64) (batches []batch, ok bool) {
	off := headerSize + blockHeader + int64(len(p))
	d := decoder{b: p}
	if d.byte() != indexVersion {
		return nil, false
	}
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		var b batch
		records := d.uvarint()
		b.min, b.max, b.off = mail.QueueID(d.uint64()), mail.QueueID(d.uint64()), off
		for i := range b.length {
			length := d.uvarint()
			if length > uint64(size) {
				return nil, false
			}
			b.length[i] = uint32(length)
			off += blockHeader + int64(length)
		}
		if b.n = int(records); records > batchRecords || uint64(b.length[0]) < 8*records || b.length[0]%8 != 0 {
			return nil, false
		}
		batches = append(batches, b)
	}
	return batches, !d.bad && len(d.b) == 0 && off == size
}

// writeSidecar writes the index of a segment.
func (s *Store) writeSidecar(seg fileID, batches []*batch) (sc *sidecar, err error) {
	id := indexID(seg)
	if err := s.removeFile(id.name()); err != nil { // one of no use
		return nil, err
	}
	w, err := s.createBlockFile(id, "")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err = errors.Join(err, w.f.Close()); err != nil {
			_ = s.removeFile(id.name())
		}
	}()
	sc = &sidecar{}
	for _, b := range batches {
		sc.batches = append(sc.batches, *b)
	}
	buf := appendDirectory(beginBlock(nil), sc.batches)
	if err := w.write(buf, blockDirectory); err != nil {
		return nil, err
	}
	for i := range sc.batches {
		b := &sc.batches[i]
		b.off = w.size
		for k, p := range b.memory {
			buf = append(beginBlock(buf[:0]), p...)
			if err := w.write(buf, blockPart); err != nil {
				return nil, err
			}
			b.memory[k] = nil
		}
	}
	s.room.written.Add(w.size)
	sc.size = w.size
	return sc, nil
}

// openSidecar opens the index of a segment and reads its directory.
func (s *Store) openSidecar(seg fileID) (f vfs.File, sc *sidecar, err error) {
	f, err = s.fs.Open(s.path(indexID(seg).name()))
	if err != nil {
		return nil, nil, err
	}
	if sc, err = readSidecar(f, indexID(seg)); err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, sc, nil
}

// readSidecar reads the directory of an index. It fails with errIndex if it is not one of this version.
func readSidecar(f vfs.File, id fileID) (*sidecar, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	var h [headerSize + blockHeader]byte
	if err := readFull(f, h[:], 0); err != nil {
		return nil, err
	}
	if whole, err := id.checkHeader(h[:]); !whole || err != nil {
		return nil, errIndex
	}
	length := int64(le.Uint32(h[headerSize+8:]))
	if length > size {
		return nil, errIndex
	}
	var buf []byte
	p, err := readPart(f, id, headerSize, int(length), blockDirectory, &buf)
	if err != nil {
		return nil, err
	}
	batches, ok := parseDirectory(p, size)
	if !ok {
		return nil, errIndex
	}
	return &sidecar{size: size, batches: batches}, nil
}

// readPart reads the block at off with a payload of n octets into buf, which grows if need be.
func readPart(f io.ReaderAt, id fileID, off int64, n int, kind blockKind, buf *[]byte) ([]byte, error) {
	if cap(*buf) < blockHeader+n {
		*buf = make([]byte, blockHeader+n)
	}
	b := (*buf)[:blockHeader+n]
	if err := readFull(f, b, off); err != nil {
		return nil, err
	}
	if le.Uint64(b) != id.salt || int(le.Uint32(b[8:])) != n || b[12] != blockVersion || b[13] != byte(kind) || le.Uint32(b[20:]) != blockSum(b) {
		return nil, errIndex
	}
	return b[blockHeader:], nil
}

// part returns a part of the batch, which is good until the buffer is used again. f may be nil if the batch is in
// memory.
func (b *batch) part(i int, f io.ReaderAt, id fileID, buf *[]byte) ([]byte, error) {
	if f == nil {
		return b.memory[i], nil
	}
	off := b.off
	for _, n := range b.length[:i] {
		off += blockHeader + int64(n)
	}
	return readPart(f, id, off, int(b.length[i]), blockPart, buf)
}

// search calls add with the messages of the batch for which all conditions may be true. f is the file, nil for
// a batch in memory.
func (b *batch) search(conds []condition, f io.ReaderAt, id fileID, buf *[]byte, add func(mail.QueueID)) error {
	var found bitset
	for i := range conds {
		column, err := b.part(conds[i].col, f, id, buf)
		if err != nil {
			return err
		}
		set := newBitset(b.n)
		if err := conds[i].apply(column, b.n, set); err != nil {
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
	if odd := int(b.length[0])/8 > b.n; !odd && found != nil && found.empty() {
		return nil
	}
	ids, err := b.part(0, f, id, buf)
	if err != nil {
		return err
	}
	for i := 0; i < len(ids)/8; i++ {
		if i >= b.n || found == nil || found.has(i) {
			add(mail.QueueID(le.Uint64(ids[8*i:])))
		}
	}
	return nil
}
