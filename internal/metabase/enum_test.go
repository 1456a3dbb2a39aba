package metabase

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// A listing of what is below a key names others; what is only named is neither a virtual server nor a domain, and that is said.
func TestEnumNamesOnly(t *testing.T) {
	r, err := Import(strings.NewReader("[/SmtpSvc/1]\n[/SmtpSvc/2]\n\n[/SmtpSvc/1]\nHopCount : (INTEGER) 15\nDefaultDomain : (STRING) \"corp.example\"\n[/SmtpSvc/1/Domain/a.example]\n\n[/SmtpSvc/1/Domain/b.example]\nRouteAction : (INTEGER) 16\n"), Options{})
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

// Which key a listing is of is told by the command above it, by a path, or by its class; what is not certain is refused, or said
// first.
func TestEnumPlaces(t *testing.T) {
	const (
		logo    = "Microsoft (R) Windows Script Host Version 5.8\nCopyright (C) Microsoft Corporation. All rights reserved.\n\n"
		service = "KeyType : (STRING) \"IIsSmtpService\"\nHopCount : (INTEGER) 7\n"
		server  = "KeyType : (STRING) \"IIsSmtpServer\"\nHopCount : (INTEGER) 8\n"
		domain  = "KeyType : (STRING) \"IIsSmtpDomain\"\nRouteAction : (INTEGER) 16\n"
		info    = "KeyType : (STRING) \"IIsSmtpInfo\"\nMajorIIsVersionNumber : (INTEGER) 5\n"
		paths   = "[/SmtpSvc/1]\n[/SmtpSvc/2]\n[/SmtpSvc/Info]\n"
		prompt  = "C:\\Inetpub\\AdminScripts>"
	)
	for _, c := range []struct {
		name, src string
		want      string // keys with properties, or the error
		doubts    int
	}{
		{"a console", prompt + "cscript adsutil.vbs ENUM /P SmtpSvc\n" + logo + paths + "\n" + prompt + "cscript adsutil.vbs ENUM smtpsvc\n" + logo + service + paths +
			"\n" + prompt + "cscript adsutil.vbs ENUM smtpsvc/2\n" + logo + server + "[/smtpsvc/2/Domain]\n\n" + prompt + "cscript adsutil.vbs ENUM SmtpSvc/2/Domain/a.example\n" + logo + domain + "\n" + prompt + "\n" + prompt,
			"/LM/SmtpSvc/2 /LM/SmtpSvc/2/Domain/a.example /LM/smtpsvc", 0},
		{"a console without the logo", prompt + "cscript //nologo adsutil.vbs enum /p smtpsvc\n" + paths + prompt + "cscript //nologo adsutil.vbs enum \"smtpsvc/2\"\n" + server +
			"[/smtpsvc/2/Domain]\n" + prompt + "CScript.exe //NoLogo " + prompt[:20] + "s\\adsutil.vbs -s:old ENUM /A IIS://localhost/SmtpSvc/Info\n" + info, "/LM/SmtpSvc/2 /LM/SmtpSvc/Info", 0},
		{"a batch file with its output in a file", prompt + "cscript adsutil.vbs ENUM smtpsvc/1  1>>out.txt \n" + logo + server, "/LM/smtpsvc/1", 0},
		{"PowerShell", "PS " + prompt + " cscript .\\adsutil.vbs ENUM smtpsvc/1 | Out-File out.txt\n" + logo + server, "/LM/smtpsvc/1", 0},
		{"commands alone", "adsutil ENUM smtpsvc/3\n" + server, "/LM/smtpsvc/3", 0},
		{"another command in between", prompt + "cscript adsutil.vbs ENUM smtpsvc/1\n" + logo + server + prompt + "cscript adsutil.vbs SET smtpsvc/1/HopCount 9\n" + logo + "HopCount : (INTEGER) 9\n" +
			prompt + "cscript adsutil.vbs GET smtpsvc/1/ServerBindings\nServerBindings : (LIST) (1 Items)\n  \":25:\"\n", "/LM/smtpsvc/1", 0},
		{"other services", prompt + "cscript adsutil.vbs ENUM W3SVC/1\n" + logo + "KeyType : (STRING) \"IIsWebServer\"\nServerBindings : (LIST) (1 Items)\n  \":80:\"\n\n" + prompt + "cscript adsutil.vbs ENUM smtpsvc/1\n" + logo + server,
			"/LM/smtpsvc/1", 0},
		{"the command is of another key", prompt + "cscript adsutil.vbs ENUM smtpsvc\n" + logo + server, "line 5: the command above lists /LM/smtpsvc, and these properties are of the class IIsSmtpServer, which that cannot be", 0},
		{"a list of keys, then a listing without a path", service + paths + server, "line 6: several paths stand above these properties", 0},
		{"an empty line before the last", service + "[/SmtpSvc/1]\n\n[/SmtpSvc/2]\n" + server, "/LM/SmtpSvc /LM/SmtpSvc/2", 0},
		{"one path can be", service + "[/SmtpSvc/1]\n[/SmtpSvc/Info]\n" + server, "/LM/SmtpSvc /LM/SmtpSvc/1", 1},
		{"one server is named", logo + "[/SmtpSvc/2]\n[/SmtpSvc/Info]\n\n" + logo + server, "/LM/SmtpSvc/2", 0},
		{"two servers are named", logo + paths + logo + server, "line 10: no path stands above these properties of the class IIsSmtpServer; put one there, such as [/SmtpSvc/1]", 0},
		{"nothing says it", logo + server, "/LM/SmtpSvc/1", 1},
		{"what is below says that it was another", logo + server + "[/SmtpSvc/2/Domain]\n", "line 6: the properties from line 4 have no path above them and were taken for those of /LM/SmtpSvc/1, but this path is below /LM/SmtpSvc/2; put [/SmtpSvc/2] above line 4", 0},
		{"the service's information", logo + server + logo + info, "/LM/SmtpSvc/1 /LM/SmtpSvc/Info", 1},
		{"a domain", logo + server + "[/SmtpSvc/1/Domain]\n" + logo + domain, "line 10: no path stands above these properties of the class IIsSmtpDomain", 0},
		{"without a class", "[/SmtpSvc/1]\nHopCount : (INTEGER) 7\n" + logo + "RouteAction : (INTEGER) 16\n", "line 6: no path stands above these properties; put one", 0},
		{"another service without a path", logo + server + logo + "KeyType : (STRING) \"IIsWebServer\"\nHopCount : (INTEGER) 9\n", "/LM/SmtpSvc/1", 1},
	} {
		tree, err := read(strings.NewReader(c.src), true)
		if err != nil {
			if !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%s: %v, want %s", c.name, err, c.want)
			}
			continue
		}
		var got []string
		for _, k := range tree.keys {
			if len(k.Props) > 0 {
				got = append(got, k.Path)
			}
		}
		slices.Sort(got)
		if text := strings.Join(got, " "); text != c.want || len(tree.Doubts) != c.doubts {
			t.Errorf("%s: %s, want %s; %q", c.name, text, c.want, tree.Doubts)
		}
		for _, note := range tree.Notes {
			if strings.Contains(note, "second time") || strings.Contains(note, "neither") {
				t.Errorf("%s: %s", c.name, note)
			}
		}
	}
}
