package log

import (
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// TestDrainAfterLongCheckpoint lets a long queue be written into a checkpoint and then delivered. The journal of that is
// shorter than the checkpoint, and neither may keep the disk once nothing waits any more, also after a restart.
func TestDrainAfterLongCheckpoint(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		mem := vfs.NewMem()
		o := Options{Dir: "queue", FS: mem, SyncInterval: time.Hour, CheckpointSize: 64 << 10}
		w := &world{t: t, s: mustOpen(t, o), l: ledger{msgs: map[mail.QueueID]*known{}}}
		var ids []mail.QueueID
		for range 5000 {
			ids = append(ids, w.put(100, 1))
		}
		if err := w.s.checkpoint(); err != nil {
			t.Fatal(err)
		}
		long := w.s.chkSize
		if long < 3*o.CheckpointSize {
			t.Fatalf("a checkpoint of %d octets shows nothing", long)
		}
		w.report(mail.ChangeDone, 0, ids[100:]...)
		if restarted {
			if err := w.s.Close(); err != nil {
				t.Fatal(err)
			}
			w.s = mustOpen(t, o)
		}
		w.report(mail.ChangeDone, 0, ids[:100]...)
		for range 20 { // each look comes when nothing has happened since the one before
			if _, err := w.s.tend(); err != nil {
				t.Fatal(err)
			}
		}
		used := int64(0)
		for name, size := range queueFiles(t, mem) {
			if strings.HasPrefix(name, "state-") {
				used += int64(size)
			}
		}
		if used > 16<<10 {
			t.Errorf("restarted %v: nothing waits, and checkpoints and journals take %d octets", restarted, used)
		}
		if err := w.s.Close(); err != nil {
			t.Error(err)
		}
	}
}
