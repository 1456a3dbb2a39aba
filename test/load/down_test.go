package load

import (
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

// waiting is a server whose next hop is down.
type waiting struct {
	name     string
	addr     string
	usage    *usage
	sinkPort int
	flush    func() // tries all mail now
}

// queueing starts both servers with a next hop that nobody listens at.
func queueing(t *testing.T) []waiting {
	t.Helper()
	ours, theirs := harness.FreePort(t), harness.FreePort(t)
	o := lifted(harness.Options{Intervals: `"1h"`})
	s := startMailroot(t, "["+"127.0.0.1]:"+itoa(ours), o)
	next := "[127.0.0.1]:" + itoa(theirs)
	p := harness.StartPostfix(t, harness.PostfixOptions{Next: next, Main: tuned(next)})
	return []waiting{
		{"Mailroot", s.Addr(), watch(t, s.PID()), ours, func() { s.CLI("queue", "retry", "--all") }},
		{"Postfix", p.Addr, watch(t, p.PID()), theirs, func() { p.Flush(t) }},
	}
}

// TestSinkDown lets queues grow while the next hop is down, then lets them drain. Up to 20,000 messages the servers take turns.
func TestSinkDown(t *testing.T) {
	benchmark(t)
	const turns = 10
	n := cell{20, true, 4 * kb, 20_000}
	more := cell{20, true, 4 * kb, 80_000}
	turn := n
	turn.messages /= turns
	servers := queueing(t)
	var first [2][]float64 // accepted a second, by turn
	var times []float64
	for range turns {
		for i, w := range servers {
			took, _ := source(t, turn, w.addr)
			first[i] = append(first[i], float64(turn.messages)/took.Seconds())
		}
		times = append(times, last(first[0])/last(first[1]))
	}
	tab := newTable(t, "Next hop down, then up again, 4 KB, s20d",
		"server", "accepted/s to 20,000", "accepted/s to 100,000", "PSS, MB", "first delivery, s", "drained/s", "E of the drain, ms")
	var drains [2]float64
	all := float64(n.messages + more.messages)
	for i, w := range servers {
		rest, _ := source(t, more, w.addr)
		pss, _ := w.usage.memory()
		began, took, cpu := w.drain(t, n.messages+more.messages)
		drains[i] = all / took.Seconds()
		tab.row(w.name, median(first[i]), float64(more.messages)/rest.Seconds(), float64(pss)/1e6, began.Seconds(), drains[i], 1000*cpu.Seconds()/all)
	}
	bare := harness.StartCountingSink(t)
	wall, _ := source(t, n, harness.Loopback(bare.Port))
	ceiling := float64(n.messages) / wall.Seconds()
	tab.row("no server", ceiling, "", "", "", "", "")
	atLeast(t, "next hop down, 20,000 messages of 4 KB: A, times Postfix's", median(times), 3)
	if part := drains[0] / ceiling; part >= 0.8 {
		atLeast(t, "drain of 100,000, part of what the sink can take", part, 0.8)
	} else {
		atLeast(t, "drain of 100,000, times Postfix's", drains[0]/drains[1], 5)
	}
}

func last(s []float64) float64 { return s[len(s)-1] }

// drain brings the next hop up and waits until all mail has left: how long it was until the first message, and from
// then until the last.
func (w waiting) drain(t *testing.T, n int) (first, rest, cpu time.Duration) {
	t.Helper()
	sink := harness.StartCountingSinkAt(t, w.sinkPort)
	defer sink.Stop()
	start, before := time.Now(), w.usage.cpu()
	w.flush()
	end := start.Add(10 * time.Minute)
	for sink.Count() < n && time.Now().Before(end) {
		if first == 0 && sink.Count() > 0 {
			first = time.Since(start)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if got := sink.Count(); got != n {
		t.Fatalf("%s: %d messages at the sink, want %d", w.name, got, n)
	}
	return first, time.Since(start) - first, w.usage.cpu() - before
}
