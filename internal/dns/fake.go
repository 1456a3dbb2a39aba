package dns

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// Records is all that a Fake knows of one name, or of one address if its key in the zone map
// is the text of an address.
type Records struct {
	MX    []MX
	Addrs []netip.Addr
	TXT   []string
	PTR   []string // for an address as key
	CNAME string   // excludes all others

	TTL       time.Duration // 0: an hour
	Authentic bool
	Delay     time.Duration // before each answer, by the clock of package time
	// Err, if set, is the answer to every question: ErrNotExist, ErrNoData, or a failure.
	Err error
}

// Fake is a Resolver over a map in memory, for tests: it needs no network and so runs within
// testing/synctest. It keeps the rules of Client (order of MX records, null MX, caps, CNAMEs)
// but caches nothing. It is safe for concurrent use.
type Fake struct {
	mu    sync.Mutex
	zone  map[string]Records
	asked map[string]int
}

// NewFake returns a Fake that knows the given names, which are absolute and without final dot.
// A nil map is an empty zone.
func NewFake(zone map[string]Records) *Fake {
	f := &Fake{zone: make(map[string]Records, len(zone)), asked: make(map[string]int)}
	for name, r := range zone {
		f.zone[mail.LowerASCII(name)] = r
	}
	return f
}

// Set replaces what is known of a name.
func (f *Fake) Set(name string, r Records) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.zone[mail.LowerASCII(name)] = r
}

// Remove makes a name one that does not exist.
func (f *Fake) Remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.zone, mail.LowerASCII(name))
}

// Asked returns how often a question was asked: typ is "MX", "A" (for Addrs), "PTR" or "TXT".
func (f *Fake) Asked(typ, name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[typ+" "+mail.LowerASCII(name)]
}

// find follows CNAMEs and returns the records at their end.
func (f *Fake) find(ctx context.Context, typ, name string) (Records, string, error) {
	fail := func(err error) (Records, string, error) {
		return Records{}, "", &Error{Name: name, Type: typ, Server: "fake", Err: err}
	}
	at, ok := cleanName(name)
	if !ok {
		return fail(ErrNotExist)
	}
	f.mu.Lock()
	f.asked[typ+" "+at]++
	f.mu.Unlock()
	for range MaxAliases + 1 {
		f.mu.Lock()
		r, ok := f.zone[at]
		f.mu.Unlock()
		if r.Delay > 0 {
			select {
			case <-time.After(r.Delay):
			case <-ctx.Done():
				return fail(ctx.Err())
			}
		}
		switch {
		case !ok:
			return fail(ErrNotExist)
		case r.Err != nil:
			return fail(r.Err)
		case r.CNAME == "":
			if r.TTL == 0 {
				r.TTL = time.Hour
			}
			return r, at, nil
		}
		if at, ok = cleanName(r.CNAME); !ok {
			return fail(ErrNotExist)
		}
	}
	return fail(errAliases)
}

func (r Records) meta() Meta { return Meta{TTL: r.TTL, Authentic: r.Authentic} }

// MX implements Resolver.
func (f *Fake) MX(ctx context.Context, name string) (MXSet, error) {
	r, at, err := f.find(ctx, "MX", name)
	if err != nil {
		return MXSet{}, err
	}
	if len(r.MX) == 0 {
		return MXSet{}, &Error{Name: name, Type: "MX", Server: "fake", Err: ErrNoData}
	}
	mx := make([]MX, len(r.MX))
	for i, m := range r.MX {
		mx[i] = MX{Host: mxHost(m.Host), Pref: m.Pref}
	}
	return MXSet{Name: at, Records: orderMX(mx), Meta: r.meta()}, nil
}

// Addrs implements Resolver.
func (f *Fake) Addrs(ctx context.Context, host string) (AddrSet, error) {
	r, at, err := f.find(ctx, "A", host)
	if err != nil {
		return AddrSet{}, err
	}
	if len(r.Addrs) == 0 {
		return AddrSet{}, &Error{Name: host, Type: "A", Server: "fake", Err: ErrNoData}
	}
	addrs := slices.Clone(r.Addrs[:min(len(r.Addrs), 2*MaxRecords)])
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	return AddrSet{Name: at, Addrs: addrs, Meta: r.meta()}, nil
}

// PTR implements Resolver.
func (f *Fake) PTR(ctx context.Context, addr netip.Addr) (Names, error) {
	key := addr.Unmap().WithZone("").String()
	r, _, err := f.find(ctx, "PTR", key)
	if err != nil {
		return Names{}, err
	}
	names := cleanHosts(r.PTR)
	if len(names) == 0 {
		return Names{}, &Error{Name: key, Type: "PTR", Server: "fake", Err: ErrNoData}
	}
	return Names{Names: names, Meta: r.meta()}, nil
}

// TXT implements Resolver.
func (f *Fake) TXT(ctx context.Context, name string) (Texts, error) {
	r, at, err := f.find(ctx, "TXT", name)
	if err != nil {
		return Texts{}, err
	}
	if len(r.TXT) == 0 {
		return Texts{}, &Error{Name: name, Type: "TXT", Server: "fake", Err: ErrNoData}
	}
	return Texts{Name: at, Texts: slices.Clone(r.TXT[:min(len(r.TXT), MaxRecords)]), Meta: r.meta()}, nil
}
