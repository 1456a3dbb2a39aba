package harness

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a running mailroot.
type Server struct {
	Dir        string // data directory
	ConfigFile string
	Options    Options // as completed by Start
	// Wrap is a command that becomes the server: what follows it is the server's own command. It
	// must keep the process (exec).
	Wrap []string

	tb     testing.TB
	binary string
	log    string
	proc   *Process
	offset int64 // end of the log before the present process
	expect []string
}

// Start writes a configuration, starts mailroot and waits until it answers on each binding.
// The server ends with the test.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	s := New(tb, o)
	s.Start()
	return s
}

// New is Start without starting.
func New(tb testing.TB, o Options) *Server {
	tb.Helper()
	dir := Dir(tb)
	o.complete(tb)
	s := With(tb, dir, filepath.Join(dir, "mailroot.hcl"), o.Bindings...)
	s.Options = o
	s.WriteConfig()
	return s
}

// With is New with a configuration file that is there already. Its data directory is dir, and it listens on the
// bindings on 127.0.0.1 at least.
func With(tb testing.TB, dir, configFile string, bindings ...Binding) *Server {
	tb.Helper()
	s := &Server{
		tb: tb, Dir: dir, Options: Options{Bindings: bindings}, binary: Binary(tb),
		ConfigFile: configFile, log: filepath.Join(dir, "server.log"),
	}
	tb.Cleanup(s.noErrors)
	return s
}

// ExpectError says that an error with that text in the log is what the test wants.
func (s *Server) ExpectError(text string) { s.expect = append(s.expect, text) }

// noErrors fails the test if the server has logged an error in any of its lives: what the tests
// do to it is at most worth a warning.
func (s *Server) noErrors() {
	b, _ := os.ReadFile(s.log)
	n, first := 0, ""
	for line := range strings.Lines(string(b)) {
		if slices.ContainsFunc(s.expect, func(text string) bool { return strings.Contains(line, text) }) {
			continue
		}
		if strings.Contains(line, " level=ERROR ") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") ||
			strings.HasPrefix(line, "WARNING: DATA RACE") {
			n++
			first = or(first, line)
		}
	}
	if n > 0 {
		s.tb.Errorf("mailroot has logged %d errors, the first: %s", n, first)
	}
}

func (o *Options) complete(tb testing.TB) {
	tb.Helper()
	o.FQDN = or(o.FQDN, "relay.test")
	o.DefaultDomain = or(o.DefaultDomain, "local.test")
	o.Intervals = or(o.Intervals, `"1s"`)
	o.MaxSize = or(o.MaxSize, "32MB")
	if o.Attempts == 0 {
		o.Attempts = 48
	}
	if o.Relay == nil {
		o.Relay = []string{"127.0.0.0/8"}
	}
	if o.DNS == "" {
		o.DNS = deaf(tb)
	}
	if len(o.Bindings) == 0 {
		o.Bindings = []Binding{{}}
	}
	for i := range o.Bindings {
		if o.Bindings[i].Port == 0 {
			o.Bindings[i].Port = FreePort(tb)
		}
	}
}

// deaf returns the address of a resolver that answers nothing: a test that does not say what
// is in the DNS must not find anything there.
func deaf(tb testing.TB) string {
	tb.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}

// WriteConfig writes the configuration file from Options, which a test may have changed.
func (s *Server) WriteConfig() {
	s.tb.Helper()
	if err := os.WriteFile(s.ConfigFile, []byte(s.Options.render(s.Dir)), 0o644); err != nil {
		s.tb.Fatal(err)
	}
}

// Start starts the process, after New, Stop or Kill9, and waits until it is ready.
func (s *Server) Start() {
	s.tb.Helper()
	if fi, err := os.Stat(s.log); err == nil {
		s.offset = fi.Size()
	}
	command := append(slices.Clone(s.Wrap), s.binary, "run", "--config", s.ConfigFile)
	s.proc = spawn(s.tb, s.log, nil, command[0], command[1:]...)
	ready := func() bool {
		if s.proc.Ended() {
			return true
		}
		if !strings.Contains(s.Log(), "mailroot: ready") {
			return false
		}
		for _, l := range s.Options.Bindings {
			if !Answers(Loopback(l.Port)) {
				return false
			}
		}
		return true
	}
	if !Within(Patience, ready) || s.proc.Ended() {
		s.tb.Fatalf("mailroot is not ready:\n%s", s.Log())
	}
}

// Addr returns the address of the first binding.
func (s *Server) Addr() string { return Loopback(s.Options.Bindings[0].Port) }

// Port returns the port of binding i.
func (s *Server) Port(i int) int { return s.Options.Bindings[i].Port }

// PID returns the process id.
func (s *Server) PID() int { return s.proc.PID() }

// Kill9 ends the server as a crash would.
func (s *Server) Kill9() { s.proc.Kill9() }

// Stop ends the server politely. The test fails if it does not end with exit code 0.
func (s *Server) Stop() {
	s.tb.Helper()
	if err := s.proc.Stop(); err != nil {
		s.tb.Fatalf("stopping mailroot: %v\n%s", err, s.Log())
	}
}

// Ended reports whether the process has ended.
func (s *Server) Ended() bool { return s.proc.Ended() }

// Alive fails the test if the server has ended by itself.
func (s *Server) Alive() {
	s.tb.Helper()
	if s.proc.Ended() {
		s.tb.Fatalf("mailroot has ended: %v\n%s", s.proc.err, s.Log())
	}
}

// Hangup sends SIGHUP: read the configuration file again.
func (s *Server) Hangup() {
	s.tb.Helper()
	if err := s.proc.Signal(syscall.SIGHUP); err != nil {
		s.tb.Fatal(err)
	}
}

// Log returns what the present process has printed.
func (s *Server) Log() string {
	b, err := os.ReadFile(s.log)
	if err != nil || int64(len(b)) < s.offset {
		return ""
	}
	return string(b[s.offset:])
}

// CLI runs a mailroot command against this server: CLI("queue", "list"). The command must
// succeed; what it prints is returned.
func (s *Server) CLI(args ...string) string {
	s.tb.Helper()
	return MustRun(s.tb, nil, "", s.binary, append(args, "--config", s.ConfigFile)...)
}

// TryCLI is CLI for a command that may fail.
func (s *Server) TryCLI(args ...string) (string, error) {
	s.tb.Helper()
	return Run(s.tb, nil, "", s.binary, append(args, "--config", s.ConfigFile)...)
}

// DropDir returns the drop directory.
func (s *Server) DropDir() string { return filepath.Join(s.Dir, "default", "Drop") }

// PickupDir returns the pickup directory.
func (s *Server) PickupDir() string { return filepath.Join(s.Dir, "default", "Pickup") }

// BadmailDir returns the badmail directory.
func (s *Server) BadmailDir() string { return filepath.Join(s.Dir, "default", "Badmail") }

// Dial connects to the first binding and greets it with EHLO.
func (s *Server) Dial() *Client {
	s.tb.Helper()
	c, err := Dial(s.Addr(), "client.test")
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(c.Close)
	return c
}

// Send gives the server one message, which it must accept.
func (s *Server) Send(from string, to []string, data string) {
	s.tb.Helper()
	c := s.Dial()
	defer c.Close()
	if err := c.Send(from, to, []byte(data)); err != nil {
		s.tb.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		s.tb.Fatal(err)
	}
}

// DropFiles returns the messages in Drop, in the order of their names, and fails the test
// when one is not as product and RFC want it.
func (s *Server) DropFiles() []*DropFile {
	s.tb.Helper()
	files, err := ReadDrop(s.DropDir())
	if err != nil {
		s.tb.Fatal(err)
	}
	return files
}

// WaitDrop waits until Drop holds n messages and returns them. More than n is a failure.
func (s *Server) WaitDrop(n int) []*DropFile {
	s.tb.Helper()
	var files []*DropFile
	if !Within(Patience, func() bool {
		s.Alive()
		files = s.DropFiles()
		return len(files) >= n
	}) || len(files) > n {
		s.tb.Fatalf("%d messages in Drop, want %d", len(files), n)
	}
	return files
}

// Message returns a small message with CRLF line ends: subject, From, To and a text of which
// no line is longer than 78 octets.
func Message(from, to, subject, text string) string {
	return fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s@client.test>\r\n\r\n%s\r\n",
		from, to, subject, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Format(time.RFC1123Z),
		strings.Map(idChar, subject), text)
}

func idChar(r rune) rune {
	if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
		return r
	}
	return '.'
}
