package metabase

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// row writes a <Custom> row.
func row(attributes string) string { return "<Custom " + attributes + "/>" }

// What is odd about a property that says who is let in closes, whatever the property and whatever is odd: it stands twice, is damaged, empty,
// of another type, contradicted (R1).
func TestOddGuardsClose(t *testing.T) {
	const nobody, everybody, one = "only ", "all_except ", "only 127.0.0.1/32"
	deny := hex.EncodeToString(build([]group{{"255.255.255.255", []string{"192.0.2.1"}}}, nil, nil, nil))
	for _, c := range []struct {
		name           string
		service        attrs
		server         attrs
		rows           string // of the server
		relay, connect string
		attention      string // "" where nobody needs to look
	}{
		{"GrantByDefault twice", nil, attrs{"GrantByDefault": "TRUE"}, row(`Name="GrantByDefault" Value="FALSE" Type="BOOL"`), nobody, nobody, "GrantByDefault: it stands twice"},
		{"DomainDeny twice", nil, attrs{"DomainDeny": ""}, row(`Name="DomainDeny" Value="evil.example" Type="MULTISZ"`), nobody, nobody, "DomainDeny: it stands twice"},
		{"DomainGrant twice", nil, attrs{"IPGrant": "127.0.0.1", "DomainGrant": ""}, row(`Name="DomainGrant" Value="a.example" Type="MULTISZ"`), nobody, nobody, "DomainGrant: it stands twice"},
		{"IPDeny twice", nil, attrs{"IPDeny": "192.0.2.1"}, row(`Name="IPDeny" Value="192.0.2.2" Type="MULTISZ"`), nobody, nobody, "IPDeny: it stands twice"},
		{"TRUE with a list of those let in", attrs{"GrantByDefault": "TRUE"}, attrs{"IPGrant": "127.0.0.1"}, "", nobody, nobody, "GrantByDefault is TRUE"},
		{"FALSE with a list of those kept out", attrs{"GrantByDefault": "FALSE"}, attrs{"IPDeny": "192.0.2.1"}, "", nobody, nobody, "GrantByDefault is FALSE"},
		{"neither TRUE nor FALSE", nil, attrs{"GrantByDefault": "Wahr"}, "", nobody, nobody, "GrantByDefault"},
		{"lists that agree", nil, attrs{"IPSecurity": oneAddress, "IPGrant": "127.0.0.1, 255.255.255.255", "GrantByDefault": "FALSE"}, "", nobody, one, ""},
		{"lists that do not", nil, attrs{"IPSecurity": deny, "IPGrant": "127.0.0.1"}, "", nobody, nobody, "IPGrant says something else"},
		{"a list below another form", attrs{"IPSecurity": oneAddress}, attrs{"IPDeny": "10.0.0.7"}, "", nobody, nobody, "IPDeny says something else"},
		{"a list above another form", attrs{"IPDeny": "10.0.0.7"}, attrs{"IPSecurity": oneAddress}, "", nobody, one, ""},
		{"an empty list below another", attrs{"IPSecurity": oneAddress, "RelayIpList": deny}, attrs{"IPSecurity": "", "RelayIpList": ""}, "", nobody, nobody, "it is empty, and that of a key above is not"},
		{"a list of another type", nil, attrs{}, row(`Name="IPSecurity" ID="6019" Value="" Type="STRING"`) + row(`Name="RelayIpList" ID="36970" Value="`+deny+`" Type="DWORD"`), nobody, nobody, "type STRING"},
		{"lists of their type", nil, attrs{}, row(`Name="IPSecurity" ID="6019" Value="`+oneAddress+`" Type="BINARY"`) + row(`ID="36970" Value="`+oneAddress+`" Type="IPSECLIST"`), one, one, ""},
		{"a list under another name", nil, attrs{}, row(`Name="HopCount" ID="6019" Value="` + oneAddress + `" Type="BINARY"`), nobody, nobody, "a row of that ID is named HopCount"},
		{"a list that is kept as a secret", nil, attrs{}, row(`Name="IPSecurity" ID="6019" Value="` + oneAddress + `" Type="BINARY" Attributes="INHERIT | SECURE"`), nobody, nobody, "it is kept as a secret"},
		{"a row within a row", nil, attrs{}, `<Custom Name="X" Value="1">` + row(`Name="IPSecurity" ID="6019" Value="`+oneAddress+`" Type="BINARY"`) + "</Custom>", nobody, one, ""},
		{"a row with two values", nil, attrs{}, row(`Name="RelayIpList" ID="36970" Value="` + deny + `" value="" Type="BINARY"`), nobody, everybody, "its row has value twice"},

		{"RelayForAuth twice", nil, attrs{"RelayForAuth": "1"}, row(`Name="RelayForAuth" ID="36973" Value="0" Type="DWORD"`), nobody, everybody, "RelayForAuth of /LM/SmtpSvc/1 cannot be read for certain"},

		{"AuthFlags is empty", nil, attrs{"AuthFlags": ""}, "", nobody, nobody, "it is empty"},
		{"AuthFlags is empty below another", attrs{"AuthFlags": "AuthNTLM"}, attrs{"AuthFlags": ""}, "", nobody, nobody, "it is empty"},
		{"AuthFlags is misspelt", nil, attrs{"AuthFlags": "AuthAnonymous | AuthNTML"}, "", nobody, nobody, "AuthNTML"},
		{"AuthFlags has bits that are none", nil, attrs{"AuthFlags": "0x401"}, "", nobody, nobody, "unknown bits: 0x400"},
		{"AuthFlags has another type", nil, attrs{}, row(`Name="AuthFlags" ID="6000" Value="1" Type="STRING"`), nobody, nobody, "type STRING, not DWORD"},
		{"AuthFlags and its bits agree", nil, attrs{"AuthFlags": "1", "AuthAnonymous": "TRUE", "AuthBasic": "FALSE", "AuthNTLM": "0"}, "", nobody, everybody, ""},
		{"AuthFlags and its bits do not", nil, attrs{"AuthFlags": "1", "AuthAnonymous": "FALSE", "AuthBasic": "TRUE"}, "", nobody, nobody, "AuthAnonymous says something else"},
		{"a bit twice", nil, attrs{"AuthAnonymous": "TRUE"}, row(`Name="AuthAnonymous" Value="FALSE"`), nobody, nobody, "AuthAnonymous: it stands twice"},
		{"a bit that cannot be read", nil, attrs{"AuthAnonymous": "TRUE", "AuthBasic": "Falsch"}, "", nobody, nobody, "AuthBasic"},
		{"bits at two keys", attrs{"AuthBasic": "TRUE"}, attrs{"AuthAnonymous": "TRUE"}, "", nobody, nobody, "stands at another key"},
		{"AllowAnonymous alone", nil, attrs{"AllowAnonymous": "FALSE"}, "", nobody, nobody, "AllowAnonymous is"},
		{"AllowAnonymous against AuthFlags", nil, attrs{"AllowAnonymous": "FALSE", "AuthFlags": "AuthAnonymous"}, "", nobody, nobody, "AllowAnonymous is"},
		{"AllowAnonymous cannot be read", nil, attrs{"AllowAnonymous": "", "AuthFlags": "AuthAnonymous"}, "", nobody, nobody, "AllowAnonymous"},
		{"AllowAnonymous as AuthFlags", nil, attrs{"AllowAnonymous": "TRUE", "AuthFlags": "AuthAnonymous"}, "", nobody, everybody, ""},

		{"128 bits alone", nil, attrs{"AccessSSLFlags": "AccessSSL128"}, "", nobody, nobody, "inside TLS alone"},
		{"TLS as a bit", nil, attrs{"AccessSSL": "TRUE"}, "", nobody, nobody, "inside TLS alone"},
		{"certificates as a bit", nil, attrs{"AccessSSLRequireCert": "TRUE"}, "", nobody, nobody, "certificates alone"},
		{"certificates are asked for", nil, attrs{"AccessSSLFlags": "AccessSSLNegotiateCert | AccessSSLMapCert"}, "", nobody, everybody, ""},
		{"AccessSSLFlags twice", nil, attrs{"AccessSSLFlags": "0"}, row(`Name="AccessSSLFlags" ID="6030" Value="AccessSSLRequireCert" Type="DWORD"`), nobody, nobody, "it stands twice"},
		{"AccessSSLFlags is misspelt", nil, attrs{"AccessSSLFlags": "AccesSSL"}, "", nobody, nobody, "AccesSSL"},
		{"AccessSSLFlags is empty", nil, attrs{"AccessSSLFlags": ""}, "", nobody, nobody, "it is empty"},
		{"AccessSSLFlags has bits that are none", nil, attrs{"AccessSSLFlags": "1"}, "", nobody, nobody, "unknown bits: 0x1"},
		{"AccessSSL twice", nil, attrs{"AccessSSL": "FALSE"}, row(`Name="AccessSSL" Value="TRUE"`), nobody, nobody, "AccessSSL: it stands twice"},
		{"AccessFlags with a bit of TLS", nil, attrs{"AccessFlags": "AccessRead | AccessSSL"}, "", nobody, nobody, "AccessFlags"},
		{"AccessFlags of the web", nil, attrs{"AccessFlags": "AccessRead | AccessScript"}, "", nobody, everybody, ""},

		{"a row within an element that nobody knows", nil, attrs{}, "<Foo>" + row(`Name="IPSecurity" ID="6019" Value="`+oneAddress+`" Type="BINARY"`) + "</Foo>", nobody, nobody, "it stands within <Foo>"},
		{"a row without a value", nil, attrs{}, `<Custom Name="IPSecurity" ID="6019" Type="BINARY">` + oneAddress + "</Custom>", nobody, nobody, "its row has no Value"},
		{"not for the keys below", nil, attrs{}, row(`Name="IPSecurity" ID="6019" Value="` + oneAddress + `" Type="BINARY" Attributes="NO_ATTRIBUTES"`), nobody, one, ""},
		{"attributes that nobody knows", nil, attrs{}, row(`Name="IPSecurity" ID="6019" Value="` + oneAddress + `" Type="BINARY" Attributes="INHERRIT"`), nobody, nobody, "INHERRIT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, r := imports(t, c.server, keyElement("IIsSmtpService", "/LM/SmtpSvc", c.service),
				`<IIsSmtpServer Location="/LM/SmtpSvc/1">`+c.rows+"</IIsSmtpServer>")
			letsIn(t, v, c.relay, c.connect)
			attends(t, r, c.attention)
		})
	}
}

// Below a server the old service asked nobody who is let in, as far as is known. What set-up writes there closes nothing.
func TestGuardsBelowTheServer(t *testing.T) {
	const nobody, everybody = "only ", "all_except "
	for _, c := range []struct {
		key     string
		a       attrs
		connect string
	}{
		{"ROOT", attrs{"AccessFlags": "AccessRead | AccessWrite", "AuthFlags": "AuthAnonymous", "Path": `C:\Inetpub`}, everybody},
		{"ROOT", attrs{"AuthFlags": "AuthAnonymous | AuthNTLM", "AccessSSLFlags": "0", "RelayForAuth": "1"}, everybody},
		{"ROOT", attrs{"AccessFlags": "AccessRead | AccessSSL"}, nobody},
		{"ROOT", attrs{"AccessSSLFlags": "AccessSSL"}, nobody},
		{"ROOT", attrs{"AuthFlags": "AuthBasic"}, nobody},
		{"ROOT/Sub", attrs{"AuthAnonymous": "FALSE"}, nobody},
		{"ROOT", attrs{"IPSecurity": oneAddress}, nobody},
		{"RoutingSources", attrs{"IPDeny": "192.0.2.1"}, nobody},
	} {
		v, r := imports(t, attrs{"DefaultDomain": "corp.example"}, keyElement("IIsSmtpVirtualDir", "/LM/SmtpSvc/1/"+c.key, c.a))
		attention := ""
		if c.connect == nobody {
			attention = "stands at /LM/SmtpSvc/1/" + c.key
		}
		letsIn(t, v, nobody, c.connect)
		attends(t, r, attention)
	}
}

// What stands at the list of domains closes relay to the domains, as at each of them.
func TestGuardsAtTheListOfDomains(t *testing.T) {
	for _, guarded := range []bool{false, true} {
		list := attrs{}
		if guarded {
			list["IPSecurity"] = oneAddress
		}
		v, _ := imports(t, attrs{"DefaultDomain": "corp.example"}, keyElement("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain", list),
			keyElement("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain/far.example", attrs{"RouteAction": "4096"}))
		if relay := v.Domains[1].AllowRelay; relay == guarded {
			t.Errorf("guarded %t: relay %t", guarded, relay)
		}
	}
}

// Where all of a server is closed, the list of who could connect stands commented out above that.
func TestClosedServerKeepsItsList(t *testing.T) {
	v, r := imports(t, attrs{"AccessSSLFlags": "AccessSSL", "AuthFlags": "AuthNTLM", "IPSecurity": oneAddress})
	if got := prefixes(v.Access.ConnectionControl); got != "only " {
		t.Errorf("got %q", got)
	}
	const want = `      #mode = "only"
      # Waits, see below.
      #list = ["127.0.0.1"]
      # Until then nobody may connect: the old server took mail from authenticated clients alone,
      # which is not in this version; the old server took mail inside TLS alone, which needs
      # access.certificate, access.private_key and access.require_tls.
      mode = "only"
      list = []
`
	if !strings.Contains(string(r.Config), want) {
		t.Errorf("the file is\n%s\nwithout\n%s", r.Config, want)
	}
}

// A row whose attributes lack INHERIT holds for its own key alone; one without attributes, and an attribute of XML, for those below too.
func TestInherit(t *testing.T) {
	deny := hex.EncodeToString(build([]group{{"255.255.255.255", []string{"192.0.2.1"}}}, nil, nil, nil))
	for _, c := range []struct{ attributes, want string }{
		{` Attributes="INHERIT"`, "all_except 192.0.2.1/32"}, {` Attributes="inherit | PARTIAL_PATH"`, "all_except 192.0.2.1/32"},
		{` Attributes="1"`, "all_except 192.0.2.1/32"}, {"", "all_except 192.0.2.1/32"},
		{` Attributes="NO_ATTRIBUTES"`, "only "}, {` Attributes=""`, "only "}, {` Attributes="ISINHERITED"`, "only "}, {` Attributes="0"`, "only "},
	} {
		v, r := imports(t, attrs{}, `<IIsSmtpService Location="/LM/SmtpSvc">`+row(`Name="RelayIpList" ID="36970" Value="`+deny+`" Type="BINARY"`+c.attributes)+
			row(`Name="HopCount" ID="36886" Value="33" Type="DWORD"`+c.attributes)+"</IIsSmtpService>")
		hops := 33
		if c.want == "only " {
			hops = 10
		}
		if got := prefixes(v.Access.Relay); got != c.want || v.Delivery.MaxHops != hops {
			t.Errorf("%q: got %q and %d hops, want %q and %d", c.attributes, got, v.Delivery.MaxHops, c.want, hops)
		}
		said := strings.Join(r.Report.Attention, "\n")
		if alone := strings.Contains(said, "RelayIpList of /LM/SmtpSvc does not hold for the virtual servers"); alone != (hops == 10) {
			t.Errorf("%q: it says %q", c.attributes, said)
		}
	}
}

// What cannot be told for certain of where mail goes lets nobody relay, makes no domain local, and sends nothing in clear.
func TestOddRoutes(t *testing.T) {
	domain := func(a attrs) string { return keyElement("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain/a.example", a) }
	again := func(a attrs) string { return keyElement("IIsSmtpDomain", "/LM/smtpsvc/1/domain/A.example", a) }
	hop := func(action string) attrs { return attrs{"RouteAction": action, "RouteActionString": "[192.0.2.7]"} }
	for _, c := range []struct {
		name      string
		server    attrs
		domains   string
		site      string // delivery.outbound_security.tls
		want      string // of the domain
		attention string
		report    string // a line of it
	}{
		{"relay and TLS", nil, domain(hop("4102")), "opportunistic", "remote required relay", "", ""},
		{"neither", nil, domain(hop("2")), "opportunistic", "remote opportunistic", "", ""},
		{"relay twice", nil, domain(hop("4098")) + again(hop("2")), "opportunistic", "remote required", "stands twice", "in doubt (it stands twice"},
		{"local twice", nil, domain(attrs{"RouteAction": "16"}) + again(attrs{"RouteAction": "0"}), "opportunistic", "remote required", "stands twice", "in doubt"},
		{"TLS is misspelt", nil, domain(hop("SMARTHOST | SLS | DOMAIN_RELAY")), "opportunistic", "remote required", "SLS", "unknown flags: SLS"},
		{"an alias with a flag that is none", nil, domain(attrs{"RouteAction": "ALIAS | X"}), "opportunistic", "alias", "unknown flags: X", "unknown flags: X"},
		{"of another type", nil, `<IIsSmtpDomain Location="/LM/SmtpSvc/1/Domain/a.example">` + row(`Name="RouteAction" ID="36946" Value="4096" Type="STRING"`) + "</IIsSmtpDomain>",
			"opportunistic", "remote required", "type STRING", "type STRING"},
		{"of the server", attrs{"RouteAction": "SLS"}, domain(attrs{}), "required", "remote required", "RouteAction of /LM/SmtpSvc/1 cannot", "unknown flags: SLS"},
		{"of the server, and one of the domain that can be", attrs{"RouteAction": "4x"}, domain(hop("4098")), "required", "remote required relay", "RouteAction of /LM/SmtpSvc/1 cannot", ""},
		{"the bit SSL of the server, not of the domain", attrs{"RouteAction": "4"}, domain(hop("2")), "required", "remote opportunistic", "", "that of the server has the bit SSL"},
		{"AlwaysUseSsl of the server", attrs{"AlwaysUseSsl": "TRUE"}, domain(hop("2")), "required", "remote required", "", ""},
		{"AlwaysUseSsl of the server and the bit", attrs{"AlwaysUseSsl": "TRUE", "RouteAction": "4"}, domain(hop("2")), "required", "remote required", "", ""},
		{"AlwaysUseSsl that cannot be read", attrs{"AlwaysUseSsl": "ja"}, domain(hop("2")), "required", "remote required", "AlwaysUseSsl of /LM/SmtpSvc/1 cannot", ""},
		{"AlwaysUseSsl of the domain", nil, domain(attrs{"RouteAction": "0", "AlwaysUseSsl": "TRUE"}), "opportunistic", "remote required", "", `AlwaysUseSsl = TRUE  ->  domain["a.example"].tls`},
		{"access of a domain", nil, domain(attrs{"RouteAction": "4096", "AccessSSLFlags": "AccessSSL"}), "opportunistic", "remote opportunistic", "AccessSSLFlags stands at the domain a.example", "a matter of virtual servers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, r := imports(t, c.server, c.domains)
			got := ""
			for _, d := range v.Domains {
				got = strings.TrimSpace(string(d.Kind) + " " + string(d.TLS))
				if d.AllowRelay {
					got += " relay"
				}
			}
			if site := string(v.Delivery.OutboundSecurity.TLS); got != c.want || site != c.site {
				t.Errorf("got %q, and %q for all; want %q, %q", got, site, c.want, c.site)
			}
			attends(t, r, c.attention)
			var text strings.Builder
			if err := r.Report.Write(&text); err != nil || !strings.Contains(text.String(), c.report) {
				t.Errorf("%v: the report is\n%s\nwithout %q", err, &text, c.report)
			}
		})
	}
}

// Bindings of which one cannot tell which are right are this computer alone.
func TestOddBindings(t *testing.T) {
	second := keyElement("IIsSmtpServer", "/LM/smtpsvc/1", attrs{"ServerBindings": ":25:"})
	for name, server := range map[string]string{"twice": second, "of another type": `<IIsSmtpServer Location="/LM/SmtpSvc/1">` + row(`Name="ServerBindings" ID="1023" Value=":2525:" Type="DWORD"`) + "</IIsSmtpServer>"} {
		a := attrs{"DefaultDomain": "corp.example"}
		if name == "twice" {
			a["ServerBindings"] = "10.0.0.1:25:"
		}
		v, r := imports(t, a, server)
		if len(v.Bindings) != 1 || v.Bindings[0].Address != "127.0.0.1:25" || len(r.Report.Attention) != 1 {
			t.Errorf("%s: %+v, and it says %q", name, v.Bindings, r.Report.Attention)
		}
	}
}

// Who is let in is said before all else, however much else there is to say.
func TestAccessIsSaidFirst(t *testing.T) {
	var domains strings.Builder
	for i := range maxLines + 10 {
		domains.WriteString(keyElement("IIsSmtpDomain", fmt.Sprintf("/LM/SmtpSvc/1/Domain/d%d.example", i), attrs{"RouteAction": "X"}))
	}
	_, r := imports(t, attrs{"SmartHost": "h.example", "AuthFlags": "AuthNTLM", "RelayIpList": "everybody"}, domains.String())
	a := r.Report.Attention
	if len(a) != maxLines || !strings.Contains(a[0], "from authenticated clients alone") || !strings.Contains(a[1], "RelayIpList") || !strings.Contains(a[2], "smart host") {
		t.Errorf("%d lines, which begin with %q", len(a), a[:min(3, len(a))])
	}
}
