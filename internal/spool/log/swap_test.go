package log

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// TestP2SwappedSegments gives two segments each the name of the other, after a clean end and after a kill: nothing
// is lost, for their headers say who they are.
func TestP2SwappedSegments(t *testing.T) {
	for _, clean := range []bool{true, false} {
		for _, checkpoint := range []bool{true, false} {
			t.Run(fmt.Sprintf("clean %v checkpoint %v", clean, checkpoint), func(t *testing.T) {
				w, fs, ids, segs := threeSegments(t, clean, checkpoint)
				for i, a := range segs {
					for _, b := range segs[i+1:] {
						clone := fs.CrashClone(nil)
						rotate(t, clone, a, b)
						o := w.o
						o.FS = clone
						w.unswapped(t, o, ids, 2)
					}
				}
			})
		}
	}
}

// TestP2UnswapInterrupted ends the renaming of three segments in a ring at each operation, and cuts the power: the next opening goes on.
func TestP2UnswapInterrupted(t *testing.T) {
	w, fs, ids, segs := threeSegments(t, false, false)
	rotate(t, fs, segs...)
	w.interrupted(t, fs, 8, func(o Options) { w.unswapped(t, o, ids, 0) }) // three renames, twice, each three with a sync
}

// interrupted ends the renaming at each of so many operations, and cuts the power; check must open the spool.
func (w *world) interrupted(t *testing.T, fs *vfs.Mem, operations int, check func(o Options)) {
	t.Helper()
	ended := 0
	for at := 1; ; at++ {
		clone := fs.CrashClone(nil)
		n := 0
		o := w.o
		o.FS = vfs.Inject(clone, func(op vfs.Op, path string, _ int) error {
			if op != vfs.OpRename && (op != vfs.OpSyncDir || n == 0) {
				return nil
			}
			if n++; n == at {
				return errors.New("the process ends")
			}
			return nil
		}, nil)
		s := newStore(o.withDefaults())
		if err := s.unswap(); err == nil {
			break
		}
		ended++
		for seed := range uint64(10) {
			o.FS = clone.CrashClone(newRand(seed))
			check(o)
		}
	}
	if ended != operations {
		t.Errorf("ended at %d operations", ended)
	}
}

// unswapped opens a spool and looks for its messages; the note is of n files, 0: of some, or it was said before.
func (w *world) unswapped(t *testing.T, o Options, ids []mail.QueueID, n int) {
	t.Helper()
	s := openDamaged(t, o)
	st := s.Stats()
	if lost := w.lost(s, ids); lost+int(st.Lost+st.Quarantined+st.Torn) > 0 {
		t.Errorf("%d messages are not there: %+v", lost, st)
	}
	if want := fmt.Sprintf("%d files had the names of others", n); n > 0 && (len(st.Notes) != 1 || !strings.Contains(st.Notes[0], want)) {
		t.Errorf("notes %q", st.Notes)
	}
	closeNamed(t, s, o)
}

// closeNamed closes a spool, in which no file is left on the way to its name.
func closeNamed(t *testing.T, s *Store, o Options) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left := filesOf(t, o.FS, "", misnamedSuffix); len(left) > 0 {
		t.Error("left:", left)
	}
}

// rotate gives each file the name of the next.
func rotate(t *testing.T, fs *vfs.Mem, files ...string) {
	t.Helper()
	err := fs.Rename(files[len(files)-1], filepath.Join("queue", "x"))
	for i := len(files) - 2; i >= 0; i-- {
		err = errors.Join(err, fs.Rename(files[i], files[i+1]))
	}
	err = errors.Join(err, fs.Rename(filepath.Join("queue", "x"), files[0]), fs.SyncDir("queue"))
	if err != nil {
		t.Fatal(err)
	}
}

// threeSegments makes a spool, and returns its messages, all of which wait, and its segments.
func threeSegments(t *testing.T, clean, checkpoint bool) (w *world, fs *vfs.Mem, ids []mail.QueueID, segs []string) {
	mem := vfs.NewMem()
	w = newWorld(t, mem)
	w.o.SegmentSize = 16000
	w.o.CheckpointSize = 1 << 20
	w.open()
	for i := range 60 {
		ids = append(ids, w.put(300+i*97%500, 1))
		if i%3 == 0 {
			w.report(mail.ChangeDefer, 0, ids[i])
		}
	}
	if w.s.must++; !checkpoint {
		w.s.must = w.s.mustDone
	}
	w.tend()
	w.sure()
	fs = w.end(t, mem, clean)
	if segs = filesOf(t, fs, "seg-", ".seg"); len(segs) != 3 {
		t.Fatalf("%d segments", len(segs))
	}
	return w, fs, ids, segs
}

// end ends the process, by kill -9 unless clean, and returns the files as they are then.
func (w *world) end(t *testing.T, mem *vfs.Mem, clean bool) *vfs.Mem {
	t.Helper()
	if clean {
		if err := w.s.Close(); err != nil {
			t.Fatal(err)
		}
		return mem
	}
	close(w.s.quit)
	<-w.s.idle
	return mem.CrashClone(nil)
}

// filesOf returns the paths of the files of a kind, sorted.
func filesOf(t *testing.T, fs vfs.FS, prefix, suffix string) (paths []string) {
	for name := range queueFiles(t, fs) {
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix) {
			paths = append(paths, filepath.Join("queue", name))
		}
	}
	slices.Sort(paths)
	return paths
}

// lost counts the messages that are not there, or not as they were.
func (w *world) lost(s *Store, ids []mail.QueueID) (n int) {
	for _, id := range ids {
		if err := w.l.msgs[id].compareOctets(s, id); err != nil {
			n++
		}
	}
	return n
}
