package cli

import (
	"io"
	"os"
	"path/filepath"
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
