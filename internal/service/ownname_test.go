package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/dns"
)

// TestOwnName: a name of the server that leads to none of its addresses is a warning, told soon after
// the start and after a reload; a look-up that hangs keeps nothing waiting.
func TestOwnName(t *testing.T) {
	zone := dns.NewFake(map[string]dns.Records{
		"here.corp.net":  {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("127.0.0.1")}},
		"there.corp.net": {Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
		"bare.corp.net":  {},
		"slow.corp.net":  {Delay: time.Hour},
		"down.corp.net":  {Err: errors.New("no answer")},
	})
	data := t.TempDir()
	configured := func(name string) *config.Config {
		src := fmt.Sprintf("version = 1\ndata_directory = %q\nvirtual_server \"default\" {\n fqdn = %q\n binding \"127.0.0.1:0\" {\n tls = \"none\"\n }\n}\n", filepath.ToSlash(data), name)
		cfg, problems := config.Parse([]byte(src), filepath.Join(data, "mailroot.hcl"))
		if cfg == nil {
			t.Fatal(problems)
		}
		return cfg
	}
	s, err := Open(t.Context(), configured("slow.corp.net"), Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Resolver: zone})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if w := s.Servers()[0].Warnings(); len(w) != 0 {
		t.Errorf("before the look-up: %q", w)
	}
	zone.Set("slow.corp.net", dns.Records{})
	for _, c := range []struct{ name, want string }{
		{"there.corp.net", "there.corp.net leads to 192.0.2.1, which is no address of this host"},
		{"here.corp.net", ""},
		{"none.corp.net", "none.corp.net has no address in DNS"},
		{"relay.test", ""}, // not asked for
		{"bare.corp.net", "bare.corp.net has no address in DNS"},
		{"down.corp.net", "down.corp.net cannot be looked up: A down.corp.net: no answer"},
	} {
		p := &plan{fqdn: c.name, resolver: zone}
		if got := p.ownNameWarning(t.Context()); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if n := zone.Asked("A", "relay.test"); n != 0 {
		t.Errorf("a name for tests was asked for %d times", n)
	}
}

// TestOwnNameFollowsReloads: the warning is of the name in force.
func TestOwnNameFollowsReloads(t *testing.T) {
	v := &Server{log: slog.New(slog.NewTextHandler(io.Discard, nil)), ownName: ownName{wake: make(chan struct{}, 1)}}
	zone := dns.NewFake(map[string]dns.Records{"here.corp.net": {Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}})
	v.plan.Store(&plan{fqdn: "none.corp.net", resolver: zone})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); v.watchOwnName(ctx) }()
	defer func() { cancel(); <-done }()
	for _, c := range []struct {
		name  string
		fault bool
	}{{"none.corp.net", true}, {"here.corp.net", false}, {"gone.corp.net", true}} {
		v.plan.Store(&plan{fqdn: c.name, resolver: zone})
		v.ownName.look()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			v.ownName.mu.Lock()
			known := v.ownName.name == c.name
			v.ownName.mu.Unlock()
			if known {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s was not looked up", c.name)
			}
		}
		if w := v.ownName.warn(c.name); (w != "") != c.fault {
			t.Errorf("%s: %q", c.name, w)
		}
	}
}
