// Package dnstest is a DNS server on a loopback port, for tests that want real packets: UDP
// and TCP on one port, a zone from text, and knobs for all that a server can do wrong. It
// knows nothing of the client. Start with Start.
package dnstest

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

// Server is the running server. It answers as a recursive server does (RA set), from its zone
// alone: CNAMEs are followed within the zone, a name with none of the records and no name
// below it does not exist, and negative answers carry the nearest SOA record of the zone, if
// there is one. "*." records apply to the names below that are not in the zone. All methods
// may be called while it serves.
type Server struct {
	udp, tcp *wire.Server
	addr     string

	mu      sync.Mutex
	zone    map[string][]wire.RR // by lower-case name
	knobs   Knobs
	asked   map[string]int
	total   int
	overTCP int
}

// Knobs are what a Server does wrong. The zero value is a good server.
type Knobs struct {
	Delay time.Duration // before each answer
	Rcode int           // answer all with this code and no records; 0: do not
	// RcodeFor, by "name" or "TYPE name" (lower case, no final dot), overrides Rcode.
	RcodeFor map[string]int
	Truncate bool     // answer over UDP with the TC bit and no records
	Drop     bool     // answer nothing
	DropNext int      // answer nothing to the next so many questions
	DropType []string // answer nothing to questions of these types: "AAAA"
	WrongID  bool     // the id of the answer is not that of the question
	WrongOne bool     // before each answer over UDP comes one with a wrong id and a wrong record
	OtherQ   bool     // the answer repeats another question
	Garbage  bool     // the answer is no DNS message but for its id
	NoEDNS   bool     // FORMERR to questions with EDNS0, which it does not know
	AD       bool     // the AD bit is set
	Lame     bool     // a referral: RA not set, no records
	NoChase  bool     // CNAMEs are not followed: each answer has one
	// ExtendedError is added to answers with a failure code (RFC 8914); 0: none.
	ExtendedError uint16
}

// Start starts a Server with a zone in master file format (RFC 1035 §5; names relative to the
// root unless $ORIGIN says otherwise; TTL 3600 unless $TTL or the record does) and stops it
// when the test ends.
func Start(t testing.TB, zone string) *Server {
	t.Helper()
	s, err := New(zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// StartAt is Start on an address of its own, "127.1.2.3:53", for programs that know no other port.
func StartAt(t testing.TB, addr, zone string) *Server {
	t.Helper()
	s, err := newAt(addr, zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// New is Start for those who have no test: it must be closed.
func New(zone string) (*Server, error) { return newAt("127.0.0.1:0", zone) }

func newAt(addr, zone string) (*Server, error) {
	s := &Server{asked: make(map[string]int)}
	if err := s.SetZone(zone); err != nil {
		return nil, err
	}
	pc, ln, err := listen(addr)
	if err != nil {
		return nil, err
	}
	s.addr = pc.LocalAddr().String()
	started := make(chan struct{}, 2)
	notify := func() { started <- struct{}{} }
	s.udp = &wire.Server{PacketConn: pc, Handler: wire.HandlerFunc(s.serve), NotifyStartedFunc: notify, UDPSize: 4096}
	s.tcp = &wire.Server{Listener: ln, Handler: wire.HandlerFunc(s.serve), NotifyStartedFunc: notify}
	go s.udp.ActivateAndServe()
	go s.tcp.ActivateAndServe()
	<-started
	<-started
	return s, nil
}

// listen finds a port that is free for UDP and TCP, unless the address names one.
func listen(addr string) (net.PacketConn, net.Listener, error) {
	var err error
	for range 20 {
		var ln net.Listener
		if ln, err = net.Listen("tcp", addr); err != nil {
			return nil, nil, err
		}
		var pc net.PacketConn
		if pc, err = net.ListenPacket("udp", ln.Addr().String()); err == nil {
			return pc, ln, nil
		}
		ln.Close()
	}
	return nil, nil, fmt.Errorf("no port that is free for UDP and TCP: %w", err)
}

// Close stops the server.
func (s *Server) Close() {
	s.udp.Shutdown()
	s.tcp.Shutdown()
}

// Addr returns host:port.
func (s *Server) Addr() string { return s.addr }

// SetZone replaces the zone.
func (s *Server) SetZone(zone string) error {
	m := make(map[string][]wire.RR)
	zp := wire.NewZoneParser(strings.NewReader(zone), ".", "zone")
	zp.SetDefaultTTL(3600)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		name := strings.ToLower(rr.Header().Name)
		m[name] = append(m[name], rr)
	}
	if err := zp.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone = m
	return nil
}

// Set replaces the knobs.
func (s *Server) Set(k Knobs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.knobs = k
}

// Asked returns how often a question came, over UDP and TCP together: Asked("MX",
// "example.org").
func (s *Server) Asked(typ, name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[typ+" "+strings.ToLower(strings.TrimSuffix(name, "."))]
}

// Total returns the number of questions, and how many of them came over TCP.
func (s *Server) Total() (all, overTCP int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total, s.overTCP
}

func (s *Server) serve(w wire.ResponseWriter, req *wire.Msg) {
	_, udp := w.LocalAddr().(*net.UDPAddr)
	q := req.Question[0]
	typ, name := wire.TypeToString[q.Qtype], strings.ToLower(strings.TrimSuffix(q.Name, "."))

	s.mu.Lock()
	s.total++
	if !udp {
		s.overTCP++
	}
	s.asked[typ+" "+name]++
	k := s.knobs
	if s.knobs.DropNext > 0 {
		s.knobs.DropNext--
		k.Drop = true
	}
	for _, t := range k.DropType {
		k.Drop = k.Drop || t == typ
	}
	zone := s.zone
	s.mu.Unlock()

	if k.Delay > 0 {
		time.Sleep(k.Delay)
	}
	if k.Drop {
		return
	}
	res := answer(zone, req, &k, typ, name)
	if udp && k.Truncate {
		res.Answer, res.Ns, res.Truncated = nil, nil, true
	} else if udp {
		size := wire.MinMsgSize
		if opt := req.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		res.Truncate(size)
	}
	s.write(w, res, &k, udp)
}

// write spoils the answer as the knobs say and sends it.
func (s *Server) write(w wire.ResponseWriter, res *wire.Msg, k *Knobs, udp bool) {
	if udp && k.WrongOne {
		bad := res.Copy()
		bad.Id++
		bad.Rcode = wire.RcodeNameError
		w.WriteMsg(bad)
	}
	switch {
	case k.WrongID:
		res.Id++
	case k.OtherQ:
		res.Question[0].Name = "other." + res.Question[0].Name
	case k.Garbage:
		w.Write([]byte{byte(res.Id >> 8), byte(res.Id), 0x80, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 3, 'a', 'b'})
		return
	}
	w.WriteMsg(res)
}

func answer(zone map[string][]wire.RR, req *wire.Msg, k *Knobs, typ, name string) *wire.Msg {
	res := new(wire.Msg)
	res.SetReply(req)
	res.RecursionAvailable = !k.Lame
	res.Compress = true
	res.AuthenticatedData = k.AD
	opt := req.IsEdns0()
	if k.NoEDNS && opt != nil {
		res.Rcode = wire.RcodeFormatError
		return res
	}
	if opt != nil {
		res.SetEdns0(4096, false)
	}
	code := k.Rcode
	for _, key := range []string{name, typ + " " + name} {
		if c, ok := k.RcodeFor[key]; ok {
			code = c
		}
	}
	if code != 0 {
		res.Rcode = code
		if o := res.IsEdns0(); o != nil && k.ExtendedError != 0 {
			o.Option = append(o.Option, &wire.EDNS0_EDE{InfoCode: k.ExtendedError})
		}
		return res
	}
	if k.Lame {
		return res
	}
	lookup(zone, res, strings.ToLower(req.Question[0].Name), req.Question[0].Qtype, k.NoChase)
	return res
}

// lookup fills in the records for a name.
func lookup(zone map[string][]wire.RR, res *wire.Msg, name string, qtype uint16, noChase bool) {
	for range 64 {
		rrs, exists := find(zone, name)
		if !exists {
			res.Rcode = wire.RcodeNameError
			addSOA(zone, res, name)
			return
		}
		next := ""
		for _, rr := range rrs {
			if rr.Header().Rrtype == qtype {
				res.Answer = append(res.Answer, rr)
			} else if c, ok := rr.(*wire.CNAME); ok {
				res.Answer = append(res.Answer, rr)
				next = strings.ToLower(c.Target)
			}
		}
		switch {
		case next == "":
			if len(res.Answer) == 0 || res.Answer[len(res.Answer)-1].Header().Rrtype != qtype {
				addSOA(zone, res, name)
			}
			return
		case noChase:
			return
		}
		name = next
	}
}

// find returns the records of a name, from the zone or from the "*." above it.
func find(zone map[string][]wire.RR, name string) (rrs []wire.RR, exists bool) {
	if rrs, ok := zone[name]; ok {
		return rrs, true
	}
	for n := range zone {
		if strings.HasSuffix(n, "."+name) {
			return nil, true // an empty name with names below it
		}
	}
	for rest := name; ; {
		_, after, ok := strings.Cut(rest, ".")
		if !ok || after == "" {
			return nil, false
		}
		if rrs, ok := zone["*."+after]; ok {
			out := make([]wire.RR, len(rrs))
			for i, rr := range rrs {
				out[i] = wire.Copy(rr)
				out[i].Header().Name = name
			}
			return out, true
		}
		if _, ok := zone[after]; ok {
			return nil, false
		}
		rest = after
	}
}

func addSOA(zone map[string][]wire.RR, res *wire.Msg, name string) {
	for rest := name; rest != ""; {
		for _, rr := range zone[rest] {
			if rr.Header().Rrtype == wire.TypeSOA {
				res.Ns = append(res.Ns, rr)
				return
			}
		}
		_, rest, _ = strings.Cut(rest, ".")
	}
}
