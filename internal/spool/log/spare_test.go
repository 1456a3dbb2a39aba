package log

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

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
