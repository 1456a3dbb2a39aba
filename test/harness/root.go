package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// root is a mail server in a root directory of its own, so that servers that exclude each other
// as packages run side by side, none is installed, and none finds another's files. The folder of
// the MTA is shared with the outside, under the same name on both sides. It needs Linux and root.
type root struct {
	peer     string            // its folder below .cache/peers/deb
	accounts []string          // made inside, each with a group of that name
	files    map[string]string // of conf, filled in and put inside, by path
	command  []string
}

// firstAccount is the uid and gid of the first account that is made; Debian gives out none there.
const firstAccount = 59990

// noMounts is the exit code of root.sh that says that the system allows no mounts.
const noMounts = 77

// startRoot starts the server and waits until it answers; what names it. Its log is dir/out.log.
func (m *MTA) startRoot(what string, r root) *MTA {
	tb := m.tb
	tb.Helper()
	needRoot(tb, what)
	debs := filepath.Join(Repo(tb), ".cache", "peers", "deb", r.peer)
	if _, err := os.Stat(filepath.Join(debs, "complete")); err != nil {
		lack(tb, what, "run `make peers`")
	}
	if err := m.writeRoot(r); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command("sh", append([]string{m.script("root.sh"), m.dir, debs}, r.command...)...)
	ownRoot(cmd)
	p, err := start(tb, filepath.Join(m.dir, "out.log"), nil, cmd)
	if errors.Is(err, syscall.EPERM) {
		lack(tb, what, "no namespaces of our own are allowed here")
	}
	if err != nil {
		tb.Fatalf("starting %s: %v", what, err)
	}
	// The first process of a namespace takes no signal that it does not handle. With it all end.
	tb.Cleanup(p.Kill9)
	m.proc = p
	return m.ready(what)
}

// writeRoot puts what the root gets into dir/files. Without a name server names are looked up in the
// hosts file alone: one that does not exist refuses the rest at once.
func (m *MTA) writeRoot(r root) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	files := map[string]string{
		"/etc/hosts":         fmt.Sprintf("127.0.0.1 localhost\n127.0.1.1 %s.test %s\n", host, host),
		"/etc/resolv.conf":   "nameserver " + or(m.o.DNS, "127.0.0.66") + "\noptions timeout:1 attempts:1\n",
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n",
	}
	for _, name := range []string{"/etc/passwd", "/etc/group"} {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files[name] = string(b)
	}
	for i, name := range r.accounts {
		id := firstAccount + i
		files["/etc/passwd"] += fmt.Sprintf("%s:x:%d:%d::/:/usr/sbin/nologin\n", name, id, id)
		files["/etc/group"] += fmt.Sprintf("%s:x:%d:\n", name, id)
	}
	for path, name := range r.files {
		files[path] = m.config(name)
	}
	for name, text := range files {
		path := filepath.Join(m.dir, "files", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			return err
		}
	}
	return nil
}
