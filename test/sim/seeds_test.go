package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/vfs"
)

// plan is what a seed wants to happen.
type plan struct {
	messages int
	over     time.Duration // the time in which they come
	cuts     int           // of power, or kills
	windows  int           // times in which the disk fails now and then
}

// long is how much is waited for after the last message and the last fault: 48 attempts of a message
// and 48 of the report on it, an hour apart.
const long = 110 * time.Hour

// deed is something that is done at a time.
type deed struct {
	at time.Duration
	do func()
}

// play runs the relay with all the mail and trouble of a plan and returns the account.
func play(t *testing.T, seed uint64, p plan) (account string, extra int) {
	synctest.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := newEmptyWorld(t, seed)
		d := &disk{rnd: rand.New(rand.NewPCG(seed, 2))}
		w.fault = d.fault
		h := w.openHubs()
		w.mustStart()
		l := newLedger()
		var agenda []deed
		for i := range p.messages {
			agenda = append(agenda, deed{anytime(rnd, p.over), func() { w.post(l, rnd, i) }})
		}
		for range p.cuts {
			agenda = append(agenda, deed{anytime(rnd, p.over), func() { w.cutAndRestart(rnd, d) }})
		}
		for range p.windows {
			agenda = append(agenda, deed{anytime(rnd, p.over), func() {
				d.fails.Store(true)
				time.AfterFunc(time.Duration(1+rnd.IntN(600))*time.Second, func() { d.fails.Store(false) })
			}})
		}
		slices.SortStableFunc(agenda, func(a, b deed) int { return cmp.Compare(a.at, b.at) })
		start := time.Now()
		for _, e := range agenda {
			time.Sleep(time.Until(start.Add(e.at)))
			e.do()
		}
		time.Sleep(10 * time.Minute) // the last window closes
		pass(long)
		w.settle(l, h)
		wrong, more := l.check(faults{cuts: p.cuts, disk: p.windows > 0})
		for _, s := range wrong {
			t.Errorf("seed %d: %s", seed, s)
		}
		if n := w.waiting(); n != 0 {
			t.Errorf("seed %d: %d recipients still wait", seed, n)
		}
		account, extra = l.String(), more
		w.stop()
		h.close()
	})
	return account, extra
}

func anytime(rnd *rand.Rand, over time.Duration) time.Duration {
	return time.Duration(rnd.Int64N(int64(over)))
}

// newEmptyWorld is a world whose relay delivers by MX and has not started.
func newEmptyWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := newWorldOff(t)
	w.seed = seed
	w.direct = true
	return w
}

// parties chooses who message i is from, one of four kinds of sender, and to, one to four recipients.
func parties(rnd *rand.Rand, i int) (from string, to []string, domains []*trait) {
	senders := []string{"", fmt.Sprintf("s%d@corp.test", i), fmt.Sprintf("s%d@good.test", i), fmt.Sprintf("s%d@unknown.test", i)}
	from = senders[rnd.IntN(len(senders))]
	for k := range 1 + rnd.IntN(4) {
		if n := rnd.IntN(len(traits) + 2); n < len(traits) {
			domains = append(domains, &traits[n])
			to = append(to, fmt.Sprintf("r%d-%d@%s", i, k, traits[n].domain))
		} else {
			domains = append(domains, nil)
			to = append(to, fmt.Sprintf("r%d-%d@corp.test", i, k))
		}
	}
	return from, to, domains
}

// post submits message i.
func (w *world) post(l *ledger, rnd *rand.Rand, i int) {
	from, to, domains := parties(rnd, i)
	text := fmt.Sprintf("From: <%s>\r\nSubject: number %d\r\n\r\n%s\r\n", from, i, strings.Repeat("text ", rnd.IntN(2000)))
	w.submit(l, from, to, domains, text)
}

// cutAndRestart cuts the power, or kills the process, and starts the relay again.
func (w *world) cutAndRestart(rnd *rand.Rand, d *disk) {
	w.t.Helper()
	d.fails.Store(false)
	if rnd.IntN(3) == 0 {
		w.powerCut(nil)
	} else {
		w.powerCut(rnd)
	}
	w.mustStart()
}

// disk fails one operation in twenty while fails is set.
type disk struct {
	fails atomic.Bool
	mu    sync.Mutex
	rnd   *rand.Rand
}

func (d *disk) fault(op vfs.Op, _ string, n int) error {
	if !d.fails.Load() || op == vfs.OpLock {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rnd.IntN(20) != 0 {
		return nil
	}
	switch k := d.rnd.IntN(4); {
	case k == 0:
		return vfs.ErrNoSpace
	case k == 1 && op == vfs.OpWrite && n > 0:
		return &vfs.Short{N: d.rnd.IntN(n), Err: vfs.ErrNoSpace}
	}
	return syscall.EIO
}

// settleQueue counts what waits. Each recipient that does must say why.
func (w *world) settleQueue(l *ledger) {
	w.t.Helper()
	v := w.svc.Servers()[0]
	for cursor := spool.Cursor(0); ; {
		entries, next, err := v.Store().Search(w.t.Context(), spool.Query{}, cursor, 1000)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, e := range entries {
			for _, s := range v.Queue().State(e.Envelope.ID) {
				rcpt := e.Envelope.Recipients[s.Rcpt].Addr.String()
				if s.Reason == "" {
					w.t.Errorf("%s waits without a reason", rcpt)
				}
				if a := l.promised[rcpt]; a != nil {
					a.waiting++
				}
			}
		}
		if cursor = next; next == 0 {
			return
		}
	}
}

// seeds is how many seeds a test plays: few in a quick run, MAILROOT_SIM_SEEDS in a long one.
func seeds(t *testing.T, few int) int {
	t.Helper()
	if text := os.Getenv("MAILROOT_SIM_SEEDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("MAILROOT_SIM_SEEDS=%q", text)
		}
		return n
	}
	if testing.Short() {
		return max(1, few/10)
	}
	return few
}

// Whatever other servers do, each recipient is delivered once or returned once, in the same way each
// time.
func TestSeedsOfPeers(t *testing.T) {
	p := plan{messages: 20, over: 24 * time.Hour}
	for seed := range uint64(seeds(t, 20)) {
		first, _ := play(t, seed, p)
		if seed%10 != 0 {
			continue
		}
		if again, _ := play(t, seed, p); again != first {
			t.Errorf("seed %d goes one way:\n%sand another:\n%s", seed, first, again)
		}
	}
}

// With cuts of power and a disk that fails, at any moment, nothing that was accepted is lost. Copies too many are
// counted.
func TestSeedsOfFaults(t *testing.T) {
	n, extra, total := seeds(t, 40), 0, 0
	for seed := range uint64(n) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		account, more := play(t, seed+1000, plan{
			messages: 5 + rnd.IntN(20), over: time.Duration(1+rnd.IntN(30)) * time.Hour, cuts: rnd.IntN(4), windows: rnd.IntN(3),
		})
		extra += more
		total += strings.Count(account, "\n")
	}
	t.Logf("%d seeds, %d recipients, none lost, %d copies too many", n, total, extra)
}
