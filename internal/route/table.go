package route

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// Kind says what a Domain is.
type Kind uint8

// The kinds of domain.
const (
	Default Kind = iota + 1 // local; completes bare addresses; exactly one
	Alias                   // local; its recipients are rewritten to the default domain
	Remote                  // an exact name, or "*.name" for all names below it
)

// Domain is one entry of the domain list.
type Domain struct {
	Name string // in any case, U-labels or A-labels
	Kind Kind

	// The rest is for Remote only.

	Route      []mail.Host // next hop in order of preference; empty: as for domains without an entry
	AllowRelay bool        // any client may send there
	UseHELO    bool
	TLS        *mail.HopTLS // nil: the site's
	// MaxConnections is the number of connections at the same time; 0: the site's limit per
	// domain.
	MaxConnections int
}

// Options are the settings of a Table. Without SmartHost and Domains all goes by MX.
type Options struct {
	SmartHost   []mail.Host // in order of preference; empty: by MX
	DirectFirst bool        // MX first, SmartHost as the fallback; nothing without SmartHost
	Port        uint16      // for hosts without one; 0: 25
	TLS         mail.HopTLS // towards all remote hops but those of domains that say otherwise
	Domains     []Domain    // exactly one of kind Default

	// Own reports whether an address is one of ours, for address literals; nil: only the
	// loopback and unspecified addresses are.
	Own func(netip.Addr) bool

	// Keep is the table that this one takes the place of. Where settings leave a next hop as
	// it was, the new table hands out the same pointer, so that connections and back-off go
	// on over a change of configuration. Nil: a new start.
	Keep *Table
}

// Table is the routing table. It is safe for concurrent use and does not change.
type Table struct {
	opts     Options
	deflt    string          // normalised
	name     string          // of the same, as it was given
	local    map[string]Kind // Default and Alias
	exact    map[string]*entry
	wildcard map[string]*entry // key: "*.example.org" without "*."
	site     entry             // for domains without an entry
	drop     *mail.Hop
	hops     *hopSet
}

// entry is a Domain of kind Remote, with all that can be decided before a domain is known.
type entry struct {
	Domain
	terms  terms
	hop    *mail.Hop // the whole answer, unless it is nil
	backup *mail.Hop // nil hop: by MX of the domain, with this fallback or none
}

// terms are the conditions under which a hop is used: with the same destination and other
// terms it is another hop.
type terms struct {
	port    uint16
	tls     mail.HopTLS
	helo    bool
	maxConn int
}

// New makes a table. Its errors, joined, are for the configuration: each names the domain.
func New(o Options) (*Table, error) {
	if o.Port == 0 {
		o.Port = 25
	}
	t := &Table{
		opts:     o,
		local:    make(map[string]Kind),
		exact:    make(map[string]*entry),
		wildcard: make(map[string]*entry),
	}
	if o.Keep != nil {
		t.hops = o.Keep.hops
	} else {
		t.hops = newHopSet()
	}
	t.opts.Keep = nil
	t.drop = t.hops.intern(&mail.Hop{Key: dropKey, Kind: mail.HopDrop})
	var errs []error
	var err error
	if t.opts.SmartHost, err = normalHosts(o.SmartHost); err != nil {
		errs = append(errs, fmt.Errorf("smart host: %w", err))
	}
	t.site = t.entry(Domain{})
	for _, d := range o.Domains {
		if err := t.add(d); err != nil {
			errs = append(errs, err)
		}
	}
	if t.deflt == "" {
		errs = append(errs, errors.New("no default domain: exactly one domain of kind default is needed"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Table) add(d Domain) error {
	name, below := strings.CutPrefix(d.Name, "*.")
	norm, err := NormalizeDomain(name)
	if err != nil {
		return fmt.Errorf("domain %q: %w", d.Name, err)
	}
	if strings.HasPrefix(norm, "[") {
		return fmt.Errorf("domain %q: an address literal cannot be an entry", d.Name)
	}
	if d.Route, err = normalHosts(d.Route); err != nil {
		return fmt.Errorf("domain %q, route: %w", d.Name, err)
	}
	d.Name = norm
	if below {
		d.Name = "*." + norm
	}
	switch d.Kind {
	case Default, Alias:
		switch {
		case below:
			return fmt.Errorf("domain %q: a local domain takes no \"*.\"", d.Name)
		case t.local[norm] != 0:
			return fmt.Errorf("domain %q stands twice in the list", d.Name)
		case d.Kind == Default && t.deflt != "":
			return fmt.Errorf("domain %q: %q is the default domain already", d.Name, t.deflt)
		case d.Kind == Default:
			t.deflt, t.name = norm, name
		}
		t.local[norm] = d.Kind
	case Remote:
		set := t.exact
		if below {
			set = t.wildcard
		}
		if set[norm] != nil {
			return fmt.Errorf("domain %q stands twice in the list", d.Name)
		}
		e := t.entry(d)
		set[norm] = &e
	default:
		return fmt.Errorf("domain %q: unknown kind %d", d.Name, d.Kind)
	}
	if !below && t.local[norm] != 0 && t.exact[norm] != nil {
		return fmt.Errorf("domain %q cannot be both local and remote", d.Name)
	}
	return nil
}

// normalHosts returns hosts with their names as DNS is asked for them: a name in UTF-8 as A-labels.
func normalHosts(list []mail.Host) ([]mail.Host, error) {
	out := slices.Clone(list)
	for i := range out {
		if out[i].Name == "" {
			continue
		}
		name, err := NormalizeDomain(strings.TrimSuffix(out[i].Name, "."))
		if err != nil {
			return nil, fmt.Errorf("%.100q: %w", out[i].Name, err)
		}
		out[i].Name = name
	}
	return out, nil
}

// entry decides what can be decided without the domain.
func (t *Table) entry(d Domain) entry {
	e := entry{Domain: d, terms: terms{t.opts.Port, t.opts.TLS, d.UseHELO, d.MaxConnections}}
	if d.TLS != nil {
		e.terms.tls = *d.TLS
	}
	switch {
	case len(d.Route) > 0:
		e.hop = t.hosts(d.Route, e.terms)
	case len(t.opts.SmartHost) == 0:
	case t.opts.DirectFirst:
		e.backup = t.hosts(t.opts.SmartHost, e.terms)
	default:
		e.hop = t.hosts(t.opts.SmartHost, e.terms)
	}
	return e
}

// find returns the entry for a normalised remote domain: the exact one, else the longest
// wildcard above it, else that of the site.
func (t *Table) find(domain string) *entry {
	if e := t.exact[domain]; e != nil {
		return e
	}
	if len(t.wildcard) > 0 && domain[0] != '[' {
		for rest := domain; ; {
			dot := strings.IndexByte(rest, '.')
			if dot < 0 {
				break
			}
			rest = rest[dot+1:]
			if e := t.wildcard[rest]; e != nil {
				return e
			}
		}
	}
	return &t.site
}

// Hop returns the next hop for the mail of a domain. The same destination under the same
// terms is the same pointer for as long as somebody holds it. "" stands for the default
// domain. The error is a *mail.Error that is permanent: 5.1.2 for a domain that cannot be
// one, 5.7.1 for an address literal that leads to ourselves (bad input E8).
func (t *Table) Hop(domain string) (*mail.Hop, error) {
	if domain == "" {
		return t.drop, nil
	}
	norm, err := t.normalize(domain)
	if err != nil {
		return nil, err
	}
	if t.local[norm] != 0 {
		return t.drop, nil
	}
	e := t.find(norm)
	if e.hop != nil {
		return e.hop, nil
	}
	return t.mx(norm, e), nil
}

// HopTo returns the next hop that an operator has named, one host in a form of ParseHost, under the terms of
// the site. It is the hop of a smart host of that text, where there is one.
func (t *Table) HopTo(text string) (*mail.Hop, error) {
	h, err := ParseHost(text)
	if err != nil {
		return nil, err
	}
	return t.hosts([]mail.Host{h}, t.site.terms), nil
}

// normalize returns the form that the maps have as keys.
func (t *Table) normalize(domain string) (string, error) {
	norm, err := NormalizeDomain(domain)
	if err != nil {
		return "", mail.Fail(550, mail.Enhanced(5, 1, 2), "Bad destination domain", err)
	}
	if addr, ok := literalAddr(norm); ok && t.own(addr) {
		return "", mail.Fail(550, mail.Enhanced(5, 7, 1), "Unable to relay to an address of this server",
			fmt.Errorf("%s is a loopback or own address", norm))
	}
	return norm, nil
}

func (t *Table) own(addr netip.Addr) bool {
	return addr.IsLoopback() || addr.IsUnspecified() || t.opts.Own != nil && t.opts.Own(addr)
}

// Local reports whether the domain is ours: the default domain, an alias, or "".
func (t *Table) Local(domain string) bool {
	return domain == "" || t.kind(domain) != 0
}

// OtherName reports whether the domain is another name of the default domain: an alias, or the default
// domain in a spelling that is the same only by the rules of IDNA.
func (t *Table) OtherName(domain string) bool {
	kind := t.kind(domain)
	return kind == Alias || kind == Default && !mail.EqualFoldASCII(domain, t.name)
}

func (t *Table) kind(domain string) Kind {
	if k := t.local[domain]; k != 0 { // the usual spelling, without work
		return k
	}
	norm, err := NormalizeDomain(domain)
	if err != nil {
		return 0
	}
	return t.local[norm]
}

// DefaultDomain returns the name of the default domain, normalised.
func (t *Table) DefaultDomain() string { return t.deflt }

// AllowsRelay reports whether the entry for a remote domain lets anyone send there. Local
// domains have no such entry.
func (t *Table) AllowsRelay(domain string) bool {
	norm, err := NormalizeDomain(domain)
	if err != nil || t.local[norm] != 0 {
		return false
	}
	return t.find(norm).AllowRelay
}
