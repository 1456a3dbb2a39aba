package config

import (
	"errors"
	"strings"
	"testing"
)

const editFile = `# head
version = 1 # the version

virtual_server "default" {
  description = "x"   # a name
  #fqdn = "relay.example.com"

  binding "*:25" { tls = "none" }

  connections {
    inbound_limit   = 10 # few
    # about time
    inbound_timeout = "60s"
  }
  access {
    relay {
      list = [
        # the printers
        "192.0.2.1", # first floor
        "192.0.2.2",
        # the scanners
        "192.0.2.3" # cellar
        # more to come
      ]
    }
    connection_control {
      list = ["198.51.100.1", /* why */ "198.51.100.2"]
    }
  }
  # our partner
  domain "example.org" {
    kind  = "remote"
    route = []
  }
}
`

// TestApply: each edit changes the lines told and no other.
func TestApply(t *testing.T) {
	for _, c := range []struct {
		name string
		edit string // as for ParseEdit, or "unset PATH", "add PATH", "remove PATH"
		want string // the difference
	}{
		{"replace a number", "connections.inbound_limit=500", "-    inbound_limit   = 10 # few\n+    inbound_limit   = 500 # few\n"},
		{"a long path", "virtual_server.default.connections.inbound_limit = 500", "-    inbound_limit   = 10 # few\n+    inbound_limit   = 500 # few\n"},
		{"a word without quotes", "connections.inbound_limit=unlimited", "-    inbound_limit   = 10 # few\n+    inbound_limit   = \"unlimited\" # few\n"},
		{"a text", "description=Relay \"one\"", "-  description = \"x\"   # a name\n+  description = \"Relay \\\"one\\\"\"   # a name\n"},
		{"a text in quotes", `description="a # b"`, "-  description = \"x\"   # a name\n+  description = \"a # b\"   # a name\n"},
		{"a text like a number", "description=25", "-  description = \"x\"   # a name\n+  description = \"25\"   # a name\n"},
		{"in the order of the schema", "connections.outbound_limit=50", "+    outbound_limit  = 50\n"},
		{"behind what is commented out", "fqdn=mx.example.com", "+  fqdn        = \"mx.example.com\"\n"},
		{"at the top", "data_directory=/srv/mail", "+data_directory = \"/srv/mail\"\n"},
		{"in a block on one line", `binding["*:25"].profile=internet`,
			"-  binding \"*:25\" { tls = \"none\" }\n+  binding \"*:25\" {\n+    tls = \"none\"\n+    profile = \"internet\"\n+  }\n"},
		{"another way to write a label", `binding[":25"].tls=starttls`, "-  binding \"*:25\" { tls = \"none\" }\n+  binding \"*:25\" { tls = \"starttls\" }\n"},
		{"in a new block", "messages.max_size=10MB", "+  messages {\n+    max_size = \"10MB\"\n+  }\n"},
		{"in new blocks", "delivery.remote.max_retries=5", "+  delivery {\n+    remote {\n+      max_retries = 5\n+    }\n+  }\n"},
		{"in a new block at the top", "dns.servers=192.0.2.53", "+dns {\n+  servers = [\"192.0.2.53\"]\n+}\n+\n"},
		{"a new domain", `domain "example.net".kind=alias`, "+  domain \"example.net\" {\n+    kind = \"alias\"\n+  }\n"},
		{"a new binding", `add binding["127.0.0.1:2525"]`, "+  binding \"127.0.0.1:2525\" {\n+  }\n"},
		{"an empty list", `domain["example.org"].route+=192.0.2.9`, "-    route = []\n+    route = [\"192.0.2.9\"]\n"},
		{"append to a list of lines", "access.relay.list+=192.0.2.0/28,2001:db8::1",
			"-        \"192.0.2.3\" # cellar\n+        \"192.0.2.3\", # cellar\n+        \"192.0.2.0/28\",\n+        \"2001:db8::1\",\n"},
		{"append to a list on a line", "access.connection_control.list+=198.51.100.3",
			"-      list = [\"198.51.100.1\", /* why */ \"198.51.100.2\"]\n+      list = [\"198.51.100.1\", /* why */ \"198.51.100.2\", \"198.51.100.3\"]\n"},
		{"append to a default", "delivery.local.retry_intervals+=2h",
			"+  delivery {\n+    local {\n+      retry_intervals = [\"5m\", \"15m\", \"30m\", \"60m\", \"2h\"]\n+    }\n+  }\n"},
		{"remove a line", "access.relay.list-=192.0.2.1", "-        \"192.0.2.1\", # first floor\n"},
		{"remove by value", "access.relay.list-=192.0.2.2/32", "-        \"192.0.2.2\",\n"},
		{"remove the last line", "access.relay.list-=192.0.2.3", "-        \"192.0.2.3\" # cellar\n"},
		{"remove the first on a line", "access.connection_control.list-=198.51.100.1",
			"-      list = [\"198.51.100.1\", /* why */ \"198.51.100.2\"]\n+      list = [/* why */ \"198.51.100.2\"]\n"},
		{"remove the last on a line", "access.connection_control.list-=198.51.100.2",
			"-      list = [\"198.51.100.1\", /* why */ \"198.51.100.2\"]\n+      list = [\"198.51.100.1\"]\n"},
		{"set a list, entries that stay keep their comments", "access.relay.list=192.0.2.1,192.0.2.3,192.0.2.4",
			"-        \"192.0.2.2\",\n-        \"192.0.2.3\" # cellar\n+        \"192.0.2.3\", # cellar\n+        \"192.0.2.4\",\n"},
		{"set a list in another order", "access.connection_control.list=[\"198.51.100.2\", \"198.51.100.1\"]",
			"-      list = [\"198.51.100.1\", /* why */ \"198.51.100.2\"]\n+      list = [/* why */ \"198.51.100.2\", \"198.51.100.1\"]\n"},
		{"empty a list", "access.connection_control.list=", "-      list = [\"198.51.100.1\", /* why */ \"198.51.100.2\"]\n+      list = []\n"},
		{"unset", "unset connections.inbound_limit", "-    inbound_limit   = 10 # few\n"},
		{"unset a list", "unset access.relay.list", "-      list = [\n-        # the printers\n-        \"192.0.2.1\", # first floor\n-        \"192.0.2.2\",\n" +
			"-        # the scanners\n-        \"192.0.2.3\" # cellar\n-        # more to come\n-      ]\n"},
		{"unset on one line", `unset binding["*:25"].tls`, "-  binding \"*:25\" { tls = \"none\" }\n+  binding \"*:25\" {}\n"},
		{"remove a domain", `remove domain["EXAMPLE.org"]`, "-  domain \"example.org\" {\n-    kind  = \"remote\"\n-    route = []\n-  }\n"},
		{"remove a block", "remove connections", "-  connections {\n-    inbound_limit   = 10 # few\n-    # about time\n-    inbound_timeout = \"60s\"\n-  }\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, nl := range []string{"\n", "\r\n"} {
				src := "\ufeff" + strings.ReplaceAll(editFile, "\n", nl)
				out, _, err := Apply([]byte(src), "", edit(t, c.edit))
				if err != nil {
					t.Fatal(err)
				}
				if strings.Count(string(out), "\n") != strings.Count(string(out), nl) {
					t.Error("line ends are mixed")
				}
				if got := noPlaces(LineDiff([]byte(src), out)); strings.ReplaceAll(got, "\r", "") != c.want {
					t.Errorf("got\n%swant\n%s", got, c.want)
				}
			}
		})
	}
}

// edit reads an edit as the tests write it.
func edit(t testing.TB, s string) Edit {
	t.Helper()
	for word, op := range map[string]Op{"unset ": OpUnset, "add ": OpAddBlock, "remove ": OpRemoveBlock} {
		if path, ok := strings.CutPrefix(s, word); ok {
			return Edit{Op: op, Path: path}
		}
	}
	e, err := ParseEdit(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// noPlaces takes the lines out that say where a difference is.
func noPlaces(diff string) string {
	var b strings.Builder
	for line := range strings.Lines(diff) {
		if !strings.HasPrefix(line, "@@") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestApplyRefuses(t *testing.T) {
	for _, c := range []struct{ edit, want string }{
		{"connections.inbound_limt=5", "did you mean inbound_limit"},
		{"inbound_limit=5", "belongs in connections"},
		{"connections.inbound_limit=many", "a whole number"},
		{"connections.inbound_limit=0x10", "a whole number"},
		{"connections.inbound_limit+=5", "is no list"},
		{"connections=5", "is a block"},
		{"connections.inbound_limit.x=5", "nothing can follow"},
		{"add connections.inbound_limit", "is a setting"},
		{"add connections", "there already"},
		{"remove messages", "not in the file"},
		{"remove domain", `domain["example.org"]`},
		{"unset fqdn", "not set in the file"},
		{"unset version", "carries the version"},
		{"unset connectoins", "did you mean connections"},
		{"remove domain[\"a b\"]", "cannot stand in it"},
		{"domain.example.org.kind=alias", `did you mean virtual_server.default.domain["example.org"].kind?`},
		{"add domain.example.org", `did you mean virtual_server.default.domain["example.org"]?`},
		{"unset domain[\"example.org\"].kind", "is missing"},
		{"add domain[\"example.net\"]", "is missing"},
		{"domain[\"exa mple\"].kind=alias", "cannot stand in it"},
		{"domain[example.net].kind=alias", "needs quotes"},
		{"domain[\"example.net.kind=alias", "not a change"},
		{"domain[\"example.net\".kind=alias", "closing ]"},
		{"connections[\"x\"].inbound_limit=1", "has no label"},
		{"access.relay.list+=192.0.2.1", "already"},
		{"access.relay.list-=192.0.2.77", "no entry"},
		{"access.relay.list+=example.com", notAvailable},
		{"console.address=x", notAvailable},
		{"protocol.turn=true", notAvailable},
		{"delivery.outbound_security.auth=basic", notAvailable},
		{"virtual_server.two.description=x", notAvailable},
		{"access.require_tls=true", "needs access.certificate"},
		{"description=\xff", "UTF-8"},
		{"description=a\nb", "control character"},
		{"=5", "a name is missing"},
		{"connections..inbound_limit=5", "a name is missing"},
		{"connections inbound_limit=5", "a dot is missing"},
	} {
		e, err := ParseEdit(c.edit)
		if !strings.Contains(c.edit, "=") || strings.HasPrefix(c.edit, "unset") || strings.HasPrefix(c.edit, "add") {
			e, err = edit(t, c.edit), nil
		}
		var out []byte
		if err == nil {
			out, _, err = Apply([]byte(editFile), "", e)
		}
		if err == nil || out != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\n%s", c.edit, err, out)
		}
	}
	if _, err := ParseEdit("connections"); err == nil {
		t.Error("an edit without = is accepted")
	}
}

// TestApplyChecksTheWhole: a file that is wrong elsewhere is not written, and several edits are
// judged together.
func TestApplyChecksTheWhole(t *testing.T) {
	var invalid *InvalidError
	if _, err := Set([]byte(inServer("x = 1")), "connections.inbound_limit", "many"); !errors.As(err, &invalid) || len(invalid.Problems) != 1 {
		t.Errorf("another error in a wrong file: %v", err)
	}
	if _, err := Set([]byte("x = \n}"), "fqdn", "a.example.com"); !errors.As(err, &invalid) {
		t.Errorf("a broken file: %v", err)
	}
	if _, err := Set([]byte("x = "+strings.Repeat("[", 1000)), "fqdn", "a.example.com"); !errors.As(err, &invalid) {
		t.Errorf("a nested file: %v", err)
	}
	if _, err := Set(make([]byte, MaxFileSize+1), "fqdn", "a.example.com"); !errors.As(err, &invalid) {
		t.Errorf("a large file: %v", err)
	}
	out, warnings, err := Apply(nil, "",
		edit(t, "version=1"), edit(t, "access.require_tls=true"), edit(t, "access.certificate=/a.pem"), edit(t, "access.private_key=/a.key"),
		edit(t, `domain["example.org"].route=[192.0.2.7]:25`), edit(t, `domain["example.org"].kind=remote`),
		edit(t, `access.relay.list+=0.0.0.0/0`))
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 {
		t.Errorf("warnings: %v", warnings)
	}
	const want = `
version = 1

virtual_server "default" {
  domain "example.org" {
    kind = "remote"
    route = ["[192.0.2.7]:25"]
  }
  access {
    certificate = "/a.pem"
    private_key = "/a.key"
    require_tls = true
    relay {
      list = ["0.0.0.0/0"]
    }
  }
}
`
	if got := string(out); got != want[1:] {
		t.Errorf("got\n%s", got)
	}
}

// TestListStyles: lists that people write in other ways.
func TestListStyles(t *testing.T) {
	for _, c := range []struct{ list, edit, want string }{
		{`["192.0.2.1", ]`, "+=192.0.2.2", `["192.0.2.1", "192.0.2.2" ]`},
		{"[\n]", "+=192.0.2.2", "[\n    \"192.0.2.2\",\n  ]"},
		{"[\n    # none\n  ]", "+=192.0.2.2", "[\n    # none\n    \"192.0.2.2\",\n  ]"},
		{"[ /* none */ ]", "+=192.0.2.2", `["192.0.2.2" /* none */ ]`},
		{"[\"192.0.2.1\",\n    \"192.0.2.2\"]", "+=192.0.2.3", "[\"192.0.2.1\",\n    \"192.0.2.2\", \"192.0.2.3\"]"},
		{"[\"192.0.2.1\",\n    \"192.0.2.2\"]", "-=192.0.2.2", `["192.0.2.1"]`},
		{"[\"192.0.2.1\",\n    \"192.0.2.2\"]", "-=192.0.2.1", `["192.0.2.2"]`},
		{"[\n    \"192.0.2.1\", \"192.0.2.2\",\n    \"192.0.2.3\",\n  ]", "-=192.0.2.2", "[\n    \"192.0.2.1\",\n    \"192.0.2.3\",\n  ]"},
		{"[\n    \"192.0.2.1\", \"192.0.2.2\",\n    \"192.0.2.3\",\n  ]", "-=192.0.2.1", "[\n    \"192.0.2.2\",\n    \"192.0.2.3\",\n  ]"},
		{`["192.0.2.1"]`, "-=192.0.2.1", `[]`},
		{`["192.0.2.1"]`, "=[]", `[]`},
		{`["192.0.2.1" /* a */ , "192.0.2.2"]`, "-=192.0.2.1", `["192.0.2.2"]`},
		// A comment before an entry on its line is of that entry; one at the end of a line, or
		// before the comma, of the entry before it.
		{`["192.0.2.1", /* b */ "192.0.2.2"]`, "-=192.0.2.1", `[/* b */ "192.0.2.2"]`},
		{`["192.0.2.1" /* a */, /* b */ "192.0.2.2" /* c */]`, "-=192.0.2.2", `["192.0.2.1" /* a */]`},
		{"[\"192.0.2.1\", \"192.0.2.2\", # two\n    \"192.0.2.3\"]", "-=192.0.2.2", "[\"192.0.2.1\",\n    \"192.0.2.3\"]"},
		{"[\n    \"192.0.2.1\", \"192.0.2.2\" // two\n  ]", "-=192.0.2.2", "[\n    \"192.0.2.1\",\n  ]"},
		{"[\n    \"192.0.2.1\", // one\n    \"192.0.2.2\" // two\n  ]", "-=192.0.2.2", "[\n    \"192.0.2.1\", // one\n  ]"},
		{"[\n    \"192.0.2.1\", /* one\n    more */\n    \"192.0.2.2\"\n  ]", "-=192.0.2.1", "[\n    \"192.0.2.2\"\n  ]"},
		{"[\n    # head\n    \"192.0.2.1\",\n  ]", "-=192.0.2.1", "[\n    # head\n  ]"},
		{"[\n    \"192.0.2.1\",\n  ]", "-=192.0.2.1", "[]"},
		{"[\"192.0.2.1\", # one\n    \"192.0.2.2\"]", "-=192.0.2.2", "[\"192.0.2.1\" # one\n  ]"},
		{"[\n    \"192.0.2.1\", \"192.0.2.2\",\n    \"192.0.2.3\",\n  ]", "-=192.0.2.1,192.0.2.2", "[\n    \"192.0.2.3\",\n  ]"},
		{`["192.0.2.1" /* a */]`, "+=192.0.2.2", `["192.0.2.1" /* a */, "192.0.2.2"]`},
		{`["192.0.2.1", /* a */ ]`, "+=192.0.2.2", `["192.0.2.1" /* a */, "192.0.2.2" ]`},
		// Set: what stays has its place and comment.
		{"[\n    \"192.0.2.1\", # one\n    # group\n    \"192.0.2.2\", # two\n    \"192.0.2.3\" # three\n  ]", "=192.0.2.1,192.0.2.3",
			"[\n    \"192.0.2.1\", # one\n    # group\n    \"192.0.2.3\" # three\n  ]"},
		{"[\n    \"192.0.2.1\", # one\n    \"192.0.2.2\", # two\n    \"192.0.2.3\" # three\n  ]", "=192.0.2.1,192.0.2.9,192.0.2.3",
			"[\n    \"192.0.2.1\", # one\n    \"192.0.2.9\",\n    \"192.0.2.3\" # three\n  ]"},
		{"[\n    \"192.0.2.1\", # one\n    \"192.0.2.2\", # two\n  ]", "=192.0.2.9,192.0.2.1,192.0.2.8,192.0.2.2,192.0.2.7",
			"[\n    \"192.0.2.9\",\n    \"192.0.2.1\", # one\n    \"192.0.2.8\",\n    \"192.0.2.2\", # two\n    \"192.0.2.7\",\n  ]"},
		{"[\n    # the first\n    \"192.0.2.1\", # one\n\n    # the second\n    /* b */ \"192.0.2.2\" /* two */,\n    \"192.0.2.3\" # three\n  ]", "=192.0.2.2,192.0.2.3,192.0.2.1",
			"[\n\n    # the second\n    /* b */ \"192.0.2.2\" /* two */,\n    \"192.0.2.3\", # three\n    # the first\n    \"192.0.2.1\", # one\n  ]"},
		{`["192.0.2.1", "192.0.2.2" /* two */]`, "=192.0.2.2,192.0.2.1", `["192.0.2.2" /* two */, "192.0.2.1"]`},
		{`["192.0.2.1", "192.0.2.2"]`, "=192.0.2.9,192.0.2.1,192.0.2.2", `["192.0.2.9", "192.0.2.1", "192.0.2.2"]`},
		{"[\n    \"192.0.2.1\", # one\n  ]", "=192.0.2.8,192.0.2.9", "[\n    \"192.0.2.8\",\n    \"192.0.2.9\",\n  ]"},
		{"[\"192.0.2.1\", # one\n    \"192.0.2.2\"]", "=192.0.2.2,192.0.2.1", "[\"192.0.2.2\", \"192.0.2.1\" # one\n  ]"},
		{"[ # all\n    \"192.0.2.1\",\n  ]", "=192.0.2.2", "[ # all\n    \"192.0.2.2\",\n  ]"},
	} {
		src := "virtual_server \"default\" {\n access {\n  relay {\n  list = " + c.list + "\n}\n}\n}\n"
		src = strings.Replace(src, "[\n]", "[\n  ]", 1)
		out, _, err := Apply([]byte(src), "", edit(t, "access.relay.list"+c.edit))
		if err != nil {
			t.Errorf("%s: %v", c.list, err)
			continue
		}
		_, got, _ := strings.Cut(string(out), "list = ")
		if got, _, _ = strings.Cut(got, "\n}"); got != c.want {
			t.Errorf("%s %s\ngot  %q\nwant %q", c.list, c.edit, got, c.want)
		}
	}
}
