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

// ownRoot is ownGroup, and gives the program namespaces of its own for mounts and processes.
func ownRoot(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
	}
}

// endGroup ends what a program that has just ended left behind in its group.
func endGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
