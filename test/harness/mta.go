package harness

import (
	"embed"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
)

// MTAOptions is what a test wants of a mail server that others wrote.
type MTAOptions struct {
	Port int          // on 127.0.0.1; 0: a free one
	Next string       // "127.0.0.1:port", where it sends what is not for dest.test
	Cert *Certificate // nil: it offers no STARTTLS
	DNS  string       // address of a name server on port 53; "": it finds no names
}

// MTA is a running mail server that others wrote. Its name is mx.dest.test, mail for dest.test
// stays with it, but for nobody@dest.test, whom it refuses at RCPT; all else goes to Next.
type MTA struct {
	Addr string // "127.0.0.1:port"
	Port int
	tb   testing.TB
	dir  string
	o    MTAOptions

	submission int // port for clients that authenticate; 0: anyone may send by Port
	proc       *Process
}

// MTAMail is one copy that an MTA has delivered.
type MTAMail struct {
	Rcpt string // whose copy it is
	Text string // with line ends as CRLF; the MTA's trace comes first
}

// newMTA makes the folder of a server: mail/RECIPIENT/… for what it delivers, log for its logs,
// of which the ends are shown when the test fails, certificate and key in cert.pem and key.pem.
// Accounts of its own write there.
func newMTA(tb testing.TB, o MTAOptions) *MTA {
	tb.Helper()
	if o.Port == 0 {
		o.Port = FreePort(tb)
	}
	m := &MTA{Addr: Loopback(o.Port), Port: o.Port, tb: tb, dir: Dir(tb), o: o}
	for _, name := range []string{"mail", "log"} {
		path := filepath.Join(m.dir, name)
		if err := errors.Join(os.Mkdir(path, 0o777), os.Chmod(path, 0o777)); err != nil { // past the umask
			tb.Fatal(err)
		}
	}
	if o.Cert != nil {
		for _, name := range []string{o.Cert.CertFile, o.Cert.KeyFile} {
			b, err := os.ReadFile(name)
			if err != nil {
				tb.Fatal(err)
			}
			m.writeFile(filepath.Base(name), string(b), 0o644)
		}
	}
	tb.Cleanup(func() {
		if !tb.Failed() {
			return
		}
		logs, _ := filepath.Glob(filepath.Join(m.dir, "log", "*"))
		for _, name := range logs {
			tb.Logf("--- end of %s\n%s", name, tail(name, 6000))
		}
	})
	return m
}

// PID returns the process id of what leads the server's session.
func (m *MTA) PID() int { return m.proc.PID() }

// ready waits until the server answers; what names it.
func (m *MTA) ready(what string) *MTA {
	m.tb.Helper()
	Eventually(m.tb, Patience, what+" answers", func() bool { return m.proc.Ended() || Answers(m.Addr) })
	if m.proc.Ended() {
		if exit := (*exec.ExitError)(nil); errors.As(m.proc.err, &exit) && exit.ExitCode() == noMounts {
			lack(m.tb, what, "no mounts of our own are allowed here")
		}
		m.tb.Fatalf("%s has ended: %v\n%s", what, m.proc.err, m.proc.Log())
	}
	return m
}

//go:embed conf
var confFiles embed.FS

// config fills in a file of conf for this server.
func (m *MTA) config(name string) string {
	m.tb.Helper()
	t, err := template.ParseFS(confFiles, "conf/"+name)
	if err != nil {
		m.tb.Fatal(err)
	}
	host, port, err := net.SplitHostPort(m.o.Next)
	if err != nil {
		m.tb.Fatal(err)
	}
	var b strings.Builder
	err = t.Option("missingkey=error").Execute(&b, map[string]any{
		"Dir": m.dir, "Port": m.Port, "Submission": m.submission, "NextHost": host, "NextPort": port, "TLS": m.o.Cert != nil,
		"Deliver": m.script("deliver.sh"), // a program that it may run for each copy
	})
	if err != nil {
		m.tb.Fatal(err)
	}
	return b.String()
}

// writeFile writes a file into the server's folder and returns its path.
func (m *MTA) writeFile(name, text string, mode fs.FileMode) string {
	m.tb.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		m.tb.Fatal(err)
	}
	return path
}

// script puts a file of conf into the server's folder as it is, and returns its path.
func (m *MTA) script(name string) string {
	m.tb.Helper()
	text, err := confFiles.ReadFile("conf/" + name)
	if err != nil {
		m.tb.Fatal(err)
	}
	return m.writeFile(name, string(text), 0o755)
}

// Dial connects as a client that may send by this server, and greets it.
func (m *MTA) Dial() (*Client, error) {
	if m.submission != 0 {
		return m.submit()
	}
	return Dial(m.Addr, "client.test")
}

// Mails returns the copies so far, without those that are being written.
func (m *MTA) Mails() []MTAMail {
	var out []MTAMail
	root := filepath.Join(m.dir, "mail")
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(path) == ".part" {
			return nil // a file may go while we look
		}
		b, err := os.ReadFile(path)
		if err != nil || len(b) == 0 {
			return nil
		}
		rel, _ := filepath.Rel(root, path)
		rcpt, _, _ := strings.Cut(rel, string(filepath.Separator))
		text := strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n", "\r\n")
		out = append(out, MTAMail{Rcpt: rcpt, Text: text})
		return nil
	})
	return out
}
