package sessiontest

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/session"
	"github.com/mailroot/mailroot/internal/smtp"
)

// Run runs each script (*.txt) of a directory as a subtest. A script is a txtar archive. What
// stands before the first file says in words what it shows. The files:
//
// "options", one to a line as "name value": banner, tls (starttls or implicit), require_tls,
// max_size, max_session_size, strict_size, session_size_counts, max_recipients, idle_timeout,
// grace, max_junk, max_errors; local (domains), relay, deny for the policy. voice and profile may have
// several values: the script is run for each combination.
//
// "dialog", line by line; a line that begins with "[NAME] " is for that voice or profile only:
//
//	smtp> TEXT      send TEXT and CRLF; consecutive lines go out in one flight
//	raw> "OCTETS"   send octets, in the form of a Go string
//	text> N         send N octets of message text
//	smtp< TEXT      expect a line; "*" stands for anything, "\s" at the end for a blank
//	closed WHY      expect the server to close, for the reason WHY
//	wait 600s       let time pass
//	tls             make a TLS handshake
//	hangup          close without a word
//	shutdown        cancel the session's context
//	# ...           nothing
//
// "message", once for each message that is to be accepted, in order: the reverse-path, the
// forward-paths, one to a line in angle brackets, an empty line, the text with LF line ends.
//
// "record", if there: what is recorded, one exchange to a line: verb, argument in quotes,
// code, octets out, octets in.
func Run(t *testing.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no script in %s", dir)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			a := txtar.Parse(data)
			for _, voice := range values(a, "voice", "classic") {
				for _, profile := range values(a, "profile", "internal") {
					t.Run(voice+"/"+profile, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { run(t, a, voice, profile) })
					})
				}
			}
		})
	}
}

// values returns the values of an option.
func values(a *txtar.Archive, name, def string) []string {
	for _, f := range a.Files {
		if f.Name != "options" {
			continue
		}
		for _, line := range lines(string(f.Data)) {
			if words := strings.Fields(line); words[0] == name {
				return words[1:]
			}
		}
	}
	return []string{def}
}

// script is one run.
type script struct {
	t        *testing.T
	c        *Client
	memory   Memory
	recorder Recorder
	o        session.Options
	rules    Rules
	flight   string
	is       []string // the names of voice and profile
}

func (s *script) voice(name string) {
	switch name {
	case "classic":
		s.o.Voice = session.Classic
	case "plain":
		s.o.Voice = session.Plain
	default:
		s.t.Fatalf("unknown voice %q", name)
	}
}

func (s *script) profile(name string) {
	for _, p := range []smtp.Profile{smtp.Internal, smtp.Internet, smtp.Submission} {
		if p.String() == name {
			s.o.Profile = p
			return
		}
	}
	s.t.Fatalf("unknown profile %q", name)
}

func run(t *testing.T, a *txtar.Archive, voice, profile string) {
	s := &script{t: t, is: []string{voice, profile}}
	s.voice(voice)
	s.profile(profile)
	s.o.FQDN, s.o.Begin, s.o.Record, s.o.Policy = FQDN, s.memory.Begin, s.recorder.Record, &s.rules
	s.rules = Rules{Local: []string{"example.com"}, Open: true}
	var messages, records []string
	dialog := ""
	for _, f := range a.Files {
		switch text := string(f.Data); f.Name {
		case "options":
			for _, line := range lines(text) {
				s.option(line)
			}
		case "dialog":
			dialog = text
		case "message":
			messages = append(messages, text)
		case "record":
			records = lines(text)
		default:
			t.Fatalf("unknown file %q in the script", f.Name)
		}
	}
	s.c = Dial(t, &s.o)
	for n, line := range lines(dialog) {
		if !s.step(line) {
			t.Fatalf("line %d of the dialog is not understood: %q", n+1, line)
		}
	}
	s.send()
	s.c.Hangup()
	s.c.Reason()
	s.compare(messages, records)
}

// lines splits text into lines without empty ones.
func lines(text string) []string {
	var all []string
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" {
			all = append(all, line)
		}
	}
	return all
}

func (s *script) option(line string) {
	name, value, _ := strings.Cut(line, " ")
	var err error
	number := func() int64 {
		var n int64
		n, err = strconv.ParseInt(value, 10, 64)
		return n
	}
	span := func() time.Duration {
		var d time.Duration
		d, err = time.ParseDuration(value)
		return d
	}
	switch name {
	case "voice", "profile": // done already
	case "banner":
		s.o.Banner = value
	case "tls":
		s.o.TLS = TLSConfig(s.t)
		s.o.Implicit = value == "implicit"
	case "require_tls":
		s.o.RequireTLS = true
	case "max_size":
		s.o.MaxMessageSize = number()
	case "max_session_size":
		s.o.MaxSessionSize = number()
	case "strict_size":
		s.o.StrictSize = true
	case "session_size_counts":
		s.o.SessionSizePerConnection = value == "connection"
	case "max_recipients":
		s.o.MaxRecipients = int(number())
	case "max_junk":
		s.o.MaxJunk = int(number())
	case "max_errors":
		s.o.MaxErrors = int(number())
	case "idle_timeout":
		s.o.IdleTimeout = span()
	case "grace":
		s.o.Grace = span()
	case "local":
		s.rules.Local = strings.Fields(value)
	case "relay":
		s.rules.Open = value == "yes"
	case "deny":
		s.rules.Deny = true
	default:
		s.t.Fatalf("unknown option %q", name)
	}
	if err != nil {
		s.t.Fatalf("option %q: %v", line, err)
	}
}

// send sends what consecutive lines have gathered.
func (s *script) send() {
	if s.flight != "" {
		s.c.Send(s.flight)
		s.flight = ""
	}
}

// step does one line of the dialog. It is false for a line that is not understood.
func (s *script) step(line string) bool {
	word, rest, _ := strings.Cut(line, " ")
	if name, ok := strings.CutPrefix(word, "["); ok {
		if !slices.Contains(s.is, strings.TrimSuffix(name, "]")) {
			return true
		}
		word, rest, _ = strings.Cut(rest, " ")
	}
	switch word {
	case "smtp>":
		s.flight += rest + "\r\n"
		return true
	case "raw>":
		text, err := strconv.Unquote(rest)
		s.flight += text
		return err == nil
	case "text>":
		n, err := strconv.Atoi(rest)
		s.flight += Text(n)
		return err == nil
	}
	s.send()
	if word == "smtp<" || word == "closed" {
		// What takes time has to say so by "wait".
		defer func(begin time.Time) {
			if took := time.Since(begin); took != 0 {
				s.t.Fatalf("%q came %v late", line, took)
			}
		}(time.Now())
	}
	switch word {
	case "smtp<":
		if cut, ok := strings.CutSuffix(rest, `\s`); ok {
			rest = cut + " "
		}
		if got := s.c.Line(); !Match(rest, got) {
			s.t.Fatalf("the server said %q, want %q", got, rest)
		}
	case "closed":
		if got := s.c.Line(); got != "closed" {
			s.t.Fatalf("the server said %q, want it to close", got)
		}
		if got := s.c.Reason().String(); got != rest {
			s.t.Fatalf("the session ended by %q, want %q", got, rest)
		}
	case "wait":
		d, err := time.ParseDuration(rest)
		if err != nil {
			return false
		}
		time.Sleep(d)
	case "tls":
		if err := s.c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
			s.t.Fatal(err)
		}
	case "hangup":
		s.c.Sent()
		s.c.Hangup()
	case "shutdown":
		s.c.Sent()
		synctest.Wait()
		s.c.Shutdown()
	default:
		return strings.HasPrefix(word, "#")
	}
	return true
}

// Text returns n octets of message text, at least 2, in lines of up to 78 octets.
func Text(n int) string {
	var b strings.Builder
	for n > 0 {
		line := min(n, 78)
		if rest := n - line; rest == 1 {
			line--
		}
		b.WriteString(strings.Repeat("x", line-2))
		b.WriteString("\r\n")
		n -= line
	}
	return b.String()
}

func (s *script) compare(messages, records []string) {
	got := s.memory.Messages()
	if len(got) != len(messages) {
		s.t.Errorf("%d messages were accepted, want %d", len(got), len(messages))
	}
	for i := range min(len(got), len(messages)) {
		if have := render(&got[i]); have != messages[i] {
			s.t.Errorf("message %d:\n%s\nwant:\n%s", i+1, have, messages[i])
		}
	}
	if n := s.memory.Open(); n != 0 {
		s.t.Errorf("%d transactions were left open", n)
	}
	if records == nil {
		return
	}
	var rows []string
	for _, e := range s.recorder.All() {
		rows = append(rows, fmt.Sprintf("%s %q %d %d %d", e.Verb, e.Arg, e.Code, e.Out, e.In))
	}
	if have, want := strings.Join(rows, "\n"), strings.Join(records, "\n"); have != want {
		s.t.Errorf("recorded:\n%s\nwant:\n%s", have, want)
	}
}

// render writes a message as a script has it.
func render(m *Message) string {
	var b strings.Builder
	path := func(a mail.Address) { fmt.Fprintf(&b, "<%s>\n", a) }
	path(m.Sender.Addr)
	for _, r := range m.Rcpts {
		path(r.Addr)
	}
	b.WriteString("\n" + strings.ReplaceAll(m.Text, "\r\n", "\n"))
	return b.String()
}
