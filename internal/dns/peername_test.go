package dns

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPeerName(t *testing.T) {
	addr := netip.MustParseAddr
	many := make([]string, 50)
	for i := range many {
		many[i] = "other.example.org"
	}
	zone := map[string]Records{
		"192.0.2.1":            {PTR: []string{"printer.example.org"}},
		"192.0.2.2":            {PTR: []string{"forged.example.com"}},
		"192.0.2.3":            {PTR: []string{"gone.example.org", "other.example.org", "Printer3.example.org."}},
		"192.0.2.4":            {PTR: append(many, "late.example.org")},
		"192.0.2.5":            {PTR: []string{"x y.example.org", "a\r\nb.example.org", strings.Repeat("a.", 5000)}},
		"192.0.2.6":            {PTR: []string{"broken.example.org"}},
		"192.0.2.8":            {Err: errors.New("the server failed")},
		"2001:db8::1":          {PTR: []string{"printer.example.org"}},
		"printer.example.org":  {Addrs: []netip.Addr{addr("192.0.2.9"), addr("192.0.2.1"), addr("2001:db8::1")}},
		"printer3.example.org": {Addrs: []netip.Addr{addr("192.0.2.3")}},
		"forged.example.com":   {Addrs: []netip.Addr{addr("198.51.100.1")}},
		"other.example.org":    {Addrs: []netip.Addr{addr("198.51.100.1")}},
		"late.example.org":     {Addrs: []netip.Addr{addr("192.0.2.4")}},
		"broken.example.org":   {Err: errors.New("the server failed")},
	}
	f := NewFake(zone)
	for _, c := range []struct {
		addr, want string
		err        error
		temporary  bool
	}{
		{"192.0.2.1", "printer.example.org", nil, false},
		{"::ffff:192.0.2.1", "printer.example.org", nil, false},
		{"2001:db8::1", "printer.example.org", nil, false},
		{"2001:db8::1%eth0", "printer.example.org", nil, false},
		{"192.0.2.2", "", ErrUnconfirmed, false},
		{"192.0.2.3", "printer3.example.org", nil, false},
		{"192.0.2.4", "", ErrUnconfirmed, false}, // only the first names are tried
		{"192.0.2.5", "", ErrNoData, false},      // R3: nothing of them is a name
		{"192.0.2.6", "", nil, true},
		{"192.0.2.7", "", ErrNotExist, false},
		{"192.0.2.8", "", nil, true},
	} {
		name, err := ConfirmName(t.Context(), f, addr(c.addr))
		if name != c.want || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v; want %q, %v", c.addr, name, err, c.want, c.err)
		}
		var e *Error
		if errors.As(err, &e) && e.Temporary() != c.temporary {
			t.Errorf("%s: temporary = %v (%v)", c.addr, e.Temporary(), err)
		}
		if got := PeerName(t.Context(), f, addr(c.addr)); got != c.want {
			t.Errorf("PeerName(%s) = %q", c.addr, got)
		}
	}
	if n := f.Asked("A", "other.example.org"); n > 2*(1+maxPeerNames) {
		t.Errorf("%d addresses looked up for one client", n)
	}
}

func TestPeerNameIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFake(map[string]Records{"192.0.2.1": {PTR: []string{"a.example.org"}, Delay: time.Hour}})
		start := time.Now()
		if name := PeerName(t.Context(), f, netip.MustParseAddr("192.0.2.1")); name != "" || time.Since(start) != PeerNameTimeout {
			t.Errorf("%q after %v", name, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start = time.Now()
		if name := PeerName(ctx, f, netip.MustParseAddr("192.0.2.1")); name != "" || time.Since(start) != 2*time.Second {
			t.Errorf("with the caller's limit: %q after %v", name, time.Since(start))
		}
	})
}
