package config

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// TestChecks: what one value, or two together, may not be, each with what is said of it; a want
// of "" is accepted without a word.
func TestChecks(t *testing.T) {
	for _, c := range []struct{ lines, want string }{
		{"fqdn = \"10.0.0.1\"", "an IP address is not a name; a name such as \"relay.example.com\" is expected"},
		{"fqdn = \"[2001:db8::1]\"", "an IP address is not a name"},
		{"fqdn = \"\"", "is empty; leave the line out for the default"},
		{"messages {\n max_recipients = \"off\"\n}", ""},
		{"messages {\n max_recipients = \"unlimited\"\n}", ""},
		{"messages {\n max_size = \"off\"\n max_session_size = \"off\"\n}", ""},
		{"messages {\n max_recipients = \"Off\"\n}", "did you mean \"unlimited\""},
		{"delivery {\n local {\n expire_after = \"unlimited\"\n}\n}", "did you mean \"off\""},
		// No preferred limit below an absolute one is a limit, which SIZE tells.
		{"messages {\n max_size = \"unlimited\"\n max_session_size = \"1MB\"\n}", ""},
		{"messages {\n max_size = \"2MB\"\n max_session_size = \"1MB\"\n}", "it cannot be below it"},
		{"connections {\n outbound_limit = 50\n outbound_per_domain = 0\n}", "outbound_per_domain = \"unlimited\": contradicts"},
		{"connections {\n outbound_limit = 0\n outbound_per_domain = 0\n}", ""},
		{"connections {\n outbound_per_domain = \"unlimited\"\n}", ""},
		{"domain \"bücher.de\" {\n kind = \"alias\"\n}\ndomain \"xn--bcher-kva.de\" {\n kind = \"alias\"\n}", "is the same domain as virtual_server.default.domain[\"bücher.de\"] (line 3)"},
		{"domain \"*.BÜCHER.de\" {\n kind = \"remote\"\n}\ndomain \"*.xn--bcher-kva.de\" {\n kind = \"remote\"\n}", "is the same domain"},
		{"domain \"*.bücher.de\" {\n kind = \"remote\"\n}\ndomain \"xn--bcher-kva.de\" {\n kind = \"remote\"\n}", ""},
		{"folders {\n drop = \"/srv/Queue/Drop\"\n queue = \"/srv/Queue\"\n}", "line 4: error: virtual_server.default.folders.drop"},
		{"folders {\n drop = \"/srv/Queue/Drop\"\n queue = \"/srv/Queue\"\n}", "this is within virtual_server.default.folders.queue"},
		{"folders {\n badmail = \"/srv/Mail\"\n queue = \"/srv/Mail/x/Queue\"\n}", "in this is virtual_server.default.folders.queue"},
		{"folders {\n badmail = \"/srv/Mail\"\n queue = \"/srv/Mail2\"\n}", ""},
		{"folders {\n drop = \"/srv/Mail\"\n pickup = \"/srv/Mail\"\n}", "the same is virtual_server.default.folders."},
		{"folders {\n drop = \"/srv/Mail\"\n pickup = \"/srv/Mail/in\"\n}", "each folder needs a place of its own"},
		{"folders {\n drop = \"" + DefaultDataDirectory() + "/default/Pickup\"\n}", "the same is virtual_server.default.folders.pickup"},
		{"folders {\n drop = \"/\"\n queue = \"/srv/Queue\"\n}", "in this is virtual_server.default.folders.queue"},
		{"folders {\n drop = \"//server/share\"\n}", "must be a folder of this computer"},
		{"folders {\n drop = \"\\\\\\\\server\\\\share\"\n}", "such as \"/srv/mailroot/Drop\""},
		{"folders {\n queue = \"~/Queue\"\n}", "~ stands for nothing here; write the whole path"},
		{"folders {\n logs = \"$HOME/Logs\"\n}", "$ stands for nothing here"},
		{"access {\n certificate = \"~/x.pem\"\n private_key = \"x.key\"\n}", "such as \"/etc/mailroot/relay.pem\""},
		{"folders {\n logs = \"./~logs\"\n}", ""},
		{"binding \"*:25\" {\n}\nbinding \"127.0.0.1:25\" {\n}", "*:25 listens on 127.0.0.1:25 too: virtual_server.default.binding[\"*:25\"] (line 3)"},
		{"binding \"127.0.0.1:25\" {\n}\nbinding \"*:25\" {\n}", "*:25 listens on 127.0.0.1:25 too, which is virtual_server.default.binding[\"127.0.0.1:25\"] (line 3)"},
		{"access {\n authentication = [\"anonymous\"]\n}", ""},
		{"domain \"a.example\" {\n kind = \"default\"\n}\ndrop {\n recipients = [\"sales\", \"x@A.example\"]\n}", ""},
		{"domain \"a.example\" {\n kind = \"default\"\n}\ndrop {\n recipients = [\"x@b.example\"]\n}", "b.example is no local domain of the list"},
		{"drop {\n recipients = [\"x@the-host.example\"]\n}", ""},
		{"drop {\n recipients = [\"*@a.example\"]\n}", "takes no *"},
		{"domain \"a.example\" {\n kind = \"default\"\n}\ndrop {\n recipients = [\"\\\"a b\\\"\", \"\\\"a@b\\\"@a.example\", \"\\\"a@b\\\"\"]\n}", ""},
		{"drop {\n recipients = [\"\\\"a\\\"b\\\"\"]\n}", "without brackets, quotes or blanks"},
		{"drop {\n recipients = [\"\\\"a\\tb\\\"\"]\n}", "holds a control character"},
		{"drop {\n recipients = [\"\"]\n}", "is empty"},
		{"drop {\n recipients = [\"a b\"]\n}", "without brackets, quotes or blanks"},
		{"domain \"a.example\" {\n kind = \"remote\"\n stamp_header = true\n}", "is only for domains with kind = \"alias\""},
		{"access {\n authentication = [\"anonymous\", \"basic\"]\n}", "\"basic\": not available in this version"},
		{"access {\n relay {\n list = [\"128.0.0.0/1\", \"0.0.0.0/1\"]\n}\n}", "[\"0.0.0.0/1\", \"128.0.0.0/1\"]: together all public IPv4 addresses"},
		{"access {\n connection_control {\n list = [\"128.0.0.0/1\", \"0.0.0.0/1\"]\n}\n}", "nobody of that family can connect"},
	} {
		_, problems := Parse([]byte("version = 1\n"+inServer(c.lines)), "")
		switch {
		case c.want == "" && len(problems) > 0:
			t.Errorf("%s\n%s", c.lines, problems)
		case !strings.Contains(problems.String(), c.want):
			t.Errorf("%s\ngot  %s\nwant %s", c.lines, problems, c.want)
		}
	}
	for _, dir := range []string{"~/mail", "//server/share", `\\\\server\\share`} {
		if cfg, _ := Parse([]byte("data_directory = \""+dir+"\""), ""); cfg != nil {
			t.Errorf("the data directory %s is accepted", dir)
		}
	}
}

// TestInactiveOnce: of a setting or block without engine that is told, whatever its value is.
func TestInactiveOnce(t *testing.T) {
	for _, src := range []string{
		"console {\n address = 5\n}", inServer("protocol {\n turn = 7\n}"), inServer("rates {\n interval = [\"x\"]\n}"),
		inServer("delivery {\n outbound_security {\n password = a.b\n}\n}"),
	} {
		_, problems := Parse([]byte("version = 1\n"+src), "")
		if len(problems) != 1 || !strings.Contains(problems[0].Message, notAvailable) {
			t.Errorf("%s\n%s", src, problems)
		}
	}
}

// TestSyntaxWords: what the parser complains of is told in words that say how to write it.
func TestSyntaxWords(t *testing.T) {
	for src, want := range map[string]string{
		"virtual_server = 5":              `write virtual_server "default" { … }, without =`,
		"dns = 5":                         "write dns { … }, without =",
		"strict_size true":                howToWrite,
		"25":                              howToWrite,
		"\"fqdn\" = 5":                    "a name has no quotes",
		"dns {\n timeout = \"1s\"":        "the } of this block is missing",
		"x = \"abc\n":                     closeText,
		"x = [\"a\" \"b\"]":               "a comma is missing between the entries",
		"x = [\"a\",":                     "a value is missing",
		"x = [\"a\"\n":                    "the ] of this list is missing",
		"x = 5, y = 6":                    "no comma is written behind a setting",
		"x = 5 y = 6":                     "a new line is missing",
		"dns {\n} control {\n}":           "behind } a new line is missing",
		"domain example.org {\n}":         howToWrite,
		"x = 'a'":                         "Single quotes",
		"x = \"C:\\mail\"":                `in quotes \ is written \\`,
		"x = )":                           "a value is true or false, a number",
		"dns { timeout = 1, servers = []": oneOnALine,
		"x = 20mb":                        `x = 20mb: a value with a unit is a text, and needs quotes (did you mean "20MB"?)`,
		"dns {\n timeout = 10 s\n}":       `line 2: error: dns.timeout = 10s: a value with a unit is a text, and needs quotes (did you mean "10s"?)`,
		"x = [5m, 1h]":                    `x = 5m: a value with a unit`,
	} {
		_, problems := Parse([]byte(src), "")
		if len(problems) == 0 || !strings.Contains(problems.String(), want) {
			t.Errorf("%s\ngot  %s\nwant %s", src, problems, want)
		}
	}
}

// TestDisplay: sizes and times are told as the file has them, or in the unit of the default.
func TestDisplay(t *testing.T) {
	const src = "messages {\n max_size = \"2MB\"\n max_session_size = 20971520\n}\n" +
		"connections {\n inbound_timeout = \"120s\"\n outbound_timeout = \"1d\"\n}\n" +
		"delivery {\n local {\n retry_intervals = [\"90s\", \"120m\"]\n}\n}"
	const other = "messages {\n max_size = \"4096KB\"\n}\ndelivery {\n local {\n expire_after = \"24h\"\n}\n}"
	cfg := mustParse(t, inServer(src))
	var b bytes.Buffer
	if err := WriteDiff(&b, append(Diff(Default(), cfg), Diff(cfg, mustParse(t, inServer(other)))...)); err != nil {
		t.Fatal(err)
	}
	const want = `~ connections.inbound_timeout = "120s"  (was "600s")
~ connections.outbound_timeout = "1d"  (was "600s")
~ messages.max_session_size = 20971520  (was "10240KB")
~ delivery.local.retry_intervals = ["90s", "120m"]  (was ["5m", "15m", "30m", "60m"])
~ connections.inbound_timeout = "600s"  (was "120s")
~ connections.outbound_timeout = "600s"  (was "1d")
~ messages.max_size = "4096KB"  (was "2MB")
~ messages.max_session_size = "10240KB"  (was 20971520)
~ delivery.local.retry_intervals = ["5m", "15m", "30m", "60m"]  (was ["90s", "120m"])
~ delivery.local.expire_after = "24h"  (was "off")
`
	if got := strings.ReplaceAll(b.String(), "virtual_server.default.", ""); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestAuthentication: the default is that of the product; what of it has an engine is in force,
// and the rest is shown as inactive.
func TestAuthentication(t *testing.T) {
	shown := func(cfg *Config) Shown {
		all := Show(cfg)
		i := slices.IndexFunc(all, func(s Shown) bool { return strings.HasSuffix(s.Path, "access.authentication") })
		return all[i]
	}
	s := shown(Default())
	if s.Value != `["anonymous", "basic", "integrated"]` || s.Note != `["anonymous"] in force; inactive: "basic", "integrated", not available in this version` {
		t.Errorf("the default: %+v", s)
	}
	set := mustParse(t, inServer("access {\n authentication = [\"anonymous\"]\n}"))
	if s := shown(set); s.Value != `["anonymous"]` || s.Note != "" {
		t.Errorf("set: %+v", s)
	}
	if d := Diff(Default(), set); len(d) > 0 {
		t.Errorf("to set what is in force changes %+v", d)
	}
	out, _, err := Apply(nil, "", edit(t, "access.authentication-=anonymous"))
	if err == nil {
		t.Errorf("no method at all is accepted:\n%s", out)
	}
}

// TestSameDomainEdit: an edit finds a domain however its name is written.
func TestSameDomainEdit(t *testing.T) {
	src := inServer("  domain \"bücher.de\" {\n    kind = \"alias\"\n  }")
	out, _, err := Apply([]byte(src), "", edit(t, `domain["XN--bcher-kva.de"].kind=remote`))
	if want := strings.Replace(src, "alias", "remote", 1); err != nil || string(out) != want {
		t.Errorf("%v\n%s", err, out)
	}
}
