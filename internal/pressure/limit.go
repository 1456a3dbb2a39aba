package pressure

import (
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// systemPart is the part of a hard limit, in per cent, that the process may use; the rest is for what the runtime does
// not count.
const systemPart = 90

// System returns how much memory the process may use by the will of the system: GOMEMLIMIT where it is set, else nine
// tenths of the limit of its control group (a container, a systemd unit with MemoryMax) or of the memory of the machine,
// whichever is less; 0 if nothing is known.
func System() int64 {
	if n := parseLimit(os.Getenv("GOMEMLIMIT")); n > 0 {
		return n
	}
	n := machine()
	if c := group(os.DirFS("/")); c > 0 && (n == 0 || c < n) {
		n = c
	}
	return n / 100 * systemPart
}

// parseLimit reads what GOMEMLIMIT may be, as the runtime does: a number of octets, with B, KiB, MiB, GiB or TiB behind
// it or nothing; 0 for "off" and for what is no limit.
func parseLimit(text string) int64 {
	unit := int64(1)
	if t, ok := strings.CutSuffix(text, "B"); ok {
		text = t
		for i, prefix := range []string{"Ki", "Mi", "Gi", "Ti"} {
			if t, ok := strings.CutSuffix(text, prefix); ok {
				text, unit = t, 1<<(10*(i+1))
				break
			}
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/unit {
		return 0
	}
	return n * unit
}

// group returns the limit of the control group that the process is in, or of one above it: the least; 0 if there is
// none. root is the file system.
func group(root fs.FS) int64 {
	list, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	least := int64(0)
	for line := range strings.Lines(string(list)) {
		// hierarchy:controllers:path, and nothing between the colons in version 2 (cgroups(7))
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		base, file := "sys/fs/cgroup", "memory.max"
		switch {
		case f[1] == "":
		case hasWord(f[1], "memory"):
			base, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for dir := path.Clean("/" + f[2]); ; dir = path.Dir(dir) {
			if n := number(root, path.Join(base, dir, file)); n > 0 && (least == 0 || n < least) {
				least = n
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// number reads a file that holds one; 0 for "max", and for what is as good as no limit (version 1 has one just below
// the largest number).
func number(root fs.FS, name string) int64 {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n < 0 || n >= math.MaxInt64/2 {
		return 0
	}
	return n
}
