package log

import (
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// toldSpool is cutSpool whose journal knows how far the segment is durable.
func toldSpool(t *testing.T) (w *world, hot string, ends []int64) {
	w, hot, ends = cutSpool(t, false, (*Store).tellExtents)
	return w, filepath.Join("queue", hot), ends
}

// waitingAndGone counts the messages that wait as the ledger says and are not in s.
func (l *ledger) waitingAndGone(s *Store) (n int64) {
	for id, k := range l.msgs {
		if !k.gone(yes) && s.x.find(id) == nil {
			n++
		}
	}
	return n
}

// mustCountLost opens a damaged clone: exactly what is lost is counted, files of messages are kept, and the next opening
// finds nothing new.
func (w *world) mustCountLost(t *testing.T, clone *vfs.Mem, least int64) {
	t.Helper()
	o := w.o
	o.FS = clone
	s := openDamaged(t, o)
	lost, st := w.l.waitingAndGone(s), s.Stats()
	if lost != st.Lost || lost < least || len(st.Notes) == 0 {
		t.Errorf("%d messages are lost, and %d said to be: %q", lost, st.Lost, st.Notes)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w.l.mustKeepBodies(t, clone)
	mustOpen(t, o).Close() // told once
}

// TestP2CutSegmentUnnamed cuts a segment of whose messages nothing is recorded but how far it was durable, between records
// and within them.
func TestP2CutSegmentUnnamed(t *testing.T) {
	w, hot, ends := toldSpool(t)
	for _, end := range ends {
		for _, cut := range []int64{end, end + 8, end + 100} {
			t.Run(fmt.Sprint(cut), func(t *testing.T) {
				clone := w.o.FS.(*vfs.Mem).CrashClone(nil)
				cutFile(t, clone, hot, cut)
				w.mustCountLost(t, clone, 1)
			})
		}
	}
}

// TestP2SegmentUnnamed removes such a segment, or fills its end with zeros or with something.
func TestP2SegmentUnnamed(t *testing.T) {
	w, hot, ends := toldSpool(t)
	mem := w.o.FS.(*vfs.Mem)
	clone := mem.CrashClone(nil)
	if err := clone.Remove(hot); err != nil {
		t.Fatal(err)
	}
	w.mustCountLost(t, clone, 9)
	for _, octet := range []byte{0, 'x'} {
		clone := mem.CrashClone(nil)
		info, err := clone.Stat(hot)
		if err != nil {
			t.Fatal(err)
		}
		fill := make([]byte, info.Size-ends[4])
		for i := range fill {
			fill[i] = octet
		}
		f, err := clone.OpenReadWrite(hot)
		if err == nil {
			_, err = f.WriteAt(fill, ends[4])
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		w.mustCountLost(t, clone, 1)
	}
}

// TestP2CutSegmentDelivered cuts off messages that were delivered, before and after the journal was told of them: that is said, and
// nothing counted as lost.
func TestP2CutSegmentDelivered(t *testing.T) {
	mem := vfs.NewMem()
	w := newWorld(t, mem)
	w.o.SegmentSize = 1 << 20
	w.open()
	waits := w.put(300, 1)
	end := w.s.hotSize()
	before, after := w.put(400, 1), w.put(500, 1)
	w.report(mail.ChangeDone, 0, before)
	if err := w.s.tellExtents(); err != nil {
		t.Fatal(err)
	}
	w.report(mail.ChangeDone, 0, after)
	w.sure()
	hot := filepath.Join("queue", w.s.hot.id.Name())
	close(w.s.quit)
	<-w.s.idle
	clone := mem.CrashClone(nil)
	cutFile(t, clone, hot, end)
	w.mustCountLost(t, clone, 0)
	o := w.o
	if o.FS = mem.CrashClone(nil); mustOpen(t, o).x.find(waits) == nil {
		t.Error("what waits is not there")
	}
}

// TestExtentOfMoved: what was moved lives in another segment, and is not missed in the one that it comes from.
func TestExtentOfMoved(t *testing.T) {
	mem := vfs.NewMem()
	w := newWorld(t, mem)
	w.open()
	for range 40 {
		w.report(mail.ChangeDone, 0, w.put(400, 1), w.put(900, 1))
		w.put(100, 1)
		w.tend()
	}
	if w.s.Stats().Moved == 0 {
		t.Fatal("nothing was moved")
	}
	w.sure()
	close(w.s.quit)
	<-w.s.idle
	o := w.o
	o.FS = mem.CrashClone(nil)
	s := mustOpen(t, o)
	if lost := w.l.waitingAndGone(s); lost > 0 {
		t.Errorf("%d messages are not there", lost)
	}
	s.Close()
}

// TestExtentIsTold: a second after a message has come in the journal knows, although nothing else has happened.
func TestExtentIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, Options{Dir: "queue", FS: vfs.NewMem()})
		defer s.Close()
		told := func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.hot.told == s.hot.size
		}
		for range 2 {
			time.Sleep(5 * time.Second) // nothing is due any more
			commitOne(t, s, make([]byte, 100), "a@example.com")
			before := told()
			time.Sleep(s.o.SyncInterval + time.Millisecond)
			synctest.Wait()
			if before || !told() {
				t.Errorf("the journal knows how far the segment is durable at once: %v, later: %v", before, told())
			}
		}
	})
}
