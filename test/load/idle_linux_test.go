package load

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

// collected is when Go's collector has surely come to a process that does nothing: it does so every two minutes.
const collected = 2*time.Minute + 30*time.Second

// TestIdle measures what a session costs that has said EHLO and then nothing: soon afterwards, when what it took to begin
// them is still there as garbage, and, against the bar, when the collector has come by itself.
func TestIdle(t *testing.T) {
	benchmark(t)
	cert := harness.NewCertificate(t, "relay.test")
	trust := &tls.Config{RootCAs: cert.Pool, ServerName: "relay.test", MinVersion: tls.VersionTLS13}
	openFiles(t, 11_000)
	tab := newTable(t, "Idle sessions after EHLO. PSS of the server", "sessions", "", "before, MB", "with them, MB", "octets each", "collected, MB", "octets each", "after they left, MB")
	for _, k := range []struct {
		name string
		tls  *tls.Config
		bar  float64
	}{{"plain", nil, 8 * kb}, {"TLS", trust, 24 * kb}} {
		for _, full := range []int{1000, 10_000} {
			t.Run(fmt.Sprintf("%s/%d", k.name, full), func(t *testing.T) {
				n := scaled(full)
				s := startMailroot(t, harness.StartCountingSink(t).Route(), lifted(harness.Options{Cert: cert}))
				mayOpen(t, s.PID(), n+200)
				u := &usage{pid: s.PID()}
				m := idle(t, u, s.Addr(), k.tls, n)
				s.Stop()
				mb := func(octets int64) float64 { return float64(octets) / (1 << 20) }
				each := func(octets int64) float64 { return float64(octets-m.before) / float64(n) }
				tab.row(n, k.name, mb(m.before), mb(m.with), each(m.with), mb(m.collected), each(m.collected), mb(m.after))
				atMost(t, fmt.Sprintf("idle, %d sessions, %s: octets each", n, k.name), each(m.collected), k.bar)
			})
		}
	}
}

// idleMemory is the memory of a server.
type idleMemory struct {
	before, with, collected, after int64 // with: of idle sessions, soon after they began; after: they have left
}

// idle opens n sessions, which do nothing, and closes them.
func idle(t *testing.T, u *usage, addr string, conf *tls.Config, n int) (m idleMemory) {
	t.Helper()
	all, err := open(addr, conf, min(n, 20)) // what comes with the first ones is not counted for all
	hangUp(all)
	if err != nil {
		t.Fatal(err)
	}
	m.before = settled(u)
	all, err = open(addr, conf, n)
	defer hangUp(all)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	m.with = settled(u)
	time.Sleep(time.Until(began.Add(collected)))
	m.collected = settled(u)
	for i, s := range all { // they were all open to the end
		if err := s.command("250", "NOOP"); err != nil {
			t.Fatalf("session %d: %v", i, err)
		}
	}
	hangUp(all)
	m.after = settled(u)
	return m
}

// settled returns the memory when it has not changed much for some seconds: sessions that come and go leave garbage behind.
func settled(u *usage) int64 {
	last, since := int64(0), time.Now()
	for end := since.Add(time.Minute); time.Now().Before(end) && time.Since(since) < 5*time.Second; time.Sleep(time.Second) {
		pss, _ := u.memory()
		if d := pss - last; d > 1<<20 || d < -(1<<20) {
			last, since = pss, time.Now()
		}
	}
	pss, _ := u.memory()
	return pss
}

// open opens n sessions, some at the same time.
func open(addr string, conf *tls.Config, n int) ([]*session, error) {
	sessions, errs := make([]*session, n), make([]error, n)
	var all sync.WaitGroup
	limit := make(chan struct{}, 50)
	for i := range n {
		limit <- struct{}{}
		all.Go(func() {
			sessions[i], errs[i] = dial(addr, conf)
			<-limit
		})
	}
	all.Wait()
	return sessions, errors.Join(errs...)
}

func hangUp(all []*session) {
	for _, s := range all {
		if s != nil {
			s.conn.Close()
		}
	}
}

// openFiles lets this process, and the servers that it starts, have n open files.
func openFiles(t *testing.T, n uint64) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	lim := old
	lim.Cur, lim.Max = max(lim.Cur, n), max(lim.Max, n)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		t.Skipf("%d open files are not allowed here: %v", n, err)
	}
	t.Cleanup(func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old) })
}

// mayOpen fails the test if the process must not have n open files.
func mayOpen(t *testing.T, pid, n int) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if limit, ok := strings.CutPrefix(lines.Text(), "Max open files"); ok {
			if soft, err := strconv.Atoi(strings.Fields(limit)[0]); err != nil || soft < n {
				t.Fatalf("the server may have %s open files, wanted are %d", strings.Fields(limit)[0], n)
			}
			return
		}
	}
	t.Fatalf("no limit of open files in %s", f.Name())
}
