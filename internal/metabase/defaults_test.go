package metabase

import (
	"fmt"
	"strings"
	"testing"
)

// told returns the lines of the report on a property, with what each became.
func (r *Report) told(property string) []string {
	var out []string
	for part, lines := range map[string][]Line{"taken": r.Taken, "changed": r.Changed, "not taken": r.NotTaken} {
		for _, l := range lines {
			if l.Property == property {
				out = append(out, fmt.Sprintf("%s: %s = %s (%v)", part, l.Setting, l.Result, l.Inactive))
			}
		}
	}
	return out
}

// What a switch beside a setting says when it is absent is what the original's schema says, and is said first where mail then goes another
// way than one might think.
func TestSwitchesThatAreAbsent(t *testing.T) {
	for _, c := range []struct {
		name, property string
		server         attrs
		config         string // a line of the file
		line           string // the one line on the property
		attention      string
	}{
		{"smart host, no type", "SmartHost", attrs{"SmartHost": "h.example"}, `    #smart_host = ["h.example"]`,
			`changed: delivery.smart_host = ["h.example"] (true)`, "SmartHostType is absent, and 0 by default"},
		{"smart host, type 0", "SmartHost", attrs{"SmartHost": "h.example", "SmartHostType": "0"}, `    #smart_host = ["h.example"]`,
			`changed: delivery.smart_host = ["h.example"] (true)`, ""},
		{"smart host, type 2", "SmartHost", attrs{"SmartHost": "h.example", "SmartHostType": "2"}, `    smart_host = ["h.example"]`,
			`taken: delivery.smart_host = ["h.example"] (false)`, ""},
		{"smart host that cannot be", "SmartHost", attrs{"SmartHost": "[h", "SmartHostType": "2"}, `    #smart_host = ["[h"]`,
			`changed: delivery.smart_host = ["[h"] (true)`, "mail goes by DNS until"},
		{"masquerade, no switch", "MasqueradeDomain", attrs{"MasqueradeDomain": "m.example"}, `    #masquerade_domain = "m.example"`,
			`changed: delivery.masquerade_domain = "m.example" (true)`, "DoMasquerade is absent; the default of the original is FALSE"},
		{"masquerade, FALSE", "MasqueradeDomain", attrs{"MasqueradeDomain": "m.example", "DoMasquerade": "FALSE"}, `    #masquerade_domain = "m.example"`,
			`changed: delivery.masquerade_domain = "m.example" (true)`, ""},
		{"masquerade, TRUE", "MasqueradeDomain", attrs{"MasqueradeDomain": "m.example", "DoMasquerade": "TRUE"}, `    masquerade_domain = "m.example"`,
			`taken: delivery.masquerade_domain = "m.example" (false)`, ""},
		{"masquerade, damaged", "MasqueradeDomain", attrs{"MasqueradeDomain": "m.example", "DoMasquerade": "ja"}, `    #masquerade_domain = "m.example"`,
			`changed: delivery.masquerade_domain = "m.example" (true)`, "DoMasquerade = ja"},
		{"limit, no switch", "MaxOutConnections", attrs{"MaxOutConnections": "10"}, `    outbound_limit = "unlimited"`,
			`changed: connections.outbound_limit = "unlimited" (false)`, ""},
		{"limit, FALSE", "MaxOutConnections", attrs{"MaxOutConnections": "10", "LimitRemoteConnections": "FALSE"}, `    outbound_limit = "unlimited"`,
			`changed: connections.outbound_limit = "unlimited" (false)`, ""},
		{"limit, TRUE", "MaxOutConnections", attrs{"MaxOutConnections": "10", "LimitRemoteConnections": "TRUE"}, `    outbound_limit = 10`,
			`taken: connections.outbound_limit = 10 (false)`, ""},
		{"port", "RemoteSmtpPort", attrs{"RemoteSmtpPort": "2525"}, `    outbound_port = 2525`, `taken: connections.outbound_port = 2525 (false)`, ""},
		{"port above all", "RemoteSmtpPort", attrs{"RemoteSmtpPort": "70000"}, `    outbound_port = 25`, `not taken:  =  (false)`, `"70000" is no port`},
		{"port 0", "RemoteSmtpPort", attrs{"RemoteSmtpPort": "0"}, `    outbound_port = 25`, `not taken:  =  (false)`, `"0" is no port`},
		{"port -1", "RemoteSmtpPort", attrs{"RemoteSmtpPort": "-1"}, `    outbound_port = 25`, `not taken:  =  (false)`, `"-1" is no port`},
		{"port in words", "RemoteSmtpPort", attrs{"RemoteSmtpPort": "smtp"}, `    outbound_port = 25`, `not taken:  =  (false)`, `"smtp" is no number`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, r := imports(t, c.server)
			if !strings.Contains(string(r.Config), "\n"+c.config+"\n") {
				t.Errorf("the file is\n%s\nwithout %s", r.Config, c.config)
			}
			if got := r.Report.told(c.property); len(got) != 1 || got[0] != c.line {
				t.Errorf("the report has %q, want %q", got, c.line)
			}
			attends(t, r, c.attention)
		})
	}
}

// A next hop that is this server, by its name or an address that it listens on, is said.
func TestNextHopsThatAreThisServer(t *testing.T) {
	for _, c := range []struct {
		bindings, host, port string
		itself               bool
	}{
		{"10.0.0.1:2525:", "[10.0.0.1]:2525", "25", true}, {"10.0.0.1:2525:", "10.0.0.1", "2525", true}, {"10.0.0.1:2525:", "10.0.0.1", "25", false},
		{"10.0.0.1:25:", "Relay.corp.example", "25", true}, {"10.0.0.1:25:", "relay.corp.example:26", "25", false},
		{":25:", "127.0.0.1", "25", true}, {":25:", "[127.0.0.1]:2525", "25", false}, {":25:", "localhost", "25", true},
		{":25:", "10.0.0.1", "25", false}, {"10.0.0.1:25:", "127.0.0.1", "25", false}, {":25:", "other.example, 127.0.0.1", "25", true},
	} {
		_, r := imports(t, attrs{"ServerBindings": c.bindings, "SmartHost": c.host, "SmartHostType": "2", "RemoteSmtpPort": c.port, "FullyQualifiedDomainName": "relay.corp.example"},
			keyElement("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain/a.example", attrs{"RouteAction": "2", "RouteActionString": c.host}))
		said := strings.Join(r.Report.Attention, "\n")
		for _, setting := range []string{"delivery.smart_host is this server itself", `domain["a.example"].route is this server itself`} {
			if strings.Contains(said, setting) != c.itself {
				t.Errorf("%+v: it says %q", c, said)
			}
		}
	}
}

// Text around the one element is no MetaBase.xml.
func TestTextAroundTheFile(t *testing.T) {
	whole := sample(t, "minimal.xml")
	_, body, _ := strings.Cut(whole, "?>")
	for src, want := range map[string]string{
		whole + "\n\n\tjunk":       `there is text behind </configuration>, where none can be: "junk"`,
		whole + "<!-- x --> &amp;": `text behind </configuration>, where none can be: "&"`, whole + "&": `what stands behind </configuration> is not whole`,
		"<?xml version=\"1.0\"?>junk" + body:   `line 1: there is text before <configuration>, where none can be: "junk"`,
		whole + "\n <!-- kept by hand -->\r\n": "",
	} {
		_, err := Import(strings.NewReader(src), Options{})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q…: got %v, want %q", src, err, want)
		}
	}
}
