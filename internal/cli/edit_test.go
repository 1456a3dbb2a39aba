package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/mailroot/mailroot/internal/config"
)

// TestChangedMeanwhile: a change by somebody else between reading and writing stays, and has an exit
// code of its own.
func TestChangedMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mailroot.hcl")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("version = 1\n")
	e := &env{Streams: Streams{Out: io.Discard, Err: io.Discard}, ctx: t.Context(), configPath: path}
	err := e.editBy(func(*config.Config, config.Problems) ([]config.Edit, error) {
		write("version = 1 # by hand\n")
		return []config.Edit{{Op: config.OpSet, Path: "fqdn", Value: "relay.test"}}, nil
	})
	if code := exitCode(err); code != ExitChanged {
		t.Errorf("exit code %d: %v", code, err)
	}
	if src, err := os.ReadFile(path); err != nil || string(src) != "version = 1 # by hand\n" {
		t.Errorf("%v: %s", err, src)
	}
}

// Commands that change the domain list at the same time wait for one another: each change is made.
func TestDomainsAtTheSameTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mailroot.hcl")
	if err := os.WriteFile(path, []byte("version = 1\nvirtual_server \"default\" {\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			e := &env{Streams: Streams{Out: io.Discard, Err: io.Discard}, ctx: t.Context(), configPath: path}
			add := domainAdd{Name: fmt.Sprintf("d%d.example", i), Kind: "remote", Settings: []string{"tls=required"}}
			if err := add.Run(e); err != nil {
				t.Errorf("%s: %v", add.Name, err)
			}
		})
	}
	all.Wait()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.Parse(src, path)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		name := fmt.Sprintf("d%d.example", i)
		if !slices.ContainsFunc(cfg.VirtualServers[0].Domains, func(d config.Domain) bool { return d.Name == name && d.TLS == config.OutboundRequired }) {
			t.Errorf("%s is missing in\n%s", name, src)
		}
	}
}
