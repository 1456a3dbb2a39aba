package intake

import (
	"bytes"
	"context"
	"fmt"
	netmail "net/mail"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/session"
	"github.com/mailroot/mailroot/internal/spool"
)

var (
	_ session.Transaction = (*Tx)(nil)
	_ SpoolTx             = (spool.Tx)(nil)
)

// store is a spool in memory with a log of what was called.
type store struct {
	calls     []string
	body      bytes.Buffer
	env       *mail.Envelope
	beginErr  error
	writeErr  error
	commitErr error
}

const testID = mail.QueueID(1 << 41)

func (s *store) begin(context.Context) (SpoolTx, error) {
	if s.beginErr != nil {
		return nil, s.beginErr
	}
	s.calls = append(s.calls, "begin")
	s.body.Reset()
	return s, nil
}

func (s *store) ID() mail.QueueID { return testID }

func (s *store) Write(p []byte) (int, error) {
	if s.writeErr != nil {
		return 0, s.writeErr
	}
	return s.body.Write(p)
}

func (s *store) Commit(_ context.Context, env *mail.Envelope) error {
	s.calls = append(s.calls, "commit")
	s.env = env
	return s.commitErr
}

func (s *store) Abort() { s.calls = append(s.calls, "abort") }

func (s *store) enqueue(env *mail.Envelope) {
	s.calls = append(s.calls, "enqueue")
	if env != s.env {
		s.calls = append(s.calls, "other envelope")
	}
}

func (s *store) options() Options {
	return Options{
		Spool:         s.begin,
		Enqueue:       s.enqueue,
		FQDN:          func() string { return "relay.example.com" },
		DefaultDomain: func() string { return "example.com" },
		IsAlias:       func(d string) bool { return mail.EqualFoldASCII(d, "alias.example") },
	}
}

func client() *mail.Peer {
	return &mail.Peer{
		Remote: netip.MustParseAddrPort("[::ffff:192.0.2.5]:4000"),
		Helo:   "client.example", ESMTP: true,
	}
}

func addr(s string) mail.Address {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return mail.Address{Local: s}
	}
	return mail.Address{Local: s[:i], Domain: s[i+1:]}
}

func rcpt(t *testing.T, tx *Tx, s string) string {
	t.Helper()
	a, err := tx.Rcpt(t.Context(), mail.Recipient{Addr: addr(s)})
	if err != nil {
		t.Fatal(err)
	}
	return a.String()
}

// send runs a message through the door in pieces of n octets (0: in one).
func send(t *testing.T, o Options, p *mail.Peer, s mail.Sender, msg string, n int, rcpts ...string) (mail.Accepted, error) {
	t.Helper()
	tx, err := New(o).BeginSMTP(t.Context(), p, s)
	if err != nil {
		return mail.Accepted{}, err
	}
	for _, r := range rcpts {
		rcpt(t, tx, r)
	}
	for b := []byte(msg); len(b) > 0; {
		k := len(b)
		if n > 0 {
			k = min(k, n)
		}
		if m, err := tx.Write(b[:k]); m != k || err != nil {
			tx.Abort()
			return mail.Accepted{}, err
		}
		b = b[k:]
	}
	return tx.Commit(t.Context())
}

// cutTrace returns the length of the Received field that a stored message begins with, and
// what follows it.
func cutTrace(t *testing.T, stored string) (int, string) {
	t.Helper()
	m := regexp.MustCompile(` [+-]\d{4}\r\n`).FindStringIndex(stored)
	if !strings.HasPrefix(stored, "Received: ") || m == nil {
		t.Fatalf("no trace field in %.200q", stored)
	}
	return m[1], stored[m[1]:]
}

const message1 = "From: a@b.example\r\nSubject: x\r\nMessage-ID: <1@b.example>\r\nDate: Thu, 6 Jun 2013 13:16:54 -0400\r\n\r\n.body\r\n"

func TestSMTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var st store
		a, err := send(t, st.options(), client(), mail.Sender{Addr: addr("a@b.example")}, message1, 0, "bob@example.org")
		if err != nil {
			t.Fatal(err)
		}
		trace := "Received: from client.example ([192.0.2.5])\r\n\tby relay.example.com with ESMTP\r\n\tid " + testID.String() +
			"\r\n\tfor <bob@example.org>;\r\n\t" + time.Now().Format("Mon, 2 Jan 2006 15:04:05 -0700") + "\r\n"
		if got := st.body.String(); got != trace+message1 {
			t.Errorf("stored %q", got)
		}
		if d := cmp.Diff(mail.Accepted{ID: testID, MessageID: "<1@b.example>"}, a); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"begin", "commit", "enqueue"}, st.calls); d != "" {
			t.Error(d)
		}
		want := &mail.Envelope{
			ID: testID, Sender: mail.Sender{Addr: addr("a@b.example")},
			Recipients: []mail.Recipient{{Addr: addr("bob@example.org")}},
			Arrived:    time.Now(), Peer: netip.MustParseAddr("192.0.2.5"), Helo: "client.example",
			Protocol: "ESMTP", DefaultDomain: "example.com",
			Content: mail.Content{
				Size: int64(st.body.Len()), HeaderLen: int64(st.body.Len() - len(".body\r\n")), DotLines: 1,
				MessageID: "<1@b.example>", Subject: "x",
				Edits: []mail.Edit{{Offset: uint32(len(trace) + 6), Length: 11, Kind: mail.EditFromAddress}},
			},
		}
		if d := cmp.Diff(want, st.env, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Error(d)
		}
	})
}

// The octets of a message are stored as they came, however they came. F17: long lines too.
// R7: forged Received fields are kept and counted.
func TestOctetsUnchanged(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, msg := range []string{
		message1,
		"From: fred\r\nTo: a, b\r\n\r\nF17 " + long + "\r\n",
		"X: " + long + "\r\n\r\nbody\r\n",
		"R7: x\r\nReceived: from evil by evil; x\r\nReceived: y\r\n\r\n",
		"\r\nno header\r\n",
		"no colon\r\n\r\n..\r\n.\r\n",
		"X: " + strings.Repeat("y", 300<<10) + "\r\nEnd: beyond the cap\r\n\r\nbody\r\n",
		"8-bit: \xff\xfe\r\n\r\n\xff\r\n",
	} {
		for _, n := range []int{0, 1, 7, 4096} {
			if n == 1 && len(msg) > 200_000 {
				continue // one octet at a time says nothing new there
			}
			var st store
			if _, err := send(t, st.options(), client(), mail.Sender{}, msg, n, "bob@example.org"); err != nil {
				t.Fatal(err)
			}
			_, rest := cutTrace(t, st.body.String())
			if rest != msg {
				t.Errorf("%.20q… in pieces of %d: stored %.100q…", msg, n, rest)
			}
			if c := &st.env.Content; c.Size != int64(st.body.Len()) {
				t.Errorf("%.20q…: size %d, stored %d", msg, c.Size, st.body.Len())
			}
			if strings.HasPrefix(msg, "R7") && st.env.Content.Hops != 2 {
				t.Errorf("R7: %d hops, want 2", st.env.Content.Hops)
			}
		}
	}
}

// A message that begins with a blank or a tab would go on in our Received field, or in the Date that we
// added: an empty line makes it body. Its fields are none, so that it lacks what a submission gets.
func TestMessageIsKeptOutOfOurFields(t *testing.T) {
	for _, msg := range []string{" (from [192.0.2.66]) by evil\r\nMessage-ID: <x@evil>\r\nFrom: fred\r\n\r\nbody\r\n", "\tx\r\n", " "} {
		for _, relay := range []bool{false, true} {
			for _, n := range []int{0, 1} {
				var st store
				p := client()
				p.Relay = relay
				if _, err := send(t, st.options(), p, mail.Sender{}, msg, n, "bob@example.org"); err != nil {
					t.Fatal(err)
				}
				stored := st.body.String()
				m, err := netmail.ReadMessage(strings.NewReader(stored))
				if err != nil {
					t.Fatalf("%q: %v", stored, err)
				}
				want := 1
				if relay {
					want = 3 // Message-ID and Date
				}
				if len(m.Header) != want || strings.Contains(fmt.Sprint(m.Header), "evil") {
					t.Errorf("%q has the header %q", msg, m.Header)
				}
				at := strings.Index(stored, "\r\n\r\n") + 4
				if rest := strings.TrimSuffix(stored[at:], "\r\n"); rest != strings.TrimSuffix(msg, "\r\n") {
					t.Errorf("%q has the body %q", msg, rest)
				}
				if c := &st.env.Content; c.HeaderLen != int64(at) || c.Size != int64(len(stored)) || len(c.Edits) != 0 || relay != c.OwnID {
					t.Errorf("%q, header %d: %+v", msg, at, c)
				}
			}
		}
	}
}

// Whatever ends without CRLF gets it, but for BINARYMIME.
func TestLastLineEnd(t *testing.T) {
	for _, tc := range []struct {
		msg, added string
		binary     bool
	}{
		{"", "", false},
		{"", "", true},
		{"Subject: x", "\r\n", false},
		{"Subject: x\r\n", "", false},
		{"Subject: x\r\n\r\n", "", false},
		{"Subject: x\r\n\r\nbody", "\r\n", false},
		{"Subject: x\r\n\r\nbody\r", "\n", false},
		{"Subject: x\r\n\r\nbody", "", true},
	} {
		var st store
		s := mail.Sender{Addr: addr("a@b.example")}
		if tc.binary {
			s.Body = mail.BodyBinaryMIME
		}
		if _, err := send(t, st.options(), client(), s, tc.msg, 3, "bob@example.org"); err != nil {
			t.Fatal(err)
		}
		_, rest := cutTrace(t, st.body.String())
		if rest != tc.msg+tc.added {
			t.Errorf("%q: stored %q", tc.msg, rest)
		}
		c := &st.env.Content
		head := int64(st.body.Len() - len("body"+tc.added))
		if !strings.Contains(tc.msg, "body") {
			head = int64(st.body.Len())
		} else if strings.HasSuffix(tc.msg, "\r") {
			head = int64(st.body.Len() - len("body\r\n"))
		}
		if c.Size != int64(st.body.Len()) || c.HeaderLen != head {
			t.Errorf("%q: size %d, header %d, want %d and %d", tc.msg, c.Size, c.HeaderLen, st.body.Len(), head)
		}
	}
}

// Message-ID and Date are added to a submission that lacks them, and to nothing else.
func TestSubmission(t *testing.T) {
	account, relay := client(), client()
	account.Account = "fred"
	account.TLS = &mail.TLSInfo{Version: "TLS1.3", Cipher: "TLS_AES_128_GCM_SHA256"}
	relay.Relay = true
	id := regexp.MustCompile(`Message-ID: (<\w{13}\.\w{13}@relay\.example\.com>)\r\n`)
	for _, tc := range []struct {
		name     string
		p        *mail.Peer
		header   string
		id, date bool
		protocol string
	}{
		{"anonymous", client(), "Subject: x\r\n", false, false, "ESMTP"},
		{"account", account, "Subject: x\r\n", true, true, "ESMTPSA"},
		{"relay list", relay, "Subject: x\r\n", true, true, "ESMTP"},
		{"has an id", relay, "message-id: <1@x>\r\n", false, true, "ESMTP"},
		{"has a date", relay, "DATE: x\r\n", true, false, "ESMTP"},
		{"has both", relay, "Date: x\r\nMessage-ID: x\r\n", false, false, "ESMTP"},
		{"nothing at all", relay, "", true, true, "ESMTP"},
	} {
		var st store
		a, err := send(t, st.options(), tc.p, mail.Sender{}, tc.header+"\r\nbody\r\n", 5, "a@example.org", "b@example.org")
		if err != nil {
			t.Fatal(err)
		}
		got := st.body.String()
		m := id.FindStringSubmatch(got)
		if (m != nil) != tc.id || a.OwnID != tc.id || st.env.Content.OwnID != tc.id || m != nil && (a.MessageID != m[1] || st.env.Content.MessageID != m[1]) {
			t.Errorf("%s: Message-ID %q, accepted %+v", tc.name, m, a)
		}
		parsed, err := netmail.ReadMessage(strings.NewReader(got))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parsed.Header.Date(); (err == nil) != tc.date {
			t.Errorf("%s: date: %v in %q", tc.name, err, got)
		}
		if st.env.Protocol != tc.protocol || !strings.Contains(got, " with "+tc.protocol) {
			t.Errorf("%s: protocol %s in %q", tc.name, st.env.Protocol, got)
		}
		if strings.Contains(got, "\tfor <") {
			t.Errorf("%s: a recipient is named though there are two: %q", tc.name, got)
		}
		if tc.p.TLS != nil && !strings.Contains(got, "(TLS1.3 TLS_AES_128_GCM_SHA256)") {
			t.Errorf("%s: no TLS in %q", tc.name, got)
		}
		if !strings.HasSuffix(got, tc.header+"\r\nbody\r\n") {
			t.Errorf("%s: stored %q", tc.name, got)
		}
	}
}

func TestEnvelopeAddresses(t *testing.T) {
	var st store
	o := st.options()
	o.Postmaster = func() mail.Address { return addr("admin@example.net") }
	tx, err := New(o).BeginSMTP(t.Context(), client(), mail.Sender{Addr: addr("fred")})
	if err != nil {
		t.Fatal(err)
	}
	if got := tx.Sender().String(); got != "fred@example.com" {
		t.Errorf("sender %s", got)
	}
	for _, tc := range [][2]string{
		{"bob", "bob@example.com"},
		{"bob@ALIAS.example", "bob@example.com"}, // the same again
		{"Bob@alias.example", "Bob@example.com"}, // another local-part
		{"joe@example.org", "joe@example.org"},
		{"joe@EXAMPLE.org", "joe@EXAMPLE.org"}, // the same again
		{"PostMaster", "admin@example.net"},    // E12
		{"postmaster@example.com", "postmaster@example.com"},
		{"u@[192.0.2.1]", "u@[192.0.2.1]"},
		{`"u@evil.example"@alias.example`, `"u@evil.example"@example.com`}, // E7: opaque
		{"=3Fx%0d%0a@example.org", "=3Fx%0d%0a@example.org"},               // E11: opaque
	} {
		if got := rcpt(t, tx, tc[0]); got != tc[1] {
			t.Errorf("%s became %s, want %s", tc[0], got, tc[1])
		}
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range st.env.Recipients {
		got = append(got, r.Addr.String()+" "+r.ORcpt)
	}
	want := []string{
		"bob@example.com rfc822;bob@ALIAS.example", "Bob@example.com rfc822;Bob@alias.example", "joe@example.org ",
		"admin@example.net ", "postmaster@example.com ", "u@[192.0.2.1] ",
		`"u@evil.example"@example.com rfc822;"u@evil.example"@alias.example`, "=3Fx%0d%0a@example.org ",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// E12 without a configured postmaster, and the null reverse-path, which is not completed.
func TestPostmasterE12AndNull(t *testing.T) {
	var st store
	o := st.options()
	for range 2 {
		tx, _ := New(o).BeginSMTP(t.Context(), client(), mail.Sender{})
		if got := rcpt(t, tx, "postmaster"); got != "postmaster@example.com" {
			t.Error(got)
		}
		if !tx.Sender().IsNull() {
			t.Error(tx.Sender())
		}
		tx.Abort()
		o.Postmaster = func() mail.Address { return mail.Address{} }
	}
}

// A recipient named twice is kept once, its wishes are joined, also among very many.
func TestDuplicates(t *testing.T) {
	const n, f, d, s = mail.NotifyNever, mail.NotifyFailure, mail.NotifyDelay, mail.NotifySuccess
	for _, tc := range []struct{ a, b, want mail.Notify }{
		{0, 0, 0}, {0, s, f | d | s}, {s, 0, f | d | s}, {n, 0, 0}, {0, n, 0}, {n, n, n}, {n, s, s}, {s, f, s | f},
	} {
		var st store
		tx, _ := New(st.options()).BeginSMTP(t.Context(), client(), mail.Sender{})
		for _, v := range []mail.Notify{tc.a, tc.b} {
			if _, err := tx.Rcpt(t.Context(), mail.Recipient{Addr: addr("a@b.example"), Notify: v}); err != nil {
				t.Fatal(err)
			}
		}
		if got := tx.env.Recipients; len(got) != 1 || got[0].Notify != tc.want {
			t.Errorf("%v and %v: %+v, want %v", tc.a, tc.b, got, tc.want)
		}
	}
	var st store
	tx, _ := New(st.options()).BeginSMTP(t.Context(), client(), mail.Sender{})
	for range 3 {
		for i := range 5000 {
			rcpt(t, tx, fmt.Sprintf("u%d@example.org", i))
			rcpt(t, tx, fmt.Sprintf("u%d@EXAMPLE.ORG", i))
		}
	}
	if got := len(tx.env.Recipients); got != 5000 {
		t.Errorf("%d recipients, want 5000", got)
	}
}

// R8: 15 Received fields pass, 16 are for the queue to return, or refused if that is set.
func TestHopsR8(t *testing.T) {
	for _, tc := range []struct {
		hops, limit int
		reject      bool
		want        int
	}{
		{15, 0, false, 0}, {16, 0, false, 0}, {15, 0, true, 0}, {16, 0, true, 554}, {3, 2, true, 554}, {2, 2, true, 0},
	} {
		var st store
		o := st.options()
		o.MaxHops, o.RejectHops = tc.limit, tc.reject
		msg := strings.Repeat("Received: by x; y\r\n", tc.hops) + "\r\nbody\r\n"
		_, err := send(t, o, client(), mail.Sender{}, msg, 100, "a@example.org")
		if tc.want == 0 {
			if err != nil || st.env.Content.Hops != tc.hops {
				t.Errorf("%+v: %v, %+v", tc, err, st.env)
			}
			continue
		}
		if r := mail.ReplyOf(err); r.Code != tc.want || r.Enhanced != mail.Enhanced(5, 4, 6) {
			t.Errorf("%+v: %v", tc, err)
		}
		if d := cmp.Diff([]string{"begin", "abort"}, st.calls); d != "" || st.body.Len() != 0 {
			t.Errorf("%+v: %s, %d octets stored", tc, d, st.body.Len())
		}
	}
}
