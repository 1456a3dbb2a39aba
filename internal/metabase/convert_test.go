package metabase

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/config"
)

// attrs are the properties of a key.
type attrs map[string]string

// keyElement writes a key.
func keyElement(class, location string, a attrs) string {
	var b bytes.Buffer
	b.WriteString("<" + class + " Location=\"" + location + "\"")
	for _, name := range slices.Sorted(maps.Keys(a)) {
		b.WriteString(" " + name + "=\"")
		_ = xml.EscapeText(&b, []byte(a[name])) // to memory
		b.WriteString("\"")
	}
	b.WriteString("/>\n")
	return b.String()
}

// imports imports a virtual server and other keys.
func imports(t *testing.T, server attrs, more ...string) (*config.VirtualServer, *Result) {
	t.Helper()
	src := "<configuration><MBProperty>" + keyElement("IIsSmtpServer", "/LM/SmtpSvc/1", server) + strings.Join(more, "") + "</MBProperty></configuration>"
	r, err := Import(strings.NewReader(src), Options{DataDirectory: "/srv/mailroot"})
	if err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.Parse(r.Config, "")
	if cfg == nil {
		t.Fatalf("the file is in error:\n%s\n%s", problems, r.Config)
	}
	return cfg.Server("default"), r
}

// manyAddresses is one more than a list of the file can have.
func manyAddresses() string {
	var b strings.Builder
	for i := range maxList + 1 {
		fmt.Fprintf(&b, "10.0.%d.%d\n", i/256, i%256)
	}
	return b.String()
}

func prefixes(l config.AddressList) string {
	var out []string
	for _, p := range l.List {
		out = append(out, p.String())
	}
	return string(l.Mode) + " " + strings.Join(out, " ")
}

// letsIn checks who may relay and who may connect.
func letsIn(t *testing.T, v *config.VirtualServer, relay, connect string) {
	t.Helper()
	if got := prefixes(v.Access.Relay); got != relay {
		t.Errorf("relay: %q, want %q", got, relay)
	}
	if got := prefixes(v.Access.ConnectionControl); got != connect {
		t.Errorf("connections: %q, want %q", got, connect)
	}
}

// oldName begins what is said of each server that names neither itself nor its default domain.
const oldName = "the default domain of /LM/SmtpSvc/1 was the name of the old computer"

// attends checks that the report begins with something, or with nothing where want is "". Most servers of the tests have no name.
func attends(t *testing.T, r *Result, want string) {
	t.Helper()
	said := strings.Join(slices.DeleteFunc(slices.Clone(r.Report.Attention), func(s string) bool { return want != oldName && strings.HasPrefix(s, oldName) }), "\n")
	if (want == "") != (said == "") || !strings.Contains(said, want) {
		t.Errorf("it says %q, want %q", said, want)
	}
}

// What is not understood lets nobody in, and the report begins with that (R1).
func TestDoubtCloses(t *testing.T) {
	host := "255.255.255.255"
	hexed := func(deny, grant []group, names ...string) string {
		return hex.EncodeToString(build(deny, grant, names, nil))
	}
	const nobody, everybody = "only ", "all_except "
	for _, c := range []struct {
		name           string
		server         attrs
		relay, connect string
		attention      string // "" where nobody needs to look
	}{
		{"nothing is said", attrs{}, nobody, everybody, ""},
		{"empty lists", attrs{"RelayIpList": "", "IPSecurity": ""}, nobody, everybody, "IPSecurity of /LM/SmtpSvc/1 has nothing on it"},
		{"nothing in them", attrs{"RelayIpList": hexed(nil, nil), "IPSecurity": hexed(nil, nil)}, nobody, everybody, "IPSecurity of /LM/SmtpSvc/1 has nothing on it"},
		{"empty, but for an offset that leads elsewhere", attrs{"IPSecurity": oneAddress[:8] + oneAddress[:8] + oneAddress[16:]}, nobody, nobody, "two of its parts lie over each other"},
		{"empty, and others say something else", attrs{"IPSecurity": "", "GrantByDefault": "FALSE"}, nobody, nobody, "GrantByDefault says something else"},
		{"one address", attrs{"RelayIpList": oneAddress, "IPSecurity": oneAddress}, "only 127.0.0.1/32", "only 127.0.0.1/32", ""},
		{"in capitals, with blanks", attrs{"RelayIpList": strings.ToUpper(oneAddress[:40]) + " \n " + oneAddress[40:]}, "only 127.0.0.1/32", everybody, ""},
		{"all except", attrs{"RelayIpList": hexed([]group{{host, []string{"192.0.2.1"}}}, nil), "IPSecurity": hexed([]group{{host, []string{"192.0.2.1"}}}, nil)},
			"all_except 192.0.2.1/32", "all_except 192.0.2.1/32", "open relay"},
		{"all addresses", attrs{"RelayIpList": hexed(nil, []group{{"0.0.0.0", []string{"0.0.0.0"}}})}, "only 0.0.0.0/0", everybody, "open relay"},
		{"all addresses, in halves", attrs{"RelayIpList": hexed(nil, []group{{"128.0.0.0", []string{"0.0.0.0", "128.0.0.0"}}})}, "only 0.0.0.0/1 128.0.0.0/1", everybody,
			"the relay list of /LM/SmtpSvc/1 has all addresses on it (0.0.0.0/1, 128.0.0.0/1), as before: an open relay"},
		{"half of all addresses", attrs{"RelayIpList": hexed(nil, []group{{"128.0.0.0", []string{"128.0.0.0"}}})}, "only 128.0.0.0/1", everybody, ""},
		{"no digits", attrs{"RelayIpList": "everybody", "IPSecurity": "xyz"}, nobody, nobody, "RelayIpList"},
		{"half an octet", attrs{"RelayIpList": oneAddress[:len(oneAddress)-1], "IPSecurity": oneAddress + "0"}, nobody, nobody, "IPSecurity"},
		{"cut", attrs{"RelayIpList": oneAddress[:100], "IPSecurity": oneAddress[:100]}, nobody, nobody, "cannot be read for certain"},
		{"names are kept out", attrs{"RelayIpList": hexed(nil, nil, "spam.example"), "IPSecurity": hexed(nil, nil, "spam.example")}, nobody, nobody, "spam.example"},
		{"names are kept out that cannot be read", attrs{"RelayIpList": hexed(nil, nil, wideName("evil.example")), "IPSecurity": hexed([]group{{host, []string{"10.1.1.1"}}}, nil, wideName("evil.example"))},
			nobody, nobody, "it keeps out domain names (1), of which 0 are found"},
		{"a group without addresses is kept out", attrs{"RelayIpList": hexed([]group{{host, nil}}, nil), "IPSecurity": hexed([]group{{host, nil}}, nil)}, nobody, nobody, "a group that has no address"},
		{"octets behind those kept out", attrs{"IPSecurity": hexed([]group{{host, []string{"10.1.1.1"}}}, nil) + "00"}, nobody, nobody, "belong to no part of it"},
		{"names are let in that cannot be read", attrs{"IPSecurity": hex.EncodeToString(build(nil, []group{{host, []string{"127.0.0.1"}}}, nil, []string{wideName("good.example")}))},
			nobody, "only 127.0.0.1/32", "left out, as a configuration cannot have it: domain names that cannot be read (1)"},
		{"odd masks, let in", attrs{"RelayIpList": hexed(nil, []group{{"255.0.255.0", []string{"10.0.1.0"}}}), "IPSecurity": hexed(nil, []group{{"255.0.255.0", []string{"10.0.1.0"}}})},
			nobody, nobody, "255.0.255.0"},
		{"odd masks, kept out", attrs{"RelayIpList": hexed([]group{{"255.0.255.0", []string{"10.0.1.0"}}}, nil), "IPSecurity": hexed([]group{{"255.0.255.0", []string{"10.0.1.0"}}}, nil)},
			nobody, nobody, "cannot be read for certain"},
		{"in words", attrs{"IPDeny": "192.0.2.1, 255.255.255.255\n10.0.0.0, 255.0.0.0", "GrantByDefault": "TRUE"}, nobody, "all_except 192.0.2.1/32 10.0.0.0/8", ""},
		{"in words, only", attrs{"IPGrant": "192.0.2.1", "GrantByDefault": "FALSE"}, nobody, "only 192.0.2.1/32", ""},
		{"in words, names are let in", attrs{"IPGrant": "192.0.2.1", "DomainGrant": "corp.example", "GrantByDefault": "FALSE"}, nobody, "only 192.0.2.1/32", "corp.example"},
		{"in words, names are kept out", attrs{"DomainDeny": "spam.example", "GrantByDefault": "TRUE"}, nobody, nobody, "spam.example"},
		{"in words, both and no default", attrs{"IPGrant": "192.0.2.1", "IPDeny": "192.0.2.2"}, nobody, nobody, "grants and denies"},
		{"in words, more than a file can have", attrs{"IPDeny": manyAddresses()}, nobody, nobody, "too many entries"},
		{"in words, no address", attrs{"IPDeny": "somewhere"}, nobody, nobody, "is no address"},
		{"in words, nobody", attrs{"IPGrant": "", "GrantByDefault": "FALSE"}, nobody, nobody, ""},
		{"no anonymous mail", attrs{"AuthFlags": "AuthBasic", "IPSecurity": oneAddress}, nobody, nobody, "nobody may connect"},
		{"no method", attrs{"AuthFlags": "0"}, nobody, nobody, "nobody may connect"},
		{"a method that is not known", attrs{"AuthFlags": "AuthTelepathy"}, nobody, nobody, "nobody may connect"},
		{"clients with certificates alone", attrs{"AccessSSLFlags": "AccessSSL | AccessSSLNegotiateCert | AccessSSLRequireCert"}, nobody, nobody, "with certificates alone"},
		{"inside TLS alone", attrs{"AccessSSLFlags": "AccessSSL"}, nobody, nobody, "inside TLS alone"},
		{"anonymous mail too", attrs{"AuthFlags": "AuthAnonymous | AuthNTLM"}, nobody, everybody, "are anonymous now"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, r := imports(t, c.server)
			letsIn(t, v, c.relay, c.connect)
			attends(t, r, c.attention)
		})
	}
}

// A list, a logon or a permit that stands twice with different values opens nothing.
func TestTwiceIsDoubt(t *testing.T) {
	second := func(a attrs) string { return keyElement("IIsSmtpServer", "/LM/smtpsvc/1", a) }
	v, r := imports(t, attrs{"RelayIpList": oneAddress, "IPSecurity": oneAddress, "RelayForAuth": "1"},
		second(attrs{"RelayIpList": "", "IPSecurity": "", "RelayForAuth": "0"}))
	if got := prefixes(v.Access.Relay) + "; " + prefixes(v.Access.ConnectionControl); got != "only ; only " {
		t.Errorf("got %q", got)
	}
	if !bytes.Contains(r.Config, []byte("#authenticated = false")) {
		t.Error("authenticated clients may relay")
	}
	v, _ = imports(t, attrs{"AuthFlags": "AuthAnonymous"}, second(attrs{"AuthFlags": "AuthBasic"}))
	if got := prefixes(v.Access.ConnectionControl); got != "only " {
		t.Errorf("got %q", got)
	}
	v, _ = imports(t, attrs{"AuthFlags": "AuthAnonymous", "RelayIpList": oneAddress}, second(attrs{"AuthFlags": "AuthAnonymous", "RelayIpList": oneAddress}))
	if got := prefixes(v.Access.ConnectionControl) + "; " + prefixes(v.Access.Relay); got != "all_except ; only 127.0.0.1/32" {
		t.Errorf("the same twice: got %q", got)
	}
}

// Without DefaultDomain the default domain is the one that is marked so, else the name of the server; where there is none either, that is said (e1.xml).
func TestDefaultDomain(t *testing.T) {
	const named = "so that the default domain was the name of the server"
	for _, c := range []struct {
		name      string
		server    attrs
		action    string // of the domain marked.example; "": there is none
		want      string
		attention string
		report    string // a line of it
	}{
		{"both", attrs{"DefaultDomain": "Corp.Example", "FullyQualifiedDomainName": "srv.corp.example"}, "", "corp.example", "", "DefaultDomain = Corp.Example  ->  domain = \"corp.example\" default"},
		{"the name alone", attrs{"FullyQualifiedDomainName": "SRV.corp.example."}, "", "srv.corp.example", "", named},
		{"an empty one, and the name", attrs{"DefaultDomain": " ", "FullyQualifiedDomainName": "srv.corp.example"}, "", "srv.corp.example", "", named},
		{"the name, and one that is marked", attrs{"FullyQualifiedDomainName": "srv.corp.example"}, "65", "marked.example", "", "RouteAction = 65"},
		{"a name that no domain has", attrs{"FullyQualifiedDomainName": "SRV 01"}, "", "", "it is the host's DNS name", ""},
		{"the same", attrs{"FullyQualifiedDomainName": "SRV 01"}, "", "", "the server has that of this computer, until fqdn is set", ""},
		{"a name whose mail goes elsewhere", attrs{"FullyQualifiedDomainName": "Marked.example"}, "2", "marked.example", "marked.example, which is the name of the server, stands in the list as another", "domain = \"marked.example\" remote"},
		{"a name that is a local domain", attrs{"FullyQualifiedDomainName": "Marked.example"}, "1", "marked.example", "", named},
		{"a name with a dot", attrs{"DefaultDomain": "corp.example", "FullyQualifiedDomainName": "srv.corp.example."}, "", "corp.example", "", "fqdn = \"srv.corp.example\"\n"},
		{"neither", nil, "", "", oldName, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			domain := ""
			if c.action != "" {
				domain = keyElement("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain/marked.example", attrs{"RouteAction": c.action})
			}
			v, r := imports(t, c.server, domain)
			got := ""
			for _, d := range v.Domains {
				got += d.Name
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			attends(t, r, c.attention)
			says(t, r, c.report)
		})
	}
}

// says checks that the report has a text.
func says(t *testing.T, r *Result, want string) {
	t.Helper()
	var text strings.Builder
	if err := r.Report.Write(&text); err != nil || !strings.Contains(text.String(), want) {
		t.Errorf("%v: the report is\n%s\nwithout %q", err, &text, want)
	}
}

// A local domain with a folder of its own is said, and one that has that of the server is not (r5.xml).
func TestDropFolderOfItsOwn(t *testing.T) {
	for _, c := range []struct{ name, action, folder, attention string }{
		{"other.example", "1", `D:\other`, `mail for the local domain other.example of /LM/SmtpSvc/1 was put into a folder of its own (D:\other)`},
		{"other.example", "1", `c:/Mail/drop/`, ""},
		{"other.example", "1", "", ""},
		{"other.example", "16", "corp.example", ""},
		{"other.example", "1", `D:\a@b`, `(D:\a@b)`},
		{"corp.example", "65", `D:\other`, "mail for the local domain corp.example"},
		{"corp.example", "65", `C:\Mail\Drop`, ""},
		{"corp.example", "64", "", ""},
		{"corp.example", "33", " ", ""},
	} {
		_, r := imports(t, attrs{"DefaultDomain": "corp.example", "DropDirectory": `C:\Mail\Drop`},
			keyElement("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain/"+c.name, attrs{"RouteAction": c.action, "RouteActionString": c.folder}))
		attends(t, r, c.attention)
	}
}

// A name of a next hop is taken without the dot and the brackets that the old service let be (f3.xml, f5.xml).
func TestNextHops(t *testing.T) {
	const plain = "without brackets and without a dot"
	for _, c := range []struct{ in, want, report string }{
		{"smtp.isp.example.", "smtp.isp.example", plain}, {"[mail.example.com]", "mail.example.com", plain}, {"[mail.example.com.]:587", "mail.example.com:587", plain},
		{"a.example.:26; [10.0.0.5]", "a.example:26 [10.0.0.5]", plain}, {"[2001:db8::1]:26", "[2001:db8::1]:26", ""}, {"2001:db8::1", "[2001:db8::1]", ""},
		{"smtp.isp.example", "smtp.isp.example", ""}, {".", "", "Inactive"}, {"[]", "", "Inactive"}, {"[a.example", "", "Inactive"},
	} {
		v, r := imports(t, attrs{"DefaultDomain": "corp.example", "SmartHost": c.in, "SmartHostType": "2"},
			keyElement("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain/far.example", attrs{"RouteAction": "2", "RouteActionString": c.in}))
		smart, route := "", ""
		for _, h := range v.Delivery.SmartHost {
			smart = strings.TrimSpace(smart + " " + h.String())
		}
		for _, d := range v.Domains {
			for _, h := range d.Route {
				route = strings.TrimSpace(route + " " + h.String())
			}
		}
		if smart != c.want || route != c.want {
			t.Errorf("%q: got %q and %q, want %q", c.in, smart, route, c.want)
		}
		if c.report == "Inactive" {
			attends(t, r, "cannot be taken")
			continue
		}
		attends(t, r, "")
		says(t, r, c.report)
	}
}

// Recipients were looked up by LDAP where a server in force names a host or an account for it or has it switched on, not where there is what set-up writes.
func TestRoutingSources(t *testing.T) {
	setup := attrs{"SmtpDsBindType": "None", "SmtpDsFlags": "0", "SmtpDsUseCat": "0", "SmtpRoutingTableType": "ldap"}
	for _, c := range []struct {
		server    string
		more      attrs
		attention string
	}{
		{"1", nil, ""}, {"1", attrs{"SmtpDsHost": "", "SmtpDsAccount": " "}, ""}, {"2", attrs{"SmtpDsHost": "dc1.corp.example"}, "virtual server 2"},
		{"1", attrs{"SmtpDsHost": "dc1.corp.example"}, "recipients of /LM/SmtpSvc/1 were looked up by LDAP"}, {"1", attrs{"SmtpDsAccount": "cn=relay"}, "by LDAP"},
		{"1", attrs{"SmtpDsUseCat": "1"}, "by LDAP"}, {"1", attrs{"SmtpDsFlags": "0x10001"}, "by LDAP"}, {"1", attrs{"SmtpDsFlags": "x"}, "by LDAP"},
	} {
		a := maps.Clone(setup)
		maps.Copy(a, c.more)
		more := keyElement("IIsSmtpRoutingSource", "/LM/SmtpSvc/"+c.server+"/RoutingSources", a)
		if c.server == "2" {
			more += keyElement("IIsSmtpServer", "/LM/SmtpSvc/2", attrs{"ServerBindings": ":26:"})
		}
		_, r := imports(t, attrs{"DefaultDomain": "corp.example"}, more)
		attends(t, r, c.attention)
		if c.server == "2" && strings.Contains(strings.Join(r.Report.Attention, "\n"), "LDAP") {
			t.Errorf("a server that is commented out: it says %q", r.Report.Attention)
		}
	}
}

func TestDomains(t *testing.T) {
	domain := func(name, action, target string) string {
		a := attrs{"RouteAction": action}
		if target != "" {
			a["RouteActionString"] = target
		}
		return keyElement("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain/"+name, a)
	}
	v, r := imports(t, attrs{"DefaultDomain": "Corp.Example", "RouteAction": "4100"}, // SSL, and a DOMAIN_RELAY that is nobody's
		domain("corp.example", "1", ""),
		domain("alias.example", "16", ""),
		domain("partner.example", "4102", "[192.0.2.7]"),
		domain("clear.example", "4194306", "mx.clear.example:2525"),
		domain("*.corp.example", "2", "[192.0.2.8]"),
		domain("*.wide.example", "4098", "[192.0.2.8]"),
		keyElement("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain/silent.example", nil),
	)
	var got []string
	for _, d := range v.Domains {
		line := d.Name + " " + string(d.Kind)
		if d.Kind == config.KindRemote {
			for _, h := range d.Route {
				line += " " + h.String()
			}
			line += " " + string(d.TLS)
			if d.AllowRelay {
				line += " relay"
			}
			if d.SendHELO {
				line += " helo"
			}
		}
		got = append(got, line)
	}
	want := []string{"corp.example default", "alias.example alias", "partner.example remote [192.0.2.7] required relay",
		"clear.example remote mx.clear.example:2525 opportunistic helo", "*.corp.example remote [192.0.2.8] opportunistic",
		"*.wide.example remote [192.0.2.8] opportunistic relay", "silent.example remote required"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if v.Delivery.OutboundSecurity.TLS != config.OutboundRequired {
		t.Error("the bit SSL of the server is lost")
	}
	if !bytes.Contains(r.Config, []byte("#domain \"wide.example\" {")) || bytes.Contains(r.Config, []byte("#domain \"corp.example\" {")) {
		t.Error("the names behind *. are not as they should be")
	}
}

// One that is the default domain by its bit alone.
func TestDefaultDomainByBit(t *testing.T) {
	v, _ := imports(t, attrs{}, keyElement("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain/a.example", attrs{"RouteAction": "16"}),
		keyElement("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain/b.example", attrs{"RouteAction": "65"}))
	if v.DefaultDomain() != "b.example" || len(v.Domains) != 2 {
		t.Errorf("got %+v", v.Domains)
	}
}

// No secret of any name reaches the file, the report or the JSON, be it encrypted or in clear.
func TestSecrets(t *testing.T) {
	const mark = "5ec2e75ec2e7"
	server := attrs{"RouteAction": "268", "LogPluginClsid": "{FF16065B-DE82-11CF-BC0A-00AA006111E0}"}
	n := 0
	for _, p := range Properties() {
		if p.Secret {
			server[p.Name] = mark
			n++
		}
	}
	if n < 5 {
		t.Fatalf("the table has %d secrets", n)
	}
	server["SmartHost"], server["SmartHostType"] = "user:"+mark+"@smtp.example", "2"
	custom := "<IIsSmtpServer Location=\"/LM/SmtpSvc/1\">" +
		`<Custom ID="36906" Value="smtp://` + mark + `:` + mark + `@smtp.example"/>` +
		`<Custom Name="MyApiToken" Value="` + mark + `"/><Custom Name="Other" ID="7" Value="` + mark + `" Attributes="INHERIT | SECURE"/>` +
		`<Custom Name="UnknownName_36949" ID="36949" Value="` + mark + `"/><Custom ID="4010" Value="` + mark + `"/>` +
		`<Custom Name="ServerComment" Attributes="SECURE" Value="` + mark + `"/><Custom Name="HopCount" ID="36949" Value="` + mark + `"/><Custom Name="LogOdbcPassword" ID="6000" Value="` + mark + `"/>` +
		`<Custom Name="Foo" Value="user=x;PWD=` + mark + `;a=b"/><Custom Name="LogOdbcDataSource" Value="DSN=x;Password=` + mark + `"/>` +
		`<Custom Name="AccessSSLFlags" ID="6030" Value="` + mark + `" Attributes="SECURE"/></IIsSmtpServer>`
	_, r := imports(t, server, custom,
		keyElement("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain/a.example", attrs{"RouteAction": "266", "RoutePassword": mark, "RouteActionString": "mx.example"}),
		keyElement("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain/b.example", attrs{"RouteAction": "2", "RouteActionString": "u:" + mark + "@; x@" + mark + "@mx.example"}),
		keyElement("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain/c.example", attrs{"RouteAction": "0", "RouteActionString": mark + "@mx.example"}),
		keyElement("IIsSmtpRoutingSource", "/LM/SmtpSvc/1/RoutingSources", attrs{"SmtpDsPassword": mark, "SmtpDsHost": "ldap://u:" + mark + "@dc1.corp.example"}))
	var text bytes.Buffer
	if err := r.Report.Write(&text); err != nil {
		t.Fatal(err)
	}
	j, err := json.Marshal(r.Report)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"file": r.Config, "report": text.Bytes(), "JSON": j} {
		if bytes.Contains(b, []byte(mark)) {
			t.Errorf("a secret is in the %s", name)
		}
	}
	for _, name := range []string{"(secret)@smtp.example", "RoutePassword", "LogOdbcPassword", "AnonymousUserPass", "SmtpDsPassword", "AdminACL", "MyApiToken"} {
		if !bytes.Contains(text.Bytes(), []byte(name)) {
			t.Errorf("nothing is said of %s", name)
		}
	}
}

// The table is whole: each row has a name and an id of its own, leads to a setting that there is, and says why.
func TestTable(t *testing.T) {
	names, ids := map[string]bool{}, map[uint32]string{}
	root := config.Schema()
	for _, p := range Properties() {
		if key := strings.ToLower(p.Name); p.Name == "" || names[key] {
			t.Errorf("%q stands twice", p.Name)
		}
		names[strings.ToLower(p.Name)] = true
		if other := ids[p.ID]; p.ID != 0 && other != "" {
			t.Errorf("%s and %s have the id %d", other, p.Name, p.ID)
		}
		ids[p.ID] = p.Name
		if (p.Fate != Taken) != (p.Why != "") {
			t.Errorf("%s is %s: %q", p.Name, p.Fate, p.Why)
		}
		if (p.Setting == "") != (p.Fate == NotTaken) && !p.Secret {
			t.Errorf("%s is %s, and becomes %q", p.Name, p.Fate, p.Setting)
		}
		if p.Setting != "" && !exists(&root, "virtual_server."+p.Setting) {
			t.Errorf("%s becomes %s, which is not there", p.Name, p.Setting)
		}
	}
}

// exists reports whether the schema has a setting or block of that path.
func exists(b *config.Block, path string) bool {
	name, rest, more := strings.Cut(path, ".")
	for i := range b.Blocks {
		if b.Blocks[i].Name == name {
			return !more || exists(&b.Blocks[i], rest)
		}
	}
	return !more && slices.ContainsFunc(b.Settings, func(s config.Setting) bool { return s.Name == name })
}

// What the report says became of a property is what the table says that becomes of it.
func TestReportAgreesWithTable(t *testing.T) {
	table := newTable()
	for _, name := range []string{"security.xml", "domains.xml", "limits.xml", "logs.xml", "retry-old.txt", "duplicates.xml"} {
		r, err := Import(strings.NewReader(sample(t, name)), options(name))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range slices.Concat(r.Report.Taken, r.Report.Changed) {
			row := table.find(l.Property, l.ID)
			if row == nil || row.Fate == NotTaken {
				t.Errorf("%s: %s became %s = %s, and the table says %+v", name, l.Property, l.Setting, l.Result, row)
			}
		}
		for _, l := range r.Report.Changed {
			if l.Why == "" {
				t.Errorf("%s: why %s is changed is not said", name, l.Property)
			}
		}
	}
}

// Settings whose engine is missing, by themselves, by their block, or by their value, stand commented out with the reason.
func TestMissingIsCommentedOut(t *testing.T) {
	d := newDocument()
	v := d.top.block("virtual_server", "default")
	for _, c := range []struct {
		e    *entry
		want string
	}{
		{v.block("access", "").set("basic_domain", `"CORP"`), "needs authentication of clients"},
		{v.block("logging", "").block("odbc", "").set("dsn", `"X"`), "needs further log formats"},
		{v.block("logging", "").set("format", `"ncsa"`), `not in this version: "ncsa"`},
		{v.block("access", "").set("authentication", `["anonymous", "basic"]`), `not in this version: "basic"`},
		{v.set("fqdn", `"two words"`), "is not a host or domain name"},
		{v.block("delivery", "").set("smart_host", `["[not an address]"]`), "in brackets there is no IP address"},
		{v.block("logging", "").set("enabled", "true"), ""},
		{v.block("domain", "a.example").set("route", `["[192.0.2.1]"]`), ""},
	} {
		if (c.want == "") != (c.e.off == "") || !strings.Contains(c.e.off, c.want) {
			t.Errorf("%s: %q, want %q", c.e.path, c.e.off, c.want)
		}
	}
}

// Retries: which generation counts, and that only age ends the later one.
func TestRetries(t *testing.T) {
	enum := "[/SmtpSvc/1]\nRemoteRetryAttempts : (INTEGER) 5\nRemoteRetryInterval : (INTEGER) 10\n"
	for _, c := range []struct {
		name, src, want string
	}{
		{"old, in text", enum, "5 attempts, every [10m0s], notice 0s, expiry 0s"},
		{"old and later, in text", enum + "SmtpRemoteProgressiveRetry : (STRING) \"1,2\"\nSmtpRemoteNDRExpireMinutes : (INTEGER) 100\n", "66 attempts, every [1m0s 2m0s], notice 1h0m0s, expiry 1h40m0s"},
		{"neither, in text", "[/SmtpSvc/1]\nHopCount : (INTEGER) 15\n", "48 attempts, every [15m0s 30m0s 1h0m0s 4h0m0s], notice 1h0m0s, expiry 48h0m0s"},
		{"old, in XML", "<configuration><MBProperty>" + keyElement("IIsSmtpServer", "/LM/SmtpSvc/1", attrs{"RemoteRetryAttempts": "5"}) + "</MBProperty></configuration>",
			"5 attempts, every [1h0m0s], notice 0s, expiry 0s"},
		{"old and later, in XML", "<configuration><MBProperty>" + keyElement("IIsSmtpService", "/LM/SmtpSvc", attrs{"SmtpRemoteNDRExpireMinutes": "600"}) +
			keyElement("IIsSmtpServer", "/LM/SmtpSvc/1", attrs{"RemoteRetryAttempts": "5"}) + "</MBProperty></configuration>",
			"48 attempts, every [15m0s 30m0s 1h0m0s 4h0m0s], notice 1h0m0s, expiry 10h0m0s"},
		{"of both, in XML", "<configuration><MBProperty>" + keyElement("IIsSmtpServer", "/LM/SmtpSvc/1", attrs{"LocalRetryInterval": "5"}) + "</MBProperty></configuration>",
			"48 attempts, every [15m0s 30m0s 1h0m0s 4h0m0s], notice 1h0m0s, expiry 48h0m0s"},
	} {
		r, err := Import(strings.NewReader(c.src), Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		cfg, _ := config.Parse(r.Config, "")
		got := retryText(cfg.Server("default").Delivery.Remote)
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// A log format is found by what the file says of its CLSID, else by what is known of it.
func TestLogFormats(t *testing.T) {
	module := func(name, clsid string) string {
		return keyElement("IIsLogModule", "/LM/Logging/"+name, attrs{"LogModuleId": clsid})
	}
	for _, c := range []struct{ clsid, want string }{
		{"{FF160663-DE82-11CF-BC0A-00AA006111E0}", `format = "w3c"`},
		{"{ff16065f-de82-11cf-bc0a-00aa006111e0}", `#format = "ncsa"`},
		{"{11111111-0000-0000-0000-000000000000}", `#format = "odbc"`},
		{"{FF160657-DE82-11CF-BC0A-00AA006111E0}", `#format = "ncsa"`}, // the file says so
		{"{22222222-0000-0000-0000-000000000000}", ""},
		{"{33333333-0000-0000-0000-000000000000}", ""},
	} {
		_, r := imports(t, attrs{"LogPluginClsid": c.clsid}, module("ODBC Logging", "{11111111-0000-0000-0000-000000000000}"),
			module("NCSA Common Log File Format", "{FF160657-DE82-11CF-BC0A-00AA006111E0}"), module("Another", "{22222222-0000-0000-0000-000000000000}"))
		if got := strings.TrimSpace(string(regexp.MustCompile(`(?m)^ *#?format = .*$`).Find(r.Config))); got != c.want {
			t.Errorf("%s: got %q, want %q", c.clsid, got, c.want)
		}
	}
}

func retryText(r config.Retry) string {
	return fmt.Sprintf("%d attempts, every %v, notice %v, expiry %v", r.MaxRetries, r.RetryIntervals, r.DelayNoticeAfter, r.ExpireAfter)
}
