package harness

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// PostfixOptions is what a test wants of a Postfix.
type PostfixOptions struct {
	Addr string       // address to listen on; "": 127.0.0.1
	Port int          // 0: a free one
	Name string       // "": mx.dest.test
	Next string       // "[127.0.0.1]:port": relay everything there
	Cert *Certificate // STARTTLS is offered
	Main []string     // further lines for main.cf, "key = value"
	Wrap []string     // a command that runs it, for example strace with its arguments
}

// Postfix is a running Postfix with queue, configuration and log of its own. Mail for
// dest.test, example.net and its own name lands in one maildir, unless Next is set.
type Postfix struct {
	Addr string // "127.0.0.1:port"
	Port int
	dir  string
	proc *Process
}

// StartPostfix starts Postfix from the unpacked package, or the installed one. Needs root.
func StartPostfix(tb testing.TB, o PostfixOptions) *Postfix {
	tb.Helper()
	needRoot(tb, "Postfix")
	master := peerBinary(tb, "postfix", "/usr/lib/postfix/sbin/master")
	root := strings.TrimSuffix(master, "/usr/lib/postfix/sbin/master")
	o.Addr, o.Name = or(o.Addr, "127.0.0.1"), or(o.Name, "mx.dest.test")
	if o.Port == 0 {
		o.Port = FreePort(tb, o.Addr)
	}
	p := &Postfix{Addr: o.Addr + ":" + portString(o.Port), Port: o.Port, dir: Dir(tb)}
	if err := p.configure(root, o); err != nil {
		tb.Fatal(err)
	}
	env := append(libraryEnv(tb), "MAIL_CONFIG="+filepath.Join(p.dir, "etc"))
	command := append(slices.Clone(o.Wrap), master, "-s", "-c", filepath.Join(p.dir, "etc"))
	p.proc = spawn(tb, filepath.Join(p.dir, "master.log"), env, command[0], command[1:]...)
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("--- end of Postfix's log\n%s", tail(filepath.Join(p.dir, "maillog"), 6000))
		}
	})
	Eventually(tb, Patience, "Postfix answers", func() bool { return p.proc.Ended() || Answers(p.Addr) })
	if p.proc.Ended() {
		tb.Fatalf("Postfix has ended: %v", p.proc.err)
	}
	return p
}

// postfixOwner returns the account and the group that Postfix runs under: its own where the package
// is installed, else two of Debian's that own nothing.
func postfixOwner() (account, group string) {
	if _, err := user.Lookup("postfix"); err == nil {
		if _, err := user.LookupGroup("postdrop"); err == nil {
			return "postfix", "postdrop"
		}
	}
	return "uucp", "news"
}

func (p *Postfix) configure(root string, o PostfixOptions) error {
	account, group := postfixOwner()
	if err := p.folders(account, group); err != nil {
		return err
	}
	main := p.mainConfig(root, account, group, o)
	for _, line := range o.Main {
		main = set(main, line)
	}
	etc := filepath.Join(p.dir, "etc")
	if err := os.WriteFile(filepath.Join(etc, "main.cf"), []byte(strings.Join(main, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(etc, "master.cf"), []byte(masterConfig(o.Addr, o.Port)), 0o644)
}

// folders makes what `postfix check` would: master itself makes no folder.
func (p *Postfix) folders(account, group string) error {
	u, err := user.Lookup(account)
	if err != nil {
		return err
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return err
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(g.Gid)
	nobodyID, _ := strconv.Atoi(nobody.Uid)
	for _, d := range []struct {
		name     string
		mode     os.FileMode
		uid, gid int
	}{
		{"etc", 0o755, 0, 0}, {"q", 0o755, 0, 0}, {"q/pid", 0o755, 0, 0}, {"data", 0o700, uid, 0}, {"mail", 0o755, nobodyID, 0},
		{"q/active", 0o700, uid, 0}, {"q/bounce", 0o700, uid, 0}, {"q/corrupt", 0o700, uid, 0}, {"q/defer", 0o700, uid, 0},
		{"q/deferred", 0o700, uid, 0}, {"q/flush", 0o700, uid, 0}, {"q/hold", 0o700, uid, 0}, {"q/incoming", 0o700, uid, 0},
		{"q/private", 0o700, uid, 0}, {"q/saved", 0o700, uid, 0}, {"q/trace", 0o700, uid, 0},
		{"q/maildrop", 0o730, uid, gid}, {"q/public", 0o710, uid, gid},
	} {
		path := filepath.Join(p.dir, d.name)
		if err := os.Mkdir(path, d.mode); err != nil {
			return err
		}
		if err := os.Chown(path, d.uid, d.gid); err != nil {
			return err
		}
		if err := os.Chmod(path, d.mode); err != nil { // past the umask
			return err
		}
	}
	return nil
}

func (p *Postfix) mainConfig(root, account, group string, o PostfixOptions) []string {
	main := strings.Split(fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/q
data_directory = %[1]s/data
meta_directory = %[1]s/etc
maillog_file = %[1]s/maillog
maillog_file_prefixes = %[1]s
command_directory = %[2]s/usr/sbin
daemon_directory = %[2]s/usr/lib/postfix/sbin
shlib_directory = %[2]s/usr/lib/postfix
mail_owner = %[3]s
setgid_group = %[4]s
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C LD_LIBRARY_PATH
myhostname = %[5]s
mydestination =
inet_interfaces = %[6]s
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
default_database_type = texthash
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 100
virtual_mailbox_limit = 0
mailbox_size_limit = 0
message_size_limit = 52428800
alias_maps =
alias_database =
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_recipient_restrictions =
smtputf8_enable = yes
relayhost = %[7]s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 2s`, p.dir, root, account, group, o.Name, o.Addr, o.Next), "\n")
	local := ""
	if o.Next == "" {
		local = "dest.test, example.net, " + o.Name
	}
	main = append(main, "virtual_mailbox_domains = "+local)
	if o.Cert != nil {
		main = append(main, "smtpd_tls_security_level = may", "smtpd_tls_received_header = yes",
			"smtpd_tls_cert_file = "+o.Cert.CertFile, "smtpd_tls_key_file = "+o.Cert.KeyFile)
	}
	return main
}

// set replaces the line with the same key, or adds one.
func set(lines []string, line string) []string {
	key, _, _ := strings.Cut(line, "=")
	lines = slices.DeleteFunc(lines, func(l string) bool {
		k, _, _ := strings.Cut(l, "=")
		return strings.TrimSpace(k) == strings.TrimSpace(key)
	})
	return append(lines, line)
}

func masterConfig(addr string, port int) string {
	return fmt.Sprintf(`%s:%d inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
flush unix n - n 1000? 0 flush
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n - 1 tlsmgr
tlsproxy unix - - n - 0 tlsproxy
postlog unix-dgram n - n - 1 postlogd
`, addr, port)
}

// Route returns the address as a smart host or route is written.
func (p *Postfix) Route() string {
	host, port, _ := strings.Cut(p.Addr, ":")
	return "[" + host + "]:" + port
}

// PID returns the process id of the master, which leads a session of its own.
func (p *Postfix) PID() int { return p.proc.PID() }

// Log returns Postfix's log.
func (p *Postfix) Log() string {
	b, _ := os.ReadFile(filepath.Join(p.dir, "maillog"))
	return string(b)
}

// Flush makes Postfix try all deferred mail at once, as `postfix flush` does.
func (p *Postfix) Flush(tb testing.TB) {
	tb.Helper()
	queue := peerBinary(tb, "postfix", "/usr/sbin/postqueue")
	MustRun(tb, append(libraryEnv(tb), "MAIL_CONFIG="+filepath.Join(p.dir, "etc")), "", queue, "-c", filepath.Join(p.dir, "etc"), "-f")
}

// Mails returns the delivered messages. Postfix puts Return-Path, X-Original-To, Delivered-To and
// its Received field before each, and writes line ends as LF.
func (p *Postfix) Mails() []string {
	names, _ := filepath.Glob(filepath.Join(p.dir, "mail/all/new/*"))
	var out []string
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil {
			out = append(out, string(b))
		}
	}
	return out
}

func portString(port int) string { return strconv.Itoa(port) }
