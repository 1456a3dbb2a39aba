// Package kill ends the relay as a power switch would, again and again while mail flows, and
// keeps books: no acknowledged message may be lost, whatever the moment.
package kill

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const clients = 6 // at the same time

// rounds is 20, or MAILROOT_KILL_ROUNDS.
func rounds(t *testing.T) int {
	t.Helper()
	s := os.Getenv("MAILROOT_KILL_ROUNDS")
	if s == "" {
		return 20
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("MAILROOT_KILL_ROUNDS = %q", s)
	}
	return n
}

// TestKill9 loses nothing that was acknowledged, for Drop and for a next hop, and repeats
// nothing that was recorded as done.
func TestKill9(t *testing.T) {
	g := newLedger()
	sink := harness.NewSink(t, harness.SinkOptions{
		Answer: func(verb, arg string, _ *harness.SinkMessage) string {
			if verb == "RCPT" && g.putOff(arg) {
				return "451 4.7.1 come back later"
			}
			return ""
		},
		OnMessage: func(m *harness.SinkMessage) { arriveAtSink(t, g, m) },
		Forget:    true,
	})
	server := harness.New(t, harness.Options{SmartHost: []string{sink.Route()}})
	n := rounds(t)
	var killed time.Time
	start := func() {
		server.Start()
		if !killed.IsZero() {
			g.kill(killed, time.Now())
		}
	}
	for round := range n {
		start()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() { client(g, server.Addr(), stop) })
		}
		time.Sleep(time.Duration(50+rand.IntN(950)) * time.Millisecond)
		server.Alive()
		killed = time.Now()
		server.Kill9()
		close(stop)
		wg.Wait()
		if round%10 == 9 {
			r := g.report()
			t.Logf("after %d kills: %d acknowledged, %d arrived, %d duplicates", round+1, r.acked, r.arrived, r.duplicates)
		}
	}

	start()
	drained := harness.Within(harness.Patience*4, func() bool {
		server.Alive()
		lost, _ := g.missing(false)
		return lost == 0 && len(server.DropFiles()) >= acknowledgedLocal(g)
	})
	// What was not acknowledged, and repetitions, may still be on their way.
	harness.Eventually(t, harness.Patience*2, "the queue is empty", server.Empty)
	for _, f := range server.DropFiles() {
		if len(f.Receivers) != 1 {
			t.Errorf("%s has receivers %q", f.Name, f.Receivers)
			continue
		}
		g.arrive(f.Receivers[0], f.Message, f.Written)
	}
	verdict(t, g, n, drained)
	server.Stop()
}

func arriveAtSink(t *testing.T, g *ledger, m *harness.SinkMessage) {
	n, err := harness.TraceLen(m.Data)
	if err != nil || len(m.Rcpts) != 1 {
		t.Errorf("at the sink for %q: %v", m.Rcpts, err)
		return
	}
	g.arrive(m.Rcpts[0], m.Data[n:], m.Time)
}

func acknowledgedLocal(g *ledger) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for number := range g.acked {
		if g.sent[number].local {
			n++
		}
	}
	return n
}

func verdict(t *testing.T, g *ledger, kills int, drained bool) {
	t.Helper()
	r := g.report()
	t.Logf("%d kills: %d letters begun, %d acknowledged, %d arrived, of these %d not acknowledged; %d put off once; "+
		"%d duplicates, %d of them of letters recorded as done", kills, r.sent, r.acked, r.arrived, r.unasked, r.putOff, r.duplicates, r.settled)
	for _, local := range []bool{true, false} {
		if lost, one := g.missing(local); lost > 0 {
			t.Errorf("%d acknowledged letters are lost, for example letter %d to %s", lost, one.number, one.rcpt())
		}
	}
	for _, d := range g.damaged {
		t.Errorf("damaged: %s", d)
	}
	if r.settled > 0 {
		t.Errorf("%d deliveries were repeated that must have been recorded as done:\n%s", r.settled, strings.Join(r.repeated, "\n"))
	}
	if !drained {
		t.Error("not everything that was acknowledged has left")
	}
	// Each kill must have met a working relay, else the test has proved nothing.
	if r.acked < kills*clients || r.putOff == 0 {
		t.Errorf("too little load: %d acknowledged, %d put off", r.acked, r.putOff)
	}
}

// client sends letters, several on a connection, until the server dies or it is told to stop.
func client(g *ledger, addr string, stop <-chan struct{}) {
	for {
		c, err := harness.Dial(addr, "client.test")
		if err != nil {
			return
		}
		for range 1 + rand.IntN(20) {
			select {
			case <-stop:
				c.Close()
				return
			default:
			}
			l := g.letter()
			if err := c.Send("sender@client.test", []string{l.rcpt()}, l.text()); err != nil {
				c.Close()
				return
			}
			g.acknowledge(l)
		}
		if c.Quit() != nil {
			return
		}
	}
}
