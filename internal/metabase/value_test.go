package metabase

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

func TestNumbers(t *testing.T) {
	for in, want := range map[string]uint32{"0": 0, " 15 ": 15, "4294967295": noLimit, "-1": noLimit, "0x258": 600, "&HFFFFFFFF": noLimit} {
		if n, err := number(in); err != nil || n != want {
			t.Errorf("%q: got %d, %v", in, n, err)
		}
	}
	for _, in := range []string{"", "-2", "+1", "4294967296", "1.5", "0x", "viele", "1 2"} {
		if n, err := number(in); err == nil {
			t.Errorf("%q: got %d", in, n)
		}
	}
}

func TestFlags(t *testing.T) {
	for in, want := range map[string]uint32{"AuthBasic | AuthAnonymous": 3, "authntlm": 4, "7": 7, "": 0, "0": 0, "AuthBasic | 0x10": 18} {
		if n, err := flags(in, authWord().names); err != nil && in != "" || n != want {
			t.Errorf("%q: got %d, %v", in, n, err)
		}
	}
	if n, err := flags("AuthBasic | AuthTelepathy", authWord().names); err == nil || n != 2 || !strings.Contains(err.Error(), "AuthTelepathy") {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestPaths(t *testing.T) {
	for in, want := range map[string]string{
		"/LM/SmtpSvc/1": "/LM/SmtpSvc/1", "/lm/SMTPSVC": "/lm/SMTPSVC", "SmtpSvc/1": "/LM/SmtpSvc/1", "/SmtpSvc/1/": "/LM/SmtpSvc/1",
		".": "/", "/": "/", "LM": "/LM", "IIS://localhost/SmtpSvc/2": "/LM/SmtpSvc/2", "LMX": "/LM/LMX",
	} {
		if got, err := cleanPath(in); err != nil || got != want {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	if _, err := cleanPath(strings.Repeat("x", maxPath+1)); err == nil {
		t.Error("a path without end was taken")
	}
}

func TestExpand(t *testing.T) {
	env := func(name string) string { return map[string]string{"SystemRoot": `C:\Windows`}[name] }
	for _, c := range []struct{ in, want, unknown string }{
		{`%SystemRoot%\System32\LogFiles`, `C:\Windows\System32\LogFiles`, ""}, {`D:\Mail`, `D:\Mail`, ""},
		{`%MAIL%\x`, "", "MAIL"}, {`100%`, `100%`, ""}, {`%%`, "", ""},
	} {
		if got, unknown := expand(c.in, env); got != c.want || unknown != c.unknown {
			t.Errorf("%s: got %q, %q", c.in, got, unknown)
		}
	}
	if _, unknown := expand(`%SystemRoot%`, nil); unknown != "SystemRoot" {
		t.Error("without an environment a name was known")
	}
}

// What the file brings reaches no terminal raw (L1).
func TestShown(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "two\r\n\t\tlines": "two lines", "\x1b[31mred\x07": "?[31mred?", "\u202edlrow": "?dlrow", "\xff": "?", "  a  ": "a",
		strings.Repeat("x", 500): strings.Repeat("x", maxShown) + "…",
	} {
		if got := shown(in); got != want {
			t.Errorf("%q: got %q", in, got)
		}
	}
}

func TestAccounts(t *testing.T) {
	const descriptor = "010004801400000024000000000000003400000001020000000000052000000020020000" +
		"01020000000000052000000020020000" + "0200340002000000" + "00001800FFFFFFFF01020000000000052000000020020000" + "000014000B000000010100000000000512000000"
	b, err := hex.DecodeString(descriptor)
	if err != nil {
		t.Fatal(err)
	}
	got, err := accounts(b)
	if err != nil || !slices.Equal(got, []string{"S-1-5-32-544", "S-1-5-18"}) {
		t.Errorf("got %q, %v", got, err)
	}
	for at := range len(b) {
		if got, err := accounts(b[:at]); err == nil {
			t.Errorf("cut at %d: got %q", at, got)
		}
	}
}
