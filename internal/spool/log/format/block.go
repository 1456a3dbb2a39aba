package format

import (
	"bytes"
	"errors"
	"io"

	"github.com/mailroot/mailroot/internal/vfs"
)

// Journals and checkpoints are rows of blocks. A block is: salt 8, length of the payload 4, version 1,
// kind 1, zero 2, number of the block in the file 4, CRC of all of this but the salt, and of the
// payload, 4, durable 8 (what of the file was synced when the block was written); then the payload.
const (
	// BlockHeader is the size of a block's header.
	BlockHeader = 32
	// BlockTarget is the payload at which writers begin a new block.
	BlockTarget = 256 << 10
)

// BlockKind says what the payload of a block is.
type BlockKind byte

const (
	BlockChanges BlockKind = 'j' // journal: changes
	BlockHead    BlockKind = 'h' // checkpoint: the first block
	BlockMessage BlockKind = 'm' // checkpoint: messages
	BlockEnd     BlockKind = 'e' // checkpoint: the last block, with the number of messages
)

// BeginBlock appends room for a block's header.
func BeginBlock(dst []byte) []byte { return append(dst, make([]byte, BlockHeader)...) }

// endBlock fills in the header of the block that b is.
func endBlock(b []byte, salt uint64, kind BlockKind, num uint32, durable int64) {
	le.PutUint64(b, salt)
	le.PutUint32(b[8:], uint32(len(b)-BlockHeader))
	b[12], b[13] = BlockVersion, byte(kind)
	le.PutUint16(b[14:], 0)
	le.PutUint32(b[16:], num)
	le.PutUint64(b[24:], uint64(durable))
	le.PutUint32(b[20:], BlockSum(b))
}

// BlockSum is the CRC that belongs into the header of the block that b is.
func BlockSum(b []byte) uint32 {
	return AddSum(Sum(b[8:20]), b[24:])
}

// Block is one that was read. The payload is only good until the next is read.
type Block struct {
	Kind    BlockKind
	Version byte
	Num     uint32
	Off     int64 // of the payload
	durable int64
	Payload []byte
}

// Gap is a part of a file that holds no whole block (or record).
type Gap struct {
	Off, Length int64
	Tail        bool // nothing whole comes after it
	Whole       bool // it is whole, but of a kind or version that is not known here
}

// Reader reads the blocks of a file, whatever the file holds.
type Reader struct {
	f    io.ReaderAt
	size int64 // of the file
	salt uint64
	buf  []byte // octets of the file from base on
	base int64
	Off  int64 // of the next block
	eof  bool
	Gaps []Gap
	// Durable is what the blocks so far say was synced: what is missing before was damaged later.
	Durable int64
}

// Read reads the blocks of a file of that size, from behind its header on.
func Read(f io.ReaderAt, size int64, salt uint64) *Reader {
	return &Reader{f: f, size: size, salt: salt, Off: HeaderSize, base: HeaderSize}
}

// ReadFrom is for Search alone: it begins at an offset, whatever stands there.
func ReadFrom(f io.ReaderAt, size int64, salt uint64, off int64) *Reader {
	return &Reader{f: f, size: size, salt: salt, base: off}
}

var errRead = errors.New("read")

// Begins reports whether a block of a file was begun at off, even if the salt that it begins with is damaged.
func Begins(f io.ReaderAt, size, off int64, salt uint64) bool {
	var b [8]byte
	_, _ = f.ReadAt(b[:], off)
	found := le.Uint64(b[:])
	if found == salt {
		return true
	}
	r := ReadFrom(f, size, found, off)
	other, _ := r.whole(off)
	return other.Payload != nil
}

// fill makes sure that n octets from off on are in buf, if the file has them, and returns those
// that there are.
func (r *Reader) fill(off int64, n int) ([]byte, error) {
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

// Next returns the next whole block, or io.EOF after the last. What was passed over on the way
// is in gaps.
func (r *Reader) Next() (Block, error) {
	start := r.Off
	for at := start; ; {
		b, err := r.whole(at)
		if err != nil {
			return Block{}, err
		}
		if b.Payload != nil {
			if at > start {
				r.Gaps = append(r.Gaps, Gap{Off: start, Length: at - start})
			}
			r.Off = b.Off + int64(len(b.Payload))
			r.Durable = max(r.Durable, b.durable)
			return b, nil
		}
		next, err := r.Search(at + 1)
		if err != nil {
			return Block{}, err
		}
		if next < 0 {
			if r.size > start {
				r.Gaps = append(r.Gaps, Gap{Off: start, Length: r.size - start, Tail: true})
			}
			r.Off = max(start, r.size)
			return Block{}, io.EOF
		}
		at = next
	}
}

// whole returns the block at off if it is whole; its payload is nil if not.
func (r *Reader) whole(off int64) (Block, error) {
	h, err := r.fill(off, BlockHeader)
	if err != nil || len(h) < BlockHeader || le.Uint64(h) != r.salt {
		return Block{}, err
	}
	n := int(le.Uint32(h[8:]))
	if int64(n) > r.size-off-BlockHeader {
		return Block{}, nil
	}
	b, err := r.fill(off, BlockHeader+n)
	if err != nil || len(b) < BlockHeader+n || le.Uint32(b[20:]) != BlockSum(b) {
		return Block{}, err
	}
	return Block{
		Kind: BlockKind(b[13]), Version: b[12], Num: le.Uint32(b[16:]), Off: off + BlockHeader,
		durable: int64(le.Uint64(b[24:])), Payload: b[BlockHeader : BlockHeader+n : BlockHeader+n],
	}, nil
}

// Search returns where the salt occurs next, from off on, or -1. Holes are passed over.
func (r *Reader) Search(off int64) (int64, error) {
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

// Writer writes a file of blocks.
type Writer struct {
	ID   ID
	F    vfs.File
	Size int64
	Next uint32 // number of the next block
	// Synced is the size at the last sync that succeeded.
	Synced int64
	// Reserved is the size of the file if it was made from the reserve and is longer than what was written.
	Reserved int64
}

// Begin writes the header of a file that was just made. If that fails the file is closed.
func Begin(f vfs.File, id ID) (*Writer, error) {
	if _, err := f.WriteAt(id.Header(0), 0); err != nil {
		f.Close()
		return nil, err
	}
	return &Writer{ID: id, F: f, Size: HeaderSize}, nil
}

// Write writes b, which BeginBlock began, as the next block.
func (w *Writer) Write(b []byte, kind BlockKind) error {
	endBlock(b, w.ID.Salt, kind, w.Next, w.Synced)
	if _, err := w.F.WriteAt(b, w.Size); err != nil {
		return err
	}
	w.Size += int64(len(b))
	w.Next++
	return nil
}

// Shed gives back what w, made from the reserve, does not fill. Nothing more is written to it.
func (w *Writer) Shed() error {
	if w.Reserved <= w.Size {
		return nil
	}
	w.Reserved = 0
	return w.F.Truncate(w.Size)
}
