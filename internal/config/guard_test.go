package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// What a text is counted as is never less than what it is.
func TestTokensAtMost(t *testing.T) {
	for _, unit := range []string{"-", "1-", "1.", "a.", "$", `"$"`, `"\n"`, "\"\xff\"\n", "\"a\n", "\xff", "#\xff\n", "#x\n", "// x\n", "/", "/*", "*/", "\x00", "ä", "\"ä\\\\\"\n",
		"1a ", "<<A\n", "{}\n", "a={", "'", "`", "..", "1e1.", "\r\n", "\r", "\"${", "%{", "a = \"b\" # c\n", "list = [\"192.0.2.1\", \"a\\\"b\"]\n"} {
		src := []byte(strings.Repeat(unit, 500))
		tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos)
		if n, _ := tokensAtMost(src); n+1 < len(tokens) { // one is the end
			t.Errorf("%q: %d, and there are %d", unit, n, len(tokens))
		}
	}
}

// manyDomains is a configuration with remote domains, as the importer writes them.
func manyDomains(n int) []byte {
	var b strings.Builder
	b.WriteString("version = 1\nvirtual_server \"default\" {\n")
	for i := range n {
		fmt.Fprintf(&b, "  # RouteAction = 4098\n  domain \"d%d.customer.example\" {\n    kind = \"remote\"\n    # RouteActionString = [192.0.2.7]\n    route = [\"[192.0.2.7]\"]\n"+
			"    # The bit DOMAIN_RELAY: anybody may send mail for it.\n    allow_relay = true\n  }\n", i)
	}
	b.WriteString("}\n")
	return []byte(b.String())
}

// There is room for 50,000 domains with routes, and an end to it. What is left open does not make all that follows anything.
func TestRoom(t *testing.T) {
	n := 50_000
	if testing.Short() {
		n = 5_000
	}
	src := manyDomains(n)
	cfg, problems := Parse(src, "")
	if cfg == nil {
		t.Fatal(problems)
	}
	if got := len(cfg.Server("default").Domains); got != n {
		t.Errorf("%d domains of %d", got, n)
	}
	for name, c := range map[string]struct{ src, want string }{
		"too many parts": {strings.Repeat("{}\n", 1_500_000), "more words and signs"},
		"left open":      {"version = \"1\n" + strings.Repeat("# nothing\n", 400_000), "line 1: error: a text that begins in this line has no end in it"},
	} {
		if cfg, problems := Parse([]byte(c.src), ""); cfg != nil || !strings.Contains(problems.String(), c.want) {
			t.Errorf("%s: %s", name, problems)
		}
		if _, err := Set([]byte(c.src), "fqdn", "a.example"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the editor says %v", name, err)
		}
	}
}
