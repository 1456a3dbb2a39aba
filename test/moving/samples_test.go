//go:build linux

package moving

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// does is what an importer's sample does for a client at 127.0.0.1.
type does struct {
	closed bool // it may not connect
	relays bool // it may send to other domains
	size   string
	local  string // a domain that is local; "": the default one alone
	// routes are next hops by recipient domain, as test route tells them.
	routes map[string]string
}

// samples says it of each sample that can be imported; one that is not here fails the test.
var samples = map[string]does{
	"minimal.xml":        {size: "33554432"},
	"setup.xml":          {size: "2097152"},
	"relay-only.xml":     {size: "2097152", relays: true},
	"relay-except.xml":   {closed: true},
	"auth-only.xml":      {closed: true},
	"lists-in-doubt.xml": {closed: true},
	"retry-old.txt":      {size: "10485760", relays: true, local: "alias.example", routes: map[string]string{"alias.example": "drop", "far.invalid": "far.invalid"}},
	"enum.txt":           {size: "33554432", routes: map[string]string{"far.invalid": "[192.0.2.25]:25"}},
	"enum-console.txt": {size: "2097152", local: "alias.example", routes: map[string]string{
		"alias.example": "drop", "partner.example": "[192.0.2.7]:25", "far.invalid": "[192.0.2.25]:25",
	}},
	"retry-old-alone.xml": {size: "2097152"},
	"limits.xml":          {size: "0"},
	"domains.xml": {size: "2097152", local: "old.example", routes: map[string]string{
		"corp.example": "drop", "old.example": "drop", "shop.example": "drop", "partner.example": "[192.0.2.7]:25", "a.example.net": "[192.0.2.8]:25",
		"legacy.example": "legacy.example:25 helo", "plain.example": "smtp.provider.example:25", "secure.example": "smtp.provider.example:25 tls=required",
		"example.net": "smtp.provider.example:25", "far.invalid": "smtp.provider.example:25", "flags.example": "mx.flags.example:25,mx2.flags.example:25",
	}},
	"names.xml": {size: "2097152", local: "other.example", routes: map[string]string{
		"srv01.corp.example": "drop", "other.example": "drop", "near.example": "drop", "partner.example": "mx.partner.example:2525", "far.invalid": "smtp.isp.example:25",
		"odd.example": "smtp.isp.example:25",
	}},
	"servers.xml":    {size: "33554432", routes: map[string]string{"far.invalid": "far.invalid"}},
	"security.xml":   {closed: true},
	"guards.xml":     {closed: true},
	"logs.xml":       {size: "2097152"},
	"windows.xml":    {size: "2097152"},
	"cycles.xml":     {size: "2097152"},
	"duplicates.xml": {size: "2097152"},
}

// Each sample that can be imported passes config check, starts, and does for clients what the old one did.
func TestSamples(t *testing.T) {
	dir := filepath.Join(harness.Repo(t), "internal", "metabase", "testdata")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, f := range files {
		ext := filepath.Ext(f.Name())
		name := strings.TrimSuffix(f.Name(), ext)
		if _, err := os.Stat(filepath.Join(dir, name+".hcl")); err != nil || ext != ".xml" && ext != ".txt" {
			continue
		}
		ran++
		t.Run(f.Name(), func(t *testing.T) {
			want, ok := samples[f.Name()]
			if !ok {
				t.Fatal("the table does not say what it does")
			}
			w := moveSample(t, filepath.Join(dir, f.Name()))
			w.does(want)
		})
	}
	if ran != len(samples) {
		t.Errorf("%d samples of %d", ran, len(samples))
	}
}

// moveSample imports a sample and starts what comes of it, on a port of the test. What it says of log formats, folders and so on stays.
func moveSample(t *testing.T, sample string) *world {
	t.Helper()
	dir := harness.Dir(t)
	file := filepath.Join(dir, "mailroot.hcl")
	port := harness.FreePort(t)
	s := harness.With(t, dir, file, harness.Binding{Port: port})
	report := harness.MustRun(t, nil, "", harness.Binary(t), "import", sample, "--out", file, "--data", dir)
	s.CLI("config", "check")
	labels := map[string]bool{}
	for line := range strings.Lines(s.CLI("config", "show", "binding")) {
		if _, rest, ok := strings.Cut(line, `binding["`); ok {
			label, _, _ := strings.Cut(rest, `"`)
			labels[label] = true
		}
	}
	s.CLI("config", "set", fmt.Sprintf(`binding["127.0.0.1:%d"].tls=starttls`, port), `dns.servers=["127.0.0.1:9"]`)
	for label := range labels {
		s.CLI("config", "unset", fmt.Sprintf("binding[%q]", label))
	}
	s.Start()
	return &world{Server: s, t: t, Report: report}
}

func (w *world) does(want does) {
	w.t.Helper()
	if want.closed {
		c, err := harness.Connect(w.Addr())
		if err != nil {
			w.t.Fatal(err)
		}
		defer c.Close()
		if text, err := c.Expect("banner", 554); err != nil || !strings.HasPrefix(text, "554 5.7.1 ") {
			w.t.Errorf("the banner is %q, %v", text, err)
		}
		return
	}
	c := w.from("127.0.0.1")
	if c.Keywords["SIZE"] != want.size {
		w.t.Errorf("SIZE %s, want %s", c.Keywords["SIZE"], want.size)
	}
	abroad := refused
	if want.relays {
		abroad = taken
	}
	var status struct {
		VirtualServers []struct {
			DefaultDomain string `json:"default_domain"`
		} `json:"virtual_servers"`
	}
	if err := json.Unmarshal([]byte(w.CLI("--json", "status")), &status); err != nil {
		w.t.Fatal(err)
	}
	local := status.VirtualServers[0].DefaultDomain
	w.ask(rcpt{"127.0.0.1", "x@" + local, taken}, rcpt{"127.0.0.1", "x@nowhere.invalid", abroad})
	if want.local != "" {
		w.ask(rcpt{"127.0.0.1", "x@" + want.local, taken})
	}
	w.send("x@" + local)
	w.WaitDrop(1)
	for domain, hop := range want.routes {
		var answer struct {
			NextHop string `json:"next_hop"`
		}
		if err := json.Unmarshal([]byte(w.CLI("--json", "test", "route", "x@"+domain)), &answer); err != nil || answer.NextHop != hop {
			w.t.Errorf("mail for %s goes to %q, want %q (%v)", domain, answer.NextHop, hop, err)
		}
	}
}
