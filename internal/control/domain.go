package control

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/route"
)

// What stands here plans changes of the domain list; it decides what may be done to it, and touches no
// file. Who may write the configuration file carries the plan out, as with any other setting.

// Domain is one entry of the domain list as it works, in DomainList.
type Domain struct {
	Name string `json:"name"` // "*" for all domains without an entry
	Kind string `json:"kind"` // default, alias, remote, other
	// Implied is set for the default domain that no entry names: the host's DNS name.
	Implied        bool   `json:"implied,omitempty"`
	Matches        string `json:"matches"`             // the name, all names below, all others
	NextHop        string `json:"next_hop"`            // drop, mx, or hosts in order of preference
	OwnRoute       bool   `json:"own_route,omitempty"` // NextHop is of the entry, not the site's
	AllowRelay     bool   `json:"allow_relay,omitempty"`
	TLS            string `json:"tls,omitempty"`
	SendHELO       bool   `json:"send_helo,omitempty"`
	MaxConnections int    `json:"max_connections,omitempty"`
	StampHeader    bool   `json:"stamp_header,omitempty"`
}

// DomainList returns the domain list in the order in which it is asked: local names, remote names, then
// wildcards, the longest first, at last what holds for all others. The first that matches is used.
// current is the name of the default domain where no entry names it. With a name only the entries
// that match it are returned.
func DomainList(v *config.VirtualServer, current, name string) ([]Domain, error) {
	var out []Domain
	if v.DefaultDomain() == "" {
		out = append(out, Domain{Name: current, Kind: string(config.KindDefault), Implied: true, Matches: matchesName, NextHop: "drop"})
	}
	for i := range v.Domains {
		out = append(out, domainView(v, &v.Domains[i]))
	}
	slices.SortStableFunc(out, func(a, b Domain) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), cmp.Compare(wildcardLen(b.Name), wildcardLen(a.Name)), strings.Compare(a.Name, b.Name))
	})
	other := domainView(v, &config.Domain{Name: "*", TLS: v.Delivery.OutboundSecurity.TLS, MaxConnections: v.Connections.OutboundPerDomain})
	other.Kind, other.Matches = "other", "all others"
	out = append(out, other)
	if name == "" {
		return out, nil
	}
	norm, err := normalName(name)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(out, func(d Domain) bool { return !d.covers(norm) }), nil
}

const matchesName = "the name"

func domainView(v *config.VirtualServer, d *config.Domain) Domain {
	out := Domain{Name: d.Name, Kind: string(d.Kind), Matches: matchesName, NextHop: "drop", StampHeader: d.StampHeader}
	if d.Kind == config.KindDefault || d.Kind == config.KindAlias {
		return out
	}
	if strings.HasPrefix(d.Name, "*.") {
		out.Matches = "all names below"
	}
	hosts, direct := d.Route, false
	if out.OwnRoute = len(hosts) > 0; !out.OwnRoute {
		hosts, direct = v.Delivery.SmartHost, v.Delivery.DirectFirst
	}
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = h.String()
	}
	out.NextHop = strings.Join(names, ", ")
	switch {
	case len(hosts) == 0:
		out.NextHop = "mx"
	case direct:
		out.NextHop = "mx, then " + out.NextHop
	}
	out.AllowRelay, out.TLS, out.SendHELO, out.MaxConnections = d.AllowRelay, string(d.TLS), d.SendHELO, d.MaxConnections
	return out
}

// rank orders the kinds of entries as a name is looked for among them.
func rank(d *Domain) int {
	switch {
	case d.Kind == string(config.KindDefault):
		return 0
	case d.Kind == string(config.KindAlias):
		return 1
	case !strings.HasPrefix(d.Name, "*"):
		return 2
	}
	return 3
}

func wildcardLen(name string) int {
	if !strings.HasPrefix(name, "*.") {
		return 0
	}
	return len(key(name))
}

// covers reports whether an entry matches a normalised name.
func (d *Domain) covers(norm string) bool {
	k := key(d.Name)
	if below, ok := strings.CutPrefix(k, "*"); ok {
		return below == "" || strings.HasSuffix(norm, below)
	}
	return k == norm
}

// key returns the form in which entries are compared.
func key(name string) string {
	rest, below := strings.CutPrefix(name, "*.")
	if norm, err := route.NormalizeDomain(rest); err == nil {
		rest = norm
	}
	if below {
		return "*." + rest
	}
	return rest
}

// normalName checks the name of an entry as a person types it.
func normalName(name string) (string, error) {
	rest, below := strings.CutPrefix(name, "*.")
	norm, err := route.NormalizeDomain(rest)
	if err == nil && strings.HasPrefix(norm, "[") {
		err = errors.New("an address is not a domain")
	}
	if err != nil {
		return "", fmt.Errorf("%w: %.100q is not a domain name: %w", ErrInvalid, name, err)
	}
	if below {
		return "*." + norm, nil
	}
	return norm, nil
}

// findDomain returns the entry of a name, nil if there is none.
func findDomain(v *config.VirtualServer, name string) (*config.Domain, error) {
	norm, err := normalName(name)
	if err != nil {
		return nil, err
	}
	for i := range v.Domains {
		if key(v.Domains[i].Name) == norm {
			return &v.Domains[i], nil
		}
	}
	return nil, nil
}

// mustFindDomain is findDomain for a name that has to have an entry.
func mustFindDomain(v *config.VirtualServer, name string) (*config.Domain, error) {
	d, err := findDomain(v, name)
	if err == nil && d == nil {
		err = fmt.Errorf("%w: the domain list has no %s", ErrNotFound, name)
	}
	return d, err
}

func domainPath(name, setting string) string {
	path := "domain[" + strconv.Quote(name) + "]"
	if setting != "" {
		path += "." + setting
	}
	return path
}

func setDomain(name, setting, value string) config.Edit {
	return config.Edit{Op: config.OpSet, Path: domainPath(name, setting), Value: value}
}

// DomainAdd plans a new entry of kind alias or remote, with settings such as "allow_relay=true".
func DomainAdd(v *config.VirtualServer, name, kind string, settings []string) ([]config.Edit, error) {
	d, err := findDomain(v, name)
	switch {
	case err != nil:
		return nil, err
	case d != nil:
		return nil, fmt.Errorf("%w: %s is in the domain list already, as %s", ErrInvalid, d.Name, d.Kind)
	case kind == string(config.KindDefault):
		return nil, fmt.Errorf("%w: there is one default domain; set-default makes it another one", ErrInvalid)
	case kind != string(config.KindRemote) && strings.HasPrefix(name, "*"):
		return nil, fmt.Errorf("%w: a local domain is one name; *. is for remote domains", ErrInvalid)
	}
	name = strings.ToLower(name)
	edits, err := domainEdits(name, settings)
	if err != nil {
		return nil, err
	}
	for _, e := range edits {
		if e.Path == domainPath(name, "kind") { // which would get round all that is asked above
			return nil, fmt.Errorf("%w: the kind of %s is %s already; it is no setting here", ErrInvalid, name, kind)
		}
	}
	return append([]config.Edit{setDomain(name, "kind", kind)}, edits...), nil
}

// domainEdits reads settings of one entry.
func domainEdits(name string, settings []string) ([]config.Edit, error) {
	edits := make([]config.Edit, len(settings))
	for i, text := range settings {
		e, err := config.ParseEdit(text)
		if err == nil && (e.Path == "" || strings.ContainsAny(e.Path, "[]\"")) {
			err = fmt.Errorf("%.100q is not a setting of a domain", e.Path)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		e.Path = domainPath(name, e.Path)
		edits[i] = e
	}
	return edits, nil
}

// DomainSet plans a change of an entry's settings. Its kind can become alias or remote; the default
// domain stays what it is until another one takes its place.
func DomainSet(v *config.VirtualServer, name string, settings []string) ([]config.Edit, error) {
	d, err := mustFindDomain(v, name)
	if err != nil {
		return nil, err
	}
	edits, err := domainEdits(d.Name, settings)
	if err != nil {
		return nil, err
	}
	for _, e := range edits {
		switch kind := strings.Trim(e.Value, `"`); {
		case e.Path != domainPath(d.Name, "kind") || kind == string(d.Kind):
		case kind == string(config.KindDefault):
			return nil, fmt.Errorf("%w: set-default makes %s the default domain", ErrInvalid, d.Name)
		case d.Kind == config.KindDefault:
			return nil, fmt.Errorf("%w: %s is the default domain; make another one the default first", ErrInvalid, d.Name)
		}
	}
	return edits, nil
}

// DomainRemove plans to take an entry out.
func DomainRemove(v *config.VirtualServer, name string) ([]config.Edit, error) {
	d, err := mustFindDomain(v, name)
	if err != nil {
		return nil, err
	}
	if d.Kind == config.KindDefault {
		return nil, fmt.Errorf("%w: %s is the default domain, which cannot be removed; make another one the default first", ErrInvalid, d.Name)
	}
	return []config.Edit{{Op: config.OpRemoveBlock, Path: domainPath(d.Name, "")}}, nil
}

// DomainSetDefault plans another default domain. The one before, current where no entry names it,
// becomes an alias, so that its mail is still taken.
func DomainSetDefault(v *config.VirtualServer, name string, current func() string) ([]config.Edit, error) {
	d, err := findDomain(v, name)
	switch {
	case err != nil:
		return nil, err
	case strings.HasPrefix(name, "*"):
		return nil, fmt.Errorf("%w: a local domain is one name; *. is for remote domains", ErrInvalid)
	case d != nil && d.Kind == config.KindRemote:
		return nil, fmt.Errorf("%w: %s is a remote domain; remove it first if it is to be local", ErrInvalid, d.Name)
	case d != nil && d.Kind == config.KindDefault:
		return nil, fmt.Errorf("%w: %s is the default domain already", ErrInvalid, d.Name)
	}
	var edits []config.Edit
	if d == nil {
		d = &config.Domain{Name: strings.ToLower(name)}
	}
	edits = append(edits, setDomain(d.Name, "kind", string(config.KindDefault)))
	if d.StampHeader {
		edits = append(edits, config.Edit{Op: config.OpUnset, Path: domainPath(d.Name, "stamp_header")})
	}
	old := v.DefaultDomain()
	if old == "" {
		old = current()
	}
	if other, err := findDomain(v, old); key(old) == key(d.Name) || err != nil || other != nil && other.Kind != config.KindDefault {
		return edits, nil // nothing that could become an alias: it is the same, no name, or an entry of its own
	}
	return append(edits, setDomain(old, "kind", string(config.KindAlias))), nil
}
