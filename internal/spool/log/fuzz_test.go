package log

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// The targets open a whole store, whose maps and salts make the coverage differ from run to run: give
// -fuzzminimizetime 3x, or the fuzzer spends its time on minimizing what cannot be minimized.

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 99)) }

// fuzzSalt is the salt of the files that the fuzz targets make, so that inputs can hold records.
const fuzzSalt = 0x7461736c_7a7a7566 // "fuzzsalt"

// spoolWith makes a queue folder that holds one file.
func spoolWith(t testing.TB, id format.ID, contents []byte) vfs.FS {
	mem := vfs.NewMem()
	if err := mem.MkdirAll("queue"); err != nil {
		t.Fatal(err)
	}
	f, err := mem.Create("queue/" + id.Name())
	if err == nil {
		_, err = f.WritevAt([][]byte{id.Header(0), contents}, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return mem
}

// survive opens the spool, which must work, reads what it has, and opens it again.
func survive(t *testing.T, fs vfs.FS) {
	for range 2 {
		w := &world{t: t, l: ledger{msgs: map[mail.QueueID]*known{}}}
		s, err := Open(Options{Dir: "queue", FS: fs, SegmentSize: 10_000, SyncInterval: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		w.s = s
		for id := range s.x.byID {
			_, _ = s.Envelope(t.Context(), id)
			_, _ = s.Status(t.Context(), id)
			if b, err := s.Body(t.Context(), id); err == nil {
				_, _ = io.Copy(io.Discard, io.NewSectionReader(b, 0, b.Size()))
				b.Close()
			}
		}
		if last := s.ids.last; last < 1<<63 && w.put(100, 1) <= last {
			t.Fatal("an id was used again")
		}
		if _, err := s.tend(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// sampleSegment returns records as they stand in a segment.
func sampleSegment(t testing.TB, id format.ID) []byte {
	var out []byte
	for i, size := range []int{0, 5, 300} {
		s := new(Store)
		s.SetLimits(Limits{Memory: 1 << 20})
		x := &tx{s: s, id: mail.QueueID(i + 1)}
		if _, err := x.buffer(bytes.Repeat([]byte("x"), size)); err != nil {
			t.Fatal(err)
		}
		x.size, x.crc = int64(size), format.Sum(bytes.Repeat([]byte("x"), size))
		env := benchEnvelope()
		env.ID = x.id
		if err := x.finishRecord(env); err != nil {
			t.Fatal(err)
		}
		x.c.rec.Durable = uint32(format.HeaderSize + len(out))
		x.c.rec.Put(x.c.bufs[0], id)
		out = append(out, bytes.Join(x.c.bufs, nil)...)
	}
	return out
}

// FuzzSegment reads anything as the contents of a segment. The CRCs of headers are made right where
// a salt stands, so that the fuzzer comes past them.
func FuzzSegment(f *testing.F) {
	id := format.ID{Kind: format.KindSegment, Num: 1, Salt: fuzzSalt}
	sample := sampleSegment(f, id)
	f.Add(sample, true)
	f.Add(sample[:len(sample)-9], false)
	f.Add(append(bytes.Repeat([]byte{0}, 64), sample...), true)
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		if mend {
			b = bytes.Clone(b)
			for off := 0; off+format.HeaderSize <= len(b); off++ {
				if le.Uint64(b[off:]) == fuzzSalt {
					le.PutUint32(b[off+56:], id.Num)
					le.PutUint32(b[off+60:], format.Sum(b[off:off+60]))
				}
			}
		}
		survive(t, spoolWith(t, id, b))
	})
}

func sampleJournal(id format.ID) []byte {
	w := format.Writer{ID: id, F: discard{}, Size: format.HeaderSize}
	var out []byte
	for i := range 3 {
		b := format.AppendFact(format.AppendFact(format.AppendFact(format.BeginBlock(nil), format.EntryIDs, 1000), format.EntryMade, uint64(i)), format.EntryGone, 2)
		for _, kind := range []mail.ChangeKind{mail.ChangeDefer, mail.ChangeHold, mail.ChangeRelease, mail.ChangeNoticed, mail.ChangeRoute, mail.ChangeDone} {
			b, _ = format.AppendChange(b, &mail.Change{ID: mail.QueueID(i + 1), Kind: kind, Attempts: i, Reply: mail.NewReply(450, mail.Enhanced(4, 2, 1), "later"), Host: "mx", Route: "[192.0.2.1]:25"})
		}
		_ = w.Write(b, format.BlockChanges)
		out = append(out, b...)
	}
	return out
}

type discard struct{ vfs.File }

func (discard) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// FuzzJournal reads anything as the contents of a journal, beside a segment with messages. The CRCs of
// blocks are made right where a salt stands.
func FuzzJournal(f *testing.F) {
	id := format.ID{Kind: format.KindJournal, Num: 1, Salt: fuzzSalt}
	sample := sampleJournal(id)
	f.Add(sample, true)
	f.Add(sample[3:], true)
	f.Add(sample[:len(sample)-3], false)
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		if mend {
			b = mendBlocks(b)
		}
		fs := spoolWith(t, id, b)
		seg := format.ID{Kind: format.KindSegment, Num: 1, Salt: fuzzSalt}
		h, err := fs.Create("queue/" + seg.Name())
		if err == nil {
			_, err = h.WritevAt([][]byte{seg.Header(0), sampleSegment(t, seg)}, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		survive(t, fs)
	})
}

// mendBlocks makes the CRC of each block right.
func mendBlocks(b []byte) []byte {
	b = bytes.Clone(b)
	for off := 0; off+format.BlockHeader <= len(b); off++ {
		if le.Uint64(b[off:]) != fuzzSalt {
			continue
		}
		end := min(len(b), off+format.BlockHeader+int(le.Uint32(b[off+8:])&0xffff))
		le.PutUint32(b[off+8:], uint32(end-off-format.BlockHeader))
		le.PutUint32(b[off+20:], format.BlockSum(b[off:end]))
	}
	return b
}

// FuzzCheckpoint reads anything as a checkpoint.
func FuzzCheckpoint(f *testing.F) {
	mem := vfs.NewMem()
	w := newWorld(f, mem)
	w.open()
	w.commit(w.begin(10, 1, 0), w.begin(5000, 2, 0))
	w.report(mail.ChangeDefer, 0, w.put(10, 3))
	if err := w.s.Close(); err != nil {
		f.Fatal(err)
	}
	for _, id := range w.s.stateIDs() {
		if id.Kind != format.KindCheckpoint {
			continue
		}
		h, err := mem.Open("queue/" + id.Name())
		if err != nil {
			f.Fatal(err)
		}
		size, _ := h.Size()
		b := make([]byte, size-format.HeaderSize)
		if _, err := h.ReadAt(b, format.HeaderSize); err != nil {
			f.Fatal(err)
		}
		var salt [8]byte
		le.PutUint64(salt[:], id.Salt)
		f.Add(bytes.ReplaceAll(b, salt[:], []byte("fuzzsalt")), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		if mend {
			b = mendBlocks(b)
		}
		survive(t, spoolWith(t, format.ID{Kind: format.KindCheckpoint, Num: 1, Salt: fuzzSalt}, b))
	})
}

func (s *Store) stateIDs() (ids []format.ID) {
	for id := range s.stateFiles {
		ids = append(ids, id)
	}
	return ids
}
