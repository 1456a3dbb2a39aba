package service

import (
	"net/netip"
	"testing"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/route"
)

// A domain with a route has the next hop that people write, "[192.0.2.7]:25", unless its entry sets terms: the limit of
// connections of the site is none.
func TestRouteTermsAreThoseOfTheEntry(t *testing.T) {
	for setting, want := range map[string]string{
		"":                      "[192.0.2.7]:25",
		"max_connections = 100": "[192.0.2.7]:25",
		"max_connections = 3":   "[192.0.2.7]:25 connections=3",
		"send_helo = true":      "[192.0.2.7]:25 helo",
	} {
		cfg, problems := config.Parse([]byte(`version = 1
virtual_server "default" {
  connections {
    outbound_per_domain = 100
  }
  domain "corp.test" {
    kind = "default"
  }
  domain "far.test" {
    kind  = "remote"
    route = ["[192.0.2.7]"]
    `+setting+`
  }
}
`), "/x.hcl")
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		table, err := route.New(routeOptions(&cfg.VirtualServers[0], "corp.test", func(netip.Addr) bool { return false }, nil))
		if err != nil {
			t.Fatal(err)
		}
		hop, err := table.Hop("far.test")
		if err != nil || hop == nil || hop.Key != want {
			t.Errorf("%q: %+v, %v; want %q", setting, hop, err, want)
		}
	}
}
