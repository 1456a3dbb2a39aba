package accesslog

import (
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mailroot/mailroot/internal/mail"
)

const site = " SMTPSVC1 HOST"

func at(sec int) time.Time { return time.Date(2006, 10, 11, 19, 16, sec, 0, time.UTC) }

func inbound(sec int, verb, arg string, code int, out, in int64) mail.Exchange {
	return mail.Exchange{
		Time: at(sec), Remote: netip.MustParseAddrPort("192.0.2.5:4000"), Local: netip.MustParseAddrPort("10.0.0.1:25"),
		Helo: "client.example", Verb: verb, Arg: arg, Code: code, Out: out, In: in,
	}
}

func outbound(dir mail.Direction, verb, arg string) mail.Exchange {
	return mail.Exchange{
		Time: at(42), Dir: dir, Remote: netip.MustParseAddrPort("198.51.100.9:25"), Local: netip.MustParseAddrPort("10.0.0.1:40000"),
		Verb: verb, Arg: arg, Code: 220, Out: 18, In: 22, Took: 94 * time.Millisecond,
	}
}

// The rows that the reference sheet prints (§4.2), octet by octet.
func TestRowsOfTheReference(t *testing.T) {
	data := inbound(40, "DATA", "<HOSTab12cd34ef56gh700000001@host.example>", 250, 125, 1422)
	data.Took = 31 * time.Millisecond
	quit := inbound(40, "QUIT", "", 221, 61, 4)
	quit.Session = 688 * time.Millisecond
	for _, tc := range []struct {
		x    mail.Exchange
		want string
	}{
		{inbound(39, "EHLO", "client.example", 250, 186, 19),
			"2006-10-11 19:16:39 192.0.2.5 client.example SMTPSVC1 HOST 10.0.0.1 0 EHLO - +client.example 250 0 186 19 0 SMTP - - - -"},
		{inbound(39, "MAIL", "FROM:<a@b.example>", 250, 36, 23),
			"2006-10-11 19:16:39 192.0.2.5 client.example SMTPSVC1 HOST 10.0.0.1 0 MAIL - +FROM:<a@b.example> 250 0 36 23 0 SMTP - - - -"},
		{inbound(39, "RCPT", "TO:<c@d.example>", 250, 24, 21),
			"2006-10-11 19:16:39 192.0.2.5 client.example SMTPSVC1 HOST 10.0.0.1 0 RCPT - +TO:<c@d.example> 250 0 24 21 0 SMTP - - - -"},
		{data,
			"2006-10-11 19:16:40 192.0.2.5 client.example SMTPSVC1 HOST 10.0.0.1 0 DATA - <HOSTab12cd34ef56gh700000001@host.example> 250 0 125 1422 31 SMTP - - - -"},
		{quit,
			"2006-10-11 19:16:40 192.0.2.5 client.example SMTPSVC1 HOST 10.0.0.1 0 QUIT - client.example 240 688 61 4 0 SMTP - - - -"},
		{outbound(mail.OutboundResponse, "", "220 mx.example ESMTP"),
			"2006-10-11 19:16:42 198.51.100.9 OutboundConnectionResponse SMTPSVC1 HOST - 25 - - 220+mx.example+ESMTP 0 0 20 0 94 SMTP - - - -"},
		{outbound(mail.OutboundCommand, "EHLO", "host.example"),
			"2006-10-11 19:16:42 198.51.100.9 OutboundConnectionCommand SMTPSVC1 HOST - 25 EHLO - host.example 0 0 4 0 94 SMTP - - - -"},
	} {
		if got := string(appendRow(nil, &tc.x, site)); got != tc.want+"\r\n" {
			t.Errorf("\n got %q\nwant %q", got, tc.want)
		}
	}
}

func TestOtherRows(t *testing.T) {
	client := inbound(40, "DATA", " <1@client.example>", 250, 125, 1422)
	chunk := inbound(40, "BDAT", "1422", 250, 20, 1422)
	last := inbound(40, "BDAT", "<1@relay.example>", 250, 79, 0)
	blank := inbound(39, "MAIL", " FROM:<a@b> SIZE=10", 250, 36, 23)
	timeout := inbound(40, "TIMEOUT", "", 421, 50, 0)
	timeout.Session = 600 * time.Second
	unknown := inbound(39, "xxxx", "what is this", 500, 32, 4)
	unknown.Helo = ""
	six := inbound(39, "RSET", "", 250, 19, 4)
	six.Remote, six.Local = netip.MustParseAddrPort("[::ffff:192.0.2.5]:1"), netip.MustParseAddrPort("[fe80::1%eth0]:25")
	none := mail.Exchange{Verb: "NOOP", Took: -time.Second, In: -1, Out: -1, Code: -1}
	for _, tc := range []struct {
		name string
		x    mail.Exchange
		want string
	}{
		{"an id of the client's", client, "10.0.0.1 0 DATA - +<1@client.example> 250 0 125 1422 0 SMTP - - - -"},
		{"a chunk", chunk, "10.0.0.1 0 BDAT - +1422 250 0 20 1422 0 SMTP - - - -"},
		{"the last chunk", last, "10.0.0.1 0 BDAT - <1@relay.example> 250 0 79 0 0 SMTP - - - -"},
		{"an argument with its blank", blank, "10.0.0.1 0 MAIL - +FROM:<a@b>+SIZE=10 250 0 36 23 0 SMTP - - - -"},
		{"time-out", timeout, "10.0.0.1 0 TIMEOUT - client.example 421 600000 50 0 0 SMTP - - - -"},
		{"unknown verb before HELO", unknown, "192.0.2.5 - SMTPSVC1 HOST 10.0.0.1 0 xxxx - +what+is+this 500 0 32 4 0 SMTP - - - -"},
		{"IPv6", six, "192.0.2.5 client.example SMTPSVC1 HOST fe80::1 0 RSET - - 250 0 19 4 0 SMTP - - - -"},
		{"nothing known", none, "0001-01-01 00:00:00 - - SMTPSVC1 HOST - 0 NOOP - - 0 0 0 0 0 SMTP - - - -"},
		{"STARTTLS out", outbound(mail.OutboundCommand, "STARTTLS", ""), "- 25 STARTTLS - - 0 0 8 0 94 SMTP - - - -"},
		{"empty response", outbound(mail.OutboundResponse, "", ""), "- 25 - - - 0 0 0 0 94 SMTP - - - -"},
	} {
		if got := string(appendRow(nil, &tc.x, site)); !strings.HasSuffix(got, tc.want+"\r\n") {
			t.Errorf("%s:\n got %q\nwant %q", tc.name, got, tc.want)
		}
	}
}

// L1: no text can end its field, its row or pass for a header line.
func TestEscapingL1(t *testing.T) {
	for _, tc := range [][2]string{
		{"a b", "a+b"},
		{"a\r\n2006-10-11 forged", "a%0D%0A2006-10-11+forged"},
		{"\t\x1b[31m\x00\x7f", "%09%1B[31m%00%7F"},
		{`"quoted"@x`, "%22quoted%22@x"},
		{"\r\n#Software: x", "%0D%0A#Software:+x"},
		{"=cmd|'/C calc'!A0", "=cmd|'/C+calc'!A0"},
		{"grün", "grün"},
		{"\xff\xc3", "%FF%C3"},
		{"a\u0085b\u2028c\u00a0d\u202ee", "a%C2%85b%E2%80%A8c%C2%A0d%E2%80%AEe"},
		{strings.Repeat("x", 5000), strings.Repeat("x", maxField)},
		{strings.Repeat("\n", 5000), strings.Repeat("%0A", maxField/3)},
		{strings.Repeat("x", maxField-1) + "ü", strings.Repeat("x", maxField-1)},
	} {
		if got := string(appendText(nil, tc[0], '+')); got != tc[1] {
			t.Errorf("%.40q became %.60q, want %.60q", tc[0], got, tc[1])
		}
	}
}

func TestHeader(t *testing.T) {
	want := "#Software: Mailroot\r\n#Version: 1.0\r\n#Date: 2006-10-11 19:16:39\r\n" +
		"#Fields: date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem cs-uri-query " +
		"sc-status sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host cs(User-Agent) cs(Cookie) cs(Referer) \r\n"
	if got := string(appendHeader(nil, "Mailroot", at(39).In(time.FixedZone("", 3600)))); got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

// Whatever is in an Exchange, it makes one line with all columns.
func FuzzRow(f *testing.F) {
	f.Add("helo", "MAIL", "FROM:<a@b>", int64(5), 250, uint8(0), int64(1))
	f.Add("", "", "", int64(-1), -1, uint8(2), int64(-1))
	f.Add("\r\n# \"", "QUIT", "\x00\xff ", int64(1)<<62, 1<<40, uint8(1), int64(1)<<60)
	columns := len(strings.Fields(fieldNames))
	f.Fuzz(func(t *testing.T, helo, verb, arg string, n int64, code int, dir uint8, sec int64) {
		x := mail.Exchange{
			Time: time.Unix(sec, 0), Dir: mail.Direction(dir % 3), Remote: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.5"), uint16(n)),
			Helo: helo, Verb: verb, Arg: arg, Code: code, In: n, Out: -n, Took: time.Duration(n), Session: time.Duration(n),
		}
		row := string(appendRow(nil, &x, site))
		line, rest, ok := strings.Cut(row, "\r\n")
		if !ok || rest != "" || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == '"' || r == 0x7f }) || !utf8.ValidString(line) {
			t.Fatalf("%q", row)
		}
		fields := strings.Split(line, " ")
		if len(fields) != columns || line[0] < '0' || line[0] > '9' {
			t.Fatalf("%d columns, want %d: %q", len(fields), columns, row)
		}
		for i, f := range fields {
			if f == "" || len(f) > maxField+1 {
				t.Fatalf("column %d is %q", i, f)
			}
		}
	})
}

func BenchmarkRow(b *testing.B) {
	x := inbound(39, "MAIL", "FROM:<a@b.example> SIZE=4096", 250, 36, 23)
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendRow(buf[:0], &x, site)
	}
}
