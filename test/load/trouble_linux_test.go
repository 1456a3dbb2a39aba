package load

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/dns/dnstest"
	"github.com/mailroot/mailroot/test/harness"
)

// mixed is a Mailroot that delivers one domain to a sink that is well, and all others by a DNS of the test to where there is trouble.
type mixed struct {
	*harness.Server
	sink *server
}

const healthyDomain = "healthy.test"

func startMixed(t *testing.T, zone string, port int) *mixed {
	t.Helper()
	sink := startServer(t, serverOptions{})
	dns := dnstest.Start(t, zone)
	o := lifted(harness.Options{
		DNS: dns.Addr(), OutboundPort: port, Intervals: `"1h"`,
		Domains: []harness.Domain{{Name: healthyDomain, Kind: "remote", Route: []string{sink.route()}}},
	})
	return &mixed{harness.Start(t, o), sink}
}

// healthy sends n messages to the domain that is well, and returns how many a second went through the relay.
func (m *mixed) healthy(t *testing.T, n int) float64 {
	t.Helper()
	before := m.sink.messages.Load()
	c := client{addr: m.Addr(), sessions: 20, keep: true, size: 4 * kb, messages: n, envelope: func(int) envelope {
		return envelope{"sender@client.test", []string{"rcpt@" + healthyDomain}, "load"}
	}}
	start := time.Now()
	if _, err := c.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	end := start.Add(5 * time.Minute)
	for m.sink.messages.Load()-before < int64(n) && time.Now().Before(end) {
		time.Sleep(2 * time.Millisecond)
	}
	took := time.Since(start)
	if got := m.sink.messages.Load() - before; got != int64(n) {
		t.Fatalf("%d messages at the sink, want %d", got, n)
	}
	return float64(n) / took.Seconds()
}

// beside measures the domain that is well, round by round, in turns with a relay that has no trouble: what the machine does besides meets
// both. It returns the medians of the rates, and of their ratios within a round.
func (m *mixed) beside(t *testing.T, calm *mixed) (own, other, ratio float64) {
	t.Helper()
	var owns, others, ratios []float64
	for k := range *rounds {
		pair := []*mixed{m, calm}
		if k%2 == 1 {
			slices.Reverse(pair)
		}
		rate := map[*mixed]float64{}
		for _, p := range pair {
			rate[p] = p.healthy(t, scaled(6000))
		}
		owns, others = append(owns, rate[m]), append(others, rate[calm])
		ratios = append(ratios, rate[m]/rate[calm])
	}
	return median(owns), median(others), median(ratios)
}

// trouble sends one message to each of n domains.
func (m *mixed) trouble(t *testing.T, n int, domain func(i int) string) {
	t.Helper()
	c := client{addr: m.Addr(), sessions: 20, keep: true, size: kb, messages: n, envelope: func(i int) envelope {
		return envelope{"sender@client.test", []string{"rcpt@" + domain(i)}, "load"}
	}}
	if _, err := c.run(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestHanging has 500 next hops that fall silent, at each stage of a transaction, and looks at what that costs the mail of others.
func TestHanging(t *testing.T) {
	benchmark(t)
	const n = 500
	port := harness.FreePort(t, "0.0.0.0")
	var zone strings.Builder
	var silent []*server
	zone.WriteString("$TTL 60\n")
	for i := range n {
		addr := fmt.Sprintf("127.10.%d.%d", i/250, i%250+1)
		fmt.Fprintf(&zone, "hang%d.test. A %s\n", i, addr)
		silent = append(silent, startServer(t, serverOptions{addr: addr + ":" + itoa(port), hang: stages[i%len(stages)]}))
	}
	m, calm := startMixed(t, zone.String(), port), startMixed(t, zone.String(), port)
	m.healthy(t, scaled(6000)) // warms up
	calm.healthy(t, scaled(6000))
	m.trouble(t, 4*n, func(i int) string { return fmt.Sprintf("hang%d.test", i%n) })
	held := func() (hops int64) {
		for _, s := range silent {
			hops += s.hanging.Load()
		}
		return hops
	}
	before := int64(-1)
	harness.Eventually(t, harness.Patience, "as many next hops are silent as get connections", func() bool {
		time.Sleep(time.Second)
		now := held()
		steady := now == before && now >= 60
		before = now
		return steady
	})
	with, without, ratio := m.beside(t, calm)
	tab := newTable(t, "500 next hops that fall silent, s20d-4k to another", "relayed/s without them", "with them", "connections that hang", "after it")
	tab.row(without, with, before, held())
	atLeast(t, "500 next hops hang: B of the others, part of a relay's without them", ratio, 0.9)
}

// TestUnreachable has mail for 100,000 domains, none of which can be reached, and looks at what they cost at rest.
func TestUnreachable(t *testing.T) {
	benchmark(t)
	n := scaled(100_000)
	port := harness.FreePort(t, "0.0.0.0")
	const zone = "$TTL 60\n*.gone.test. A 127.66.0.1\n"
	m, calm := startMixed(t, zone, port), startMixed(t, zone, port)
	m.healthy(t, scaled(6000)) // warms up
	calm.healthy(t, scaled(6000))
	filesBefore, threadsBefore := held(m.PID(), "fd"), held(m.PID(), "task")
	pssBefore, _ := (&usage{pid: m.PID()}).memory()
	m.trouble(t, n, func(i int) string { return fmt.Sprintf("d%d.gone.test", i) })
	meanwhile := m.healthy(t, scaled(6000))
	harness.Eventually(t, 20*harness.Patience, "all were tried", func() bool {
		q := m.Status().VirtualServers[0].Queue
		return q.Deferred == n
	})
	time.Sleep(5 * time.Second)
	files, threads := held(m.PID(), "fd"), held(m.PID(), "task")
	pss, _ := (&usage{pid: m.PID()}).memory()
	idle := &usage{pid: m.PID()}
	cpu := idle.cpu()
	time.Sleep(3 * time.Second)
	share := float64(idle.cpu()-cpu) / float64(3*time.Second)
	with, without, ratio := m.beside(t, calm)
	tab := newTable(t, fmt.Sprintf("%d domains that cannot be reached, one message each; s20d-4k to another domain", n), "", "without", "at rest with them")
	tab.row("relayed/s of the other", without, with)
	tab.row("the same while they are tried", "", meanwhile)
	tab.row("open files", filesBefore, files)
	tab.row("threads", threadsBefore, threads)
	tab.row("PSS, MB", float64(pssBefore)/1e6, float64(pss)/1e6)
	tab.row("processor time, % of a core", "", 100*share)
	atMost(t, "100,000 unreachable domains: open files more", float64(files-filesBefore), 100)
	atMost(t, "100,000 unreachable domains: threads more", float64(threads-threadsBefore), 20)
	atLeast(t, "100,000 unreachable domains: B of another, part of a relay's without them", ratio, 0.9)
}

// held counts what a process has of a kind that /proc lists: fd or task.
func held(pid int, kind string) int {
	names, _ := os.ReadDir(filepath.Join("/proc", itoa(pid), kind))
	return len(names)
}
