package log

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// delivered makes a spool that was killed: two checkpoints, journals with them, and done and deferred messages told of in each.
func delivered(t *testing.T) (w *world, fs *vfs.Mem) {
	t.Helper()
	mem := vfs.NewMem()
	w = newWorld(t, mem)
	w.o.SegmentSize, w.o.CheckpointSize = 64<<10, 1<<20
	w.open()
	for range 3 {
		for i := range 12 {
			id := w.put(200+i, 1)
			w.report([]mail.ChangeKind{mail.ChangeDone, mail.ChangeDefer}[i%2], 0, id)
		}
		w.tend()
		w.s.must++
		w.tend() // takes a checkpoint
		for i := range 6 {
			w.report([]mail.ChangeKind{mail.ChangeDone, mail.ChangeDefer}[i%2], 0, w.put(300+i, 1))
		}
		w.tend()
	}
	close(w.s.quit)
	<-w.s.idle
	return w, mem.CrashClone(nil)
}

// TestP2SwappedCheckpoints and TestP2SwappedJournals give state files the names of each other: nothing is lost, nothing that was delivered waits.
func TestP2SwappedCheckpoints(t *testing.T) { swapped(t, ".chk") }

func TestP2SwappedJournals(t *testing.T) { swapped(t, ".log") }

func swapped(t *testing.T, suffix string) {
	w, fs := delivered(t)
	files := filesOf(t, fs, "state-", suffix)
	if len(files) < 2 {
		t.Fatal("files", files)
	}
	rotate(t, fs, files[len(files)-2:]...)
	check := func(o Options) {
		t.Helper()
		if err := w.l.check(o, true); err != nil {
			t.Error(err)
		}
		if left := fmt.Sprint(queueFiles(t, o.FS)); strings.Contains(left, misnamedSuffix) {
			t.Error("left:", left)
		}
	}
	o := w.o
	o.FS = fs.CrashClone(nil)
	check(o)
	w.interrupted(t, fs, 6, check)
}

// TestP2MisnamedJournal gives the newest journal a name that is nobody's: nothing of it counts, which is said as it is, and no message is
// taken for lost since its end is not told.
func TestP2MisnamedJournal(t *testing.T) {
	w, fs := delivered(t)
	files := filesOf(t, fs, "state-", ".log")
	last := files[len(files)-1]
	id, _ := format.ParseName(filepath.Base(last))
	id.Salt++
	move(t, fs, last, filepath.Join("queue", id.Name()))
	o := w.o
	o.FS = fs
	s := openDamaged(t, o)
	if st := s.Stats(); st.Lost > 0 || !strings.Contains(fmt.Sprint(st.Notes), id.Name()+": the header says that it is "+filepath.Base(last)) {
		t.Errorf("%+v", st)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestP2SwappedIndexes gives two indexes of searches each the name of the other: neither is believed, and what waits is found.
func TestP2SwappedIndexes(t *testing.T) {
	w, fs, _, _ := threeSegments(t, true, true)
	o := w.o
	o.FS = fs
	s := openDamaged(t, o)
	for range 3 { // described when they have rested
		if _, err := s.tend(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files := filesOf(t, fs, "seg-", ".idx")
	if len(files) < 2 {
		t.Fatal("indexes", files)
	}
	rotate(t, fs, files...)
	o.FS = fs.CrashClone(nil)
	s = openDamaged(t, o)
	for _, g := range s.segs {
		if s.readIndex(g) {
			t.Error("believed:", g.id.Name())
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	o.FS = fs
	if err := w.l.check(o, true); err != nil {
		t.Error(err)
	}
}

// TestP2SegmentOverAnother renames a segment over another, after a clean end and after a kill: what was written over is lost, and
// counted; nothing else is.
func TestP2SegmentOverAnother(t *testing.T) {
	for _, clean := range []bool{true, false} {
		for _, checkpoint := range []bool{true, false} {
			w, fs, ids, segs := threeSegments(t, clean, checkpoint)
			for i, from := range segs {
				for k, to := range segs {
					if i == k {
						continue
					}
					clone := fs.CrashClone(nil)
					move(t, clone, from, to)
					t.Run(fmt.Sprintf("clean %v checkpoint %v %d over %d", clean, checkpoint, i+1, k+1), func(t *testing.T) {
						w.interrupted(t, clone, 4, func(o Options) { w.without(t, o, ids, segs[k]) })
						o := w.o
						o.FS = clone
						w.without(t, o, ids, segs[k])
					})
				}
			}
		}
	}
}

// TestP2RingWithAFileMissing removes one of three segments that have the names of each other: that one is lost.
func TestP2RingWithAFileMissing(t *testing.T) {
	for _, clean := range []bool{true, false} {
		for gone := range 3 {
			w, fs, ids, segs := threeSegments(t, clean, true)
			rotate(t, fs, segs...)
			move(t, fs, segs[gone], "")
			w.interrupted(t, fs, 6, func(o Options) { w.without(t, o, ids, segs[(gone+2)%3]) })
			o := w.o
			o.FS = fs
			w.without(t, o, ids, segs[(gone+2)%3])
		}
	}
}

// without opens a spool that lacks one segment: its messages are lost, and no others.
func (w *world) without(t *testing.T, o Options, ids []mail.QueueID, seg string) {
	t.Helper()
	there := w.outside(ids, seg)
	s := openDamaged(t, o)
	st := s.Stats()
	if lost := w.lost(s, there); lost > 0 || len(there) == len(ids) || st.Quarantined > 0 || st.Lost != int64(len(ids)-len(there)) {
		t.Errorf("%d of %d messages are not there: %+v", lost, len(there), st)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left := fmt.Sprint(queueFiles(t, o.FS)); strings.Contains(left, misnamedSuffix) {
		t.Error("left:", left)
	}
}

// outside returns the messages that do not stand in a segment.
func (w *world) outside(ids []mail.QueueID, seg string) (out []mail.QueueID) {
	for _, id := range ids {
		if w.s.segs[w.s.x.find(id).seg].id.Name() != filepath.Base(seg) {
			out = append(out, id)
		}
	}
	return out
}

// move renames a file, or removes it.
func move(t *testing.T, fs *vfs.Mem, from, to string) {
	t.Helper()
	var err error
	if to == "" {
		err = fs.Remove(from)
	} else {
		err = fs.Rename(from, to)
	}
	if err == nil {
		err = fs.SyncDir("queue")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestP2MisnamedUntold damages what tells whether a segment has gone, and renames it over another: it is whole in quarantine, and its
// mail comes back with its name.
func TestP2MisnamedUntold(t *testing.T) {
	for _, suffix := range []string{".chk", ".log"} {
		w, fs, ids, segs := threeSegments(t, true, true)
		want := readAll(t, fs, segs[1])
		move(t, fs, segs[1], segs[0])
		files := filesOf(t, fs, "state-", suffix)
		move(t, fs, files[len(files)-1], "")
		if suffix == ".chk" { // it is there, and is none
			f, err := fs.Create(files[len(files)-1])
			if err == nil {
				_, err = f.WriteAt(make([]byte, 100), 0)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		o := w.o
		o.FS = fs
		s := openDamaged(t, o)
		if st := s.Stats(); st.Quarantined == 0 || !strings.Contains(fmt.Sprint(st.Notes), "the header says that it is "+filepath.Base(segs[1])) {
			t.Errorf("%s: %+v", suffix, st)
		}
		aside := filepath.Join("queue", "quarantine", filepath.Base(segs[0]))
		if got := readAll(t, fs, aside); got != want {
			t.Errorf("%s: %d octets in quarantine, of %d", suffix, len(got), len(want))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		move(t, fs, aside, segs[1])
		s = openDamaged(t, o)
		if lost := w.lost(s, w.outside(ids, segs[0])); lost > 0 {
			t.Errorf("%s: %d messages have not come back", suffix, lost)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func readAll(t *testing.T, fs vfs.FS, name string) string {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if err := format.ReadFull(f, b, 0); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestFormerLifeIsNoName gives spares the name of a new segment, and no header before the power fails, after a clean end and after a kill: they are
// not taken for the segments that they were.
func TestFormerLifeIsNoName(t *testing.T) {
	for _, clean := range []bool{true, false} {
		mem := vfs.NewMem()
		w := newWorld(t, mem)
		w.o.reserve = 1 << 20 // no segment becomes one of the reserve
		w.open()
		var ids []mail.QueueID
		for range 12 {
			ids = append(ids, w.put(2500, 1))
		}
		w.report(mail.ChangeDone, 0, ids[:len(ids)-1]...)
		w.tend()
		w.tend()
		if clean {
			if err := w.s.Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			close(w.s.quit)
			<-w.s.idle
		}
		fs := mem.CrashClone(nil)
		spares := filesOf(t, fs, "spare-", ".seg")
		if len(spares) == 0 {
			t.Fatal("no spares")
		}
		var next uint32 = 100
		for _, name := range spares {
			next++
			move(t, fs, name, filepath.Join("queue", format.ID{Kind: format.KindSegment, Num: next, Salt: uint64(next)}.Name()))
		}
		o := w.o
		o.FS = fs.CrashClone(nil)
		s := newStore(o.withDefaults())
		if err := s.unswap(); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.Quarantined > 0 || len(st.Notes) > 0 {
			t.Errorf("clean %v: %+v", clean, st)
		}
		for n := next; n > 100; n-- {
			if _, err := o.FS.Stat(filepath.Join("queue", format.ID{Kind: format.KindSegment, Num: n, Salt: uint64(n)}.Name())); err != nil {
				t.Error(err)
			}
		}
		o.FS = fs
		if err := w.l.check(o, true); err != nil {
			t.Error(err)
		}
	}
}
