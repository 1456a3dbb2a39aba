package report

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	words "github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/message"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const original = "Received: from client.example ([192.0.2.5])\r\n\tby relay.example.com with ESMTP;\r\n\tThu, 6 Jun 2013 12:16:54 +0000\r\n" +
	"From: Fred <fred@example.com>\r\nTo: bob@example.org\r\nSubject: Quarterly report\r\nMessage-ID: <1@client.example>\r\n" +
	"Date: Thu, 6 Jun 2013 12:16:50 +0000\r\n\r\nDear Bob,\r\n..a dot\r\n.\r\n--boundary--\r\nbye\r\n"

var now = time.Date(2013, 6, 6, 13, 16, 54, 0, time.UTC)

func options() *Options {
	return &Options{FQDN: "relay.example.com", From: words.Address{Local: "postmaster", Domain: "example.com"}, MaxOriginal: 10 << 20}
}

// failure returns a report of failure on body for one recipient.
func failure(body string) *Report {
	var s message.Scanner
	_, _ = s.Write([]byte(body))
	s.End()
	return &Report{
		Kind: Failure,
		Env: &words.Envelope{
			ID:         words.QueueID(1 << 41),
			Sender:     words.Sender{Addr: words.Address{Local: "fred", Domain: "example.com"}},
			Recipients: []words.Recipient{{Addr: words.Address{Local: "bob", Domain: "example.org"}}},
			Arrived:    now.Add(-time.Hour), Peer: netip.MustParseAddr("192.0.2.5"), Helo: "client.example",
			Content: s.Content(0, 0),
		},
		Results: []words.Result{{
			Outcome: words.Failed, Host: "mx.example.org",
			Reply: words.NewReply(550, words.Enhanced(5, 1, 1), "<bob@example.org>: user unknown"),
		}},
		Body: strings.NewReader(body), Time: now, MessageID: "<2@relay.example.com>", Boundary: "=_boundary",
	}
}

type testCase struct {
	name string
	r    *Report
	o    *Options
}

// cases are the reports that have golden files.
func cases() []testCase {
	plain := failure(original)

	dsn := failure(original)
	dsn.Env.Sender.EnvID = "QQ+2B314159"
	dsn.Env.Sender.Ret = words.RetHeaders
	dsn.Env.Recipients[0].ORcpt = "rfc822;Bob+2Bx@alias.example"

	several := failure(original)
	several.Env.Recipients = append(several.Env.Recipients,
		words.Recipient{Addr: words.Address{Local: "delivered", Domain: "example.org"}},
		words.Recipient{Addr: words.Address{Local: "ann", Domain: "down.example"}},
		words.Recipient{Addr: words.Address{Local: `"a b"`, Domain: "example.net"}},
		words.Recipient{Addr: words.Address{Local: "joe", Domain: "example.net"}})
	several.Results = append(several.Results,
		words.Result{Rcpt: 2, Outcome: words.Failed, Ours: true, Host: "mx.down.example",
			Reply: words.NewReply(451, words.Enhanced(4, 4, 1), "no connection: connection refused")},
		words.Result{Rcpt: 3, Outcome: words.Failed, Host: "[192.0.2.9]", MayRepeat: true,
			Reply: words.NewReply(554, words.EnhancedCode{}, "Transaction failed\nsee https://example.net/help\nor call")},
		words.Result{Rcpt: 4, Outcome: words.Failed, Ours: true,
			Reply: words.NewReply(556, words.Enhanced(5, 1, 10), "the domain takes no mail")})

	headers := failure(original)
	small := options()
	small.MaxOriginal = 100

	hostile := failure("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe=0D=0A_from_=E2=80=AEabc?=\r\nX-8bit: \xe9\r\nMessage-ID: <a b>\r\n\r\n\xe9\r\n")
	hostile.Env.Helo = "helo\r\nX-Injected: yes"
	hostile.Results[0].Reply = words.NewReply(550, words.Enhanced(5, 7, 1),
		"\x1b[31m<script>alert(1)</script>\r\x00 caf\xe9 gr\u00fcn\t"+strings.Repeat("long", 300)+"\n\n--=_boundary--\nFinal-Recipient: rfc822; forged@example.org")
	hostile.Results[0].Host = "mx\r\nAction: delivered"

	utf8 := failure("From: <fréd@example.com>\r\nSubject: Grüße\r\n\r\nPĂ\r\n")
	utf8.Env.Sender.Addr.Local, utf8.Env.Sender.UTF8 = "fréd", true
	utf8.Env.Recipients[0].Addr = words.Address{Local: "bøb", Domain: "exämple.org"}

	utf8Headers := failure("From: <fréd@example.com>\r\nSubject: Grüße\r\n\r\nPĂ\r\n")
	utf8Headers.Env.Sender.UTF8, utf8Headers.Env.Sender.Ret = true, words.RetHeaders

	delay := failure(original)
	delay.Kind, delay.RetryUntil = Delay, now.Add(48*time.Hour)
	delay.Results[0].Outcome = words.Deferred
	delay.Results[0].Reply = words.NewReply(450, words.Enhanced(4, 2, 2), "mailbox full")

	success := failure(original)
	success.Kind = Success
	success.Results[0] = words.Result{Outcome: words.Delivered, Reply: words.NewReply(250, words.Enhanced(2, 0, 0), "written to the drop directory"), Ours: true}

	relayed := failure(original)
	relayed.Kind = Relayed
	relayed.Results[0] = words.Result{Outcome: words.Delivered, NoDSN: true, Host: "mx.example.org", Reply: words.NewReply(250, words.EnhancedCode{}, "ok")}

	gone := failure(original)
	gone.Body = nil
	waiting := failure(original)
	waiting.Kind = Delay
	waiting.Env.Recipients = append(waiting.Env.Recipients, words.Recipient{Addr: words.Address{Local: "ann", Domain: "example.net"}})
	waiting.Results = []words.Result{
		{Outcome: words.Deferred, Ours: true, Reply: words.NewReply(451, words.Enhanced(4, 4, 5), "The message waits its turn and was not tried yet")},
		{Outcome: words.Deferred, Ours: true, Rcpt: 1}, // its reply was lost
	}

	return append(reasons(), []testCase{
		{"failure", plain, options()}, {"failure-dsn", dsn, options()}, {"failure-several", several, options()},
		{"failure-headers", headers, small}, {"failure-hostile", hostile, options()}, {"failure-utf8", utf8, options()},
		{"failure-utf8-headers", utf8Headers, options()}, {"delay", delay, options()}, {"success", success, options()},
		{"relayed", relayed, options()}, {"failure-no-original", gone, options()}, {"delay-waiting", waiting, options()},
	}...)
}

func compose(t *testing.T, o *Options, r *Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := Compose(&b, o, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, tc := range cases() {
		got := compose(t, tc.o, tc.r)
		if strings.Count(got, "\n") != strings.Count(got, "\r\n") || strings.Count(got, "\r") != strings.Count(got, "\r\n") {
			t.Errorf("%s: bare CR or LF", tc.name)
		}
		file := filepath.Join("testdata", tc.name+".golden") // with LF, so that any checkout is the same
		got = strings.ReplaceAll(got, "\r\n", "\n")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s (go test -run Golden -update rewrites it): %s", tc.name, d)
		}
	}
}

// part is a part of a report as Go's parser sees it.
type part struct{ typ, cte, body string }

func parts(t *testing.T, msg string) (*mail.Message, []part) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(msg))
	if err != nil {
		t.Fatal(err)
	}
	typ, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || typ != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("%s %v %v", typ, params, err)
	}
	var all []part
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return m, all
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, part{p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), string(body)})
	}
}

// The message comes back octet by octet, and Go's parser finds the parts where RFC 3462 has them.
func TestStructure(t *testing.T) {
	head, _, _ := strings.Cut(original, "\r\n\r\n")
	utf8Msg := "From: <fréd@example.com>\r\nSubject: Grüße\r\n\r\nPĂ\r\n"
	want := map[string]part{
		"failure":              {"message/rfc822", "", original},
		"failure-dsn":          {"text/rfc822-headers", "", head + "\r\n"},
		"failure-several":      {"message/rfc822", "", original},
		"failure-headers":      {"text/rfc822-headers", "", head + "\r\n"},
		"failure-utf8":         {"message/global", "8bit", utf8Msg},
		"failure-utf8-headers": {"message/global-headers", "8bit", "From: <fréd@example.com>\r\nSubject: Grüße\r\n"},
		"delay":                {"text/rfc822-headers", "", head + "\r\n"},
		"success":              {"text/rfc822-headers", "", head + "\r\n"},
		"relayed":              {"text/rfc822-headers", "", head + "\r\n"},
	}
	for _, tc := range cases() {
		m, p := parts(t, compose(t, tc.o, tc.r))
		if tc.name == "failure-no-original" {
			if len(p) != 2 {
				t.Errorf("%s: %d parts", tc.name, len(p))
			}
			continue
		}
		if len(p) != 3 || !strings.HasPrefix(p[0].typ, "text/plain") || !strings.HasSuffix(p[1].typ, "delivery-status") {
			t.Fatalf("%s: %v", tc.name, p)
		}
		if w, ok := want[tc.name]; ok && w != p[2] {
			t.Errorf("%s: returned %q, want %q", tc.name, p[2], w)
		}
		for i := range p {
			if eight := strings.IndexFunc(p[i].body, func(r rune) bool { return r >= 0x80 }) >= 0; eight && (p[i].cte != "8bit" || m.Header.Get("Content-Transfer-Encoding") != "8bit") {
				t.Errorf("%s: part %d has octets above 127, declared %q in %q", tc.name, i, p[i].cte, m.Header.Get("Content-Transfer-Encoding"))
			}
		}
	}
}

// C7: what the server, the client or the message says cannot become a field, a part, a
// control octet or a line of ours.
func TestHostileC7(t *testing.T) {
	for _, tc := range cases() {
		if tc.name != "failure-hostile" {
			continue
		}
		r := *tc.r
		r.Boundary = ""
		got := compose(t, tc.o, &r)
		_, p := parts(t, got)
		if len(p) != 3 {
			t.Fatalf("%d parts", len(p))
		}
		for _, s := range []string{"\x1b", "\x00", "\u202e", "caf\xe9", "\nX-Injected", "\nAction: delivered", "\nFinal-Recipient: rfc822; forged"} {
			if strings.Contains(p[0].body+p[1].body, s) {
				t.Errorf("%q came through", s)
			}
		}
		if n := strings.Count(p[1].body, "\r\nAction:"); n != 1 {
			t.Errorf("%d recipients in the status part", n)
		}
		if i := strings.Index(p[0].body, "<script>"); i < 0 || !strings.HasPrefix(p[0].body[strings.LastIndex(p[0].body[:i], "\n")+1:], "        550") {
			t.Errorf("the server's words are not indented: %q", p[0].body)
		}
		for l := range strings.SplitSeq(p[0].body+p[1].body, "\r\n") {
			if len(l) > 998 {
				t.Errorf("a line of %d octets", len(l))
			}
		}
	}
}

// R10: no report on a report.
func TestNullSenderR10(t *testing.T) {
	r := failure(original)
	r.Env.Sender.Addr = words.Address{}
	var b bytes.Buffer
	if err := Compose(&b, options(), r); !errors.Is(err, ErrNullSender) || b.Len() != 0 {
		t.Errorf("%v, %d octets", err, b.Len())
	}
	r = failure(original)
	r.Results = nil
	if err := Compose(&b, options(), r); err == nil {
		t.Error("a report on nothing")
	}
}

func TestWanted(t *testing.T) {
	const n, s, f, d = words.NotifyNever, words.NotifySuccess, words.NotifyFailure, words.NotifyDelay
	for _, tc := range []struct {
		n    words.Notify
		want []bool // failure, delay, success, relayed
	}{
		{0, []bool{true, true, false, false}}, {n, []bool{false, false, false, false}},
		{s, []bool{false, false, true, true}}, {f, []bool{true, false, false, false}},
		{d, []bool{false, true, false, false}}, {s | f | d, []bool{true, true, true, true}},
	} {
		for i, k := range []Kind{Failure, Delay, Success, Relayed} {
			if got := Wanted(k, tc.n); got != tc.want[i] {
				t.Errorf("kind %d, notify %d: %v", k, tc.n, got)
			}
		}
	}
}

func TestBoundary(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		r := failure(original)
		r.Boundary = ""
		m, _ := parts(t, compose(t, options(), r))
		seen[m.Header.Get("Content-Type")] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d boundaries in 100 reports", len(seen))
	}
}

// What is returned never has bare CR or LF, whatever the message had.
func TestBinaryOriginal(t *testing.T) {
	body := "Subject: x\ry\r\nA: b\nC: d\r\n\r\n\x00\n\r\x01"
	r := failure(body)
	r.Env.Sender.Body = words.BodyBinaryMIME
	got := compose(t, options(), r)
	_, p := parts(t, got)
	if p[2].typ != "text/rfc822-headers" || p[2].body != "Subject: x y\r\nA: b\r\nC: d\r\n" {
		t.Errorf("%q", p[2])
	}
	if strings.Count(got, "\n") != strings.Count(got, "\r\n") || strings.Count(got, "\r") != strings.Count(got, "\r\n") {
		t.Error("bare CR or LF")
	}
}

// A header without an end is returned as far as it was read, up to a whole line.
func TestEndlessHeader(t *testing.T) {
	line := "X: " + strings.Repeat("y", 95) + "\r\n"
	r := failure(strings.Repeat(line, 4000))
	if r.Env.Content.HeaderLen != 0 {
		t.Fatal("not what is to be tested")
	}
	o := options()
	o.MaxOriginal = 0
	_, p := parts(t, compose(t, o, r))
	if n := len(p[2].body); n%len(line) != 0 || n > message.MaxHeader || n < message.MaxHeader-len(line) {
		t.Errorf("%d octets returned", n)
	}
}

type failing struct{ n int }

var errFull = errors.New("full")

func (f *failing) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestErrors(t *testing.T) {
	big := original + strings.Repeat("text text text\r\n", 10_000)
	if err := Compose(&failing{n: 1000}, options(), failure(big)); !errors.Is(err, errFull) {
		t.Errorf("a writer that fails in the original: %v", err)
	}
	if err := Compose(&failing{}, options(), failure(original)); !errors.Is(err, errFull) {
		t.Errorf("a writer that fails at the end: %v", err)
	}
	r := failure(original)
	r.Env.Content.Size++
	if err := Compose(io.Discard, options(), r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a message that is too short: %v", err)
	}
	r.Env.Sender.Ret, r.Env.Content.HeaderLen = words.RetHeaders, int64(len(original)+1)
	if err := Compose(io.Discard, options(), r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a header that is too short: %v", err)
	}
}

func TestStatus(t *testing.T) {
	for _, tc := range []struct {
		k    Kind
		r    words.Reply
		want string
	}{
		{Failure, words.NewReply(550, words.Enhanced(5, 1, 1), ""), "5.1.1"},
		{Failure, words.NewReply(550, words.EnhancedCode{}, ""), "5.0.0"},
		{Failure, words.NewReply(451, words.Enhanced(4, 4, 7), ""), "4.4.7"},
		{Failure, words.NewReply(451, words.EnhancedCode{}, ""), "4.0.0"},
		{Failure, words.NewReply(550, words.Enhanced(2, 0, 0), ""), "5.0.0"},
		{Failure, words.Reply{}, "5.0.0"},
		{Delay, words.NewReply(450, words.Enhanced(4, 2, 2), ""), "4.2.2"},
		{Delay, words.NewReply(450, words.EnhancedCode{}, ""), "4.0.0"},
		{Success, words.NewReply(250, words.EnhancedCode{}, ""), "2.0.0"},
		{Relayed, words.NewReply(250, words.Enhanced(2, 6, 0), ""), "2.6.0"},
	} {
		if got := status(tc.k, tc.r).String(); got != tc.want {
			t.Errorf("%d %v: %s, want %s", tc.k, tc.r, got, tc.want)
		}
	}
}

// Each code has words, and each says what to do.
func TestExplain(t *testing.T) {
	for subject := range uint16(10) {
		for detail := range uint16(40) {
			for _, class := range []uint16{0, 4, 5} {
				res := words.Result{Reply: words.NewReply(550, words.Enhanced(class, subject, detail), "")}
				if why, do := explain(&res); !strings.HasSuffix(why, ".") || !strings.HasSuffix(do, ".") {
					t.Errorf("%d.%d.%d: %q %q", class, subject, detail, why, do)
				}
			}
		}
	}
	known := func(code int, e words.EnhancedCode) string {
		why, _ := explain(&words.Result{Reply: words.NewReply(code, e, "")})
		return why
	}
	if known(550, words.Enhanced(5, 1, 1)) == known(550, words.Enhanced(5, 7, 1)) || known(550, words.EnhancedCode{}) == known(421, words.EnhancedCode{}) {
		t.Error("different codes are explained alike")
	}
}

func FuzzCompose(f *testing.F) {
	f.Add("550 text", "mx.example.org", "helo", "rfc822;a+20b", "env", "Subject: x\r\n\r\nbody\r\n", true)
	f.Add("\r\n\r\n--=_boundary--", "\x00", "\xff", ";", "+", "", false)
	f.Fuzz(func(t *testing.T, text, host, helo, orcpt, envid, msg string, utf8 bool) {
		msg = strings.NewReplacer("\r", "", "\n", "\r\n").Replace(msg) + "\r\n"
		if strings.Contains(msg, "=_boundary") {
			return // chance cannot do this with a random boundary
		}
		r := failure(msg)
		r.Results[0].Reply.Text, r.Results[0].Host, r.Env.Helo = text, host, helo
		r.Env.Recipients[0].ORcpt, r.Env.Sender.EnvID, r.Env.Sender.UTF8 = orcpt, envid, utf8
		var b bytes.Buffer
		if err := Compose(&b, options(), r); err != nil {
			t.Fatal(err)
		}
		got := b.String()
		_, p := parts(t, got)
		if len(p) != 3 || p[2].body != msg {
			t.Fatalf("%d parts in %q", len(p), got)
		}
		groups := strings.Split(strings.TrimSuffix(p[1].body, "\r\n"), "\r\n\r\n")
		if len(groups) != 2 || strings.Count(p[1].body, "\r\nAction: ") != 1 {
			t.Fatalf("status part %q", p[1].body)
		}
		for l := range strings.SplitSeq(p[0].body+p[1].body, "\r\n") {
			if len(l) > 998 || strings.ContainsAny(l, "\r\n\x00\x1b") {
				t.Fatalf("line %q", l)
			}
		}
	})
}
