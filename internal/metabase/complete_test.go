package metabase

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// incomplete says what stands in a report twice, and which property of a tree does not stand in it.
func incomplete(tree *Tree, r *Report) (out []string) {
	seen, at := make(map[lineKey]bool), make(map[[2]string]int)
	for _, l := range slices.Concat(r.Taken, r.Changed, r.NotTaken, r.Unknown) {
		k := lineKey{l.Key, l.Property, l.Value, l.From}
		if seen[k] {
			out = append(out, "twice: "+l.left()+" at "+l.Key)
		}
		seen[k] = true
		at[[2]string{strings.ToLower(l.Key), l.Property}]++
	}
	for _, path := range slices.Sorted(maps.Keys(tree.keys)) {
		k := tree.keys[path]
		if !strings.HasPrefix(path, "/lm/smtpsvc") || isObject(k.Class) {
			continue
		}
		for _, p := range k.Props {
			here := at[[2]string{path, shown(p.Name)}]
			if above(k) { // it is told where it holds
				for other := range tree.keys {
					if strings.HasPrefix(other, path+"/") {
						here += at[[2]string{other, shown(p.Name)}]
					}
				}
			}
			if here == 0 && p.Name != "KeyType" {
				out = append(out, "not at all: "+p.Name+" = "+p.Value+" of "+k.Path)
			}
		}
	}
	return out
}

// Each property of each sample stands in the report, in one line.
func TestReportIsComplete(t *testing.T) {
	ran := 0
	for _, name := range samples(t) {
		tree, err := read(strings.NewReader(sample(t, name)), false)
		if err != nil {
			continue
		}
		r, err := convert(tree, options(name))
		if err != nil {
			continue
		}
		ran++
		for _, text := range incomplete(tree, r.Report) {
			t.Errorf("%s: %s", name, text)
		}
	}
	if ran < 12 {
		t.Errorf("only %d samples were looked at", ran)
	}
}

// All properties of the table at once, at each kind of key, stand in the report.
func TestReportHasTheWholeTable(t *testing.T) {
	all := func(value string) attrs {
		a := attrs{"NobodyKnowsIt": value}
		for _, p := range Properties() {
			a[p.Name] = value
		}
		return a
	}
	for _, k := range [][2]string{
		{"IIsSmtpServer", "/2"}, {"IIsSmtpServer", "/01"}, {"IIsSmtpInfo", "/Info"}, {"IIsObject", "/Other"}, {"IIsSmtpVirtualDir", "/1/ROOT"},
		{"IIsConfigObject", "/1/Domain"}, {"IIsSmtpDomain", "/1/Domain/a.example"}, {"IIsSmtpDomain", "/1/Domain/*"}, {"IIsSmtpDomain", "/1/Domain/*.b.example"},
		{"IIsSmtpDomain", "/1/Domain/bad..name"}, {"IIsSmtpDomain", "/01/Domain/c.example"}, {"IIsSmtpRoutingSource", "/1/RoutingSources"}, {"IIsSmtpSessions", "/1/Sessions"},
	} {
		for _, value := range []string{"", "0", "1", "2", "FALSE", "TRUE", "4198404", "4294967295", "x.example", "{FF16065B-DE82-11CF-BC0A-00AA006111E0}"} {
			src := "<configuration><MBProperty>" + keyElement("IIsSmtpService", serviceRoot, all(value)) + keyElement("IIsSmtpServer", serviceRoot+"/1", all(value)) +
				keyElement(k[0], serviceRoot+k[1], all(value)) + "</MBProperty></configuration>"
			if value == "1" { // as rows that hold for their own key alone
				src = regexp.MustCompile(`<(\w+) Location="([^"]*)"([^>]*)/>`).ReplaceAllStringFunc(src, func(key string) string {
					m := regexp.MustCompile(`^<(\w+) Location="([^"]*)"(.*)/>$`).FindStringSubmatch(key)
					rows := regexp.MustCompile(` (\w+)="([^"]*)"`).ReplaceAllString(m[3], `<Custom Name="$1" Value="$2" Attributes="NO_ATTRIBUTES"/>`)
					return "<" + m[1] + " Location=\"" + m[2] + "\">" + rows + "</" + m[1] + ">"
				})
			}
			tree, err := read(strings.NewReader(src), false)
			if err != nil {
				t.Fatal(err)
			}
			r, err := convert(tree, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range incomplete(tree, r.Report) {
				t.Errorf("%s, all of %q: %s", k[1], value, text)
			}
		}
	}
}

// line returns what a report says of a property, with its part in front.
func line(r *Report, key, property string) string {
	for part, lines := range map[string][]Line{"taken": r.Taken, "changed": r.Changed, "not taken": r.NotTaken, "unknown": r.Unknown} {
		for _, l := range lines {
			if l.Key == key && l.Property == property {
				text := part + ": " + l.Setting + " = " + l.Result
				for _, m := range l.More {
					text += ", " + m.Setting + " = " + m.Result
				}
				return text + " (" + l.Why + ")"
			}
		}
	}
	return ""
}

// What stands commented out is not told as taken, what became several settings names them all, and what is of no use says why.
func TestReportLines(t *testing.T) {
	const server, domain = "/LM/SmtpSvc/1", "/LM/SmtpSvc/1/Domain/a.example"
	for _, c := range []struct {
		server, domain attrs
		key, property  string
		want           string
	}{
		{attrs{"SmartHost": "[192.0.2.1]", "SmartHostType": "0"}, nil, server, "SmartHost", `changed: delivery.smart_host = ["[192.0.2.1]"] (SmartHostType is 0, so that the old service did not use it)`},
		{attrs{"MasqueradeDomain": "m.example", "DoMasquerade": "FALSE"}, nil, server, "MasqueradeDomain",
			`changed: delivery.masquerade_domain = "m.example" (DoMasquerade is FALSE, so that the old service did not use it)`},
		{attrs{"MaxSessionSize": "1048576", "MaxMessageSize": "2097152"}, nil, server, "MaxSessionSize", `changed: messages.max_session_size = "2MB" ` +
			`(the later service counted over the connection: messages.session_size_counts says so; it was below MaxMessageSize, which cannot be: both are "2MB")`},
		{nil, attrs{"RouteAction": "4198404"}, domain, "RouteAction",
			`taken: domain = "a.example" remote, domain["a.example"].allow_relay = true, domain["a.example"].send_helo = true, domain["a.example"].tls = "required" ()`},
		{nil, attrs{"RouteAction": "512", "AuthTurnList": "them"}, domain, "RouteAction",
			`changed: domain = "a.example" remote, domain["a.example"].etrn = true (etrn: not in this version: it needs ETRN and ATRN)`},
		{attrs{"RemoteRetryAttempts": "12", "RemoteRetryInterval": "30"}, nil, server, "RemoteRetryInterval", `changed: delivery.remote.retry_intervals = ["30m"] ` +
			`(counts where nothing of the later retry settings is in the file; else expire_after bounds the attempts)`},
		{nil, attrs{"HopCount": "3"}, domain, "HopCount", "not taken:  =  (it has no meaning at this key)"},
	} {
		_, r := imports(t, c.server, keyElement("IIsSmtpDomain", domain, c.domain))
		if got := line(r.Report, c.key, c.property); got != c.want {
			t.Errorf("%v %v:\ngot  %s\nwant %s", c.server, c.domain, got, c.want)
		}
	}
}

// Keys that are of no virtual server, and rows that are of no key, are told of.
func TestReportOfStrayKeys(t *testing.T) {
	_, r := imports(t, nil, keyElement("IIsSmtpServer", "/LM/SmtpSvc/01", attrs{"HopCount": "3"}), keyElement("IIsSmtpInfo", "/LM/SmtpSvc/Info", attrs{"LogModuleList": "x"}),
		"<Custom Name=\"HopCount\" ID=\"36886\" Value=\"9\"/>")
	if got := line(r.Report, "/LM/SmtpSvc/01", "HopCount"); got != "not taken:  =  (it has no meaning at this key)" {
		t.Errorf("/01: %s", got)
	}
	if got := line(r.Report, "/LM/SmtpSvc/Info", "LogModuleList"); !strings.HasPrefix(got, "not taken") {
		t.Errorf("/Info: %s", got)
	}
	if said := strings.Join(r.Report.Attention, "\n"); !strings.Contains(said, "/LM/SmtpSvc/01 looks like a virtual server") {
		t.Errorf("it says %q", said)
	}
	if odd := strings.Join(r.Report.Notes, "\n"); !strings.Contains(odd, "<Custom> row HopCount stands outside of any key") {
		t.Errorf("odd is %q", odd)
	}
}
