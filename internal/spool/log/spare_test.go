package log

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// TestTrickleKeepsNoSpares: after a drain the disk is empty a minute later, also where a message comes now and then: it
// keeps neither the spares, nor one of them as its segment.
func TestTrickleKeepsNoSpares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, Options{Dir: "queue", FS: vfs.NewMem(), SegmentSize: 64 << 10})
		w := &world{t: t, s: s, l: ledger{msgs: map[mail.QueueID]*known{}}}
		for range 60 {
			w.report(mail.ChangeDone, 0, w.put(4000, 1))
		}
		time.Sleep(20 * time.Second)
		if st := s.Stats(); st.Spares == 0 {
			t.Error("no spares after a drain")
		}
		for range 6 {
			w.report(mail.ChangeDone, 0, w.put(500, 1))
			time.Sleep(15 * time.Second)
		}
		if st := s.Stats(); st.Spares != 0 || st.Octets > 16<<10 {
			t.Errorf("after a trickle of 90 seconds: %d spares, %d octets", st.Spares, st.Octets)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestSparesAreKeptUnderLoad: while segments fill, emptied ones are written over.
func TestSparesAreKeptUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, Options{Dir: "queue", FS: vfs.NewMem(), SegmentSize: 64 << 10})
		w := &world{t: t, s: s, l: ledger{msgs: map[mail.QueueID]*known{}}}
		reused := 0
		for i := range 120 { // a segment in two seconds
			for range 9 {
				w.report(mail.ChangeDone, 0, w.put(4000, 1))
			}
			s.tryLead(func() { // nobody else is to touch hot
				if i >= 60 && s.hot.disk > 0 {
					reused++
				}
			})
			time.Sleep(time.Second)
		}
		if reused < 50 {
			t.Errorf("in %d of 60 rounds the segment was one that is written over", reused)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestSparesAreFreed: after a drain spares are told apart from segments, and a minute later the disk is empty.
func TestSparesAreFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		s := mustOpen(t, Options{Dir: "queue", FS: mem, SegmentSize: 64 << 10})
		w := &world{t: t, s: s, l: ledger{msgs: map[mail.QueueID]*known{}}}
		for range 60 {
			w.report(mail.ChangeDone, 0, w.put(4000, 1))
		}
		time.Sleep(20 * time.Second)
		st := s.Stats()
		if st.Spares == 0 || st.SpareSize < 64<<10 || st.SpareSize > st.Octets {
			t.Errorf("%d spares of %d octets, of %d", st.Spares, st.SpareSize, st.Octets)
		}
		time.Sleep(time.Minute)
		if st = s.Stats(); st.Spares != 0 || st.Octets > 64<<10 {
			t.Errorf("a minute later: %d spares, %d octets", st.Spares, st.Octets)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
