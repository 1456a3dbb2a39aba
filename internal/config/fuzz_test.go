package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func seeds(f *testing.F) [][]byte {
	f.Helper()
	files, err := filepath.Glob("testdata/*.hcl")
	if err != nil || len(files) == 0 {
		f.Fatal("no files in testdata: ", err)
	}
	all := [][]byte{nil, []byte("\ufeffversion = 1\r\n"), []byte(editFile)}
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, src)
	}
	return all
}

// FuzzParse: no input brings Parse down; it returns a configuration or an error, each error has
// a message, and what is shown of a configuration can be set again.
func FuzzParse(f *testing.F) {
	for _, src := range seeds(f) {
		f.Add(src)
	}
	for _, s := range []string{"x = " + strings.Repeat("[", 20), `x = "${"${a}"}"`, "x = <<A\n${b}\nA\n", "a \"b\" c {", "version = 1e99999",
		"version = -1", "a = b.c[*].d ? 1 : 2", "\xff\xfe", "virtual_server \"default\" {\n access {\n relay {\n list = [,]\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos)
		if n, _ := tokensAtMost(src); n+1 < len(tokens) {
			t.Fatalf("counted as %d parts, and there are %d", n, len(tokens))
		}
		cfg, problems := Parse(src, "f.hcl")
		if (cfg == nil) != problems.HasErrors() {
			t.Fatalf("configuration %v with %v", cfg, problems)
		}
		for _, p := range problems {
			if p.Message == "" || p.Line < 0 || strings.ContainsAny(p.String(), "\n\x00") {
				t.Fatalf("%+v", p)
			}
		}
		if cfg == nil {
			return
		}
		if len(Diff(cfg, cfg)) != 0 {
			t.Fatal("differs from itself")
		}
		for _, s := range Show(cfg) {
			if s.Origin.From != FromFile || s.Value == "" {
				continue
			}
			if _, f := parseLiteral(s.Value); f != nil {
				t.Fatalf("%s = %s: %s", s.Path, s.Value, f.message)
			}
		}
	})
}

// FuzzSet: an edit does what it says or nothing at all. After a setting is set to what it has
// now, nothing differs; after any edit that succeeds, all other settings that the file sets are
// equal, and no comment is lost but by what was taken out.
func FuzzSet(f *testing.F) {
	edits := []string{"connections.inbound_limit=5", "access.relay.list+=192.0.2.9", "access.relay.list-=192.0.2.1", "description=a b",
		`domain["example.org"].kind=alias`, `binding["*:25"].profile=internet`, "data_directory=/x", "dns.servers=192.0.2.1,192.0.2.2",
		"delivery.remote.retry_intervals+=5m", "access.relay.list=192.0.2.3,192.0.2.4"}
	for i, src := range seeds(f) {
		for j := range 3 {
			f.Add(src, edits[(i*3+j)%len(edits)])
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, text string) {
		e, err := ParseEdit(text)
		if err != nil {
			return
		}
		before, had := Parse(src, "")
		out, _, err := Apply(src, "", e)
		if err != nil {
			var invalid *InvalidError
			if out != nil || errors.As(err, &invalid) && !invalid.Problems.HasErrors() {
				t.Fatalf("%v with a file", err)
			}
			return
		}
		after, problems := Parse(out, "")
		if added := problems.Beyond(had); len(added) > 0 {
			t.Fatalf("the result is wrong: %s\n%s", added, out)
		}
		if after == nil {
			return
		}
		p, err := resolve(new(Schema()), e.Path)
		if err != nil {
			t.Fatal(err)
		}
		if before == nil {
			return
		}
		now := setValues(after)
		for path, value := range setValues(before) {
			if !strings.HasPrefix(path, p.path) && now[path] != value {
				t.Fatalf("%s = %s became %s by %s\n%s", path, value, now[path], text, out)
			}
		}
		if e.Op == OpAppend && strings.Count(string(out), "#") < strings.Count(string(src), "#") {
			t.Fatalf("a comment is gone:\n%s", out)
		}
		again, _, err := Apply(out, "", Edit{Op: OpSet, Path: e.Path, Value: after.valueAt(p.path)})
		if err != nil {
			t.Fatalf("set again to %s: %v\n%s", after.valueAt(p.path), err, out)
		}
		final, _ := Parse(again, "")
		if d := Diff(after, final); len(d) > 0 {
			t.Fatalf("set again: %+v", d)
		}
	})
}
