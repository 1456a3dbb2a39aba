package log

import (
	"fmt"
	"path/filepath"
	"slices"
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
	return w, w.end(t, mem, false)
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
		if left := filesOf(t, o.FS, "", misnamedSuffix); len(left) > 0 {
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
	closeNamed(t, s, o)
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
		want := content(t, fs, filepath.Base(segs[1]))
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
		aside := filepath.Join(quarantineName, filepath.Base(segs[0]))
		if got := content(t, fs, aside); got != want {
			t.Errorf("%s: %d octets in quarantine, of %d", suffix, len(got), len(want))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		move(t, fs, filepath.Join("queue", aside), segs[1])
		s = openDamaged(t, o)
		if lost := w.lost(s, w.outside(ids, segs[0])); lost > 0 {
			t.Errorf("%s: %d messages have not come back", suffix, lost)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestFormerLifeIsNoName gives spares the name of a new segment, and no header before the power fails: after a clean end, after a kill, and when since
// that a start has taken a checkpoint. They are not taken for the segments that they were, and stay where they are.
func TestFormerLifeIsNoName(t *testing.T) {
	for _, end := range []string{"clean", "killed", "restarted"} {
		t.Run(end, func(t *testing.T) {
			mem := vfs.NewMem()
			w := newWorld(t, mem)
			w.o.reserve = 1 << 20 // no segment becomes one of the reserve
			w.o.CheckpointSize = 1 << 20
			w.open()
			w.s.must = w.s.mustDone // no checkpoint by itself
			var ids []mail.QueueID
			for range 14 {
				ids = append(ids, w.put(2500, 1))
			}
			w.report(mail.ChangeDone, 0, ids[2:]...) // two are too many to be moved: the first segment stays the only one
			for range 4 {                            // also the last segment, when it rests
				w.tend()
			}
			fs := w.end(t, mem, end == "clean")
			if w.o.FS = fs; end == "restarted" {
				w.open()
				w.tend()
				fs = w.end(t, fs, false)
			}
			spares := filesOf(t, fs, "spare-", ".seg")
			if len(spares) == 0 {
				t.Fatal("no spares")
			}
			var names []string
			for i, spare := range spares {
				id := format.ID{Kind: format.KindSegment, Num: uint32(100 + i), Salt: 1}
				names = append(names, filepath.Join("queue", id.Name()))
				move(t, fs, spare, names[i])
			}
			o := w.o
			o.FS = fs.CrashClone(nil)
			s := newStore(o.withDefaults())
			if err := s.unswap(); err != nil {
				t.Fatal(err)
			}
			if st, left := s.Stats(), filesOf(t, o.FS, "seg-00000001", ".seg"); st.Quarantined > 0 || len(st.Notes) > 0 || !slices.Equal(left, names) {
				t.Errorf("%+v, files %q", st, left)
			}
			o.FS = fs
			if err := w.l.check(o, true); err != nil {
				t.Error(err)
			}
		})
	}
}
