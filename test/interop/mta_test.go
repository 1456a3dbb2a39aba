package interop

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// mta is a mail server that others wrote, and what it can do. Its stories are the same as those of
// the others; what it does in its own way stands in its file.
type mta struct {
	start   func(testing.TB, harness.MTAOptions) *harness.MTA
	tls     bool   // it offers STARTTLS
	inTLS   string // what its trace says of a message that came in TLS; "": nothing, or its TLS may be broken
	dsn     bool   // it offers DSN
	forgets bool   // its reports do not repeat ENVID and ORCPT
	utf8    bool   // it offers SMTPUTF8
	single  bool   // it sends each recipient a copy in a transaction of its own
	refusal string // its words for nobody@dest.test
}

// stage is a relay and a server of others that have each other as next hop.
type stage struct {
	mta
	relay *harness.Server
	peer  *harness.MTA
}

// most is how many recipients the relay takes in one transaction.
const most = 10

// stories runs what every server must be able to do with us.
func (m mta) stories(t *testing.T) {
	t.Parallel()
	s := stage{mta: m}
	port := harness.FreePort(t)
	s.relay = harness.Start(t, harness.Options{
		Cert:        harness.NewCertificate(t, "relay.test"),
		Relay:       []string{"192.0.2.1"}, // not the peer: it may send to local.test only
		Domains:     []harness.Domain{{Name: "dest.test", Kind: "remote", Route: []string{"[127.0.0.1]:" + itoa(port)}, AllowRelay: true}},
		Connections: "    outbound_per_domain = 1",
		Messages:    fmt.Sprintf("    max_recipients = %d", most),
	})
	o := harness.MTAOptions{Port: port, Next: s.relay.Addr()}
	if m.tls {
		o.Cert = harness.NewCertificate(t, "mx.dest.test")
	}
	s.peer = m.start(t, o)
	t.Run("we deliver", s.weDeliver)
	t.Run("we deliver to one of two", s.oneIsRefused)
	t.Run("success is asked for", s.successIsAsked)
	t.Run("SMTPUTF8", s.needsUTF8)
	t.Run("it delivers", s.itDelivers)
	t.Run("it may not relay", s.itMayNotRelay)
	t.Run("it has more recipients than we take", s.itSplits)
	harness.Eventually(t, harness.Patience, "the queue is empty", s.relay.Empty)
	s.relay.Stop() // its log is whole then
	t.Run("on the wire", s.wire)
}

// hard is a text that is easily spoilt: dots, octets above 127, the longest line that RFC 5321 allows
// (§4.5.3.1.6), blanks at the end of a line, empty lines at the end.
var hard = ".\r\n..two\r\n.a dot and a word\r\nGrüße \xff\r\nblanks  \r\n\tFrom a tab\r\n" + strings.Repeat("long ", 199) + "xyz\r\n.\r\nend\r\n\r\n"

func (s stage) weDeliver(t *testing.T) {
	const messages = 10
	c := s.relay.Dial()
	var sent []string
	for i := range messages {
		text := harness.Message("sender@local.test", "b@dest.test", fmt.Sprintf("to you %d.", i), hard)
		if err := c.Send("sender@local.test", []string{"b@dest.test", "c@dest.test"}, []byte(text)); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, text)
	}
	for i, text := range sent {
		copies := s.waitCopies(t, 2, fmt.Sprintf("to you %d.", i))
		if copies[0].Rcpt != "b@dest.test" || copies[1].Rcpt != "c@dest.test" {
			t.Fatalf("copies for %s and %s", copies[0].Rcpt, copies[1].Rcpt)
		}
		for _, m := range copies {
			trace, ok := strings.CutSuffix(m.Text, text)
			if !ok {
				t.Fatalf("the text has changed: sent\n%q\ngot\n%q", text, m.Text)
			}
			if strings.Count(trace, "by relay.test with ESMTP\r\n") != 1 || !strings.Contains(trace, s.inTLS) {
				t.Fatalf("the trace is %q", trace)
			}
		}
	}
}

// waitCopies waits for n copies of the message with that subject, and returns them by recipient.
func (s stage) waitCopies(t *testing.T, n int, subject string) []harness.MTAMail {
	t.Helper()
	var got []harness.MTAMail
	harness.Eventually(t, harness.Patience, "the copies of "+subject, func() bool {
		got = slices.DeleteFunc(s.peer.Mails(), func(m harness.MTAMail) bool { return !strings.Contains(m.Text, "\r\nSubject: "+subject+"\r\n") })
		return len(got) >= n
	})
	if len(got) > n {
		t.Errorf("%d copies of %s, want %d", len(got), subject, n)
	}
	slices.SortFunc(got, func(a, b harness.MTAMail) int { return strings.Compare(a.Rcpt, b.Rcpt) })
	return got
}

// waitDrop waits for n messages with a text in the Drop folder.
func (s stage) waitDrop(t *testing.T, n int, what, text string) []*harness.DropFile {
	t.Helper()
	var got []*harness.DropFile
	if !harness.Within(harness.Patience, func() bool {
		got = slices.DeleteFunc(s.relay.DropFiles(), func(f *harness.DropFile) bool { return !strings.Contains(string(f.Message), text) })
		return len(got) >= n
	}) {
		for _, f := range s.relay.DropFiles() {
			t.Logf("in Drop:\n%.3000s", f.Message)
		}
		t.Fatalf("waited in vain: %s", what)
	}
	if len(got) > n {
		t.Errorf("%d times in Drop, want %d: %s", len(got), n, what)
	}
	return got
}

// wire looks at what was said to the peer, in the transaction log: connections were used again, STARTTLS and
// DSN parameters came where they are offered and nowhere else, and the peer was told 452.
func (s stage) wire(t *testing.T) {
	t.Helper()
	verbs, full := map[string]int{}, 0
	var said strings.Builder
	for _, name := range glob(t, s.relay.Dir+"/default/Logs/*") {
		for line := range strings.Lines(read(t, name)) {
			fields := strings.Fields(line)
			switch {
			case len(fields) < 12:
			case fields[3] == "OutboundConnectionCommand":
				verbs[fields[8]]++
				said.WriteString(strings.Join(fields[8:11], " ") + "\n")
			case fields[8] == "RCPT" && fields[11] == "452":
				full++
			}
		}
	}
	if verbs["QUIT"] == 0 || verbs["QUIT"] >= verbs["MAIL"] {
		t.Errorf("%d connections for %d messages: none was used again", verbs["QUIT"], verbs["MAIL"])
	}
	if got := verbs["STARTTLS"] > 0; got != s.tls {
		t.Errorf("STARTTLS said: %v", got)
	}
	if got := full > 0; got == s.single {
		t.Errorf("it was told 452: %v", got)
	}
	for _, want := range []string{"+RET=HDRS+ENVID=env+2Basked", "RCPT - TO:<b@dest.test>+NOTIFY=SUCCESS,FAILURE+ORCPT=rfc822;first+2Bname@dest.test\n"} {
		if got := strings.Contains(said.String(), want); got != s.dsn {
			t.Errorf("%q said: %v", want, got)
		}
	}
	if t.Failed() {
		t.Logf("said:\n%s", said.String())
	}
}

func (s stage) oneIsRefused(t *testing.T) {
	s.relay.Send("sender@local.test", []string{"nobody@dest.test", "b@dest.test"}, harness.Message("sender@local.test", "nobody@dest.test", "partly lost.", "text"))
	s.waitCopies(t, 1, "partly lost.")
	f := s.waitDrop(t, 1, "the NDR", "Subject: partly lost.")[0]
	for _, want := range []string{"Final-Recipient: rfc822; nobody@dest.test\r\n", "Action: failed\r\n", "Status: 5.", s.refusal} {
		if !strings.Contains(string(f.Message), want) {
			t.Errorf("no %q in the NDR\n%s", want, f.Message)
		}
	}
	if strings.Contains(string(f.Message), "Final-Recipient: rfc822; b@dest.test") || !slices.Equal(f.Receivers, []string{"sender@local.test"}) {
		t.Errorf("to %q\n%s", f.Receivers, f.Message)
	}
}

// A server with DSN (RFC 3461) gets the parameters and reports for itself; of one without, we report that
// the message was relayed.
func (s stage) successIsAsked(t *testing.T) {
	c := s.relay.Dial()
	for _, line := range []string{
		"MAIL FROM:<sender@local.test> RET=HDRS ENVID=env+2Basked",
		"RCPT TO:<b@dest.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first+2Bname@dest.test",
	} {
		if _, err := c.Cmd(250, "%s", line); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Cmd(354, "DATA"); err != nil {
		t.Fatal(err)
	}
	if err := c.Data([]byte(harness.Message("sender@local.test", "b@dest.test", "asked.", "not to come back"))); err != nil {
		t.Fatal(err)
	}
	s.waitCopies(t, 1, "asked.")
	report := string(s.waitDrop(t, 1, "the report", "Subject: asked.")[0].Message)
	// Exim leaves xtext (RFC 3461 §4) as it came.
	plain := strings.NewReplacer("+2b", "+", "; ", ";").Replace(strings.ToLower(report))
	who, action := "relay.test", "relayed"
	if s.dsn {
		who, action = "mx.dest.test", "delivered"
	}
	wants := []string{"reporting-mta: dns;" + who + "\r\n", "final-recipient: rfc822;b@dest.test\r\n", "action: " + action}
	if !s.forgets {
		wants = append(wants, "original-envelope-id: env+asked\r\n", "original-recipient: rfc822;first+name@dest.test\r\n")
	}
	for _, want := range wants {
		if !strings.Contains(plain, want) {
			t.Errorf("no %q in the report\n%s", want, report)
		}
	}
	if strings.Contains(report, "not to come back") {
		t.Errorf("only the header was asked for\n%s", report)
	}
}

// A message that needs SMTPUTF8 (RFC 6531) goes to a server that has it, and back from one that has not.
func (s stage) needsUTF8(t *testing.T) {
	text := harness.Message("sender@local.test", "jürgen@dest.test", "in UTF-8: Grüße.", "text")
	s.relay.Send("sender@local.test", []string{"jürgen@dest.test"}, text)
	if !s.utf8 {
		ndr := string(s.waitDrop(t, 1, "the NDR", "in UTF-8: Grüße.")[0].Message)
		if !strings.Contains(ndr, "Status: 5.6.7\r\n") {
			t.Errorf("no 5.6.7 in\n%s", ndr)
		}
		return
	}
	m := s.waitCopies(t, 1, "in UTF-8: Grüße.")[0]
	if m.Rcpt != "jürgen@dest.test" || !strings.HasSuffix(m.Text, text) || !strings.Contains(m.Text, "by relay.test with UTF8SMTP\r\n") {
		t.Errorf("%s has\n%s", m.Rcpt, m.Text)
	}
}

func (s stage) itDelivers(t *testing.T) {
	const messages = 5
	for i := range messages {
		text := harness.Message("a@dest.test", "b@local.test", fmt.Sprintf("from it %d.", i), hard)
		s.give(t, "a@dest.test", []string{"b@local.test", "c@local.test"}, text)
	}
	for i := range messages {
		subject := fmt.Sprintf("from it %d.", i)
		text := harness.Message("a@dest.test", "b@local.test", subject, hard)
		for _, f := range s.waitReceivers(t, subject, []string{"b@local.test", "c@local.test"}) {
			its, ok := strings.CutSuffix(string(f.Message), text)
			if !ok {
				t.Fatalf("the text has changed: sent\n%q\ngot\n%q", text, f.Message)
			}
			if f.Sender != "a@dest.test" || !strings.Contains(f.Trace, "from mx.dest.test ([127.0.0.1])\r\n\tby relay.test with ESMTPS (TLS1.3 ") ||
				!strings.HasPrefix(its, "Received: ") || !strings.Contains(its, "client.test") {
				t.Errorf("from %s, trace %q and %q", f.Sender, f.Trace, its)
			}
		}
	}
}

// waitReceivers waits until the message with that subject is in Drop for all recipients, each once.
func (s stage) waitReceivers(t *testing.T, subject string, want []string) []*harness.DropFile {
	t.Helper()
	var files []*harness.DropFile
	var got []string
	harness.Within(2*harness.Patience, func() bool {
		files, got = nil, nil
		for _, f := range s.relay.DropFiles() {
			if strings.Contains(string(f.Message), "\r\nSubject: "+subject+"\r\n") {
				files, got = append(files, f), append(got, f.Receivers...)
			}
		}
		return len(got) >= len(want)
	})
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Fatalf("%q is for %q, want %q", subject, got, want)
	}
	return files
}

// give hands a message to the peer as a client would.
func (s stage) give(t *testing.T, from string, to []string, text string) {
	t.Helper()
	c, err := s.peer.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Send(from, to, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
}

// Our 550 comes back from it as a report, through us.
func (s stage) itMayNotRelay(t *testing.T) {
	s.give(t, "back@local.test", []string{"x@elsewhere.test"}, harness.Message("back@local.test", "x@elsewhere.test", "not for relay.", "text"))
	f := s.waitDrop(t, 1, "its report", "x@elsewhere.test")[0]
	words := regexp.MustCompile(`550[ -]+5\.7\.1[\s-]+Unable to relay for\s+x@elsewhere\.test`)
	if !words.Match(f.Message) {
		t.Errorf("our words are not in\n%s", f.Message)
	}
	if f.Sender != "" && f.Sender != "<>" || !slices.Equal(f.Receivers, []string{"back@local.test"}) {
		t.Errorf("from %q to %q", f.Sender, f.Receivers)
	}
}

// It brings those that we have answered with 452 4.5.3 in further transactions: each recipient once.
func (s stage) itSplits(t *testing.T) {
	var to []string
	for i := range 2*most + 5 {
		to = append(to, fmt.Sprintf("r%02d@local.test", i))
	}
	s.give(t, "a@dest.test", to, harness.Message("a@dest.test", "list@local.test", "for many.", "text"))
	for _, f := range s.waitReceivers(t, "for many.", to) {
		if len(f.Receivers) > most {
			t.Errorf("%d recipients in one transaction", len(f.Receivers))
		}
	}
}
