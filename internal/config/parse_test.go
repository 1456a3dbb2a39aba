package config

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// TestBroken: all that is wrong is told at once, each with line, path, value and what would be
// right.
func TestBroken(t *testing.T) {
	for _, name := range []string{"broken", "contradictions", "syntax"} {
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(filepath.Join("testdata", name+".hcl"))
			if err != nil {
				t.Fatal(err)
			}
			cfg, problems := Parse(src, name+".hcl")
			if cfg != nil {
				t.Error("the file is accepted")
			}
			for _, p := range problems.Errors() {
				if p.Line == 0 || p.Message == "" {
					t.Errorf("without line or message: %+v", p)
				}
			}
			if strings.Contains(problems.String(), "secret word") {
				t.Error("a secret is shown")
			}
			got := []byte(problems.String() + "\n")
			if name == "contradictions" { // it names folders
				got = portable(got)
			}
			golden(t, filepath.Join("testdata", name+".golden"), got)
		})
	}
}

// TestFull reads a file that sets all that can be set.
func TestFull(t *testing.T) {
	src, err := os.ReadFile("testdata/full.hcl")
	if err != nil {
		t.Fatal(err)
	}
	cfg, problems := Parse(src, "")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	v := cfg.Server("default")
	if v == nil || v.DefaultDomain() != "example.com" || v.Bindings[0].Profile != ProfileInternet {
		t.Fatalf("%+v", v)
	}
	ip := netip.MustParseAddr
	for _, c := range []struct{ got, want any }{
		{cfg.DNS.Servers, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53"), netip.MustParseAddrPort("[2001:db8::53]:5353")}},
		{v.Bindings[1].IP, ip("2001:db8::1")},
		{v.Bindings[1].Port, uint16(465)},
		{v.Connections.InboundLimit, 0},
		{v.Connections.InboundTimeout, 90 * time.Second},
		{v.Connections.InboundPerAddress, 15},
		{v.Connections.InboundPerNetwork, 40},
		{v.Messages.MaxSize, int64(10 << 20)},
		{v.Messages.MaxPerConnection, 0},
		{v.Delivery.SmartHost, []mail.Host{{Name: "smtp.example.com", Port: 587}, {Addr: ip("192.0.2.7")},
			{Addr: ip("192.0.2.8"), Port: 2525}, {Addr: ip("2001:db8::7")}}},
		{v.Delivery.Remote.RetryIntervals, []time.Duration{time.Minute, time.Minute, 36 * time.Hour}},
		{v.Delivery.Remote.ExpireAfter, time.Duration(0)},
		{v.Delivery.Local.DelayNoticeAfter, 4 * time.Hour},
		{v.Delivery.Remote.DelayNoticeAfter, time.Duration(0)},
		{v.Messages.NDROriginalSize, int64(0)},
		{v.Messages.NDRCopyTo, mail.Address{Local: "reports", Domain: "example.com"}},
		{v.Domains[0].Name, "example.com"},
		{v.Domains[2].TLS, OutboundOff},
		{v.Domains[3].TLS, OutboundRequired},
		{v.Domains[3].MaxConnections, 20},
		{v.Access.Relay.List, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.0.0.0/8"),
			netip.MustParsePrefix("203.0.113.9/32"), netip.MustParsePrefix("203.0.113.10/32")}},
		{v.Protocol.Postmaster, mail.Address{Local: "mailadmin", Domain: "example.com"}},
		{v.Protocol.MinDataRate, int64(0)},
		{v.Badmail, Badmail{MaxAge: 90 * 24 * time.Hour, MaxSize: 10 << 30, WarnSize: 2 << 30}},
		{v.Drop, Drop{Quota: 22 << 20, Recipients: []string{"Sales", "info@EXAMPLE.org"}}},
		{v.Delivery.MasqueradeDomain, "example.com"},
		{v.Domains[1].StampHeader, true},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
	for _, s := range Show(cfg) {
		if s.Inactive == "" && s.Origin.From == FromDefault && !strings.Contains(s.Path, "binding") && !strings.Contains(s.Path, `["partner.test"]`) {
			t.Errorf("%s is not set in the file that sets all", s.Path)
		}
	}
	var b bytes.Buffer
	if err := WriteShow(&b, Show(cfg)); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/full.show.golden", portable(b.Bytes()))
}

// TestDerived: values that are left out follow those they depend on; only two that are set can
// contradict each other (product: "Settings").
func TestDerived(t *testing.T) {
	type limits struct{ perDomain, size, session int }
	for src, want := range map[string]limits{
		``:                                       {100, 2048, 10240},
		"connections {\n outbound_limit = 30\n}": {30, 2048, 10240},
		"connections {\n outbound_limit = \"unlimited\"\n}":                               {100, 2048, 10240},
		"connections {\n outbound_per_domain = 0\n}":                                      {0, 2048, 10240},
		"connections {\n outbound_per_domain = 600\n}":                                    {600, 2048, 10240},
		"messages {\n max_size = \"20MB\"\n}":                                             {100, 20480, 20480},
		"messages {\n max_size = \"4MB\"\n}":                                              {100, 4096, 10240},
		"messages {\n max_size = \"unlimited\"\n}":                                        {100, 0, 0},
		"messages {\n max_size = \"unlimited\"\n max_session_size = \"1MB\"\n}":           {100, 0, 1024},
		"messages {\n max_session_size = \"1MB\"\n}":                                      {100, 1024, 1024},
		"messages {\n max_session_size = 0\n}":                                            {100, 2048, 0},
		"messages {\n max_size = \"1MB\"\n max_session_size = \"1MB\"\n}":                 {100, 1024, 1024},
		"connections {\n outbound_limit = 5\n outbound_per_domain = 5\n}\n messages {\n}": {5, 2048, 10240},
	} {
		v := mustParse(t, inServer(src)).Server("default")
		got := limits{v.Connections.OutboundPerDomain, int(v.Messages.MaxSize / 1024), int(v.Messages.MaxSessionSize / 1024)}
		if got != want {
			t.Errorf("%s: got %v, want %v", src, got, want)
		}
	}
	_, problems := Parse([]byte("version = 1\n"+inServer("connections {\n outbound_per_domain = 600\n}")), "")
	if problems.HasErrors() || len(problems) != 1 {
		t.Errorf("above a default is a warning: %v", problems)
	}
}

// TestDefault checks the defaults of the product that no golden file shows in their types.
func TestDefault(t *testing.T) {
	c := Default()
	v := c.Server("default")
	if len(c.VirtualServers) != 1 || v.Name != "default" || len(v.Bindings) != 1 {
		t.Fatalf("%+v", c)
	}
	if b := v.Bindings[0]; b.Address != "*:25" || b.IP.IsValid() || b.Port != 25 || b.TLS != TLSStartTLS || b.Profile != ProfileInternal {
		t.Errorf("binding %+v", b)
	}
	if a := v.Access.Authentication; len(a) != 1 || a[0] != "anonymous" {
		t.Errorf("authentication in force: %v", a)
	}
	if v.DefaultDomain() != "" || !v.Protocol.Postmaster.IsNull() || v.FQDN != "" {
		t.Error("names that follow the host are not empty")
	}
	if v.Access.Relay.Mode != ListOnly || len(v.Access.Relay.List) != 0 {
		t.Error("the empty configuration relays")
	}
	if v.Access.ConnectionControl.Mode != ListAllExcept || len(v.Access.ConnectionControl.List) != 0 {
		t.Error("not everybody may connect")
	}
	if v.Protocol.MinDataRate != 500 || v.Protocol.MinDataGrace != 30*time.Second || v.Connections.InboundTimeout != 600*time.Second {
		t.Error("rate or time-out")
	}
	if want := filepath.Join(DefaultDataDirectory(), "default", "Queue"); v.Folders.Queue != want {
		t.Errorf("queue in %s, want %s", v.Folders.Queue, want)
	}
}

// TestForms: what a file may look like besides its settings.
func TestForms(t *testing.T) {
	const lines = "version = 1\nvirtual_server \"default\" {\n  description = \"x\"\n}\n"
	for name, src := range map[string]string{
		"byte order mark": "\ufeff" + lines,
		"CRLF":            strings.ReplaceAll(lines, "\n", "\r\n"),
		"no newline":      strings.TrimSuffix(lines, "\n"),
		"comments":        "// a\n/* b\n c */\n# d\n" + lines + "# e",
		"one line":        `virtual_server "default" { description = "x" }`,
	} {
		cfg, problems := Parse([]byte(src), "")
		if cfg == nil || cfg.Server("default").Description != "x" {
			t.Errorf("%s: %v", name, problems)
		}
	}
	for name, src := range map[string]string{
		"empty": "", "blank": " \n\n", "comment": "# nothing", "only a byte order mark": "\ufeff",
	} {
		cfg, problems := Parse([]byte(src), "")
		if cfg == nil || len(problems) != 1 || !strings.Contains(problems.String(), "warning: version: is missing; add version = 1") || !reflect.DeepEqual(cfg.VirtualServers, Default().VirtualServers) {
			t.Errorf("%s: is not the default: %v", name, problems)
		}
	}
}

// TestRefused: files that are none, or that a parser must not be let loose on.
func TestRefused(t *testing.T) {
	deep := strings.Repeat("[", 100_000)
	for name, c := range map[string]struct{ src, want string }{
		"larger than a file": {strings.Repeat("#", MaxFileSize+1), "larger than 16 MB"},
		"UTF-16":             {"\xff\xfev\x00e\x00", "UTF-16"},
		"nested lists":       {"x = " + deep, "nested"},
		"nested blocks":      {strings.Repeat("a {\n", 100_000), "nested"},
		"negations":          {"x = " + strings.Repeat("!", 100_000) + "true", "only literal values"},
		"minus signs":        {"x = " + strings.Repeat("-", 100_000) + "1", "only literal values"},
		"templates":          {"x = " + strings.Repeat(`"${`, 100_000), "only literal values"},
		"parentheses":        {"x = " + strings.Repeat("(", 100_000), "only literal values"},
		"conditions":         {"x = " + strings.Repeat("a ? b : ", 100_000), "only literal values"},
		"splats":             {"x = a" + strings.Repeat("[*]", 100_000), "only literal values"},
		"octets":             {"\x00\x01\x02\xff", "invalid"},
		"JSON":               {`{"version": 1}`, "line 1"},
		"many mistakes":      {strings.Repeat("x {\n}\n", 50_000), "49800 more problems"},
		"huge number":        {inServer("connections {\n inbound_limit = 1e1000000000\n}"), "line 3"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, problems := Parse([]byte(c.src), "")
			if cfg != nil || !strings.Contains(problems.String(), c.want) {
				t.Errorf("want %q among:\n%s", c.want, shorten(problems.String()))
			}
			if len(problems) > maxProblems+1 {
				t.Errorf("%d problems are told", len(problems))
			}
		})
	}
}

// TestLoad: relative paths start at the folder of the file; a missing file is an error.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mailroot.hcl")
	if err := os.WriteFile(file, []byte("data_directory = \"data\"\n"+inServer("folders {\n drop = \"../drop\"\n}")), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems, err := Load(file)
	if err != nil || cfg == nil {
		t.Fatal(err, problems)
	}
	if cfg.File() != file || cfg.DataDirectory != filepath.Join(dir, "data") {
		t.Errorf("file %s, data %s", cfg.File(), cfg.DataDirectory)
	}
	if f := cfg.Server("default").Folders; f.Drop != filepath.Join(filepath.Dir(dir), "drop") || f.Queue != filepath.Join(dir, "data", "default", "Queue") {
		t.Errorf("%+v", f)
	}
	if _, _, err := Load(filepath.Join(dir, "none.hcl")); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(file, bytes.Repeat([]byte(" "), MaxFileSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, problems, err := Load(file); err != nil || !problems.HasErrors() {
		t.Errorf("large file: %v %v", problems, err)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}

// TestR1Warnings: settings that make an open relay are allowed, and warned of with their line.
func TestR1Warnings(t *testing.T) {
	for lines, want := range map[string]int{
		"access {\n relay {\n list = [\n\"192.0.2.0/24\",\n\"0.0.0.0/0\",\n]\n}\n}": 7,
		"access {\n relay {\n list = [\"::/0\"]\n}\n}":                              5,
		"access {\n relay {\n\n mode = \"all_except\"\n}\n}":                        6,
		// All of a family in pieces, whatever their order and overlap.
		"access {\n relay {\n list = [\n\"0.0.0.0/1\",\n\"128.0.0.0/1\",\n]\n}\n}":                               6,
		"access {\n relay {\n list = [\n\"128.0.0.0/2\", \"192.0.0.0/2\",\n\"10.0.0.0/8\", \"0.0.0.0/1\"]\n}\n}": 7,
		"access {\n relay {\n list = [\n\"10.0.0.0/8\",\n\"8000::/1\", \"::/1\"]\n}\n}":                          7,
		"access {\n relay {\n list = [\"2000::/3\"]\n}\n}":                                                       5,
	} {
		cfg, problems := Parse([]byte("version = 1\n"+inServer(lines)), "")
		if cfg == nil || len(problems) != 1 || len(problems.Warnings()) != 1 || problems[0].Severity != SeverityWarning || problems[0].Line != want ||
			!strings.Contains(problems[0].Message, "open relay") {
			t.Errorf("%s:\n%v", lines, problems)
		}
	}
	for _, list := range []string{`"10.0.0.0/8"`, `"0.0.0.0/1"`, `"0.0.0.0/1", "128.0.0.0/2"`, `"0.0.0.0/1", "128.0.0.1", "192.0.0.0/2"`, `"2000::/4"`, `"4000::/2"`} {
		if _, problems := Parse([]byte("version = 1\n"+inServer("access {\n relay {\n list = ["+list+"]\n}\n}")), ""); len(problems) > 0 {
			t.Errorf("a closed list, %s: %v", list, problems)
		}
	}
}

// TestSocketPath: a path that no socket can have is refused before the service tries it.
func TestSocketPath(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a pipe has no such limit")
	}
	long := "/" + strings.Repeat("x", 120)
	if cfg, problems := Parse([]byte("data_directory = "+quote(long)), ""); cfg != nil || !strings.Contains(problems.String(), "control.socket") {
		t.Errorf("the derived path: %v", problems)
	}
	if cfg, problems := Parse([]byte("data_directory = "+quote(long)+"\ncontrol {\n socket = \"/run/m.sock\"\n}"), ""); cfg == nil {
		t.Errorf("a short one is set: %v", problems)
	}
}

// TestManyBlocks: a file at the limit of size is read in reasonable steps; all of it counts.
func TestManyBlocks(t *testing.T) {
	var b strings.Builder
	const n = 10_000
	for i := range n {
		fmt.Fprintf(&b, "domain \"d%d.example.org\" { kind = \"alias\" }\n", i)
	}
	if got := len(mustParse(t, inServer(b.String())).Server("default").Domains); got != n {
		t.Errorf("%d domains, want %d", got, n)
	}
}

// TestAllAtOnce: an error hides no other one, be it of the syntax, in a list or between two settings.
func TestAllAtOnce(t *testing.T) {
	const src = `version = 1
virtual_server "default" {
  messages {
    max_size = 20MB
    max_recipients = -7
  }
  connections {
    outbound_limit = 10
    outbound_per_domain = 100
  }
  folders {
    drop = "/srv/mail"
    queue = "/srv/mail/queue"
  }
  domain "a.example" {
    kind = "default"
  }
  domain "b.example" {
    kind = "default"
  }
  access {
    require_tls = true
    relay {
      list = ["10.0.0.0/33", "10.0.0.5/8", 5, null, word, "10.0.0.0/8"]
    }
  }
}
`
	told := func(problems Problems) (out []string) {
		for _, p := range problems.Errors() {
			out = append(out, fmt.Sprintf("%d %s %s", p.Line, strings.TrimPrefix(p.Path, "virtual_server.default."), p.Value))
		}
		return out
	}
	want := []string{
		"4 messages.max_size 20MB",
		"5 messages.max_recipients -7",
		"9 connections.outbound_per_domain 100",
		`12 folders.drop "/srv/mail"`,
		`19 domain["b.example"].kind "default"`,
		`24 access.relay.list "10.0.0.0/33"`,
		`24 access.relay.list "10.0.0.5/8"`,
		"24 access.relay.list 5",
		"24 access.relay.list null",
		"24 access.relay.list word",
	}
	cfg, problems := Draft([]byte(src), "")
	if got := told(problems); !slices.Equal(got, want) {
		t.Errorf("got\n%s\n%s", strings.Join(got, "\n"), problems)
	}
	if cfg == nil || cfg.Server(defaultServer).Connections.OutboundPerDomain != 100 {
		t.Error("the draft has not what was read")
	}
	if c, _ := Parse([]byte(src), ""); c != nil {
		t.Error("a file in error is a configuration")
	}
	// What is not there is told only when the whole file could be read: no certificate.
	want = slices.Insert(want[1:], 4, "22 access.require_tls true")
	_, problems = Parse([]byte(strings.Replace(src, "20MB", `"20MB"`, 1)), "")
	if got := told(problems); !slices.Equal(got, want) {
		t.Errorf("in one piece, got\n%s\n%s", strings.Join(got, "\n"), problems)
	}
}

// TestForeignOctets: octets that are no UTF-8 are kept in a comment, and refused in a value.
func TestForeignOctets(t *testing.T) {
	const src = "version = 1 # f\xfcr uns\n"
	out, problems, err := Apply([]byte(src), "", Edit{Op: OpSet, Path: "fqdn", Value: "relay.example.com"})
	if err != nil || len(problems) > 0 || !bytes.HasPrefix(out, []byte(src)) {
		t.Errorf("%v %v\n%q", err, problems, out)
	}
	if cfg, _ := Parse([]byte(inServer("description = \"f\xfcr\"")), ""); cfg != nil {
		t.Error("a value that is no UTF-8 is accepted")
	}
}
