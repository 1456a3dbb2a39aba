package load

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// usage reads what the processes of a session use: all that descend from pid, which leads it.
type usage struct {
	pid   int
	group string // control group that counts processor time; "": ticks of /proc are summed up
}

// controllers are where control groups that count processor time may be made: of version 1, then 2.
var controllers = []struct{ dir, file string }{
	{"/sys/fs/cgroup/cpuacct", "cpuacct.usage"},
	{"/sys/fs/cgroup/cpu,cpuacct", "cpuacct.usage"},
	{"/sys/fs/cgroup", "cpu.stat"},
}

// watch puts the processes that pid leads into a control group, where that is allowed: it counts in
// nanoseconds and knows those that have ended.
func watch(tb testing.TB, pid int) *usage {
	tb.Helper()
	u := &usage{pid: pid}
	for _, c := range controllers {
		dir := filepath.Join(c.dir, fmt.Sprintf("mailroot-load-%d", pid))
		if _, err := os.Stat(filepath.Join(c.dir, "cgroup.procs")); err != nil || os.Mkdir(dir, 0o755) != nil {
			continue
		}
		tb.Cleanup(func() { // registered after the process: it runs first, and moves what is left back
			for _, p := range u.processes() {
				_ = os.WriteFile(filepath.Join(c.dir, "cgroup.procs"), []byte(strconv.Itoa(p)), 0)
			}
			_ = os.Remove(dir)
		})
		moved := true
		for _, p := range u.processes() {
			moved = os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(p)), 0) == nil && moved
		}
		if _, err := os.Stat(filepath.Join(dir, c.file)); err == nil && moved {
			u.group = filepath.Join(dir, c.file)
			return u
		}
	}
	return u
}

// processes returns those of the session.
func (u *usage) processes() []int {
	var pids []int
	u.each(func(pid int, _ []string) { pids = append(pids, pid) })
	return pids
}

// each calls f for each process with the fields of its stat from the state on (proc(5)).
func (u *usage) each(f func(pid int, fields []string)) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		_, rest, ok := strings.Cut(string(b), ") ")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 15 || fields[3] != strconv.Itoa(u.pid) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		f(pid, fields)
	}
}

var usageUsec = regexp.MustCompile(`usage_usec (\d+)`)

// cpu returns the processor time, user and system, of all processes, ended ones included.
func (u *usage) cpu() time.Duration {
	if b, err := os.ReadFile(u.group); err == nil && u.group != "" {
		if m := usageUsec.FindSubmatch(b); m != nil {
			n, _ := strconv.ParseInt(string(m[1]), 10, 64)
			return time.Duration(n) * time.Microsecond
		}
		n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		return time.Duration(n)
	}
	ticks := 0
	u.each(func(_ int, fields []string) {
		for _, field := range fields[11:15] { // utime, stime, cutime, cstime
			n, _ := strconv.Atoi(field)
			ticks += n
		}
	})
	return time.Duration(ticks) * 10 * time.Millisecond
}

// memory returns the proportional set size and the resident size of all processes, in octets.
func (u *usage) memory() (pss, rss int64) {
	for _, pid := range u.processes() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue
		}
		pss += kilobytes(string(b), "Pss:")
		rss += kilobytes(string(b), "Rss:")
	}
	return pss, rss
}

func kilobytes(text, key string) int64 {
	_, rest, ok := strings.Cut(text, "\n"+key)
	if !ok {
		return 0
	}
	n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return n << 10
}

// disk returns the octets that the files below dir take on the disk.
func disk(dir string) int64 {
	total := int64(0)
	_ = filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err != nil {
			return nil // gone in the meantime
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			total += allocated(info)
		}
		return nil
	})
	return total
}
