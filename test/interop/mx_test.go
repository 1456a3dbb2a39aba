package interop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/dns/dnstest"
	"github.com/mailroot/mailroot/test/harness"
)

// addresses of the mail exchangers: Linux has all of 127/8.
var addresses = []string{"127.0.0.11", "127.0.0.12", "127.0.0.13"}

// exchangers are sinks on one port of several loopback addresses, which outbound_port names.
func exchangers(t *testing.T) (port int, sinks []*harness.Sink) {
	t.Helper()
	port = harness.FreePort(t, addresses...)
	for i, a := range addresses {
		sinks = append(sinks, harness.NewSink(t, harness.SinkOptions{Addr: fmt.Sprintf("%s:%d", a, port), Name: fmt.Sprintf("mx%d.test", i+1)}))
	}
	return port, sinks
}

const zone = `
$TTL 60
mx1.test.       A     127.0.0.11
mx2.test.       A     127.0.0.12
mx3.test.       A     127.0.0.13
dead.test.      A     127.0.0.66
order.test.     MX 10 mx1.test.
order.test.     MX 20 mx2.test.
failover.test.  MX 10 dead.test.
failover.test.  MX 20 mx2.test.
equal.test.     MX 10 mx1.test.
equal.test.     MX 10 mx2.test.
equal.test.     MX 10 mx3.test.
plain.test.     A     127.0.0.13
alias.test.     CNAME order.test.
null.test.      MX 0  .
null.test.      A     127.0.0.11
self.test.      MX 10 relay.test.
self.test.      MX 20 mx1.test.
relay.test.     A     127.0.0.1
*.wild.test.    MX 10 mx3.test.
xn--bcher-kva.test. MX 10 mx1.test.
`

// Delivery by MX, with a DNS server that speaks real packets.
func TestMX(t *testing.T) {
	port, sinks := exchangers(t)
	dns := dnstest.Start(t, zone)
	s := harness.Start(t, harness.Options{DNS: dns.Addr(), OutboundPort: port})
	for i, c := range []struct {
		domain string
		want   []int // the exchangers that may get it
	}{
		{"order.test", []int{0}},
		{"failover.test", []int{1}},
		{"plain.test", []int{2}}, // no MX: the address of the name (RFC 5321 §5.1)
		{"alias.test", []int{0}},
		{"deep.wild.test", []int{2}},
		{"bücher.test", []int{0}},
		{"ORDER.test", []int{0}},
	} {
		t.Run(c.domain, func(t *testing.T) {
			to := "b@" + c.domain
			s.Send("a@local.test", []string{to}, harness.Message("a@local.test", "b@example.test", "number "+itoa(i), "text"))
			mark := "Subject: number " + itoa(i) + "\r\n"
			harness.Eventually(t, harness.Patience, "delivered", func() bool { return sum(sinks, mark) > 0 && s.Empty() })
			for _, i := range c.want {
				if got(sinks[i], mark) != 1 {
					t.Errorf("exchanger %d has it %d times", i+1, got(sinks[i], mark))
				}
			}
			if sum(sinks, mark) != 1 {
				t.Errorf("delivered %d times", sum(sinks, mark))
			}
		})
	}
	if n := len(s.DropFiles()); n != 0 {
		t.Errorf("%d NDRs", n)
	}
}

func got(s *harness.Sink, mark string) int {
	n := 0
	for _, m := range s.Messages() {
		n += strings.Count(string(m.Data), mark)
	}
	return n
}

func sum(sinks []*harness.Sink, mark string) int {
	n := 0
	for _, s := range sinks {
		n += got(s, mark)
	}
	return n
}

// Exchangers of one preference share the load.
func TestMXEqualPreference(t *testing.T) {
	port, sinks := exchangers(t)
	dns := dnstest.Start(t, zone)
	s := harness.Start(t, harness.Options{DNS: dns.Addr(), OutboundPort: port, PerConnection: 1})
	const messages = 60
	for i := range messages {
		s.Send("a@local.test", []string{"b@equal.test"}, harness.Message("a@local.test", "b@equal.test", fmt.Sprintf("equal %d", i), "text"))
	}
	harness.Eventually(t, harness.Patience, "all delivered", func() bool { return sum(sinks, "Subject: equal") >= messages && s.Empty() })
	if n := sum(sinks, "Subject: equal"); n != messages {
		t.Errorf("%d delivered, want %d", n, messages)
	}
	for i, sink := range sinks { // the chance that a fair choice leaves one out: (2/3)^60 = 3e-11
		if len(sink.Messages()) == 0 {
			t.Errorf("exchanger %d got nothing", i+1)
		}
	}
}

// What can never be delivered comes back to the sender at once, with the reason.
func TestMXFailures(t *testing.T) {
	port, sinks := exchangers(t)
	for _, c := range []struct {
		domain, status string
		protocol       string
	}{
		{domain: "null.test", status: "5.1.10"}, // RFC 7505
		{domain: "gone.test", status: "5.1.2"},
		{domain: "self.test", status: "5.4.6"},
	} {
		t.Run(c.domain, func(t *testing.T) {
			dns := dnstest.Start(t, zone)
			s := harness.Start(t, harness.Options{DNS: dns.Addr(), OutboundPort: port})
			s.Send("a@local.test", []string{"b@" + c.domain}, harness.Message("a@local.test", "b@"+c.domain, "lost", "text"))
			ndr := string(s.WaitDrop(1)[0].Message)
			for _, want := range []string{"multipart/report", "Status: " + c.status, "b@" + c.domain, "Subject: lost"} {
				if !strings.Contains(ndr, want) {
					t.Errorf("no %q in the NDR\n%s", want, ndr)
				}
			}
			harness.Eventually(t, harness.Patience, "the queue is empty", s.Empty)
		})
	}
	if n := sum(sinks, "Subject"); n != 0 {
		t.Errorf("%d messages went out", n)
	}
}

// Without allow_loopback_mx no MX record can make the relay talk to its own machine (R9).
func TestMXLoopbackIsRefused(t *testing.T) {
	port, sinks := exchangers(t)
	dns := dnstest.Start(t, zone)
	s := harness.New(t, harness.Options{DNS: dns.Addr(), OutboundPort: port, ForbidLoopbackMX: true})
	s.Start()
	s.Send("a@local.test", []string{"b@order.test"}, harness.Message("a@local.test", "b@order.test", "lost", "text"))
	if ndr := string(s.WaitDrop(1)[0].Message); !strings.Contains(ndr, "Status: 5.4.4") {
		t.Errorf("no 5.4.4 in\n%s", ndr)
	}
	if n := sum(sinks, "Subject"); n != 0 {
		t.Errorf("%d messages went out", n)
	}
}
