package message

import (
	netmail "net/mail"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

var when = time.Date(2013, 6, 6, 13, 16, 54, 0, time.FixedZone("", -4*3600))

func TestAppendReceived(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.5"), netip.MustParseAddr("2001:db8::1%eth0")
	id := mail.QueueID(1<<40 + 7)
	for _, tc := range []struct {
		name, want string
		t          Trace
	}{
		{"plain", "from client.example ([192.0.2.5])\n\tby relay.example.com with ESMTP\n\tid " + id.String() + "\n\tfor <bob@example.org>;\n\t",
			Trace{Helo: "client.example", Addr: v4, With: "ESMTP", For: mail.Address{Local: "bob", Domain: "example.org"}}},
		{"TLS, name, several recipients", "from a (b.example [IPv6:2001:db8::1])\n\tby relay.example.com with ESMTPSA (TLS1.3 TLS_AES_128_GCM_SHA256)\n\tid " + id.String() + ";\n\t",
			Trace{Helo: "a", Name: "b.example", Addr: v6, With: "ESMTPSA", TLS: &mail.TLSInfo{Version: "TLS1.3", Cipher: "TLS_AES_128_GCM_SHA256"}}},
		{"no HELO", "from [192.0.2.5] ([192.0.2.5])\n\tby relay.example.com with SMTP\n\tid " + id.String() + ";\n\t",
			Trace{Addr: netip.MustParseAddr("::ffff:192.0.2.5"), With: "SMTP"}},
		{"report", "by relay.example.com\n\tid " + id.String() + ";\n\t", Trace{}},
		{"pickup", "from mail pickup service by relay.example.com\n\tid " + id.String() + ";\n\t", Trace{Pickup: true}},
		{"E5 hostile HELO", "from a??b?c???d ([192.0.2.5])\n\tby relay.example.com with SMTP\n\tid " + id.String() + ";\n\t",
			Trace{Helo: "a\r\nb)c; \xffd", Addr: v4, With: "SMTP"}},
		{"hostile recipient", "by relay.example.com\n\tid " + id.String() + ";\n\t",
			Trace{For: mail.Address{Local: `"x> (y"`, Domain: "example.org"}}},
		{"UTF-8 recipient without SMTPUTF8", "by relay.example.com\n\tid " + id.String() + ";\n\t",
			Trace{For: mail.Address{Local: "ü", Domain: "example.org"}}},
		{"UTF-8 recipient", "by relay.example.com\n\tid " + id.String() + "\n\tfor <ü@example.org>;\n\t",
			Trace{UTF8: true, For: mail.Address{Local: "ü", Domain: "example.org"}}},
	} {
		tc.t.By, tc.t.ID, tc.t.Time = "relay.example.com", id, when
		got := string(AppendReceived(nil, &tc.t))
		want := "Received: " + strings.ReplaceAll(tc.want, "\n", "\r\n") + "Thu, 6 Jun 2013 13:16:54 -0400\r\n"
		if got != want {
			t.Errorf("%s:\n got %q\nwant %q", tc.name, got, want)
		}
	}
}

// No client can end the field, a clause or a line, or make a line longer than RFC 5322 allows.
func FuzzReceived(f *testing.F) {
	f.Add("helo", "name.example", "local", "domain.example")
	f.Add("a\r\nX: y", "(b", "c>; d", "\x00")
	f.Fuzz(func(t *testing.T, helo, name, local, domain string) {
		got := string(AppendReceived(nil, &Trace{
			Helo: helo, Name: name, Addr: netip.MustParseAddr("192.0.2.5"), By: "relay.example.com", With: "ESMTP",
			For: mail.Address{Local: local, Domain: domain}, UTF8: true, Time: when,
		}))
		lines := strings.Split(strings.TrimSuffix(got, "\r\n"), "\r\n")
		for i, l := range lines {
			if len(l) > 998 || strings.ContainsAny(l, "\r\n\x00") || i > 0 && l[0] != '\t' {
				t.Fatalf("line %q", l)
			}
		}
		if n := len(lines); n < 4 || n > 5 || strings.Count(got, ";") != 1 || strings.Count(got, "(") != 1 {
			t.Fatalf("%q", got)
		}
		m, err := netmail.ReadMessage(strings.NewReader(got + "\r\n"))
		if err != nil || len(m.Header) != 1 {
			t.Fatalf("%v in %q", err, got)
		}
	})
}

func TestProtocol(t *testing.T) {
	for _, tc := range []struct {
		esmtp, utf8, tls, auth bool
		want                   string
	}{
		{false, false, false, false, "SMTP"}, {false, false, true, false, "SMTP"},
		{true, false, false, false, "ESMTP"}, {true, false, true, false, "ESMTPS"},
		{true, false, false, true, "ESMTPA"}, {true, false, true, true, "ESMTPSA"},
		{true, true, false, false, "UTF8SMTP"}, {true, true, true, false, "UTF8SMTPS"},
		{true, true, false, true, "UTF8SMTPA"}, {true, true, true, true, "UTF8SMTPSA"},
	} {
		if got := Protocol(tc.esmtp, tc.utf8, tc.tls, tc.auth); got != tc.want {
			t.Errorf("%+v: %s", tc, got)
		}
	}
}

func TestAppendMessageID(t *testing.T) {
	got := string(AppendMessageID(nil, 5, 6, "relay.example.com"))
	if got != "<0000000000005.0000000000006@relay.example.com>" {
		t.Error(got)
	}
	if got = string(AppendMessageID(nil, 5, 6, "")); !strings.HasSuffix(got, "@localhost>") {
		t.Error(got)
	}
	if got = string(AppendMessageID(nil, 5, 6, "a> \r\n")); !strings.HasSuffix(got, "@a????>") {
		t.Error(got)
	}
}

func TestAppendDate(t *testing.T) {
	got := string(AppendDate(nil, when))
	if p, err := netmail.ParseDate(got); err != nil || !p.Equal(when) {
		t.Errorf("%s: %v %v", got, p, err)
	}
}

func TestReceivedAllocs(t *testing.T) {
	tr := Trace{Helo: "client.example", Addr: netip.MustParseAddr("192.0.2.5"), By: "relay.example.com", With: "ESMTP", Time: when}
	buf := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { buf = AppendReceived(buf[:0], &tr) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
