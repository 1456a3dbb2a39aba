package delivery

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

func TestRunReuse(t *testing.T) {
	// One connection for several messages, up to the limit; then QUIT.
	w := newWorld(t, twoMX(), map[string][]string{mx1: {hello + good(r0) + good(r1, r2) + quit + "CLOSE"}})
	o := w.options()
	o.MessagesPerConnection = 2
	q := newWork(t, batch(1, r0), batch(2, r1, r2), batch(3, r0))
	q.run(New(o), mxHop("example.org"))
	q.expect(1, "delivered 250 2.0.0 by mx1.example.org")
	q.expect(2, "delivered 250 2.0.0 by mx1.example.org", "delivered 250 2.0.0 by mx1.example.org")
	if len(q.left) != 1 {
		t.Errorf("%d batches are left, want 1", len(q.left))
	}
	if r := q.results[1][0]; r.Addr != addrPort(mx1) || r.Reply.Text != "queued" || r.TLS != "" {
		t.Errorf("got %+v", r)
	}
}

func TestRunMailMax(t *testing.T) {
	w := newWorld(t, twoMX(), map[string][]string{mx1: {
		"S: 220 mx\nC: EHLO relay.example.com\nS: 250-mx\nS: 250-PIPELINING\nS: 250 LIMITS MAILMAX=1 RCPTMAX=2\n" +
			flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 550 5.1.1 no\nS: 354 go\nC: x\nC: .\nS: 250 Ok\n" + bye}})
	q := newWork(t, batch(1, r0, r1, r2), batch(2, r0))
	q.run(New(w.options()), mxHop("example.org"))
	q.expect(1, "delivered 250 nodsn by mx1.example.org", "failed 550 5.1.1 by mx1.example.org", "overflow 452 4.5.3 ours by mx1.example.org")
	if len(q.left) != 1 {
		t.Error("the server's MAILMAX was passed")
	}
}

func TestRunLinger(t *testing.T) {
	for _, c := range []struct{ set, want time.Duration }{{0, 2 * time.Second}, {time.Minute, time.Minute}, {-1, 0}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, twoMX(), map[string][]string{mx1: {hello + good(r0) + bye}})
			o := w.options()
			o.Linger = c.set
			q := newWork(t, batch(1, r0))
			q.sleep = true
			start := time.Now()
			q.run(New(o), mxHop("example.org"))
			if took := time.Since(start); took != c.want || q.waits[0] != 0 {
				t.Errorf("linger %v: the run took %v, want %v; waits %v", c.set, took, c.want, q.waits)
			}
		})
	}
}

func TestRunNothingToDo(t *testing.T) {
	w := newWorld(t, nil, nil)
	newWork(t).run(New(w.options()), mxHop("example.org"))
	if len(w.dialed) != 0 || w.zone.Asked("MX", "example.org") != 0 {
		t.Error("work was done for nothing")
	}
}

// TestNextMX: what makes a server useless sends the message to the next one in the same
// attempt.
func TestNextMX(t *testing.T) {
	for name, first := range map[string]string{
		"no connection":         "",
		"greeting 4xx":          "S: 450 later\n" + bye,
		"greeting 5xx":          "S: 554 5.3.2 no\n" + bye,
		"greeting 421":          "S: 421 busy",
		"C1 greeting malformed": "S: hello",
		"closed at once":        "CLOSE",
		"EHLO 4xx":              "S: 220 x\nC: EHLO relay.example.com\nS: 451 later\n" + bye,
		"EHLO and HELO refused": "S: 220 x\nC: EHLO relay.example.com\nS: 500 no\nC: HELO relay.example.com\nS: 550 no\n" + bye,
		"421 to MAIL":           hello + flight(r0) + "S: 421 4.3.2 no",
		"421 to RCPT":           hello + flight(r0) + "S: 250 Ok\nS: 421 4.3.2 no",
		"421 to DATA":           hello + flight(r0) + "S: 250 Ok\nS: 250 Ok\nS: 421 4.3.2 no",
		"closed after MAIL":     hello + flight(r0) + "S: 250 Ok\nCLOSE",
		"C1 malformed reply":    hello + flight(r0) + "S: 25x Ok",
		"C1 mixed codes":        hello + flight(r0) + "S: 250-Ok\nS: 550 no",
		"C1 line over 2 KB":     hello + flight(r0) + "S: 250 " + strings.Repeat("x", 2100),
		"C1 over 100 lines":     hello + flight(r0) + strings.Repeat("S: 250-x\n", 101),
		"C1 code 999":           hello + flight(r0) + "S: 999 Ok",
		"C2 250 to DATA":        hello + flight(r0) + "S: 250 Ok\nS: 250 Ok\nS: 250 Ok",
		"closed before the dot": hello + flight(r0) + "S: 250 Ok\nS: 250 Ok\nS: 354 go\nCLOSE",
		"C4 response injection": "S: 220 x\nC: EHLO relay.example.com\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\n" + `S- 220 go\r\n250 x\r\n`,
	} {
		t.Run(name, func(t *testing.T) {
			scripts := map[string][]string{mx2: {hello + good(r0) + bye}}
			if first != "" {
				scripts[mx1] = []string{first}
			}
			w := newWorld(t, twoMX(), scripts)
			q := newWork(t, batch(1, r0))
			q.run(New(w.options()), mxHop("example.org"))
			q.expect(1, "delivered 250 2.0.0 by mx2.example.org")
			if got := strings.Join(w.dialed, " "); got != mx1+" "+mx2 {
				t.Errorf("connections to %s, want each server once", got)
			}
		})
	}
}

// TestAllServersFail: the most telling reason is the result's reply.
func TestAllServersFail(t *testing.T) {
	for _, c := range []struct{ name, first, second, want string }{
		{"no connection", "", "", "deferred 451 4.4.1 ours down by mx2.example.org"},
		{"their words tell more than no connection", "S: 554 5.3.2 no\n" + bye, "", "deferred 554 5.3.2 down by mx1.example.org"},
		{"the last of two", "S: 554 5.3.2 no\n" + bye, "S: 421 busy", "deferred 421 down by mx2.example.org"},
		{"all greet with 5xx", "S: 554 5.3.2 no\n" + bye, "S: 554 5.7.1 never\n" + bye, "failed 554 5.7.1 down by mx2.example.org"},
		{"5xx to the greeting, 5xx to EHLO and HELO", "S: 554 5.3.2 no\n" + bye, "S: 220 mx\nC: EHLO relay.example.com\nS: 550 5.7.1 no\nC: HELO relay.example.com\nS: 550 5.7.1 no\n" + bye, "failed 550 5.7.1 down by mx2.example.org"},
		{"5xx to the greeting, 4xx to EHLO", "S: 554 5.3.2 no\n" + bye, "S: 220 mx\nC: EHLO relay.example.com\nS: 450 4.3.2 later\n" + bye, "deferred 450 4.3.2 down by mx2.example.org"},
		{"log on first: for the operator", "S: 554 5.3.2 no\n" + bye, "S: 220 mx\nC: EHLO relay.example.com\nS: 530 5.7.0 log on\nC: HELO relay.example.com\nS: 530 5.7.0 log on\n" + bye, "deferred 530 5.7.0 down by mx2.example.org"},
		{"lost tells more than no connection", "CLOSE", "", "deferred 451 4.4.2 ours down by mx1.example.org"},
		{"C1 malformed", "S: hello", "", "deferred 451 4.5.0 ours down by mx1.example.org"},
		{"a transaction began", hello + flight(r0) + "S: 250 Ok\nCLOSE", "", "deferred 451 4.4.2 ours by mx1.example.org"},
		{"421 to MAIL is no transaction", hello + flight(r0) + "S: 421 4.3.2 no", "", "deferred 421 4.3.2 down by mx1.example.org"},
	} {
		t.Run(c.name, func(t *testing.T) {
			scripts := map[string][]string{}
			for addr, s := range map[string]string{mx1: c.first, mx2: c.second} {
				if s != "" {
					scripts[addr] = []string{s}
				}
			}
			w := newWorld(t, twoMX(), scripts)
			q := newWork(t, batch(1, r0), batch(2, r0))
			q.run(New(w.options()), mxHop("example.org"))
			q.expect(1, c.want)
			if r := q.results[1][0]; r.Ours && !strings.Contains(r.Reply.Text, " "+r.Host) {
				t.Errorf("%q does not name %s", r.Reply.Text, r.Host)
			}
			if len(q.left) != 1 {
				t.Errorf("%d batches were taken, want 1", 2-len(q.left))
			}
		})
	}
}

// TestServerSays: results from replies.
func TestServerSays(t *testing.T) {
	for _, c := range []struct {
		name, script string
		want         string
	}{
		{"MAIL 4xx", flight(r0, r1) + "S: 451 4.7.1 later\nS: 503 no\nS: 503 no\nS: 503 no\n" + bye, "deferred 451 4.7.1 by mx1.example.org\ndeferred 451 4.7.1 by mx1.example.org"},
		{"MAIL 5xx", flight(r0, r1) + "S: 550 5.7.1 no\nS: 503 no\nS: 503 no\nS: 503 no\n" + bye, "failed 550 5.7.1 by mx1.example.org\nfailed 550 5.7.1 by mx1.example.org"},
		{"MAIL 530 is ours to correct", flight(r0, r1) + "S: 530 5.7.0 log on\nS: 503 no\nS: 503 no\nS: 503 no\n" + bye, "deferred 530 5.7.0 by mx1.example.org\ndeferred 530 5.7.0 by mx1.example.org"},
		{"each recipient its own", flight(r0, r1) + "S: 250 Ok\nS: 450 4.2.1 later\nS: 550 5.1.1 no\nS: 554 no\n" + bye, "deferred 450 4.2.1 by mx1.example.org\nfailed 550 5.1.1 by mx1.example.org"},
		{"C2 354 though all were refused", flight(r0, r1) + "S: 250 Ok\nS: 550 5.1.1 no\nS: 550 5.1.1 no\nS: 354 go\nC: .\nS: 554 none\n" + bye, "failed 550 5.1.1 by mx1.example.org\nfailed 550 5.1.1 by mx1.example.org"},
		{"452 and another went through", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 452 4.5.3 too many\nS: 354 go\nC: x\nC: .\nS: 250 Ok\n" + bye, "delivered 250 by mx1.example.org\noverflow 452 4.5.3 by mx1.example.org"},
		{"450 4.5.3 and another went through", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 450 4.5.3 too many\nS: 354 go\nC: x\nC: .\nS: 250 Ok\n" + bye, "delivered 250 by mx1.example.org\noverflow 450 4.5.3 by mx1.example.org"},
		{"552 as 452", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 552 too many\nS: 354 go\nC: x\nC: .\nS: 250 Ok\n" + bye, "delivered 250 by mx1.example.org\noverflow 552 by mx1.example.org"},
		{"552 to MAIL is final", flight(r0, r1) + "S: 552 too large\nS: 503 no\nS: 503 no\nS: 503 no\n" + bye, "failed 552 by mx1.example.org\nfailed 552 by mx1.example.org"},
		{"552 to DATA is final", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 552 full\n" + bye, "failed 552 by mx1.example.org\nfailed 552 by mx1.example.org"},
		{"552 to the end of data is final", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 354 go\nC: x\nC: .\nS: 552 too large\n" + bye, "failed 552 by mx1.example.org\nfailed 552 by mx1.example.org"},
		{"552 5.2.2 is a full mailbox", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 552 5.2.2 full\nS: 354 go\nC: x\nC: .\nS: 250 Ok\n" + bye, "delivered 250 by mx1.example.org\nfailed 552 5.2.2 by mx1.example.org"},
		{"452 4.2.2 is a full mailbox", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 452 4.2.2 full\nS: 354 go\nC: x\nC: .\nS: 250 Ok\n" + bye, "delivered 250 by mx1.example.org\ndeferred 452 4.2.2 by mx1.example.org"},
		{"452 to all is no surplus", flight(r0, r1) + "S: 250 Ok\nS: 452 4.5.3 x\nS: 452 4.5.3 x\nS: 554 no\n" + bye, "deferred 452 4.5.3 by mx1.example.org\ndeferred 452 4.5.3 by mx1.example.org"},
		{"452 and the data failed", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 452 4.5.3 x\nS: 354 go\nC: x\nC: .\nS: 451 4.3.0 x\n" + bye, "deferred 451 4.3.0 by mx1.example.org\ndeferred 452 4.5.3 by mx1.example.org"},
		{"DATA 4xx", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 550 5.1.1 no\nS: 451 4.3.0 x\n" + bye, "deferred 451 4.3.0 by mx1.example.org\nfailed 550 5.1.1 by mx1.example.org"},
		{"DATA 5xx", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 554 5.3.0 x\n" + bye, "failed 554 5.3.0 by mx1.example.org\nfailed 554 5.3.0 by mx1.example.org"},
		{"end of data 4xx", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 354 go\nC: x\nC: .\nS: 451 4.3.0 x\n" + bye, "deferred 451 4.3.0 by mx1.example.org\ndeferred 451 4.3.0 by mx1.example.org"},
		{"end of data 421", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 354 go\nC: x\nC: .\nS: 421 4.3.2 x", "deferred 421 4.3.2 by mx1.example.org\ndeferred 421 4.3.2 by mx1.example.org"},
		{"end of data 5xx", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 354 go\nC: x\nC: .\nS: 554 5.6.0 x\n" + bye, "failed 554 5.6.0 by mx1.example.org\nfailed 554 5.6.0 by mx1.example.org"},
		{"C3 no reply after the dot", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 550 5.1.1 no\nS: 354 go\nC: x\nC: .\nCLOSE", "deferred 451 4.4.2 ours repeat by mx1.example.org\nfailed 550 5.1.1 by mx1.example.org"},
		{"C3 C1 malformed after the dot", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 354 go\nC: x\nC: .\nS: what", "deferred 451 4.5.0 ours repeat by mx1.example.org\ndeferred 451 4.5.0 ours repeat by mx1.example.org"},
		{"C2 250, then reset", flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 354 go\nC: x\nC: .\nS: 250 Ok\nCLOSE", "delivered 250 by mx1.example.org\ndelivered 250 by mx1.example.org"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The second exchanger is not asked: it has no script, and would refuse.
			w := newWorld(t, twoMX(), map[string][]string{mx1: {hello + c.script}})
			q := newWork(t, batch(1, r0, r1))
			q.run(New(w.options()), mxHop("example.org"))
			q.expect(1, strings.Split(c.want, "\n")...)
			if len(w.dialed) != 1 {
				t.Errorf("connections to %v", w.dialed)
			}
		})
	}
}

func TestPartlyDecidedThenNextMX(t *testing.T) {
	// What was decided before the connection was lost stays; only the rest goes to the next.
	w := newWorld(t, twoMX(), map[string][]string{
		mx1: {hello + flight(r0, r1, r2) + "S: 250 Ok\nS: 250 Ok\nS: 550 5.1.1 no\nCLOSE"},
		mx2: {hello + good(r0, r2) + bye},
	})
	q := newWork(t, batch(1, r0, r1, r2))
	q.run(New(w.options()), mxHop("example.org"))
	q.expect(1, "delivered 250 2.0.0 by mx2.example.org", "failed 550 5.1.1 by mx1.example.org", "delivered 250 2.0.0 by mx2.example.org")
}

func TestIdleClose(t *testing.T) {
	for name, end := range map[string]string{
		"closed":                  "CLOSE",
		"closed after our flight": flight(r1) + "CLOSE",
		"421 as we begin":         flight(r1) + "S: 421 4.4.2 idle for too long",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, twoMX(), map[string][]string{mx1: {hello + good(r0) + end, hello + good(r1) + good(r2) + bye}})
			q := newWork(t, batch(1, r0), batch(2, r1), batch(3, r2))
			q.run(New(w.options()), mxHop("example.org"))
			for id := range mail.QueueID(3) {
				q.expect(id+1, "delivered 250 2.0.0 by mx1.example.org")
			}
		})
	}
	t.Run("once only", func(t *testing.T) {
		w := newWorld(t, twoMX(), map[string][]string{
			mx1: {hello + good(r0) + "CLOSE", hello + flight(r1) + "CLOSE"},
			mx2: {hello + good(r1) + bye},
		})
		q := newWork(t, batch(1, r0), batch(2, r1))
		q.run(New(w.options()), mxHop("example.org"))
		q.expect(2, "delivered 250 2.0.0 by mx2.example.org")
	})
	for name, script := range map[string]string{
		"to RCPT":        flight(r1) + "S: 250 Ok\nS: 421 4.7.0 enough",
		"to DATA":        flight(r1) + "S: 250 Ok\nS: 250 Ok\nS: 421 4.7.0 enough",
		"to end of data": flight(r1) + "S: 250 Ok\nS: 250 Ok\nS: 354 go\nC: x\nC: .\nS: 421 4.7.0 enough",
	} {
		t.Run("421 "+name+" after other messages", func(t *testing.T) {
			w := newWorld(t, twoMX(), map[string][]string{mx1: {hello + good(r0) + script, hello + good(r1) + good(r2) + bye}})
			q := newWork(t, batch(1, r0), batch(2, r1), batch(3, r2))
			q.run(New(w.options()), mxHop("example.org"))
			for id := range mail.QueueID(3) {
				q.expect(id+1, "delivered 250 2.0.0 by mx1.example.org")
			}
		})
		t.Run("421 "+name+" at once", func(t *testing.T) {
			w := newWorld(t, twoMX(), map[string][]string{mx1: {hello + script}})
			q := newWork(t, batch(2, r1))
			q.run(New(w.options()), mxHop("example.org"))
			q.expect(2, "deferred 421 4.7.0 by mx1.example.org")
		})
	}
	t.Run("not after an answer", func(t *testing.T) {
		w := newWorld(t, twoMX(), map[string][]string{
			mx1: {hello + good(r0) + flight(r1) + "S: 250 Ok\nCLOSE"},
			mx2: {hello + good(r1) + bye},
		})
		q := newWork(t, batch(1, r0), batch(2, r1))
		q.run(New(w.options()), mxHop("example.org"))
		q.expect(2, "delivered 250 2.0.0 by mx2.example.org")
		if got := strings.Join(w.dialed, " "); got != mx1+" "+mx2 {
			t.Errorf("connections to %s, want each server once", got)
		}
	})
}

func TestE17(t *testing.T) {
	utf8 := func() *mail.Batch {
		b := batch(1, "jürgen@example.org")
		b.Env.Sender.UTF8 = true
		return b
	}
	const helloUTF8 = "S: 220 mx\nC: EHLO relay.example.com\nS: 250-mx\nS: 250-PIPELINING\nS: 250 SMTPUTF8\n"
	t.Run("E17 other MX", func(t *testing.T) {
		w := newWorld(t, twoMX(), map[string][]string{
			mx1: {hello + bye},
			mx2: {helloUTF8 + "C: MAIL FROM:<a@example.com> SMTPUTF8\nC: RCPT TO:<jürgen@example.org>\nC: DATA\nS: 250 Ok\nS: 250 Ok\nS: 354 go\nC: x\nC: .\nS: 250 Ok\n" + bye},
		})
		q := newWork(t, utf8())
		q.run(New(w.options()), mxHop("example.org"))
		q.expect(1, "delivered 250 nodsn by mx2.example.org")
	})
	t.Run("E17 no MX can", func(t *testing.T) {
		w := newWorld(t, twoMX(), map[string][]string{mx1: {hello + bye}, mx2: {hello + good(r0) + bye}})
		q := newWork(t, utf8(), batch(2, r0))
		q.run(New(w.options()), mxHop("example.org"))
		q.expect(1, "failed 553 5.6.7 ours by mx2.example.org")
		q.expect(2, "delivered 250 2.0.0 by mx2.example.org")
	})
	t.Run("E17 one cannot, the other cannot be reached", func(t *testing.T) {
		w := newWorld(t, twoMX(), map[string][]string{mx1: {hello + bye}})
		q := newWork(t, utf8())
		q.run(New(w.options()), mxHop("example.org"))
		q.expect(1, "deferred 451 4.4.1 ours by mx2.example.org")
	})
	t.Run("E17 one cannot be reached, the other cannot", func(t *testing.T) {
		w := newWorld(t, twoMX(), map[string][]string{mx2: {hello + bye}})
		q := newWork(t, utf8())
		q.run(New(w.options()), mxHop("example.org"))
		q.expect(1, "deferred 451 4.4.1 ours by mx1.example.org")
	})
	t.Run("E17 directly nobody can, the smart host cannot be reached", func(t *testing.T) {
		w := newWorld(t, twoMX(), map[string][]string{mx1: {hello + bye}, mx2: {hello + bye}})
		hop := mxHop("example.org")
		hop.Fallback = &mail.Hop{Kind: mail.HopHosts, Hosts: []mail.Host{{Addr: netip.MustParseAddr("192.0.2.99")}}, Port: 25}
		q := newWork(t, utf8())
		q.run(New(w.options()), hop)
		q.expect(1, "deferred 451 4.4.1 ours by [192.0.2.99]")
	})
	t.Run("E17 nobody can, the smart host neither", func(t *testing.T) {
		w := newWorld(t, twoMX(), map[string][]string{mx1: {hello + bye}, mx2: {hello + bye}, "192.0.2.99:25": {hello + bye}})
		hop := mxHop("example.org")
		hop.Fallback = &mail.Hop{Kind: mail.HopHosts, Hosts: []mail.Host{{Addr: netip.MustParseAddr("192.0.2.99")}}, Port: 25}
		q := newWork(t, utf8())
		q.run(New(w.options()), hop)
		q.expect(1, "failed 553 5.6.7 ours by [192.0.2.99]")
	})
}

func TestRequireTLSNeedsASureWay(t *testing.T) {
	// RFC 8689 §4.2.1: MX records that nobody vouches for are no way for such a message.
	w := newWorld(t, twoMX(), map[string][]string{mx1: {hello + bye}, mx2: {hello + bye}})
	b := batch(1, r0)
	b.Env.Sender.RequireTLS = true
	q := newWork(t, b)
	q.run(New(w.options()), mxHop("example.org"))
	q.expect(1, "failed 550 5.7.30 ours by mx2.example.org")
}

func TestUseHELO(t *testing.T) {
	w := newWorld(t, twoMX(), map[string][]string{mx1: {
		"S: 220 mx\nC: HELO relay.example.com\nS: 250 mx\nC: MAIL FROM:<a@example.com>\nS: 250 Ok\nC: RCPT TO:<r0@example.org>\nS: 250 Ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 Ok\n" + bye}})
	hop := mxHop("example.org")
	hop.UseHELO = true
	q := newWork(t, batch(1, r0))
	q.run(New(w.options()), hop)
	q.expect(1, "delivered 250 nodsn by mx1.example.org")
}

func TestBodyTrouble(t *testing.T) {
	w := newWorld(t, twoMX(), map[string][]string{mx1: {hello + good(r0) + bye}})
	o := w.options()
	o.Body = func(_ context.Context, id mail.QueueID) (Body, error) {
		switch id {
		case 1:
			return nil, errNoSpool
		case 2:
			return unreadable{}, nil
		}
		return stored("x\r\n"), nil
	}
	q := newWork(t, batch(1, r0), batch(2, r0), batch(3, r0))
	q.run(New(o), mxHop("example.org"))
	q.expect(1, "deferred 451 4.3.0 ours local")
	q.expect(2, "deferred 451 4.3.0 ours local")
	if text := q.results[1][0].Reply.Text; text != "The message could not be read from the queue: input/output error" {
		t.Errorf("told %q", text)
	}
	q.expect(3, "delivered 250 2.0.0 by mx1.example.org")
}

type unreadable struct{}

func (unreadable) Size() int64                       { return 10 }
func (unreadable) Close() error                      { return nil }
func (unreadable) ReadAt([]byte, int64) (int, error) { return 0, errNoSpool }

func TestCompleteHeader(t *testing.T) {
	const text = "From: root\r\nTo: r0@example.org\r\n\r\nx\r\n"
	complete := func(b *mail.Batch) *mail.Batch {
		b.Env.DefaultDomain = "example.com"
		b.Env.Content.Edits = []mail.Edit{{Offset: 10, Kind: mail.EditBareDomain}}
		return b
	}
	for _, c := range []struct {
		on   bool
		from string
	}{{true, "root@example.com"}, {false, "root"}} {
		script := strings.Replace(good(r0), "C: x\n", "C: From: "+c.from+"\nC: To: r0@example.org\nC: \nC: x\n", 1)
		w := newWorld(t, twoMX(), map[string][]string{mx1: {hello + script + bye}})
		o := w.options()
		o.CompleteHeader = c.on
		o.Body = func(context.Context, mail.QueueID) (Body, error) { return stored(text), nil }
		q := newWork(t, complete(batch(1, r0)))
		q.run(New(o), mxHop("example.org"))
		q.expect(1, "delivered 250 2.0.0 by mx1.example.org")
	}
}

// A local domain is masqueraded towards remote hops, in MAIL FROM and in From:, and nowhere else.
func TestMasquerade(t *testing.T) {
	const text = "From: A <a@Corp.test>\r\nTo: b@corp.test\r\n\r\nx\r\n"
	for name, c := range map[string]struct{ sender, mail, from, masquerade string }{
		"local":     {"a@corp.test", "a@example.com", "a@example.com", "example.com"},
		"remote":    {"a@far.test", "a@far.test", "a@example.com", "example.com"},
		"null":      {"", "", "a@example.com", "example.com"},
		"no domain": {"a@corp.test", "a@corp.test", "a@Corp.test", ""},
	} {
		t.Run(name, func(t *testing.T) {
			script := strings.Replace(good(r0), "C: x\n", "C: From: A <"+c.from+">\nC: To: b@corp.test\nC: \nC: x\n", 1)
			script = strings.Replace(script, "MAIL FROM:<a@example.com>", "MAIL FROM:<"+c.mail+">", 1)
			w := newWorld(t, twoMX(), map[string][]string{mx1: {hello + script + bye}})
			o := w.options()
			o.Masquerade = c.masquerade
			o.IsLocal = func(d string) bool { return mail.EqualFoldASCII(d, "corp.test") }
			o.Body = func(context.Context, mail.QueueID) (Body, error) { return stored(text), nil }
			b := batch(1, r0)
			b.Env.Sender.Addr = address(c.sender)
			b.Env.Content.Edits = []mail.Edit{{Offset: 9, Length: 11, Kind: mail.EditFromAddress}}
			q := newWork(t, b)
			q.run(New(o), mxHop("example.org"))
			q.expect(1, "delivered 250 2.0.0 by mx1.example.org")
			if b.Env.Sender.Addr != address(c.sender) {
				t.Error("the stored envelope was changed")
			}
		})
	}
}

// Each batch goes out by the settings that are in force when it is taken, however long the run lasts.
func TestSettingsOfTheNextBatch(t *testing.T) {
	const text = "From: A <a@corp.test>\r\n\r\nx\r\n"
	sent := func(domain string) string {
		script := strings.ReplaceAll(good(r0), "a@example.com", "a@"+domain)
		return strings.Replace(script, "C: x\n", "C: From: A <a@"+domain+">\nC: \nC: x\n", 1)
	}
	w := newWorld(t, twoMX(), map[string][]string{mx1: {
		hello + sent("corp.test") + sent("corp.test") + bye,
		hello + sent("one.test") + bye,
	}})
	var now *Deliverer
	with := func(masquerade string) *Deliverer {
		o := w.options()
		o.Drop = Drop{FS: vfs.NewMem(), Dir: dropDir}
		o.Masquerade = masquerade
		o.IsLocal = func(d string) bool { return d == "corp.test" }
		o.Body = func(context.Context, mail.QueueID) (Body, error) { return stored(text), nil }
		o.Current = func() *Deliverer { return now }
		return New(o)
	}
	numbered := func(id mail.QueueID) *mail.Batch {
		b := batch(id, r0)
		b.Env.Sender.Addr = address("a@corp.test")
		b.Env.Content.Edits = []mail.Edit{{Offset: 9, Length: 11, Kind: mail.EditFromAddress}}
		return b
	}
	first, second := with(""), with("one.test")
	now = first
	q := newWork(t, numbered(1), numbered(2), numbered(3))
	feed := q.work()
	feed.Next = func(wait time.Duration) *mail.Batch {
		if len(q.left) == 1 {
			now = second // while the run waits for work
		}
		return q.next(wait)
	}
	first.Run(t.Context(), mxHop("example.org"), feed)
	for id := range mail.QueueID(3) {
		q.expect(id+1, "delivered 250 2.0.0 by mx1.example.org")
	}

	// Into Drop, where one sync serves a group of messages.
	now = first
	q = newWork(t, numbered(id1), numbered(id1+1))
	feed = q.work()
	feed.Next = func(wait time.Duration) *mail.Batch {
		if len(q.left) == 1 {
			now = second
		}
		return q.next(wait)
	}
	first.Run(t.Context(), dropHop, feed)
	if before, after := files(t, first.o.Drop.FS), files(t, second.o.Drop.FS); len(before) != 1 || len(after) != 1 {
		t.Errorf("by the first settings %d files were written, by the second %d", len(before), len(after))
	}
}

func TestRunCancelled(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"while it dials":           {silent, "deferred 451 4.3.2 ours"},
		"while the server thinks":  {hello + flight(r0) + "WAIT 1h", "deferred 451 4.3.2 ours"},
		"while it waits after dot": {hello + flight(r0) + "S: 250 Ok\nS: 250 Ok\nS: 354 go\nC: x\nC: .\nWAIT 1h", "deferred 451 4.4.2 ours repeat by mx1.example.org"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, twoMX(), map[string][]string{mx1: {c.script}})
				ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
				defer cancel()
				q := newWork(t, batch(1, r0), batch(2, r0))
				start := time.Now()
				q.runCtx(ctx, New(w.options()), mxHop("example.org"))
				if took := time.Since(start); took != 7*time.Second {
					t.Errorf("ended after %v", took)
				}
				q.expect(1, c.want)
				if len(q.left) != 1 {
					t.Error("work was taken after the end")
				}
			})
		})
	}
}

func TestDialTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, twoMX(), map[string][]string{mx1: {silent}, mx2: {hello + good(r0) + bye}})
		q := newWork(t, batch(1, r0))
		start := time.Now()
		q.run(New(w.options()), mxHop("example.org"))
		if took := time.Since(start); took != dialTimeout {
			t.Errorf("took %v, want %v", took, dialTimeout)
		}
		q.expect(1, "delivered 250 2.0.0 by mx2.example.org")
		if r := q.results[1][0]; r.Took != dialTimeout {
			t.Errorf("Took is %v", r.Took)
		}
	})
}

func TestLongReplyIsCut(t *testing.T) {
	long := strings.Repeat("S: 550-"+strings.Repeat("x", 2000)+"\n", 50)
	w := newWorld(t, twoMX(), map[string][]string{mx1: {hello + flight(r0) + "S: 250 Ok\n" + long + "S: 550 end\nS: 554 none\n" + bye}})
	q := newWork(t, batch(1, r0))
	q.run(New(w.options()), mxHop("example.org"))
	if got := len(q.results[1][0].Reply.Text); got != maxReplyText {
		t.Errorf("%d octets are kept of a reply, want %d", got, maxReplyText)
	}
}
