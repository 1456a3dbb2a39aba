package sim

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/vfs"
)

// site is a place where the relay works on files: an operation on a kind of file.
type site struct {
	op   vfs.Op
	file string
}

// siteOf returns the site of an operation. Files are told apart by folder and extension.
func siteOf(op vfs.Op, path string) site {
	rest, _ := strings.CutPrefix(filepath.ToSlash(path), dataDir+"/default/")
	dir, name, _ := strings.Cut(rest, "/")
	ext := filepath.Ext(strings.TrimSuffix(name, ".tmp"))
	if strings.HasSuffix(name, ".tmp") {
		ext += ".tmp"
	}
	if strings.HasPrefix(name, "spare-") {
		ext = "spare"
	}
	return site{op, dir + "/" + ext}
}

// kinds are the ways in which an operation can go wrong. Each returns its error, nil where it does not apply; slow takes
// its time and goes well.
var kinds = map[string]func(s site, n int) error{
	"EIO": func(site, int) error { return syscall.EIO },
	"ENOSPC": func(s site, _ int) error {
		if changes(s.op) && s.op != vfs.OpRemove {
			return syscall.ENOSPC
		}
		return nil
	},
	"read-only": func(s site, _ int) error {
		if changes(s.op) && s.op != vfs.OpSync {
			return syscall.EROFS
		}
		return nil
	},
	"short": func(s site, n int) error {
		if s.op == vfs.OpWrite && n > 1 {
			return &vfs.Short{N: n / 2, Err: vfs.ErrNoSpace}
		}
		return nil
	},
	// (Not of more: simulated time does not pass while somebody waits for a mutex, and others are called under one.)
	"slow": func(s site, _ int) error {
		if s.op == vfs.OpSync && (s.file == "Queue/.seg" || s.file == "Queue/.dat" || !strings.HasPrefix(s.file, "Queue/")) {
			return errSlow
		}
		return nil
	},
}

var errSlow = errors.New("slow")

// breaker fails operations while it is on.
type breaker struct {
	mu    sync.Mutex
	on    bool
	seen  map[site]int
	hits  int
	fails func(s site, nth int) bool // which: nth counts the operations from 1
	nth   int
	kind  func(s site, n int) error
}

func (b *breaker) set(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.on = on
}

func (b *breaker) fault(op vfs.Op, path string, n int) error {
	if op == vfs.OpLock || op == vfs.OpClose || strings.Contains(path, "/Logs/") {
		return nil
	}
	s := siteOf(op, path)
	b.mu.Lock()
	b.nth++
	if b.seen != nil {
		b.seen[s]++
	}
	var err error
	if b.on && b.fails != nil && b.fails(s, b.nth) {
		err = b.kind(s, n)
	}
	if err != nil {
		b.hits++
	}
	b.mu.Unlock()
	if err == errSlow {
		time.Sleep(20 * time.Second)
		return nil
	}
	return err
}

// sites plays the script and returns where it works on files, and how many operations it does.
func sites(t *testing.T) (all []site, ops int) {
	b := &breaker{seen: map[site]int{}}
	synctest.Test(t, func(t *testing.T) {
		w := newEmptyWorld(t, 1)
		w.blocks = littleMemory
		w.fault = b.fault
		h := w.openHubs()
		w.mustStart()
		w.run(newLedger(), pause, func(string) {}, func(bool) {})
		w.stop()
		h.close()
	})
	all = slices.Collect(maps.Keys(b.seen))
	slices.SortFunc(all, func(a, b site) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return all, b.nth
}

// window is how long a fault lasts after the beginning of each deed. Clients come again after ten minutes.
const window = 8 * time.Minute

// putOff are the replies that a client may be given for a fault of ours (bad input F28).
var putOff = regexp.MustCompile(`^refused: (451 4\.3\.0|452 4\.3\.1) `)

// survive plays the script while b breaks what it does, in the first eight minutes of each deed. It says what is wrong: mail that
// is lost or damaged, a reply other than 4xx, a client that is put off when the fault has gone, a status that does not
// tell. in is what a cut of power in the midst of a fault leaves.
func survive(t *testing.T, b *breaker, seed uint64) (wrong []string, refusals int, in *instant) {
	synctest.Test(t, func(t *testing.T) {
		say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
		w := newEmptyWorld(t, 1)
		w.blocks = littleMemory
		w.fault = b.fault
		h := w.openHubs()
		w.mustStart()
		l := newLedger()
		w.heard = func(err error) {
			refusals++
			st := w.server().Store().Stats()
			b.mu.Lock()
			on := b.on
			b.mu.Unlock()
			switch {
			case !putOff.MatchString(err.Error()):
				say("a client was told %v", err)
			case !on:
				say("a client was put off when the fault had gone: %v", err)
			case st.Refusing == "" || st.RefusingSince.IsZero() || st.Refused == 0:
				say("a client was put off (%v), and the status does not say so: %+v", err, st)
			case st.LastError == "" || st.LastErrorAt.IsZero():
				say("a client was put off (%v), and the status has no error: %+v", err, st)
			}
		}
		deeds, cut := 0, 1+int(seed)%(2*len(script))
		w.run(l, window+2*time.Minute, func(from string) {
			b.set(from != "restart")
			time.AfterFunc(window, func() { b.set(false) })
		}, func(settled bool) {
			if deeds++; deeds == cut {
				in = &instant{what: "a fault", at: time.Now(), promised: map[string]account{}, order: slices.Clone(l.order), disk: w.disk.CrashClone(rand.New(rand.NewPCG(seed, 4)))}
				for rcpt, a := range l.promised {
					in.promised[rcpt] = *a
				}
				h.mu.Lock()
				in.taken = slices.Clone(h.taken)
				h.mu.Unlock()
			}
			if st := w.server().Store().Stats(); settled && st.Refusing != "" {
				say("the fault is over, and the status says: %s", st.Refusing)
			}
		})
		b.set(false)
		pass(30 * time.Hour)
		w.settle(l, h)
		lost, _ := l.check(faults{disk: true})
		wrong = append(wrong, lost...)
		wrong = append(wrong, w.damaged(l, h)...)
		if n := w.waiting(); n != 0 {
			say("%d recipients still wait", n)
		}
		w.stop()
		h.close()
	})
	return wrong, refusals, in
}

// TestFaultsAtEachSite lets each place where the relay works on files fail in turn, in each way and for minutes, and
// looks at it as clients and operators do: 250 is never said of what may be lost, who is put off gets 451 or 452 and is
// taken when the fault has gone, without a restart, and the status tells (bad input F28).
func TestFaultsAtEachSite(t *testing.T) {
	all, _ := sites(t)
	if len(all) < 30 {
		t.Fatalf("the script has these sites only: %v", all)
	}
	runs, hits, refusals := 0, 0, 0
	play := func(name string, b *breaker) {
		runs++
		wrong, n, in := survive(t, b, uint64(runs))
		refusals += n
		if b.hits > 0 {
			hits++
		}
		for _, s := range wrong {
			t.Errorf("%s: %s", name, s)
		}
		if in != nil {
			in.what = "a cut of power during " + name
			in.check(t)
		}
	}
	for range min(seeds(t, 1), 20) {
		playAll(t, all, play)
	}
	if hits < runs*2/3 || refusals < runs/4 {
		t.Errorf("too little: %d runs, %d with a fault, %d clients put off", runs, hits, refusals)
	}
	t.Logf("%d sites, %d runs, %d with a fault, %d clients put off", len(all), runs, hits, refusals)
}

// playAll plays each kind of fault at each site, and in whole folders.
func playAll(t *testing.T, all []site, play func(name string, b *breaker)) {
	for kind, f := range kinds {
		for i, s := range all {
			if f(s, 100) == nil || testing.Short() && (i+len(kind))%8 != 0 && s.file != "Queue/.seg" {
				continue
			}
			play(fmt.Sprintf("%s at each %s of %s", kind, s.op, s.file), &breaker{kind: f, fails: func(at site, _ int) bool { return at == s }})
		}
		for _, dir := range []string{"Queue/", "Drop/", "Badmail/", ""} {
			play(fmt.Sprintf("%s of all in %q", kind, dir), &breaker{kind: f, fails: func(at site, _ int) bool { return strings.HasPrefix(at.file, dir) }})
		}
		if t.Failed() {
			return
		}
	}
}
