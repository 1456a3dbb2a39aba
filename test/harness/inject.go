package harness

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// Strace injects faults into the system calls of running processes.
type Strace struct {
	path string
	dir  string
	n    atomic.Int32
}

// NewStrace returns a Strace; without strace, or where it may not be used, the test is skipped, on CI it fails.
func NewStrace(tb testing.TB) *Strace {
	tb.Helper()
	needRoot(tb, "strace")
	s := &Strace{path: Tool(tb, "strace", "strace"), dir: Dir(tb)}
	if out, err := Run(tb, nil, "", s.path, "-qq", "-e", "trace=none", "true"); err != nil {
		lack(tb, "strace", "it may not trace here: "+strings.TrimSpace(out))
	}
	return s
}

// Inject lets system calls of a server fail from now on: calls is a list as strace knows it, in which names that
// this machine lacks are left out ("rename,renameat"); fault is what strace does to them, for example
// "error=EIO:when=3+". Heal ends it; a fault that kills ends the server.
func (s *Strace) Inject(tb testing.TB, server *Server, calls, fault string) (f *Fault) {
	tb.Helper()
	var known []string
	for call := range strings.SplitSeq(calls, ",") {
		known = append(known, "?"+call) // strace passes over what it does not know
	}
	list := strings.Join(known, ",")
	out := filepath.Join(s.dir, "trace."+strconv.Itoa(int(s.n.Add(1))))
	p := spawn(tb, filepath.Join(s.dir, "strace.log"), nil, s.path, "-f", "-o", out, "-e", "trace="+list,
		"-e", "inject="+list+":"+fault, "-p", strconv.Itoa(server.PID()))
	f = &Fault{p: p, out: out}
	Eventually(tb, Patience, "strace holds all threads", func() bool { return p.Ended() || traced(server.PID()) })
	if p.Ended() && !server.Ended() {
		tb.Fatalf("strace: %v\n%s", p.err, p.Log())
	}
	return f
}

// traced reports whether all threads of a process are traced.
func traced(pid int) bool {
	tasks, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/status")
	for _, name := range tasks {
		b, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(b), "TracerPid:\t0\n") {
			return false
		}
	}
	return len(tasks) > 0
}

// Fault is a fault that is being injected.
type Fault struct {
	p   *Process
	out string
}

// Heal ends the fault; the server goes on.
func (f *Fault) Heal() { f.p.End() }

// Hits returns how many calls were tampered with.
func (f *Fault) Hits() int {
	b, _ := os.ReadFile(f.out)
	return strings.Count(string(b), "(INJECTED)") + strings.Count(string(b), "(DELAYED)")
}

// SmallDisk is the command (Server.Wrap) that gives a server a file system of its own at dir, in a namespace for mounts of
// its own: octets and files are what it holds. It stays over restarts, until the test ends. Without root the test is skipped.
func SmallDisk(tb testing.TB, dir string, octets int64, files int) []string {
	tb.Helper()
	needRoot(tb, "a small file system")
	unshare := Tool(tb, "util-linux", "unshare")
	if out, err := Run(tb, nil, "", unshare, "--mount", "true"); err != nil {
		lack(tb, "a small file system", "no namespaces of our own are allowed here: "+strings.TrimSpace(out))
	}
	options := "size=" + strconv.FormatInt(octets, 10) + ",nr_inodes=" + strconv.Itoa(files) + ",mode=755"
	enter := Tool(tb, "util-linux", "nsenter")
	said := filepath.Join(tb.TempDir(), "disk.log")
	keeper := spawn(tb, said, nil, unshare, "--mount", "--propagation", "private", "sh", "-ec",
		`mkdir -p "$0"; mount -t tmpfs -o "$1" small "$0"; echo mounted; exec sleep infinity`, dir, options)
	if !Within(Patience, func() bool {
		b, _ := os.ReadFile(said)
		return strings.Contains(string(b), "mounted") || keeper.Ended()
	}) || keeper.Ended() {
		tb.Fatalf("there is no small file system: %s", tail(said, 1000))
	}
	return []string{enter, "--mount=/proc/" + strconv.Itoa(keeper.PID()) + "/ns/mnt"}
}

// Seen returns the name under which a file of the server's own namespace can be reached from here.
func (s *Server) Seen(path string) string {
	if runtime.GOOS != "linux" {
		return path
	}
	return filepath.Join("/proc", strconv.Itoa(s.PID()), "root", path)
}

// SlowSync is the command (Server.Wrap, PostfixOptions.Wrap) under which each sync of a server takes so many microseconds
// longer. Only the syncs are traced: all else runs at full speed.
func SlowSync(tb testing.TB, microseconds int) []string {
	tb.Helper()
	s := NewStrace(tb)
	calls := "fsync,fdatasync"
	return []string{s.path, "-f", "--seccomp-bpf", "-qq", "-o", filepath.Join(s.dir, "trace"), "-e", "trace=" + calls,
		"-e", "inject=" + calls + ":delay_exit=" + strconv.Itoa(microseconds)}
}
