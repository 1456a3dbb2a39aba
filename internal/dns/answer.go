package dns

import (
	"net/netip"
	"strings"
	"time"

	wire "github.com/miekg/dns"

	"github.com/mailroot/mailroot/internal/mail"
)

// answer is what became of a question. It does not change once it is made.
type answer struct {
	name      string // at the end of the CNAMEs
	mx        []MX
	addrs     []netip.Addr
	texts     []string // of TXT; names of PTR
	authentic bool
	ttl       time.Duration // how long it may be kept; 0: not at all
	expires   time.Time
	err       *Error // set: there are no records
}

func (a *answer) meta() Meta {
	return Meta{TTL: max(0, time.Until(a.expires)), Authentic: a.authentic}
}

func (a *answer) done() *answer {
	a.expires = time.Now().Add(a.ttl)
	return a
}

// fail makes it a failure.
func (a *answer) fail(q question, err *Error, ttl time.Duration) *answer {
	err.Name, err.Type = q.name, wire.TypeToString[q.qtype]
	return (&answer{name: a.name, err: err, ttl: max(0, ttl)}).done()
}

// none makes it an answer without records, to be kept as RFC 2308 §5 says: as long as the SOA
// record tells, not at all without one.
func (a *answer) none(q question, server string, m *wire.Msg, why error, limit time.Duration) *answer {
	err := &Error{Server: server, Code: codeOf(m), Err: why}
	return a.fail(q, err, min(a.ttl, limit, negativeTTL(m)))
}

// negativeTTL returns how long the absence may be kept; 0 if the answer does not say so.
func negativeTTL(m *wire.Msg) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*wire.SOA); ok {
			return max(time.Second, min(ttlOf(soa.Hdr.Ttl), ttlOf(soa.Minttl)))
		}
	}
	return 0
}

// ttlOf reads a TTL; those above 2^31 count as 0 (RFC 2181 §8).
func ttlOf(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// take reads the records of one message, follows its CNAMEs from a.name on and counts them.
// It reports whether there were records of the type at the end.
func (a *answer) take(m *wire.Msg, qtype uint16, aliases *int) (found bool, err error) {
	for {
		next := ""
		for _, rr := range m.Answer {
			h := rr.Header()
			if h.Class != wire.ClassINET || !mail.EqualFoldASCII(strings.TrimSuffix(h.Name, "."), a.name) {
				continue
			}
			if cname, ok := rr.(*wire.CNAME); ok {
				next = cname.Target
			} else if h.Rrtype != qtype || !a.add(rr) {
				continue
			} else {
				found = true
			}
			a.ttl = min(a.ttl, ttlOf(h.Ttl))
		}
		if found {
			a.mx = orderMX(a.mx)
			return true, nil
		}
		if next == "" {
			return false, nil
		}
		if *aliases++; *aliases > MaxAliases {
			return false, errAliases
		}
		clean, ok := cleanName(next)
		if !ok {
			return false, errMalformed
		}
		a.name = clean
	}
}

// add keeps one record, and reports whether it did: up to the cap, except that all MX records
// are read, since the best may stand last.
func (a *answer) add(rr wire.RR) bool {
	switch rr := rr.(type) {
	case *wire.MX:
		a.mx = append(a.mx, MX{Host: mxHost(rr.Mx), Pref: rr.Preference})
		return true
	case *wire.A:
		return a.addAddr(rr.A)
	case *wire.AAAA:
		return a.addAddr(rr.AAAA)
	case *wire.PTR:
		names := cleanHosts([]string{rr.Ptr})
		if len(names) == 0 || len(a.texts) >= MaxRecords {
			return false
		}
		a.texts = append(a.texts, names[0])
		return true
	case *wire.TXT:
		if len(a.texts) >= MaxRecords {
			return false
		}
		a.texts = append(a.texts, unescape(strings.Join(rr.Txt, "")))
		return true
	}
	return false
}

func (a *answer) addAddr(ip []byte) bool {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok || len(a.addrs) >= MaxRecords {
		return false
	}
	a.addrs = append(a.addrs, addr.Unmap())
	return true
}

// unescape turns the text form of a character-string (RFC 1035 §5.1) into its octets.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		if d := s[i:min(i+3, len(s))]; len(d) == 3 && isDigit(d[0]) && isDigit(d[1]) && isDigit(d[2]) {
			b = append(b, (d[0]-'0')*100+(d[1]-'0')*10+(d[2]-'0'))
			i += 2
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// cost estimates the memory of an answer in octets.
func (a *answer) cost() int {
	n := 256 + len(a.name) + len(a.addrs)*24
	for _, m := range a.mx {
		n += 24 + len(m.Host)
	}
	for _, t := range a.texts {
		n += 16 + len(t)
	}
	if a.err != nil {
		n += 128 + len(a.err.Name) + len(a.err.Server) + len(a.err.Code)
	}
	return n
}
