package delivery

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/mailroot/mailroot/internal/dns"
	"github.com/mailroot/mailroot/internal/mail"
)

const (
	maxLookups = 20 // host names looked up in one run (bad input R3)
	smtpPort   = 25
)

// target is one address of a server.
type target struct {
	name string // "" if only the address is known
	addr netip.AddrPort
	// sure is set when nobody can have forged the way from the recipient's domain to the
	// name: it was configured, or DNSSEC vouches for it.
	sure  bool
	shown string // what host returned
}

// host returns the name that people see: that of the server, or its address in brackets.
func (t *target) host() string {
	if t.shown == "" {
		if t.shown = t.name; t.name == "" {
			t.shown = "[" + t.addr.Addr().String() + "]"
		}
	}
	return t.shown
}

// certHost returns what the certificate should be valid for.
func (t *target) certHost() string {
	if t.name == "" {
		return t.addr.Addr().String()
	}
	return t.name
}

// finder yields the servers of a next hop one after the other, and looks names up no earlier
// than they are needed.
type finder struct {
	d       *Deliverer
	hop     *mail.Hop
	hosts   []mail.Host // not yet begun
	begun   bool
	mx      []dns.MX // of the name in work, not yet looked up
	port    uint16
	sure    bool // the MX records of the name in work are
	ready   []target
	lookups int
	why     troubles
}

func newFinder(d *Deliverer, hop *mail.Hop) *finder {
	return &finder{d: d, hop: hop, hosts: hop.Hosts}
}

// next returns the next server. Without one, f.why says what stood in the way of others.
func (f *finder) next(ctx context.Context) (target, bool) {
	for len(f.ready) == 0 {
		switch {
		case ctx.Err() != nil:
			return target{}, false
		case len(f.mx) > 0:
			f.group(ctx)
		case f.hop.Kind == mail.HopMX && !f.begun:
			f.begun = true
			f.port = f.portOf(mail.Host{})
			f.domain(ctx)
		case f.hop.Kind == mail.HopHosts && len(f.hosts) > 0:
			h := f.hosts[0]
			f.hosts = f.hosts[1:]
			f.port = f.portOf(h)
			f.configured(ctx, h)
		default:
			return target{}, false
		}
	}
	t := f.ready[0]
	f.ready = f.ready[1:]
	return t, true
}

// more reports whether there may be another server.
func (f *finder) more() bool { return len(f.ready)+len(f.mx)+len(f.hosts) > 0 }

func (f *finder) portOf(h mail.Host) uint16 {
	switch {
	case h.Port != 0:
		return h.Port
	case f.hop.Port != 0:
		return f.hop.Port
	}
	return smtpPort
}

// domain begins with the recipient's domain (RFC 5321 §5.1).
func (f *finder) domain(ctx context.Context) {
	name := f.hop.Domain
	if strings.HasPrefix(name, "[") {
		f.literal(name)
		return
	}
	set, err := f.d.o.Resolver.MX(ctx, name)
	switch {
	case err == nil && set.Null():
		f.why.add(&trouble{outcome: mail.Failed, final: true, rank: rankDNS, ours: true,
			reply: mail.NewReply(556, mail.Enhanced(5, 1, 10), "The domain "+name+" takes no mail (null MX)")})
	case err == nil:
		f.exchangers(name, &set)
	case errors.Is(err, dns.ErrNotExist), errors.Is(err, dns.ErrNoData):
		// The implicit MX. Also for a name that DNS does not know: it may stand in the hosts
		// file.
		if f.isOwnName(name) {
			f.why.add(selfTrouble(name))
			return
		}
		f.addresses(ctx, name, true)
	default:
		f.why.add(dnsTrouble(err))
	}
}

// configured begins with a smart host or a host of a route domain.
func (f *finder) configured(ctx context.Context, h mail.Host) {
	if h.Addr.IsValid() {
		t := target{addr: netip.AddrPortFrom(h.Addr, f.port), sure: true}
		if f.isSelf(t.addr) {
			f.why.add(selfTrouble(h.String()))
			return
		}
		f.ready = append(f.ready, t)
		return
	}
	set, err := f.d.o.Resolver.MX(ctx, h.Name)
	switch {
	case err == nil && !set.Null():
		f.exchangers(h.Name, &set)
	case err == nil, errors.Is(err, dns.ErrNotExist), errors.Is(err, dns.ErrNoData):
		// A null MX says that nobody has a mailbox there; the host may relay all the same.
		f.addresses(ctx, h.Name, true)
	default:
		f.why.add(dnsTrouble(err))
	}
}

// literal takes a domain that is an address literal (RFC 5321 §4.1.3).
func (f *finder) literal(name string) {
	text := strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if rest, ok := cutPrefixFold(text, "IPv6:"); ok {
		text = rest
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		f.why.add(&trouble{outcome: mail.Failed, rank: rankDNS, ours: true,
			reply: mail.NewReply(550, mail.Enhanced(5, 1, 2), "No mail can be sent to the address literal "+name)})
		return
	}
	f.take(target{addr: netip.AddrPortFrom(addr.Unmap(), f.port), sure: true}, name)
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !mail.EqualFoldASCII(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// exchangers takes the MX records of name. Where we are among them by name, only those that are
// preferred to us stay (RFC 5321 §5.1).
func (f *finder) exchangers(name string, set *dns.MXSet) {
	f.sure = set.Authentic
	f.mx = set.Records
	for _, mx := range set.Records {
		if f.isOwnName(mx.Host) {
			f.preferredTo(mx.Pref)
			f.why.add(selfTrouble(name))
			return
		}
	}
}

// preferredTo drops the exchangers that are not preferred to pref.
func (f *finder) preferredTo(pref uint16) {
	for i, mx := range f.mx {
		if mx.Pref >= pref {
			f.mx = f.mx[:i]
			return
		}
	}
}

// group looks up the exchangers of the best preference that is left, in random order, so that
// equal servers share the load. When one of them is ourselves, the group and all after it are
// dropped.
func (f *finder) group(ctx context.Context) {
	n := 1
	for n < len(f.mx) && f.mx[n].Pref == f.mx[0].Pref {
		n++
	}
	group := f.mx[:n]
	f.mx = f.mx[n:]
	rand.Shuffle(n, func(i, j int) { group[i], group[j] = group[j], group[i] })
	for _, mx := range group {
		if !f.addresses(ctx, mx.Host, false) {
			f.ready, f.mx = f.ready[:0], nil
			return
		}
	}
}

// addresses makes the addresses of a host ready, the families in turn, so that a network
// without one of them does not use up the attempts. It reports false when the host is
// ourselves. Of the name itself (the implicit MX, or a configured host) it is said that it
// does not exist; of an exchanger only that it has no address.
func (f *finder) addresses(ctx context.Context, host string, itself bool) bool {
	if f.lookups++; f.lookups > maxLookups {
		return true
	}
	set, err := f.d.o.Resolver.Addrs(ctx, host)
	if err != nil {
		f.why.add(f.noAddress(host, itself, err))
		return true
	}
	if f.hop.Kind == mail.HopMX && f.isOwnName(set.Name) { // an alias for us
		f.why.add(selfTrouble(host))
		return false
	}
	sure := itself && f.hop.Kind == mail.HopHosts || f.sure
	if itself && f.hop.Kind == mail.HopMX {
		sure = true // the certificate's name is the domain itself
	}
	var v4, v6 []netip.Addr
	for _, a := range set.Addrs {
		if a = a.Unmap(); a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	for i := range max(len(v4), len(v6)) {
		for _, list := range [...][]netip.Addr{v4, v6} {
			if i < len(list) && !f.take(target{name: host, addr: netip.AddrPortFrom(list[i], f.port), sure: sure}, host) {
				return false
			}
		}
	}
	return true
}

// noAddress says what it means that a host has no address.
func (f *finder) noAddress(host string, itself bool, err error) *trouble {
	if !errors.Is(err, dns.ErrNotExist) && !errors.Is(err, dns.ErrNoData) {
		return dnsTrouble(err)
	}
	t := &trouble{outcome: mail.Failed, rank: rankDNS, ours: true}
	switch {
	case f.hop.Kind == mail.HopHosts:
		// A mistake in our own settings, or in a zone near us: worth another attempt.
		t.outcome = mail.Deferred
		t.reply = mail.NewReply(451, mail.Enhanced(4, 4, 4), "The host "+host+" has no address")
	case itself && errors.Is(err, dns.ErrNotExist):
		t.reply = mail.NewReply(550, mail.Enhanced(5, 1, 2), "The domain "+host+" does not exist")
	case itself:
		t.reply = mail.NewReply(550, mail.Enhanced(5, 4, 4), "The domain "+host+" has neither mail exchanger nor address")
	default:
		t.reply = mail.NewReply(550, mail.Enhanced(5, 4, 4), "The mail exchanger "+host+" has no address")
	}
	return t
}

// take makes a target ready unless it is refused (bad input R9). It reports false when it is
// ourselves.
func (f *finder) take(t target, name string) bool {
	if f.isSelf(t.addr) {
		f.why.add(selfTrouble(name))
		return false
	}
	addr := t.addr.Addr()
	if f.hop.Kind == mail.HopMX {
		what := ""
		switch {
		case addr.IsLoopback(), addr.IsUnspecified():
			if !f.d.o.AllowLoopbackMX {
				what = "a loopback address"
			}
		case addr.IsMulticast():
			what = "a multicast address"
		case f.d.o.BlockPrivateMX && (addr.IsPrivate() || addr.IsLinkLocalUnicast()):
			what = "a private address"
		}
		if what != "" {
			f.why.add(&trouble{outcome: mail.Failed, rank: rankDNS, ours: true,
				reply: mail.NewReply(550, mail.Enhanced(5, 4, 4), "The mail exchanger "+name+" is at "+what)})
			return true
		}
	}
	f.ready = append(f.ready, t)
	return true
}

func (f *finder) isSelf(addr netip.AddrPort) bool {
	return f.d.o.IsSelf != nil && f.d.o.IsSelf(addr)
}

func (f *finder) isOwnName(name string) bool {
	own := strings.TrimSuffix(f.d.o.FQDN, ".")
	return own != "" && mail.EqualFoldASCII(strings.TrimSuffix(name, "."), own)
}

func selfTrouble(name string) *trouble {
	return &trouble{outcome: mail.Failed, rank: rankSelf, ours: true,
		reply: mail.NewReply(554, mail.Enhanced(5, 4, 6), "Mail for "+name+" loops back to this server")}
}

func dnsTrouble(err error) *trouble {
	return &trouble{outcome: mail.Deferred, rank: rankDNS, ours: true,
		reply: mail.NewReply(451, mail.Enhanced(4, 4, 3), "No answer from DNS: "+short(err.Error()))}
}
