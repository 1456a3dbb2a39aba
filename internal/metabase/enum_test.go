package metabase

import (
	"bytes"
	"strings"
	"testing"
)

// A listing of what is below a key names others; what is only named is neither a virtual server nor a domain, and that is said.
func TestEnumNamesOnly(t *testing.T) {
	r, err := Import(strings.NewReader("[/SmtpSvc/1]\n[/SmtpSvc/2]\n\n[/SmtpSvc/1]\nHopCount : (INTEGER) 15\n[/SmtpSvc/1/Domain/a.example]\n[/SmtpSvc/1/Domain/b.example]\nRouteAction : (INTEGER) 16\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Report.Servers) != 1 || len(r.Report.Notes) != 1 || !strings.Contains(r.Report.Notes[0], "only names /LM/SmtpSvc/2") {
		t.Errorf("got %+v, %q", r.Report.Servers, r.Report.Notes)
	}
	if !bytes.Contains(r.Config, []byte(`domain "b.example"`)) || bytes.Contains(r.Config, []byte("a.example")) {
		t.Errorf("got\n%s", r.Config)
	}
	if len(r.Report.Attention) != 1 || !strings.Contains(r.Report.Attention[0], "a.example") {
		t.Errorf("got %q", r.Report.Attention)
	}
}

func TestEnumForms(t *testing.T) {
	src := "Microsoft (R) Windows Script Host Version 5.6\nCopyright (C) Microsoft Corporation 1996-2001. All rights reserved.\n\n" +
		"KeyType                         : (STRING) \"IIsSmtpServer\"\n" +
		"ServerComment                   : (STRING) \"a : (b) \"\"c\"\n" +
		"ServerBindings                  : (LIST) (2 Items)\n  \":25:\"\n  \"192.0.2.1:587:\"\n" +
		"MaxRecipients: (INTEGER) 0x40\n" +
		"RelayIpList                     : (BINARY) 18 00 00 80, 20\n" +
		"SmartHost                       : (STRING) \"\"\n\n" +
		"Microsoft (R) Windows Script Host Version 5.6\n" +
		"KeyType                         : (STRING) \"IIsSmtpService\"\n" +
		"HopCount                        : (INTEGER) 7\n"
	tree, err := read(strings.NewReader(src), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, name, want string }{
		{"/LM/SmtpSvc/1", "ServerComment", `a : (b) ""c`}, {"/lm/smtpsvc/1", "serverbindings", ":25:\n192.0.2.1:587:"}, {"/LM/SmtpSvc/1", "MaxRecipients", "0x40"},
		{"/LM/SmtpSvc/1", "RelayIpList", "1800008020"}, {"/LM/SmtpSvc/1", "SmartHost", ""}, {"/LM/SmtpSvc", "HopCount", "7"},
	} {
		if p := tree.at(c.key).get(c.name); p == nil || p.Value != c.want {
			t.Errorf("%s %s: got %+v, want %q", c.key, c.name, p, c.want)
		}
	}
	if tree.at("/LM/SmtpSvc/1").Class != "IIsSmtpServer" {
		t.Error("the class is lost")
	}
}
