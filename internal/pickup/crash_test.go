package pickup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/vfs"
)

const crashFiles = 6

// crashPoint is what was there when the power went: the disk, what the queue had heard of by then
// (and so may have delivered), and how many bad files were in badmail.
type crashPoint struct {
	disk   *vfs.Mem
	queued []*mail.Envelope
	bad    int
	after  string
}

// The power goes after every single operation on the disk. What comes of it: each file is sent
// once, neither lost nor doubled; and the bad file is in badmail at least once.
func TestPowerCut(t *testing.T) {
	for _, seed := range []uint64{0, 1, 2, 3, 4, 5, 6, 7} { // 0: the end of the process alone
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			points := 0
			for _, p := range crashPoints(t, seed) {
				points++
				synctest.Test(t, func(t *testing.T) { restart(t, &p) })
				if t.Failed() {
					return
				}
			}
			if points < 50 {
				t.Errorf("only %d crashes", points)
			}
		})
	}
}

// crashPoints runs a folder of files to its end and cuts the power after each operation.
func crashPoints(t *testing.T, seed uint64) (points []crashPoint) {
	synctest.Test(t, func(t *testing.T) {
		var rnd *rand.Rand
		if seed > 0 {
			rnd = rand.New(rand.NewPCG(seed, 0))
		}
		mem := vfs.NewMem()
		var w *world
		on := false
		w = newWorldOn(t, mem, func(fs vfs.FS) vfs.FS {
			return vfs.Inject(fs, nil, func(op vfs.Op, path string) {
				if op == vfs.OpRead || op == vfs.OpStat || op == vfs.OpReadDir || op == vfs.OpSize || op == vfs.OpOpen || op == vfs.OpClose || w == nil {
					return
				}
				w.mu.Lock()
				defer w.mu.Unlock()
				if on {
					points = append(points, crashPoint{mem.CrashClone(rnd), append([]*mail.Envelope(nil), w.queued...), len(w.bad), string(op) + " " + path})
				}
			})
		})
		defer w.close()
		for i := range crashFiles {
			w.put(fmt.Sprint(i), fmt.Sprintf("x-sender: a@b.example\r\nx-receiver: c@d.example\r\nSubject: %d\r\n\r\ntext\r\n", i))
		}
		w.put("bad", "no message")
		w.mu.Lock()
		on = true
		w.mu.Unlock()
		w.start()
		after(10 * time.Second)
		w.mu.Lock()
		on = false
		w.mu.Unlock()
	})
	return points
}

// restart starts on what the crash left and checks what comes of it.
func restart(t *testing.T, p *crashPoint) {
	w := newWorldOn(t, p.disk, nil)
	defer w.close()
	// What the queue had heard of was delivered as fast as can be, and the disk knows it.
	for _, env := range p.queued {
		if err := w.store.Report(t.Context(), []mail.Change{{ID: env.ID, Kind: mail.ChangeDone}}); err != nil {
			t.Fatal(err)
		}
	}
	w.start()
	after(time.Minute)
	ids := map[string]map[mail.QueueID]bool{}
	add := func(env *mail.Envelope) {
		s := env.Content.Subject
		if ids[s] == nil {
			ids[s] = map[mail.QueueID]bool{}
		}
		ids[s][env.ID] = true
	}
	for _, env := range p.queued {
		add(env)
	}
	entries, _, err := w.store.Search(t.Context(), spool.Query{}, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		add(e.Envelope)
	}
	for i := range crashFiles {
		if n := len(ids[fmt.Sprint(i)]); n != 1 {
			t.Errorf("after %s: file %d was sent %d times", p.after, i, n)
		}
	}
	if n := p.bad + len(w.badFiles()); n < 1 || n > 2 {
		t.Errorf("after %s: the bad file is %d times in badmail", p.after, n)
	}
	if left := w.left(); len(left) != 0 {
		t.Errorf("after %s: left %q", p.after, left)
	}
}

// A crash between commit and removal, and a queue that is fast: the file is not sent again, since
// Recover runs first.
func TestRecoverRemovesWhatTheSpoolHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		var clone *vfs.Mem
		w := newWorldOn(t, mem, func(fs vfs.FS) vfs.FS {
			return vfs.Inject(fs, func(op vfs.Op, path string, _ int) error {
				if op == vfs.OpRemove && strings.HasPrefix(path, dir) && clone == nil {
					clone = mem.CrashClone(nil)
				}
				return nil
			}, nil)
		})
		w.put("one", plainMail)
		w.start()
		after(10 * time.Second)
		w.close()
		again := newWorldOn(t, clone, nil)
		defer again.close()
		if left := again.left(); len(left) != 1 {
			t.Fatalf("before: %q", left)
		}
		if err := again.p.Recover(context.Background()); err != nil {
			t.Fatal(err)
		}
		if left := again.left(); len(left) != 0 {
			t.Errorf("after: %q", left)
		}
	})
}

// TestClaimIsDurableFirst lets one of the two folders fail to be synced that a claim changes: nothing is sent meanwhile, since after
// a power cut the file could be under both names, or under the old one, and be sent again; it is sent when the fault has gone.
func TestClaimIsDurableFirst(t *testing.T) {
	for _, folder := range []string{dir, filepath.Join(dir, claimedName)} {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var failing atomic.Bool
				w := newWorldOn(t, vfs.NewMem(), func(fs vfs.FS) vfs.FS {
					return vfs.Inject(fs, func(op vfs.Op, path string, _ int) error {
						if failing.Load() && op == vfs.OpSyncDir && path == folder {
							return errors.New("input/output error")
						}
						return nil
					}, nil)
				})
				defer w.close()
				w.start()
				failing.Store(true)
				w.put("one", plainMail)
				after(time.Minute)
				if n := len(w.envelopes()); n != 0 || w.p.Stats().LastError == "" {
					t.Errorf("%d messages were sent, stats %+v", n, w.p.Stats())
				}
				failing.Store(false)
				after(time.Hour)
				if n, left := len(w.envelopes()), w.left(); n != 1 || len(left) != 0 {
					t.Errorf("%d messages were sent, left %q", n, left)
				}
			})
		})
	}
}
