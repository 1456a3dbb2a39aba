package config

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestInitFileGolden(t *testing.T) {
	for name, o := range map[string]InitOptions{
		"init": {},
		"init-loopback": {
			DataDirectory: ".", Bindings: []InitBinding{{Address: "127.0.0.1:2525", TLS: TLSNone}, {Address: "[::1]:2525"}},
			FQDN: "relay.example.test", DefaultDomain: "example.test", Relay: []string{"127.0.0.0/8", "::1"},
		},
	} {
		out, err := InitFile(o)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/"+name+".golden.hcl", bytes.ReplaceAll(out, []byte(quote(DefaultDataDirectory())), []byte(quote(unixData))))
		for i, line := range strings.Split(string(out), "\n") {
			if len([]rune(line)) > initWidth+10 || strings.HasSuffix(line, " ") {
				t.Errorf("%s, line %d: too long, or a blank at its end: %s", name, i+1, line)
			}
		}
	}
	if _, err := InitFile(InitOptions{Bindings: []InitBinding{{Address: "localhost"}}}); err == nil {
		t.Error("a wrong binding is accepted")
	}
}

// TestInitFileIsDefault: the first file means what an empty one means, and names every setting.
func TestInitFileIsDefault(t *testing.T) {
	out, err := InitFile(InitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := mustParse(t, string(out))
	if changes := Diff(Default(), cfg); len(changes) > 0 {
		t.Errorf("differs from the defaults: %v", changes)
	}
	values := func(c *Config) (all []string) {
		for _, s := range Show(c) {
			all = append(all, s.Path+" = "+s.Value+s.Inactive)
		}
		return all
	}
	if got, want := values(cfg), values(Default()); !slices.Equal(got, want) {
		t.Errorf("shows other values:\n%s", LineDiff([]byte(strings.Join(want, "\n")), []byte(strings.Join(got, "\n"))))
	}
	for _, n := range schemaNodes() {
		for i := range n.block.Settings {
			if name := n.block.Settings[i].Name; !strings.Contains(string(out), name+" = ") {
				t.Errorf("%s is not in the file", joinPath(n.path, name))
			}
		}
	}
}

// TestInitFileProperty: what the options say is in force, and all else has its default.
func TestInitFileProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z]{1,10}(\.[a-z]{1,10}){1,3}`)
		o := InitOptions{
			FQDN: name.Draw(t, "fqdn"), DefaultDomain: name.Draw(t, "domain"),
			DataDirectory: "/" + rapid.StringMatching(`[a-zA-Z0-9 "$%{}]{1,20}`).Draw(t, "directory") + "x",
			Relay:         rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"10.0.0.0/8", "::1", "192.0.2.7", "2001:db8::/32"}), 0, 4, rapid.ID).Draw(t, "relay"),
		}
		out, err := InitFile(o)
		if err != nil {
			t.Fatal(err)
		}
		cfg, problems := Parse(out, "")
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		v := cfg.Server("default")
		if v.FQDN != o.FQDN || v.DefaultDomain() != o.DefaultDomain || len(v.Access.Relay.List) != len(o.Relay) {
			t.Fatalf("%+v", v)
		}
		for _, c := range Diff(Default(), cfg) {
			if !strings.Contains(c.Path, "data_directory") && !strings.Contains(c.Path, "fqdn") && !strings.Contains(c.Path, "domain[") &&
				!strings.Contains(c.Path, "relay.list") && !strings.Contains(c.Path, "folders.") && c.Path != "control.socket" {
				t.Fatalf("%+v", c)
			}
		}
	})
}

// TestInitFileSet: after init, each setting can be set where it is commented out.
func TestInitFileSet(t *testing.T) {
	file, err := InitFile(InitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Show(Default()) {
		p, err := resolve(new(Schema()), s.Path)
		if err != nil {
			t.Fatal(err)
		}
		if s.Inactive != "" || strings.Contains(s.Path, "binding") || s.Path == "version" ||
			s.Path == "virtual_server.default.access.certificate" || s.Path == "virtual_server.default.access.private_key" ||
			s.Path == "virtual_server.default.access.require_tls" {
			continue
		}
		out, _, err := Apply(file, "", Edit{Op: OpSet, Path: s.Path, Value: p.setting.sample()})
		if err != nil {
			t.Errorf("%s: %v", s.Path, err)
			continue
		}
		lines := strings.Split(noPlaces(LineDiff(file, out)), "\n")
		if want := p.setting.Name + " = " + p.setting.sample(); len(lines) != 2 || strings.TrimSpace(lines[0][1:]) != want {
			t.Errorf("%s: %q", s.Path, lines)
		}
		if !strings.Contains(string(out), "#"+strings.TrimSpace(lines[0][1:])+"\n"+lines[0][1:]+"\n") {
			t.Errorf("%s: does not stand behind its comment", s.Path)
		}
	}
}

func TestDiff(t *testing.T) {
	const old = `
connections {
  outbound_limit = 50
}
domain "example.org" { kind = "alias" }
domain "partner.test" { kind = "remote" }
`
	const new = `
binding "127.0.0.1:25" {}
connections {
  outbound_limit = 80
  inbound_limit  = 1000
}
domain "partner.test" {
  kind  = "remote"
  route = ["192.0.2.7"]
}
domain "example.net" {
  kind = "remote"
  tls  = "required"
}
folders {
  drop = "/srv/Drop"
}
`
	a, b := mustParse(t, inServer(old)), mustParse(t, inServer(new))
	changes := Diff(a, b)
	var text bytes.Buffer
	if err := WriteDiff(&text, changes); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/diff.golden", portable(text.Bytes()))
	if !NeedsRestart(changes) {
		t.Error("a new drop folder needs a restart")
	}
	if len(Diff(a, a)) != 0 || len(Diff(b, mustParse(t, inServer(new)))) != 0 {
		t.Error("the same differs")
	}
	if live := Diff(a, mustParse(t, inServer(strings.Replace(old, "50", "60", 1)))); len(live) != 3 || NeedsRestart(live) {
		t.Errorf("a limit, and the two that follow it: %+v", live)
	}
	if same := Diff(mustParse(t, inServer("messages {\n max_size = \"2MB\"\n}")), Default()); len(same) != 0 {
		t.Errorf("another way to write a default: %+v", same)
	}
}

// TestJSON pins the names that programs read.
func TestJSON(t *testing.T) {
	_, problems := Parse([]byte("version = 1\nx = 1"), "a.hcl")
	for _, c := range []struct {
		v    any
		want string
	}{
		{problems, `[{"severity":"error","file":"a.hcl","line":2,"column":1,"path":"x","message":"there is no such setting"}]`},
		{Show(Default())[0], `{"path":"version","value":1,"origin":{"from":"default"}}`},
		{Show(mustParse(t, "version = 1"))[0], `{"path":"version","value":1,"origin":{"from":"file","line":1}}`},
		{Change{Path: "a", Kind: Changed, Old: "1", New: "2", Restart: true}, `{"path":"a","kind":"changed","old":"1","new":"2","restart":true}`},
	} {
		got, err := json.Marshal(c.v)
		if err != nil || string(got) != c.want {
			t.Errorf("%s %v, want %s", got, err, c.want)
		}
	}
}
