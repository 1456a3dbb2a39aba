package delivery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/dns"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtpclient/smtptest"
)

// world is the network of a test: addresses with a script for each connection that they take,
// in order. Others refuse.
type world struct {
	t     *testing.T
	zone  *dns.Fake
	certs *smtptest.Certificates
	tcp   bool // sockets, not pipes: TLS needs their buffers

	mu      sync.Mutex
	scripts map[string][]string
	dialed  []string
	open    int
	most    int // connections at the same time
	servers sync.WaitGroup
}

func newWorld(t *testing.T, zone map[string]dns.Records, scripts map[string][]string) *world {
	w := &world{t: t, zone: dns.NewFake(zone), scripts: scripts}
	t.Cleanup(func() {
		w.servers.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		for addr, left := range w.scripts {
			if len(left) > 0 {
				t.Errorf("%d connections to %s were expected in addition to %v", len(left), addr, w.dialed)
			}
		}
		if w.most > 1 {
			t.Errorf("%d connections at the same time", w.most)
		}
	})
	return w
}

const unreachableAddr = "UNREACHABLE" // as the only script: no route
const silent = "SILENT"               // no answer to the dial

func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dialed = append(w.dialed, address)
	left := w.scripts[address]
	if len(left) > 0 {
		w.scripts[address] = left[1:]
	}
	w.mu.Unlock()
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	switch {
	case len(left) == 0:
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	case left[0] == unreachableAddr:
		return fail(os.NewSyscallError("connect", syscall.ENETUNREACH))
	case left[0] == silent:
		<-ctx.Done()
		return fail(ctx.Err())
	}
	here, there := w.pair()
	w.mu.Lock()
	w.open++
	w.most = max(w.most, w.open)
	w.mu.Unlock()
	w.servers.Go(func() {
		if err := smtptest.Serve(there, left[0], w.certs); err != nil {
			w.t.Errorf("server %s: %v", address, err)
		}
	})
	return &closing{Conn: here, w: w}, nil
}

func (w *world) pair() (here, there net.Conn) {
	if !w.tcp {
		return net.Pipe()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	defer ln.Close()
	if here, err = net.Dial("tcp", ln.Addr().String()); err == nil {
		there, err = ln.Accept()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return here, there
}

type closing struct {
	net.Conn
	w    *world
	once sync.Once
}

func (c *closing) Close() error {
	c.once.Do(func() {
		c.w.mu.Lock()
		c.w.open--
		c.w.mu.Unlock()
	})
	return c.Conn.Close()
}

func (w *world) options() Options {
	return Options{
		Resolver: w.zone, Dial: w.dial, FQDN: "relay.example.com", Linger: -1,
		Body: func(_ context.Context, id mail.QueueID) (Body, error) { return stored("x\r\n"), nil },
	}
}

// storedBody is a Body in memory.
type storedBody struct{ *strings.Reader }

func stored(s string) Body              { return storedBody{strings.NewReader(s)} }
func (b storedBody) Size() int64        { return b.Reader.Size() }
func (b storedBody) Close() error       { return nil }
func address(s string) (a mail.Address) { a.Local, a.Domain, _ = strings.Cut(s, "@"); return a }
func addrPort(s string) netip.AddrPort  { return netip.MustParseAddrPort(s) }

var errNoSpool = errors.New("input/output error")

// batch makes a message from a@example.com to the recipients.
func batch(id mail.QueueID, to ...string) *mail.Batch {
	env := &mail.Envelope{ID: id, Sender: mail.Sender{Addr: address("a@example.com")}}
	b := &mail.Batch{ID: id, Env: env, Attempt: 1}
	for i, r := range to {
		env.Recipients = append(env.Recipients, mail.Recipient{Addr: address(r)})
		b.Rcpts = append(b.Rcpts, i)
	}
	return b
}

// work hands out batches and collects results.
type work struct {
	t       *testing.T
	left    []*mail.Batch
	given   map[*mail.Batch]bool
	waits   []time.Duration
	results map[mail.QueueID][]mail.Result
	sleep   bool // wait as the queue does when nothing is ready
	ended   bool
}

func newWork(t *testing.T, batches ...*mail.Batch) *work {
	return &work{t: t, left: batches, given: map[*mail.Batch]bool{}, results: map[mail.QueueID][]mail.Result{}}
}

func (w *work) work() mail.Work {
	return mail.Work{Next: w.next, Connected: func() bool { return true }, Done: w.done}
}

func (w *work) next(wait time.Duration) *mail.Batch {
	w.waits = append(w.waits, wait)
	if w.ended {
		w.t.Error("Next was called after it had returned nil")
	}
	if len(w.left) == 0 {
		if w.sleep {
			time.Sleep(wait)
		}
		w.ended = true
		return nil
	}
	b := w.left[0]
	w.left = w.left[1:]
	w.given[b] = true
	return b
}

func (w *work) done(b *mail.Batch, results []mail.Result) {
	if !w.given[b] {
		w.t.Errorf("batch %d was given back twice or never taken", b.ID)
	}
	delete(w.given, b)
	if len(results) != len(b.Rcpts) {
		w.t.Errorf("%d results for %d recipients", len(results), len(b.Rcpts))
	}
	for i, r := range results {
		if r.ID != b.ID || r.Rcpt != b.Rcpts[i] || r.Outcome == 0 || r.Reply.IsZero() {
			w.t.Errorf("result %d is %+v", i, r)
		}
	}
	w.results[b.ID] = results
}

// run runs a deliverer and checks that it kept the contract.
func (w *work) run(d *Deliverer, hop *mail.Hop) { w.runCtx(context.Background(), d, hop) }

func (w *work) runCtx(ctx context.Context, d *Deliverer, hop *mail.Hop) {
	w.t.Helper()
	d.Run(ctx, hop, w.work())
	if len(w.given) > 0 {
		w.t.Errorf("%d batches were not given back", len(w.given))
	}
}

// say renders a result in short.
func say(r mail.Result) string {
	s := map[mail.Outcome]string{mail.Delivered: "delivered", mail.Deferred: "deferred", mail.Failed: "failed", mail.Overflow: "overflow"}[r.Outcome]
	s += fmt.Sprintf(" %d", r.Reply.Code)
	if !r.Reply.Enhanced.IsZero() {
		s += " " + r.Reply.Enhanced.String()
	}
	for _, f := range []struct {
		on   bool
		word string
	}{{r.Ours, "ours"}, {r.HopDown, "down"}, {r.Local, "local"}, {r.MayRepeat, "repeat"}, {r.NoDSN, "nodsn"}, {r.TLS != "", "tls"}} {
		if f.on {
			s += " " + f.word
		}
	}
	if r.Host != "" {
		s += " by " + r.Host
	}
	return s
}

func (w *work) expect(id mail.QueueID, want ...string) {
	w.t.Helper()
	var got []string
	for _, r := range w.results[id] {
		got = append(got, say(r))
	}
	if g, x := strings.Join(got, "\n"), strings.Join(want, "\n"); g != x {
		w.t.Errorf("message %d: got\n%s\nwant\n%s", id, g, x)
		for _, r := range w.results[id] {
			w.t.Logf("%s", r.Reply)
		}
	}
}

// Parts of scripts.
const (
	hello = "S: 220 mx ESMTP\nC: EHLO relay.example.com\nS: 250-mx\nS: 250-DSN\nS: 250 PIPELINING\n"
	quit  = "C: QUIT\nS: 221 bye\n"
	bye   = "C: QUIT\nS: 221 bye\nCLOSE"
)

// flight is the client's part up to DATA.
func flight(to ...string) string {
	s := "C: MAIL FROM:<a@example.com>\n"
	for _, r := range to {
		s += "C: RCPT TO:<" + r + ">\n"
	}
	return s + "C: DATA\n"
}

// good takes a message for all of its recipients.
func good(to ...string) string {
	return flight(to...) + strings.Repeat("S: 250 Ok\n", len(to)+1) + "S: 354 go\nC: x\nC: .\nS: 250 2.0.0 queued\n"
}

func mxHop(domain string) *mail.Hop {
	return &mail.Hop{Key: domain, Kind: mail.HopMX, Domain: domain, Port: 25}
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// twoMX is a domain with two exchangers.
func twoMX() map[string]dns.Records {
	return map[string]dns.Records{
		"example.org":     {MX: []dns.MX{{Host: "mx1.example.org", Pref: 10}, {Host: "mx2.example.org", Pref: 20}}},
		"mx1.example.org": {Addrs: addrs("192.0.2.1")},
		"mx2.example.org": {Addrs: addrs("192.0.2.2")},
	}
}

const (
	mx1 = "192.0.2.1:25"
	mx2 = "192.0.2.2:25"
	r0  = "r0@example.org"
	r1  = "r1@example.org"
	r2  = "r2@example.org"
)
