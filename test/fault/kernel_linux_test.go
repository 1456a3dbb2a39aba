package fault

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

// The system calls that the relay works on files with, by what they do. Other systems and libraries have others of the
// same names.
const (
	syncs   = "fsync,fdatasync"
	writes  = "pwrite64,pwritev,pwritev2"
	opens   = "openat"
	renames = "rename,renameat,renameat2"
	removes = "unlink,unlinkat"
	cuts    = "ftruncate"
)

// TestKernelErrors lets system calls of the running service fail, all of them or some, for a moment: clients are put off
// and never told 250 of what is lost, the status says so, and all goes on when the fault is over, without a restart.
func TestKernelErrors(t *testing.T) {
	trace := harness.NewStrace(t)
	for _, tt := range []struct {
		name, calls, fault string
		refuses            bool // each message
	}{
		{"no sync succeeds", syncs, "error=EIO", true},
		{"each third sync fails", syncs, "error=EIO:when=3+3", false},
		{"no space at the sync", syncs, "error=ENOSPC", true},
		{"no write succeeds", writes, "error=EIO", true},
		{"no space", writes, "error=ENOSPC", true},
		{"each fourth write fails", writes, "error=EIO:when=4+4", false},
		{"no file can be opened", opens, "error=EMFILE", false},
		{"no file can be made", opens, "error=ENOSPC", false},
		{"nothing can be renamed", renames, "error=EIO", false},
		{"nothing can be removed", removes, "error=EROFS", false},
		{"nothing can be cut, each second write fails", writes + "," + cuts, "error=EIO:when=2+2", false},
		{"read-only", writes + "," + syncs + "," + opens + "," + renames + "," + removes + "," + cuts, "error=EROFS", true},
		{"each sync takes long", syncs, "delay_exit=100000", false},
		{"each write takes long", writes, "delay_enter=30000", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, harness.Options{})
			w.server.ExpectError("delivery waits: ") // where it cannot be written down
			w.server.Start()
			w.load(true)
			w.flows("mail flows before", 20)
			f := trace.Inject(t, w.server, tt.calls, tt.fault)
			if tt.refuses {
				harness.Eventually(t, harness.Patience, "clients are put off", func() bool { w.server.Alive(); return w.putOffs() >= 3*clients })
				before := w.acked() // a commit that had succeeded may still have been on its way before
				w.tells(true)
				if n := w.acked(); n != before {
					t.Errorf("%d letters were acknowledged though nothing succeeds", n-before)
				}
			} else {
				harness.Eventually(t, harness.Patience, "the fault is met", func() bool { w.server.Alive(); return f.Hits() > 0 })
				time.Sleep(time.Duration(rounds(t)) * 500 * time.Millisecond)
			}
			f.Heal()
			w.flows("mail flows again, without a restart", 50)
			w.tells(false)
			w.quiet()
			w.verdict()
			// What lies on the disk is as good as what the process had in mind.
			w.server.Kill9()
			w.server.Start()
			w.verdict()
			if st := w.server.Status().VirtualServers[0].Spool; st.Lost > 0 || st.Quarantined > 0 {
				t.Errorf("after the fault and a kill: %+v", st)
			}
			t.Logf("%d calls met, %d clients put off, %d letters acknowledged", f.Hits(), w.putOffs(), w.acked())
			w.server.Stop()
		})
	}
}

// TestKernelKills ends the process in the midst of a system call, at the first, the second and so on of its threads, and
// starts it again without a fault: nothing that was acknowledged is lost, wherever it was.
func TestKernelKills(t *testing.T) {
	trace := harness.NewStrace(t)
	w := newWorld(t, harness.Options{})
	kills := 0
	for round := range rounds(t) {
		for _, calls := range []string{syncs, writes, opens, renames, removes, cuts} {
			for _, when := range []int{1, 2 + rand.IntN(8), 10 + rand.IntN(50)} {
				if calls == cuts || calls == renames {
					when = 1 // they are rare
				}
				w.server.Start()
				trace.Inject(t, w.server, calls, fmt.Sprintf("signal=SIGKILL:when=%d", when+round))
				w.load(false)
				if harness.Within(time.Second, w.server.Ended) {
					kills++
				} else {
					w.server.Kill9()
				}
				w.quiet()
			}
		}
	}
	w.server.Start()
	w.verdict()
	if kills < 5*rounds(t) || w.acked() < 100 {
		t.Errorf("%d kills by a system call, %d letters acknowledged: too few to tell", kills, w.acked())
	}
	t.Logf("%d kills by a system call, %d letters acknowledged, %d duplicates", kills, w.acked(), w.g.Report().Duplicates)
	w.server.Stop()
}
