package log

import (
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// TestDrainAfterManyDeferrals: what messages that were put off again and again leave in journals and checkpoints is bounded while they wait,
// and goes when they are done.
func TestDrainAfterManyDeferrals(t *testing.T) {
	const messages, rounds = 5000, 60
	mem := vfs.NewMem()
	s := mustOpen(t, Options{Dir: "queue", FS: mem, SegmentSize: 256 << 10, SyncInterval: time.Hour, CheckpointSize: 64 << 10, indexFew: messages})
	w := &world{t: t, s: s, l: ledger{msgs: map[mail.QueueID]*known{}}}
	var ids []mail.QueueID
	for range messages {
		ids = append(ids, w.put(400, 1))
	}
	tend := func() {
		if _, err := s.tend(); err != nil {
			t.Fatal(err)
		}
		if !s.spareSince.IsZero() {
			s.spareSince = s.spareSince.Add(-spareTime) // as if it were long ago
		}
	}
	tend()
	var written, most int64 // of journals and checkpoints
	state := func() (sum int64) {
		for _, n := range s.stateFiles {
			sum += n
		}
		return sum
	}
	for range rounds {
		for at := 0; at < messages; at += 500 {
			before := s.journal.Size
			w.report(mail.ChangeDefer, 0, ids[at:at+500]...)
			written += s.journal.Size - before
			tend()
			most = max(most, state())
		}
	}
	// Two checkpoints with their journals, each as long as a checkpoint before the next is taken, and one under way.
	if bound := 6 * s.chkSize; written < 3*bound || most > bound {
		t.Errorf("%d octets of deferrals, at most %d of journals and checkpoints at a time, a checkpoint has %d", written, most, s.chkSize)
	}
	for i, id := range ids {
		if w.report(mail.ChangeDone, 0, id); i%100 == 99 {
			tend()
		}
	}
	for range 8 {
		tend()
	}
	if st := s.Stats(); st.Octets > 64<<10 || st.Segments > 1 {
		t.Errorf("the queue is empty, and %d octets are taken: %v", st.Octets, queueFiles(t, mem))
	}
	if used := mem.Used(); used > 64<<10 {
		t.Errorf("the queue is empty, and %d octets are used", used)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
