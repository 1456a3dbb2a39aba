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
	g := harness.NewLedger()
	sink := harness.NewSink(t, harness.SinkOptions{
		Answer: func(verb, arg string, _ *harness.SinkMessage) string {
			if verb == "RCPT" && g.PutOff(arg) {
				return "451 4.7.1 come back later"
			}
			return ""
		},
		OnMessage: func(m *harness.SinkMessage) { g.ArriveAt(t, m) },
		Forget:    true,
	})
	server := harness.New(t, harness.Options{SmartHost: []string{sink.Route()}})
	n := rounds(t)
	var killed time.Time
	start := func() {
		server.Start()
		if !killed.IsZero() {
			g.Killed(killed, time.Now())
		}
	}
	for round := range n {
		start()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() { g.Load(server.Addr(), stop, nil) })
		}
		time.Sleep(time.Duration(50+rand.IntN(950)) * time.Millisecond)
		server.Alive()
		killed = time.Now()
		server.Kill9()
		close(stop)
		wg.Wait()
		if round%10 == 9 {
			r := g.Report()
			t.Logf("after %d kills: %d acknowledged, %d arrived, %d duplicates", round+1, r.Acked, r.Arrived, r.Duplicates)
		}
	}

	start()
	drained := harness.Within(harness.Patience*4, func() bool {
		server.Alive()
		lost, _ := g.Missing(false)
		return lost == 0 && len(server.DropFiles()) >= g.AckedLocal()
	})
	// What was not acknowledged, and repetitions, may still be on their way.
	harness.Eventually(t, harness.Patience*2, "the queue is empty", server.Empty)
	for _, f := range server.DropFiles() {
		if len(f.Receivers) != 1 {
			t.Errorf("%s has receivers %q", f.Name, f.Receivers)
			continue
		}
		g.Arrive(f.Receivers[0], f.Message, f.Written)
	}
	verdict(t, g, n, drained)
	server.Stop()
}

func verdict(t *testing.T, g *harness.Ledger, kills int, drained bool) {
	t.Helper()
	r := g.Report()
	t.Logf("%d kills: %d letters begun, %d acknowledged, %d arrived, of these %d not acknowledged; %d put off once; "+
		"%d duplicates, %d of them of letters recorded as done", kills, r.Sent, r.Acked, r.Arrived, r.Unasked, r.PutOff, r.Duplicates, r.Settled)
	for _, local := range []bool{true, false} {
		if lost, one := g.Missing(local); lost > 0 {
			t.Errorf("%d acknowledged letters are lost, for example letter %d to %s", lost, one.Number, one.Rcpt())
		}
	}
	for _, d := range g.Damaged() {
		t.Errorf("damaged: %s", d)
	}
	if r.Settled > 0 {
		t.Errorf("%d deliveries were repeated that must have been recorded as done:\n%s", r.Settled, strings.Join(r.Repeated, "\n"))
	}
	if !drained {
		t.Error("not everything that was acknowledged has left")
	}
	// Each kill must have met a working relay, else the test has proved nothing.
	if r.Acked < kills*clients || r.PutOff == 0 {
		t.Errorf("too little load: %d acknowledged, %d put off", r.Acked, r.PutOff)
	}
}
