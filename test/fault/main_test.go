// Package fault runs the real program on a kernel that fails: system calls that return errors, take long or end
// the process, and a file system that is full, has no inodes or is read-only. Clients keep books meanwhile: what was
// acknowledged arrives, whole, and who is put off is told so by 4xx and taken when the fault is over. It needs Linux and root, and strace
// for the system calls; otherwise it is skipped by name.
//
// MAILROOT_FAULT_ROUNDS=20 walks more places at which the process is killed, and each fault longer.
package fault

import (
	"os"
	"strconv"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// rounds is 1, or MAILROOT_FAULT_ROUNDS.
func rounds(t *testing.T) int {
	t.Helper()
	s := os.Getenv("MAILROOT_FAULT_ROUNDS")
	if s == "" {
		return 1
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("MAILROOT_FAULT_ROUNDS = %q", s)
	}
	return n
}
