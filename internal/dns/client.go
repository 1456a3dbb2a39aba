package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	wire "github.com/miekg/dns"
)

// Options are the settings of a Client. The zero value asks the servers of the system.
type Options struct {
	// Servers are the recursive servers to ask, in order: "192.0.2.53", "192.0.2.53:5353",
	// "[2001:db8::53]:53". Empty: the system's (resolv.conf, read again when it changes; on
	// Windows those of the network adapters).
	Servers []string
	// TrustAD says that the AD bit of Servers may be believed. That of a server on a loopback
	// address always is, that of the system's servers with "options trust-ad" in resolv.conf.
	TrustAD bool

	// Timeout is for one question to one server; 0: what resolv.conf says, else 3 s.
	Timeout time.Duration
	// Attempts is how often the list of servers is gone through; 0: what resolv.conf says,
	// else 2.
	Attempts int
	// Limit bounds a whole look-up, CNAMEs included; 0: 30 s.
	Limit time.Duration

	// CacheSize bounds the memory of the cache in octets; 0: 8 MB. The entries asked for
	// least recently go first.
	CacheSize int
	// MaxTTL and MaxNegativeTTL bound how long an answer with and without records is kept,
	// whatever it says; 0: 24 h and 15 min.
	MaxTTL, MaxNegativeTTL time.Duration
	// FailureTTL is how long a failure is kept, so that one dead server of a busy domain is
	// not asked for each message (RFC 9520); 0: 5 s, negative: not at all.
	FailureTTL time.Duration

	// HostsFile is the path of the hosts file; "": the system's, "-": none.
	HostsFile string
	// ResolvConf is the path of resolv.conf; "": /etc/resolv.conf. Not used on Windows.
	ResolvConf string

	// Dial opens a connection to a server, network being "udp" or "tcp"; nil: net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Client is a Resolver that asks recursive servers and keeps their answers. Questions asked at
// the same time are one. It is safe for concurrent use and needs no closing.
type Client struct {
	opts   Options
	system *system
	hosts  *hosts

	mu      sync.Mutex
	cache   cache
	flights map[question]*flight
	resting map[string]time.Time // servers that did not answer: asked last until then
}

// question is what the cache and the flights are ordered by.
type question struct {
	name  string // clean
	qtype uint16
}

// New makes a Client. It asks nothing yet, and a system without servers is no error: they may
// come with the network.
func New(o Options) *Client {
	o.CacheSize = orDefault(o.CacheSize, 8<<20)
	o.Limit = orDefault(o.Limit, 30*time.Second)
	o.MaxTTL = orDefault(o.MaxTTL, 24*time.Hour)
	o.MaxNegativeTTL = orDefault(o.MaxNegativeTTL, 15*time.Minute)
	o.FailureTTL = orDefault(o.FailureTTL, 5*time.Second)
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	c := &Client{
		opts:    o,
		system:  newSystem(o.ResolvConf),
		hosts:   newHosts(o.HostsFile),
		cache:   newCache(o.CacheSize),
		flights: make(map[question]*flight),
		resting: make(map[string]time.Time),
	}
	return c
}

func orDefault[T comparable](v, deflt T) T {
	var zero T
	if v == zero {
		return deflt
	}
	return v
}

// MX implements Resolver.
func (c *Client) MX(ctx context.Context, name string) (MXSet, error) {
	a, err := c.ask(ctx, name, wire.TypeMX)
	if err != nil {
		return MXSet{}, err
	}
	return MXSet{Name: a.name, Records: slices.Clone(a.mx), Meta: a.meta()}, nil
}

// TXT implements Resolver.
func (c *Client) TXT(ctx context.Context, name string) (Texts, error) {
	a, err := c.ask(ctx, name, wire.TypeTXT)
	if err != nil {
		return Texts{}, err
	}
	return Texts{Name: a.name, Texts: slices.Clone(a.texts), Meta: a.meta()}, nil
}

// PTR implements Resolver. The hosts file is consulted first.
func (c *Client) PTR(ctx context.Context, addr netip.Addr) (Names, error) {
	if !addr.IsValid() {
		return Names{}, &Error{Type: "PTR", Err: ErrNotExist}
	}
	if names := c.hosts.names(addr); len(names) > 0 {
		return Names{Names: names, Meta: Meta{TTL: fileCheck}}, nil
	}
	a, err := c.ask(ctx, reverseName(addr), wire.TypePTR)
	if err != nil {
		return Names{}, err
	}
	return Names{Names: slices.Clone(a.texts), Meta: a.meta()}, nil
}

// Addrs implements Resolver. The hosts file is consulted first; a name that stands there is
// not asked for in DNS.
func (c *Client) Addrs(ctx context.Context, host string) (AddrSet, error) {
	if name, ok := cleanName(host); ok {
		if addrs := c.hosts.addrs(name); len(addrs) > 0 {
			return AddrSet{Name: name, Addrs: addrs, Meta: Meta{TTL: fileCheck}}, nil
		}
		if under(name, "localhost") {
			return AddrSet{Name: name, Addrs: []netip.Addr{
				netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, Meta: Meta{TTL: fileCheck}}, nil
		}
	}
	return c.bothAddrs(ctx, host)
}

// addrPatience is how much longer the second of the two questions for addresses may take once
// the first has found some: there are servers that never answer about AAAA.
const addrPatience = time.Second

// bothAddrs asks for A and AAAA at the same time.
func (c *Client) bothAddrs(ctx context.Context, host string) (AddrSet, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		qtype uint16
		a     *answer
		err   error
	}
	results := make(chan result, 2)
	for _, qtype := range []uint16{wire.TypeA, wire.TypeAAAA} {
		go func() {
			a, err := c.ask(ctx, host, qtype)
			results <- result{qtype, a, err}
		}()
	}
	r := <-results
	other := result{err: errNoAnswer}
	if r.err != nil {
		other = <-results
	} else {
		timer := time.NewTimer(addrPatience)
		defer timer.Stop()
		select {
		case other = <-results:
		case <-timer.C:
		}
	}
	if r.qtype == wire.TypeA {
		return joinAddrs(r.a, other.a, r.err, other.err)
	}
	return joinAddrs(other.a, r.a, other.err, r.err)
}

// joinAddrs makes one answer of two.
func joinAddrs(a4, a6 *answer, err4, err6 error) (AddrSet, error) {
	switch {
	case err4 == nil && err6 == nil:
		m4, m6 := a4.meta(), a6.meta()
		return AddrSet{
			Name:  a4.name,
			Addrs: slices.Concat(a4.addrs, a6.addrs),
			Meta:  Meta{TTL: min(m4.TTL, m6.TTL), Authentic: m4.Authentic && m6.Authentic},
		}, nil
	case err4 == nil:
		return AddrSet{Name: a4.name, Addrs: slices.Clone(a4.addrs), Meta: a4.meta()}, nil
	case err6 == nil:
		return AddrSet{Name: a6.name, Addrs: slices.Clone(a6.addrs), Meta: a6.meta()}, nil
	case errors.Is(err4, ErrNoData):
		return AddrSet{}, err6 // that the name has none at all, or a failure that may hide some
	}
	return AddrSet{}, err4
}

// ask answers from the cache or by a look-up. Its errors are of type *Error.
func (c *Client) ask(ctx context.Context, name string, qtype uint16) (*answer, error) {
	clean, ok := cleanName(name)
	fail := func(err error) error { return &Error{Name: name, Type: wire.TypeToString[qtype], Err: err} }
	if !ok || neverAsked(clean, qtype) {
		return nil, fail(ErrNotExist)
	}
	a, err := c.lookup(ctx, question{clean, qtype})
	if err != nil {
		return nil, fail(err)
	}
	if a.err != nil {
		return nil, a.err
	}
	return a, nil
}

// neverAsked names the special-use domains of RFC 6761 and 7686 that no server is asked for.
func neverAsked(name string, qtype uint16) bool {
	if qtype == wire.TypePTR {
		return false
	}
	return under(name, "localhost") || under(name, "invalid") || under(name, "onion")
}

// resolve asks the servers and follows CNAMEs until there is an answer.
func (c *Client) resolve(ctx context.Context, q question) *answer {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Limit)
	defer cancel()
	a := &answer{name: q.name, authentic: true, ttl: c.opts.MaxTTL}
	for aliases := 0; ; {
		msg, server, failed := c.query(ctx, question{a.name, q.qtype})
		if failed != nil {
			return a.fail(q, failed, c.opts.FailureTTL)
		}
		a.authentic = a.authentic && msg.AuthenticatedData && server.trusted
		before := aliases
		found, err := a.take(msg, q.qtype, &aliases)
		switch {
		case err != nil:
			return a.fail(q, &Error{Server: server.addr, Err: err}, c.opts.FailureTTL)
		case found:
			return a.done()
		case msg.Rcode == wire.RcodeNameError:
			return a.none(q, server.addr, msg, ErrNotExist, c.opts.MaxNegativeTTL)
		case aliases == before || negativeTTL(msg) > 0:
			return a.none(q, server.addr, msg, ErrNoData, c.opts.MaxNegativeTTL)
		}
		// The chain of aliases leads out of what this server told: ask for its end.
	}
}

// query asks the servers in turn until one gives an answer; that a name does not exist is one.
func (c *Client) query(ctx context.Context, q question) (*wire.Msg, server, *Error) {
	conf := c.config()
	last := &Error{Err: errors.New("no DNS server is known")}
	for range conf.attempts {
		for _, s := range c.order(conf.servers) {
			if ctx.Err() != nil {
				last.Err = timeoutError(last.Err, ctx.Err())
				return nil, s, last
			}
			msg, err := c.exchange(ctx, s.addr, q, conf.timeout)
			if err == nil {
				if err = answerError(msg); err == nil {
					c.rest(s.addr, false)
					return msg, s, nil
				}
				last = &Error{Server: s.addr, Code: codeOf(msg), Err: err}
				continue
			}
			if ctx.Err() == nil {
				c.rest(s.addr, true)
			}
			if last.Code == "" { // what a server said tells more than another's silence
				last = &Error{Server: s.addr, Err: err}
			}
		}
	}
	return nil, server{}, last
}

func timeoutError(last, ctxErr error) error {
	if errors.Is(ctxErr, context.DeadlineExceeded) {
		return errNoAnswer
	}
	if last != nil {
		return last
	}
	return ctxErr
}

// restTime is how long a server that did not answer is asked after all others.
const restTime = 30 * time.Second

func (c *Client) rest(addr string, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !on {
		delete(c.resting, addr)
		return
	}
	if len(c.resting) > 64 { // servers of former configurations
		clear(c.resting)
	}
	c.resting[addr] = time.Now().Add(restTime)
}

// order puts those servers last that did not answer a short time ago.
func (c *Client) order(servers []server) []server {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.resting) == 0 {
		return servers
	}
	now := time.Now()
	up := make([]server, 0, len(servers))
	var down []server
	for _, s := range servers {
		if now.Before(c.resting[s.addr]) {
			down = append(down, s)
		} else {
			up = append(up, s)
		}
	}
	return append(up, down...)
}

// config is how and whom to ask at the moment.
type config struct {
	servers  []server
	timeout  time.Duration
	attempts int
}

type server struct {
	addr    string // host:port
	trusted bool   // its AD bit is believed
}

func (c *Client) config() config {
	conf := config{timeout: c.opts.Timeout, attempts: c.opts.Attempts}
	if len(c.opts.Servers) > 0 {
		for _, s := range c.opts.Servers {
			conf.servers = append(conf.servers, newServer(s, c.opts.TrustAD))
		}
	} else {
		sys := c.system.settings()
		for _, s := range sys.servers {
			conf.servers = append(conf.servers, newServer(s, sys.trustAD))
		}
		conf.timeout = orDefault(conf.timeout, sys.timeout)
		conf.attempts = orDefault(conf.attempts, sys.attempts)
	}
	conf.timeout = orDefault(conf.timeout, 3*time.Second)
	conf.attempts = orDefault(conf.attempts, 2)
	return conf
}

// newServer adds port 53 where none is given.
func newServer(s string, trust bool) server {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.Trim(s, "[]"), "53"
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		trust = true
	}
	return server{net.JoinHostPort(host, port), trust}
}
