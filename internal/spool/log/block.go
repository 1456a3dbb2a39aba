package log

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"

	"github.com/mailroot/mailroot/internal/vfs"
)

// Journals and checkpoints are rows of blocks. A block is: salt 8, length of the payload 4, version 1,
// kind 1, zero 2, number of the block in the file 4, CRC of all of this but the salt, and of the
// payload, 4, durable 8 (what of the file was synced when the block was written); then the payload.
const (
	blockHeader = 32
	// blockTarget is the payload at which writers begin a new block.
	blockTarget = 256 << 10
)

type blockKind byte

const (
	blockChanges blockKind = 'j' // journal: changes
	blockHead    blockKind = 'h' // checkpoint: the first block
	blockMessage blockKind = 'm' // checkpoint: messages
	blockEnd     blockKind = 'e' // checkpoint: the last block, with the number of messages
)

// beginBlock appends room for a block's header.
func beginBlock(dst []byte) []byte { return append(dst, make([]byte, blockHeader)...) }

// endBlock fills in the header of the block that b is.
func endBlock(b []byte, salt uint64, kind blockKind, num uint32, durable int64) {
	le.PutUint64(b, salt)
	le.PutUint32(b[8:], uint32(len(b)-blockHeader))
	b[12], b[13] = blockVersion, byte(kind)
	le.PutUint16(b[14:], 0)
	le.PutUint32(b[16:], num)
	le.PutUint64(b[24:], uint64(durable))
	le.PutUint32(b[20:], blockSum(b))
}

func blockSum(b []byte) uint32 {
	return crc32.Update(sum(b[8:20]), castagnoli, b[24:])
}

// block is one that was read. The payload is only good until the next is read.
type block struct {
	kind    blockKind
	version byte
	num     uint32
	off     int64 // of the payload
	durable int64
	payload []byte
}

// gap is a part of a file that holds no whole block (or record).
type gap struct {
	off, length int64
	tail        bool // nothing whole comes after it
	whole       bool // it is whole, but of a kind or version that is not known here
}

// blocks reads the blocks of a file, whatever the file holds.
type blocks struct {
	f    io.ReaderAt
	size int64 // of the file
	salt uint64
	buf  []byte // octets of the file from base on
	base int64
	off  int64 // of the next block
	eof  bool
	gaps []gap
	// durable is what the blocks so far say was synced: what is missing before was damaged later.
	durable int64
}

// readBlocks begins behind the file's header.
func readBlocks(f io.ReaderAt, size int64, salt uint64) *blocks {
	return &blocks{f: f, size: size, salt: salt, off: headerSize, base: headerSize}
}

var errRead = errors.New("read")

// begins reports whether a block of a file was begun at off, even if the salt that it begins with is damaged.
func begins(f io.ReaderAt, size, off int64, salt uint64) bool {
	var b [8]byte
	_, _ = f.ReadAt(b[:], off)
	found := le.Uint64(b[:])
	if found == salt {
		return true
	}
	r := blocks{f: f, size: size, salt: found, base: off}
	other, _ := r.whole(off)
	return other.payload != nil
}

// fill makes sure that n octets from off on are in buf, if the file has them, and returns those
// that there are.
func (r *blocks) fill(off int64, n int) ([]byte, error) {
	if off >= r.size {
		return nil, nil
	}
	if off > r.base+int64(len(r.buf)) {
		r.buf, r.base = nil, off
	}
	if have := r.base + int64(len(r.buf)) - off; have < int64(n) && !r.eof {
		keep := r.buf[off-r.base:]
		want := max(n, 1<<20)
		buf := make([]byte, want)
		copy(buf, keep)
		k, err := r.f.ReadAt(buf[len(keep):], off+int64(len(keep)))
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, errors.Join(errRead, err)
		}
		r.eof = err != nil
		r.buf, r.base = buf[:len(keep)+k], off
	}
	b := r.buf[off-r.base:]
	return b[:min(n, len(b))], nil
}

// next returns the next whole block, or io.EOF after the last. What was passed over on the way
// is in gaps.
func (r *blocks) next() (block, error) {
	start := r.off
	for at := start; ; {
		b, err := r.whole(at)
		if err != nil {
			return block{}, err
		}
		if b.payload != nil {
			if at > start {
				r.gaps = append(r.gaps, gap{off: start, length: at - start})
			}
			r.off = b.off + int64(len(b.payload))
			r.durable = max(r.durable, b.durable)
			return b, nil
		}
		next, err := r.search(at + 1)
		if err != nil {
			return block{}, err
		}
		if next < 0 {
			if r.size > start {
				r.gaps = append(r.gaps, gap{off: start, length: r.size - start, tail: true})
			}
			r.off = max(start, r.size)
			return block{}, io.EOF
		}
		at = next
	}
}

// whole returns the block at off if it is whole; its payload is nil if not.
func (r *blocks) whole(off int64) (block, error) {
	h, err := r.fill(off, blockHeader)
	if err != nil || len(h) < blockHeader || le.Uint64(h) != r.salt {
		return block{}, err
	}
	n := int(le.Uint32(h[8:]))
	if int64(n) > r.size-off-blockHeader {
		return block{}, nil
	}
	b, err := r.fill(off, blockHeader+n)
	if err != nil || len(b) < blockHeader+n || le.Uint32(b[20:]) != blockSum(b) {
		return block{}, err
	}
	return block{
		kind: blockKind(b[13]), version: b[12], num: le.Uint32(b[16:]), off: off + blockHeader,
		durable: int64(le.Uint64(b[24:])), payload: b[blockHeader : blockHeader+n : blockHeader+n],
	}, nil
}

// search returns where the salt occurs next, from off on, or -1. Holes are passed over.
func (r *blocks) search(off int64) (int64, error) {
	var salt [8]byte
	le.PutUint64(salt[:], r.salt)
	for {
		b, err := r.fill(off, 1<<20)
		if err != nil {
			return 0, err
		}
		if i := bytes.Index(b, salt[:]); i >= 0 {
			return off + int64(i), nil
		}
		if len(b) < 1<<20 {
			return -1, nil
		}
		off += int64(len(b) - len(salt) + 1)
		// A salt may begin with zeros, which a copy may have left out.
		off = max(off, vfs.NextData(r.f, off, r.size)-int64(len(salt)-1))
	}
}

// blockFile writes a file of blocks.
type blockFile struct {
	id   fileID
	f    vfs.File
	size int64
	next uint32 // number of the next block
	// synced is the size at the last sync that succeeded. For a journal Store.jmu guards it.
	synced int64
	// reserved is the size of the file if it was made from the reserve and is longer than what was written.
	reserved int64
}

// createBlockFile makes the file with its header; the name is not yet durable.
func (s *Store) createBlockFile(id fileID, suffix string) (*blockFile, error) {
	name := s.path(id.name() + suffix)
	f, err := s.fs.Create(name)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteAt(id.header(0), 0); err != nil {
		f.Close()
		_ = s.fs.Remove(name)
		return nil, err
	}
	return &blockFile{id: id, f: f, size: headerSize}, nil
}

// write writes b, which beginBlock began, as the next block.
func (w *blockFile) write(b []byte, kind blockKind) error {
	endBlock(b, w.id.salt, kind, w.next, w.synced)
	if _, err := w.f.WriteAt(b, w.size); err != nil {
		return err
	}
	w.size += int64(len(b))
	w.next++
	return nil
}
