package harness

import (
	"os/exec"
	"syscall"
)

// ownGroup puts the program into a session and process group of its own, and lets it end if the test
// process dies before it could clean up.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
}

// endGroup ends what a program that has just ended left behind in its group.
func endGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
