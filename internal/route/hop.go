package route

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"weak"

	"github.com/mailroot/mailroot/internal/mail"
)

// dropKey is the Key of the drop directory.
const dropKey = "drop"

// hosts returns the hop of a list of hosts. Its Key is the list in order, so that two domains
// with the same route under the same terms share one hop. Each host has its port there, which
// tells the smart host "example.org:25" from the hop by the MX records of example.org.
func (t *Table) hosts(list []mail.Host, m terms) *mail.Hop {
	names := make([]string, len(list))
	for i, h := range list {
		if h.Port == 0 {
			h.Port = m.port
		}
		names[i] = h.String()
	}
	return t.hops.intern(&mail.Hop{
		Key:            strings.Join(names, ",") + t.suffix(m),
		Kind:           mail.HopHosts,
		Hosts:          append([]mail.Host(nil), list...),
		Port:           m.port,
		TLS:            m.tls,
		UseHELO:        m.helo,
		MaxConnections: m.maxConn,
	})
}

// mx returns the hop by the MX records of a domain. A domain has one entry, so that the name
// alone is its Key; but for a top-level name that would pass for the drop directory.
func (t *Table) mx(domain string, e *entry) *mail.Hop {
	key := domain
	if key == dropKey {
		key = dropKey + "."
	}
	return t.hops.intern(&mail.Hop{
		Key:            key,
		Kind:           mail.HopMX,
		Domain:         domain,
		Fallback:       e.backup,
		Port:           e.terms.port,
		TLS:            e.terms.tls,
		UseHELO:        e.terms.helo,
		MaxConnections: e.terms.maxConn,
	})
}

// suffix says in a Key where terms are not those of the site, since the same hosts under other
// terms are another hop.
func (t *Table) suffix(m terms) string {
	var s string
	if m.tls != t.opts.TLS {
		s += " tls=" + tlsName(m.tls)
	}
	if m.helo {
		s += " helo"
	}
	if m.maxConn != 0 {
		s += " connections=" + strconv.Itoa(m.maxConn)
	}
	return s
}

func tlsName(t mail.HopTLS) string {
	switch t {
	case mail.TLSOpportunistic:
		return "opportunistic"
	case mail.TLSRequired:
		return "required"
	case mail.TLSVerified:
		return "verified"
	case mail.TLSOff:
		return "off"
	}
	return strconv.Itoa(int(t))
}

// hopSet gives equal hops one pointer. It holds them weakly: a hop lives as long as a table or
// the queue uses it, then its place in the map is given up by a clean-up. So the set is as
// large as the number of destinations in use, however many domains recipients make up.
type hopSet struct {
	mu sync.Mutex
	m  map[hopID]weak.Pointer[mail.Hop]
}

// hopID is all of a hop, in a form that compares.
type hopID struct {
	key      string
	kind     mail.HopKind
	terms    terms
	fallback *mail.Hop
}

func newHopSet() *hopSet { return &hopSet{m: make(map[hopID]weak.Pointer[mail.Hop])} }

// intern returns the hop in use that equals h, or h, which becomes it. Hosts are not compared:
// Key holds them.
func (s *hopSet) intern(h *mail.Hop) *mail.Hop {
	id := hopID{h.Key, h.Kind, terms{h.Port, h.TLS, h.UseHELO, h.MaxConnections}, h.Fallback}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.m[id].Value(); old != nil {
		return old
	}
	s.m[id] = weak.Make(h)
	runtime.AddCleanup(h, s.drop, id)
	return h
}

// drop removes the entry of a hop that is gone, unless a new one has taken its place.
func (s *hopSet) drop(id hopID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[id].Value() == nil {
		delete(s.m, id)
	}
}

func (s *hopSet) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.m)
}
