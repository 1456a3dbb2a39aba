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
