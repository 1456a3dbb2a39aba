package config

import (
	"strings"
	"testing"
)

// A setting that another change leaves no place for is told, and not beside the removal of its whole block.
func TestDiffTellsSettingsThatGo(t *testing.T) {
	parse := func(domain string) *Config {
		t.Helper()
		cfg, problems := Parse([]byte("version = 1\nvirtual_server \"default\" {\n  domain \"corp.test\" {\n    kind = \"default\"\n  }\n"+domain+"}\n"), "/x.hcl")
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		return cfg
	}
	alias := parse("  domain \"a.test\" {\n    kind = \"alias\"\n    stamp_header = true\n  }\n")
	for want, after := range map[string]*Config{
		`- virtual_server.default.domain["a.test"].stamp_header  (was true)`: parse("  domain \"a.test\" {\n    kind = \"remote\"\n  }\n"),
		`- virtual_server.default.domain["a.test"]`:                          parse(""),
	} {
		var out strings.Builder
		if err := WriteDiff(&out, Diff(alias, after)); err != nil {
			t.Fatal(err)
		}
		removed := ""
		for line := range strings.Lines(out.String()) {
			if strings.HasPrefix(line, "-") {
				removed += line
			}
		}
		if removed != want+"\n" {
			t.Errorf("removed: %q, want %q", removed, want)
		}
	}
}
