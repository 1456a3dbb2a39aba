package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// lack ends a test whose peer is missing: skipped by name, but on CI a failure, where
// test/tools/peers.sh has fetched everything.
func lack(tb testing.TB, what, why string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("%s is missing on CI: %s", what, why)
	}
	tb.Skipf("needs %s: %s", what, why)
}

// peerRoot is where test/tools/peers.sh has unpacked packages.
func peerRoot(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(Repo(tb), ".cache", "peers", "root")
}

// PeerFiles returns the files that match a pattern among the unpacked packages. None is a
// missing peer.
func PeerFiles(tb testing.TB, pattern string) []string {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(peerRoot(tb), pattern))
	if err != nil {
		tb.Fatal(err)
	}
	if len(names) == 0 {
		lack(tb, pattern, "run `make peers`")
	}
	slices.Sort(names)
	return names
}

// peerBinary returns the path of a program, from the unpacked packages or else as installed.
// package names the Debian package for the message.
func peerBinary(tb testing.TB, pkg, path string) string {
	tb.Helper()
	for _, full := range []string{filepath.Join(peerRoot(tb), path), path} {
		if _, err := os.Stat(full); err == nil {
			return full
		}
	}
	lack(tb, path, "package "+pkg+": run `make peers`")
	return ""
}

// Tool returns the path of a program in PATH. package names the Debian package for the message.
func Tool(tb testing.TB, pkg, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		lack(tb, name, "package "+pkg+": run `make peers` as root, or install it")
	}
	return path
}

// Python returns the interpreter of the distribution.
func Python(tb testing.TB) string {
	tb.Helper()
	if _, err := os.Stat("/usr/bin/python3"); err == nil {
		return "/usr/bin/python3"
	}
	return Tool(tb, "python3", "python3")
}

// Nodemailer returns the node interpreter and the environment in which it finds nodemailer.
func Nodemailer(tb testing.TB) (node string, env []string) {
	tb.Helper()
	return nodeModule(tb, "nodemailer")
}

// Mailparser returns the node interpreter and the environment in which it finds mailparser.
func Mailparser(tb testing.TB) (node string, env []string) {
	tb.Helper()
	return nodeModule(tb, "mailparser")
}

func nodeModule(tb testing.TB, name string) (node string, env []string) {
	tb.Helper()
	modules := filepath.Join(Repo(tb), ".cache", "npm", "node_modules")
	if _, err := os.Stat(filepath.Join(modules, name)); err != nil {
		lack(tb, name, "npm package: run `make peers`")
	}
	return Tool(tb, "nodejs", "node"), []string{"NODE_PATH=" + modules}
}

// BounceParser returns the perl interpreter and the environment in which it finds Mail::DeliveryStatus::BounceParser.
func BounceParser(tb testing.TB) (perl string, env []string) {
	tb.Helper()
	peerBinary(tb, "libmail-deliverystatus-bounceparser-perl", "/usr/share/perl5/Mail/DeliveryStatus/BounceParser.pm")
	return Tool(tb, "perl", "perl"), libraryEnv(tb)
}

// libraryEnv lets unpacked programs find their libraries and Perl modules.
func libraryEnv(tb testing.TB) []string {
	tb.Helper()
	root := peerRoot(tb)
	triplet, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
	libs := append([]string{filepath.Join(root, "usr/lib/postfix")}, triplet...)
	env := []string{"LD_LIBRARY_PATH=" + strings.Join(libs, ":")}
	if perl, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*/perl5/5.*")); len(perl) > 0 {
		env = append(env, "PERL5LIB="+strings.Join(append(perl, filepath.Join(root, "usr/share/perl5")), ":"))
	}
	return env
}

// Swaks runs swaks with the arguments; input is its standard input.
func Swaks(tb testing.TB, input string, args ...string) (string, error) {
	tb.Helper()
	swaks := peerBinary(tb, "swaks", "/usr/bin/swaks")
	return Run(tb, libraryEnv(tb), input, Tool(tb, "perl", "perl"), append([]string{swaks}, args...)...)
}

// SMTPSource runs Postfix's load generator with the arguments and returns what it printed.
func SMTPSource(tb testing.TB, args ...string) (string, error) {
	tb.Helper()
	return Run(tb, libraryEnv(tb), "", peerBinary(tb, "postfix", "/usr/sbin/smtp-source"), args...)
}

// SMTPSourceCommand is SMTPSource for a caller that runs the program itself.
func SMTPSourceCommand(tb testing.TB, args ...string) *exec.Cmd {
	tb.Helper()
	cmd := exec.Command(peerBinary(tb, "postfix", "/usr/sbin/smtp-source"), args...)
	cmd.Env = append(os.Environ(), libraryEnv(tb)...)
	ownGroup(cmd)
	return cmd
}

// SMTPSink is a running smtp-sink of the Postfix package, which writes each message to a file.
type SMTPSink struct {
	Port int
	dir  string
	proc *Process
}

// StartSMTPSink starts smtp-sink with further options, for example "-r", "RCPT".
func StartSMTPSink(tb testing.TB, options ...string) *SMTPSink {
	tb.Helper()
	path := peerBinary(tb, "postfix", "/usr/sbin/smtp-sink")
	dir := Dir(tb)
	if err := os.Chmod(dir, 0o777); err != nil {
		tb.Fatal(err)
	}
	s := &SMTPSink{Port: FreePort(tb), dir: dir}
	args := []string{"-v", "-d", filepath.Join(dir, "%s.")}
	if os.Geteuid() == 0 {
		args = append(args, "-u", "nobody")
	}
	args = append(append(args, options...), Loopback(s.Port), "100")
	s.proc = spawn(tb, filepath.Join(dir, "smtp-sink.log"), libraryEnv(tb), path, args...)
	Eventually(tb, Patience, "smtp-sink answers", func() bool { return Answers(Loopback(s.Port)) })
	return s
}

// StartCountingSink starts an smtp-sink that keeps no message: the cheapest next hop there is.
func StartCountingSink(tb testing.TB) *SMTPSink {
	tb.Helper()
	return StartCountingSinkAt(tb, FreePort(tb))
}

// StartCountingSinkAt is StartCountingSink on a port of the caller's.
func StartCountingSinkAt(tb testing.TB, port int) *SMTPSink {
	tb.Helper()
	path := peerBinary(tb, "postfix", "/usr/sbin/smtp-sink")
	s := &SMTPSink{Port: port, dir: Dir(tb)}
	args := []string{"-c", "-m", "4000"}
	if os.Geteuid() == 0 {
		args = append(args, "-u", "nobody")
	}
	s.proc = spawn(tb, filepath.Join(s.dir, "smtp-sink.log"), libraryEnv(tb), path, append(args, Loopback(s.Port), "1000")...)
	Eventually(tb, Patience, "smtp-sink answers", func() bool { return Answers(Loopback(s.Port)) })
	return s
}

// PID returns the process id.
func (s *SMTPSink) PID() int { return s.proc.PID() }

// Stop ends the sink.
func (s *SMTPSink) Stop() { s.proc.End() }

// Count returns how many messages a counting sink has taken.
func (s *SMTPSink) Count() int {
	log := string(tail(filepath.Join(s.dir, "smtp-sink.log"), 200))
	_, last, ok := cutLast(log, "mesg=")
	digits := strings.IndexFunc(last, func(r rune) bool { return r < '0' || r > '9' })
	if !ok || digits < 1 { // a number is whole when something follows it
		return 0
	}
	n, _ := strconv.Atoi(last[:digits])
	return n
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Route returns the sink's address as a smart host or route is written.
func (s *SMTPSink) Route() string { return "[127.0.0.1]:" + portString(s.Port) }

// Messages returns the text of the messages so far. smtp-sink puts the envelope before each,
// in lines X-Mail-Args and X-Rcpt-Args, and writes line ends as LF.
func (s *SMTPSink) Messages() []string {
	names, _ := filepath.Glob(filepath.Join(s.dir, "*"))
	var out []string
	for _, name := range names {
		if strings.HasSuffix(name, "smtp-sink.log") {
			continue
		}
		if b, err := os.ReadFile(name); err == nil && len(b) > 0 {
			out = append(out, string(b))
		}
	}
	return out
}

// needRoot ends a test of a server that only root can start.
func needRoot(tb testing.TB, what string) {
	tb.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		lack(tb, what, "only root can start it")
	}
}
