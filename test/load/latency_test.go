package load

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

// firsts is how often each relay gets a message while it does nothing else.
const firsts = 20

// TestFirstMessage measures one message on an idle system, from the opening of the connection to its 250, and to the sink.
func TestFirstMessage(t *testing.T) {
	benchmark(t)
	type idler struct {
		name           string
		addr           string
		sink           chan time.Time
		reply, arrival []float64 // ms
	}
	var relays []*idler
	for _, k := range []struct {
		name  string
		start func(next string) string
	}{
		{"Mailroot", func(next string) string { return startMailroot(t, next, lifted(harness.Options{})).Addr() }},
		{"Postfix", func(next string) string {
			return harness.StartPostfix(t, harness.PostfixOptions{Next: next, Main: tuned(next)}).Addr
		}},
	} {
		r := &idler{name: k.name, sink: make(chan time.Time, 1)}
		sink := startServer(t, serverOptions{took: func() { r.sink <- time.Now() }})
		r.addr = k.start(sink.route())
		relays = append(relays, r)
	}
	n := scaled(firsts)
	for i := range n + 1 {
		for _, r := range relays {
			time.Sleep(1500 * time.Millisecond) // nothing is left to do from the last message
			reply, arrival := firstMessage(t, r.addr, r.sink)
			if i > 0 { // the very first one starts processes and warms caches
				r.reply, r.arrival = append(r.reply, reply), append(r.arrival, arrival)
			}
		}
	}
	tab := newTable(t, "One message of 4 KB on an idle system, ms from the opening of the connection; median (greatest)", "server", "to its 250", "to the sink")
	for _, r := range relays {
		tab.row(r.name, spread(r.reply), spread(r.arrival))
	}
	ours, theirs := relays[0], relays[1]
	atMost(t, "idle system: time to the 250, part of Postfix's", median(ours.reply)/median(theirs.reply), 1)
	atMost(t, "idle system: time to the sink, part of Postfix's", median(ours.arrival)/median(theirs.arrival), 1)
}

// firstMessage sends one message and returns when it was accepted and when the sink had it, in ms from its start.
func firstMessage(t *testing.T, addr string, sink <-chan time.Time) (reply, arrival float64) {
	t.Helper()
	body := filler(4 * kb)
	start := time.Now()
	s, err := dial(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.send(alike(0), body); err != nil {
		t.Fatal(err)
	}
	reply = ms(time.Since(start))
	if err := s.quit(); err != nil {
		t.Fatal(err)
	}
	select {
	case at := <-sink:
		return reply, ms(at.Sub(start))
	case <-time.After(harness.Patience):
		t.Fatal("the message does not arrive")
		return 0, 0
	}
}

func ms(d time.Duration) float64 { return 1000 * d.Seconds() }

func spread(v []float64) string {
	greatest := 0.0
	for _, x := range v {
		greatest = max(greatest, x)
	}
	return fmt.Sprintf("%s (%s)", figure(median(v)), figure(greatest))
}

// TestReplyTimes measures how long the 250 takes under full load: back-pressure must set in before some sessions wait long.
func TestReplyTimes(t *testing.T) {
	benchmark(t)
	relays := []*relay{
		mailroot(t, "Mailroot", lifted(harness.Options{})),
		postfix(t, "Postfix", tuned),
	}
	tab := newTable(t, "From the final dot to the 250 under full load, ms, by our own source", "cell", "server", "A", "median", "p90", "p99", "greatest")
	for _, sessions := range []int{100, 400} {
		load := client{sessions: sessions, keep: true, size: 4 * kb, messages: scaled(10_000)}
		name := cell{sessions, true, load.size, load.messages}.String()
		rate := make([][]float64, len(relays))
		quantiles := make([][4][]float64, len(relays))
		for round := range *rounds {
			for i := range relays {
				k := (i + round) % len(relays)
				s := relays[k].timed(t, load)
				rate[k] = append(rate[k], float64(load.messages)/s.wall.Seconds())
				for j, q := range []float64{0.5, 0.9, 0.99, 1} {
					quantiles[k][j] = append(quantiles[k][j], ms(s.quantile(q)))
				}
			}
		}
		for i, r := range relays {
			q := quantiles[i]
			tab.row(name, r.name, median(rate[i]), median(q[0]), median(q[1]), median(q[2]), median(q[3]))
		}
		atMost(t, name+" p99 of the 250, times the median", median(ratios(quantiles[0][2], quantiles[0][0])), 10)
	}
}

// timed puts messages through the relay by a source of our own. All must arrive, and none twice.
func (r *relay) timed(t *testing.T, load client) *sent {
	t.Helper()
	load.addr = r.addr
	want := r.sink.Count() + load.messages
	s, err := load.run(context.Background())
	if err != nil {
		t.Fatalf("%s: %v", r.name, err)
	}
	for end := time.Now().Add(10 * time.Minute); r.sink.Count() < want && time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	if n := r.sink.Count(); n != want {
		t.Fatalf("%s: %d messages at the sink, want %d", r.name, n, want)
	}
	return s
}
