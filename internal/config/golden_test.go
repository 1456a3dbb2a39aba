package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files and docs/manual/settings.md")

// golden compares got with a file, or with -update writes it.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n")); !bytes.Equal(got, want) {
		t.Errorf("%s is out of date; go test -update rewrites it:\n%s", file, LineDiff(want, got))
	}
}

// portable undoes what differs between operating systems in text that people read.
func portable(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte(quote(DefaultDataDirectory())), []byte(quote(unixData)))
	return bytes.ReplaceAll(text, []byte(`\\`), []byte("/"))
}

func mustParse(t testing.TB, src string) *Config {
	t.Helper()
	cfg, problems := Parse([]byte(src), "")
	if cfg == nil {
		t.Fatalf("the file does not parse:\n%s\n%s", problems, src)
	}
	return cfg
}

// inServer wraps lines into the virtual server.
func inServer(lines string) string { return "virtual_server \"default\" {\n" + lines + "\n}\n" }
