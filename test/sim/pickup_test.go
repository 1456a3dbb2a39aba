package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// drop puts a file into the Pickup folder, for good.
func (w *world) drop(name, text string) {
	w.t.Helper()
	const dir = dataDir + "/default/Pickup"
	f, err := w.disk.Create(dir + "/" + name)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(text), 0); err != nil {
		w.t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close(), w.disk.SyncDir(dir)); err != nil {
		w.t.Fatal(err)
	}
}

// A file in Pickup goes to Drop, to the smart host or to Badmail. There is no relay check.
func TestPickup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		hub := w.serve(smart, "")
		pass(time.Second)
		w.drop("mail", "x-sender: anybody@anywhere.test\nx-receiver: b@corp.test\nx-receiver: c@elsewhere.test\nSubject: both\n\nThe text.\n")
		w.drop("nonsense", "nothing of a message")
		pass(time.Minute)
		if drop := w.files("Drop", ".eml"); len(drop) != 1 || !strings.Contains(drop[0], "x-receiver: b@corp.test\r\n") {
			t.Errorf("Drop has %q", drop)
		}
		if got := hub.got(); len(got) != 1 || !strings.Contains(got[0], "\r\n\r\nThe text.\r\n") {
			t.Errorf("the smart host got %q", got)
		}
		if bad := w.files("Badmail", ".BAD"); len(bad) != 1 || bad[0] != "nothing of a message" {
			t.Errorf("Badmail has %q", bad)
		}
		if s := w.svc.Servers()[0].Pickup(); s.Taken != 1 || s.Bad != 1 || s.Waiting != 0 || s.LastError != "" {
			t.Errorf("figures %+v", s)
		}
		w.stop()
		hub.close()
	})
}

// The power goes while files are taken, again and again: each is in Drop in the end, once.
func TestPickupPowerCuts(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(t, "")
			const n = 30
			for i := range n {
				w.drop(fmt.Sprint(i), fmt.Sprintf("x-sender: a@corp.test\r\nx-receiver: b@corp.test\r\nSubject: number %d.\r\n\r\n", i))
			}
			for range 3 {
				pass(time.Duration(rnd.IntN(6000)) * time.Millisecond)
				w.powerCut(rnd)
				w.mustStart()
			}
			pass(time.Minute)
			drop := w.files("Drop", ".eml")
			all := strings.Join(drop, "")
			for i := range n {
				if got := strings.Count(all, fmt.Sprintf("Subject: number %d.\r\n", i)); got != 1 {
					t.Errorf("seed %d: file %d is %d times in Drop", seed, i, got)
				}
			}
			w.stop()
		})
	}
}
