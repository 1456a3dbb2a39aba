package log

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// fullDisk is a disk that others fill up again as soon as an octet is free, once it is full.
type fullDisk struct {
	*vfs.Mem
	w        *world
	recorded bool // Report has returned
	full     atomic.Bool
	after    func(what string)
}

func (d *fullDisk) fs() vfs.FS {
	return vfs.Inject(d.Mem, nil, func(op vfs.Op, path string) {
		if d.full.Load() {
			d.SetFree(vfs.Space{Inodes: 1000})
		}
		switch op {
		case vfs.OpRead, vfs.OpStat, vfs.OpSize, vfs.OpReadDir, vfs.OpSpace, vfs.OpOpen, vfs.OpClose, vfs.OpLock:
		default:
			if d.full.Load() && d.after != nil {
				d.after(fmt.Sprint(op, " ", path))
			}
		}
	})
}

func (d *fullDisk) fill(full bool) {
	free := vfs.Space{Bytes: 1 << 40, Inodes: 1000}
	if d.full.Store(full); full {
		free.Bytes = 0
	}
	d.SetFree(free)
}

// delivered puts mail off, fills the disk to the last octet and reports all of it as done.
func (d *fullDisk) delivered(t *testing.T) *world {
	w := newWorld(t, d.fs())
	d.w = w
	w.o.MinFree, w.o.MinInodes = -1, -1
	w.o.reserve = 4 << 10
	w.open()
	var ids []mail.QueueID
	for i := range 24 {
		ids = append(ids, w.put(1000+i%4*900, 1)) // some in files of their own
	}
	w.report(mail.ChangeDefer, 0, ids...)
	for range reserveFiles + 1 {
		w.tend()
	}
	w.faulty = true
	d.fill(true)
	w.report(mail.ChangeDone, 0, ids[:20]...)
	d.recorded = true
	w.tend()
	return w
}

// TestF28ReserveBeforeTheFirstMessage: nothing is taken or delivered before the reserve is there, on a disk that may be full a moment later.
func TestF28ReserveBeforeTheFirstMessage(t *testing.T) {
	w := newWorld(t, vfs.NewMem())
	for _, when := range []string{"new", "again"} {
		w.open()
		w.s.mu.Lock()
		n := len(w.s.reserves)
		w.s.mu.Unlock()
		if n != reserveFiles {
			t.Errorf("%s: %d files of the reserve at the opening, want %d", when, n, reserveFiles)
		}
		w.put(1000, 1)
		if err := w.s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestF28NothingAgainFromAFullDisk: what is delivered while others keep the disk full leaves it, and is not delivered again after a
// restart; nor after a crash, at whatever moment it comes, if its mark was synced.
func TestF28NothingAgainFromAFullDisk(t *testing.T) {
	d := &fullDisk{Mem: vfs.NewMem()}
	crashes := 0
	d.after = func(what string) {
		for seed := range uint64(3) {
			var rnd *rand.Rand
			if seed > 0 {
				rnd = newRand(uint64(crashes)*7 + seed)
			}
			crashes++
			killed := rnd == nil && d.recorded
			clone := d.CrashClone(rnd)
			o := d.w.o
			o.FS = clone
			s, err := Open(o) // on the full disk
			if err != nil {
				t.Fatal(what, err)
			}
			if notes := fmt.Sprint(s.Stats().Notes); strings.Contains(notes, "header is damaged") {
				t.Fatalf("%s, seed %d: %s", what, seed, notes)
			}
			if err := d.w.l.compare(s, killed); err != nil {
				t.Fatalf("%s, seed %d: %v", what, seed, err)
			}
			_, _ = s.tend()
			if err := s.Close(); err != nil && !vfs.IsNoSpace(err) {
				t.Fatal(what, err)
			}
			clone.SetFree(vfs.Space{Bytes: 1 << 40, Inodes: 1000})
			if err := d.w.l.check(o, killed); err != nil {
				t.Fatalf("%s, seed %d, when there is room: %v", what, seed, err)
			}
		}
	}
	w := d.delivered(t)
	w.tend()
	w.sure() // the journal had its reserve
	if n := len(w.s.trash) + len(w.s.trashBodies); n > 0 || w.s.marks != w.s.marksDone {
		t.Errorf("%d files wait to be removed, marks %d of %d", n, w.s.marksDone, w.s.marks)
	}
	for i := range 3 {
		w.count()
		if err := w.s.Close(); err != nil && !vfs.IsNoSpace(err) {
			t.Fatal(err)
		}
		w.open()
		if err := w.l.compare(w.s, true); err != nil {
			t.Errorf("restart %d: %v", i+1, err)
		}
		if n := w.s.Stats().Lost; n > 0 {
			t.Errorf("restart %d: %d lost: %q", i+1, n, w.s.Stats().Notes)
		}
	}
	d.fill(false)
	w.faulty = false
	for range reserveFiles + 1 {
		w.tend()
	}
	if n := len(w.s.reserves); n != reserveFiles {
		t.Errorf("there is room again: %d files stand by", n)
	}
	w.put(3000, 1)
	w.restart()
	if err := w.l.compare(w.s, true); err != nil {
		t.Error(err)
	}
	if err := w.s.Close(); err != nil || crashes < 30 {
		t.Errorf("%d crashes, close: %v", crashes, err)
	}
}

// TestF28LongQueueOnAFullDisk: also where a checkpoint is larger than the reserve, and the process was killed, what is
// delivered leaves a full disk, and makes the room for that checkpoint.
func TestF28LongQueueOnAFullDisk(t *testing.T) {
	mem := vfs.NewMem()
	w := newWorld(t, mem)
	w.o.MinFree, w.o.MinInodes = -1, -1
	w.o.reserve = 1 << 10
	w.open()
	var ids []mail.QueueID
	for range 100 {
		ids = append(ids, w.put(1000, 1))
	}
	for range reserveFiles {
		w.tend()
	}
	w.tend()
	if w.s.chkSize < 2*w.o.reserve {
		t.Fatalf("a checkpoint takes %d octets", w.s.chkSize)
	}
	w.faulty = true
	mem.SetFree(vfs.Space{Inodes: 1000})
	w.die()
	octets := w.s.Stats().Octets
	w.report(mail.ChangeDone, 0, ids[:30]...)
	for range 3 {
		w.tend()
	}
	if st := w.s.Stats(); st.Octets > octets || w.s.marks != w.s.marksDone || w.s.must != w.s.mustDone {
		t.Errorf("%d octets of %d are left, marks %d of %d, checkpoint %d of %d, %s",
			st.Octets, octets, w.s.marksDone, w.s.marks, w.s.mustDone, w.s.must, st.LastError)
	}
	w.sure()
	w.die()
	if err := w.l.compare(w.s, true); err != nil {
		t.Error(err)
	}
	if err := w.s.Close(); err != nil {
		t.Error(err)
	}
}

// TestF28StopTellsWhatIsNotRecorded: where the reserve could never be made, and nothing can be written down, the end says what
// the next start will do.
func TestF28StopTellsWhatIsNotRecorded(t *testing.T) {
	mem := vfs.NewMem()
	w := newWorld(t, vfs.Inject(mem, func(op vfs.Op, path string, _ int) error {
		if op == vfs.OpCreate && strings.Contains(path, "reserve-") {
			return syscall.EIO
		}
		return nil
	}, nil))
	w.o.MinFree, w.o.MinInodes = -1, -1
	w.faulty = true
	w.open()
	id := w.put(1000, 2)
	w.tend()
	mem.SetFree(vfs.Space{Inodes: 1000})
	w.report(mail.ChangeDone, 0, id)
	if err := w.s.Close(); !errors.Is(err, errUnrecorded) || !vfs.IsNoSpace(err) {
		t.Errorf("the end says %v", err)
	}
	w.open()
	w.forget()
	if k := w.l.msgs[id]; k.done[0] != no {
		t.Error("the mark is there")
	}
	mem.SetFree(vfs.Space{Bytes: 1 << 20, Inodes: 1000})
	w.report(mail.ChangeDone, 0, id)
	w.tend()
	if err := w.s.Close(); err != nil {
		t.Errorf("the end when there was room again: %v", err)
	}
}

// TestP2DamagedJournalFromTheReserve: what stands behind the blocks of a journal that was made from the reserve is not told, and a block that is
// damaged, its salt too, is.
func TestP2DamagedJournalFromTheReserve(t *testing.T) {
	d := &fullDisk{Mem: vfs.NewMem()}
	w := d.delivered(t)
	defer w.s.Close()
	j := w.s.journal
	if j.Reserved == 0 || j.Size >= j.Reserved {
		t.Fatalf("the journal is not from the reserve: %d octets of %d", j.Size, j.Reserved)
	}
	last := int64(format.HeaderSize) // where the last block begins
	in := format.Read(j.F, j.Size, j.ID.Salt)
	for b, err := in.Next(); err == nil; b, err = in.Next() {
		last = b.Off - format.BlockHeader
	}
	for _, at := range []int64{-1, last, last + 3, last + 9, last + 21, j.Size - 1} {
		o := w.o
		clone := d.CrashClone(nil)
		clone.SetFree(vfs.Space{Bytes: 1 << 40, Inodes: 1000})
		o.FS = clone
		if at >= 0 {
			flip(t, clone, "queue/"+j.ID.Name(), at)
		}
		s, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); (st.Torn > 0) != (at >= 0) || (len(st.Notes) > 0) != (at >= 0) {
			t.Errorf("octet %d: %d torn, %q", at, st.Torn, st.Notes)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
