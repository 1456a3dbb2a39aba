package config

import (
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"pgregory.net/rapid"
)

// TestSetProperty makes random edits of real files, one after the other. After each the setting
// has the value, all others that the file sets have theirs, every comment is still there but
// those in lines that were taken out, and to undo the edit by its value gives the file's
// meaning back.
func TestSetProperty(t *testing.T) {
	first, err := InitFile(InitOptions{Bindings: []InitBinding{{Address: "127.0.0.1:2525"}}})
	if err != nil {
		t.Fatal(err)
	}
	full, err := os.ReadFile("testdata/full.hcl")
	if err != nil {
		t.Fatal(err)
	}
	bases := []string{"", editFile, string(first), string(full), strings.ReplaceAll(string(full), "\n", "\r\n")}
	values := map[string][]string{
		"data_directory":                        {"/a", `C:\Mail`, "relative dir"},
		"dns.servers":                           {"", "192.0.2.53", "192.0.2.53,[2001:db8::53]:5353"},
		"control.group":                         {"mail", "", `a "b" ${c}`},
		"description":                           {"x", "25", "true", "# no comment", `["a"]`, `"quoted"`, "ünï"},
		"fqdn":                                  {"relay.example.com", "a.b"},
		"connections.inbound_limit":             {"1", "0", "unlimited", "1000000"},
		"connections.outbound_timeout":          {"1s", "1d", "90s"},
		"messages.max_recipients":               {"1", "unlimited"},
		"messages.strict_size":                  {"true", "false"},
		"delivery.smart_host":                   {"", "a.example.com", "a.example.com:25,[192.0.2.1],b.example.com"},
		"delivery.remote.retry_intervals":       {"1m", "1m,1m,2m", `["5m", "1h"]`},
		"delivery.local.expire_after":           {"off", "2d"},
		"delivery.outbound_security.tls":        {"off", "opportunistic"},
		"access.connection_control.list":        {"", "192.0.2.1", "198.51.100.2,198.51.100.1", "198.51.100.1,198.51.100.2,::1"},
		"access.relay.list":                     {"", "192.0.2.1", "192.0.2.3,192.0.2.1", "192.0.2.1,192.0.2.3,10.0.0.0/8"},
		"protocol.min_data_rate":                {"off", "500", "1KB"},
		`domain["example.net"].kind`:            {"alias", "remote"},
		`domain["*.far.test"].kind`:             {"remote"},
		`binding["192.0.2.77:25"].profile`:      {"internet", "submission"},
		`virtual_server.default.protocol.voice`: {"plain", "classic"},
	}
	var paths []string
	for path := range values {
		paths = append(paths, path)
	}
	rapid.Check(t, func(t *rapid.T) {
		src := []byte(rapid.SampledFrom(bases).Draw(t, "file"))
		for range rapid.IntRange(1, 2).Draw(t, "edits") {
			path := rapid.SampledFrom(paths).Draw(t, "path")
			value := rapid.SampledFrom(values[path]).Draw(t, "value")
			src = setAndCheck(t, src, path, value)
		}
	})
}

func setAndCheck(t *rapid.T, src []byte, path, value string) []byte {
	before, problems := Parse(src, "")
	if before == nil {
		t.Fatal(problems)
	}
	out, _, err := Apply(src, "", Edit{Op: OpSet, Path: path, Value: value})
	if err != nil {
		if strings.Contains(err.Error(), "listens on 192.0.2.77:25 too") {
			return src // *:25, which is the default, and 192.0.2.77:25
		}
		t.Fatalf("%s=%s: %v\n%s", path, value, err, src)
	}
	after, _ := Parse(out, "")
	p, err := resolve(new(Schema()), path)
	if err != nil {
		t.Fatal(err)
	}
	if !after.isSet(p.path) {
		t.Fatalf("%s is not set\n%s", p.path, out)
	}
	now := setValues(after)
	for path, value := range setValues(before) {
		if got := now[path]; path != p.path && got != value {
			t.Fatalf("%s = %s became %s\n%s", path, value, got, out)
		}
	}
	if lost := comments(src) - comments(out); lost > 0 && !p.setting.Kind.List() {
		t.Fatalf("%d comments are gone\n%s", lost, out)
	}
	if p.setting.Kind.List() {
		keepsComments(t, src, out, p)
	}
	if crlf := strings.Count(string(out), "\r\n"); crlf > 0 && crlf != strings.Count(string(out), "\n") {
		t.Fatalf("line ends are mixed\n%q", out)
	}
	undo := Edit{Op: OpUnset, Path: path}
	if before.isSet(p.path) {
		undo = Edit{Op: OpSet, Path: path, Value: before.valueAt(p.path)}
	} else if p.setting.Required {
		undo = Edit{Op: OpRemoveBlock, Path: strings.TrimSuffix(path, "."+p.setting.Name)}
	}
	back, _, err := Apply(out, "", undo)
	if err != nil {
		t.Fatalf("undo %+v: %v\n%s", undo, err, out)
	}
	restored, _ := Parse(back, "")
	for _, c := range Diff(before, restored) {
		// To undo a setting leaves the block that was made for it.
		if !strings.HasPrefix(p.path, strings.TrimSuffix(c.Path, ".profile")) && c.Path != serverPath(defaultServer, `binding["*:25"]`) {
			t.Fatalf("%+v is left by %+v\n%s", c, undo, back)
		}
	}
	return out
}

// keepsComments checks that an entry of a list that is there before and after has its comment.
func keepsComments(t *rapid.T, src, out []byte, p *place) {
	now := make(map[string]string)
	for _, e := range listIn(t, out, p) {
		now[e.key] = strings.TrimSpace(e.lead) + strings.TrimSpace(e.mid) + strings.TrimSpace(e.trail)
	}
	for _, e := range listIn(t, src, p) {
		own := strings.TrimSpace(e.lead) + strings.TrimSpace(e.mid) + strings.TrimSpace(e.trail)
		if got, ok := now[e.key]; ok && got != own {
			t.Fatalf("the comment of %s was %q and is %q\n%s", e.key, own, got, out)
		}
	}
}

// listIn returns the entries that a file gives a list.
func listIn(t *rapid.T, src []byte, p *place) []entry {
	ed := &editor{root: new(Schema()), src: []byte(strings.TrimPrefix(string(src), "\ufeff"))}
	if err := ed.parse(); err != nil {
		t.Fatal(err)
	}
	if current := ed.listOf(p); current != nil {
		return ed.readList(p.setting, current).entries
	}
	return nil
}

func comments(src []byte) int {
	n := 0
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos)
	for _, t := range tokens {
		if t.Type == hclsyntax.TokenComment {
			n++
		}
	}
	return n
}

// setValues returns the values of all settings that the file sets.
func setValues(c *Config) map[string]string {
	values := make(map[string]string)
	for path, e := range flatten(c).entries {
		if !e.isBlock && !e.isDefault {
			values[path] = e.value
		}
	}
	return values
}
