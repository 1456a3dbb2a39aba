package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Process is a program that a test has started. It is ended with the test, if not before.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
	err  error         // valid after done
}

// spawn starts a program in a process group of its own; what it prints goes to the file log,
// behind what is there already. When the test fails, the end of that file is shown.
func spawn(tb testing.TB, log string, env []string, name string, args ...string) *Process {
	tb.Helper()
	cmd := exec.Command(name, args...)
	ownGroup(cmd)
	p, err := start(tb, log, env, cmd)
	if err != nil {
		tb.Fatalf("starting %s: %v", name, err)
	}
	return p
}

// start is spawn for a command that is made already.
func start(tb testing.TB, log string, env []string, cmd *exec.Cmd) (*Process, error) {
	tb.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &Process{cmd: cmd, log: log, done: make(chan struct{})}
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = filepath.Dir(log)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = cmd.Wait()
		endGroup(cmd.Process.Pid) // at once, while the number cannot be another's
		close(p.done)
	}()
	tb.Cleanup(func() {
		p.End()
		if tb.Failed() {
			tb.Logf("--- end of %s\n%s", log, tail(log, 6000))
		}
	})
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Signal sends a signal to the process.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Kill9 ends the process at once, as a crash would, and waits until it is gone.
func (p *Process) Kill9() {
	_ = p.cmd.Process.Kill() // an error means that it has ended already
	<-p.done
}

// Stop asks the process to end (SIGTERM) and waits for it. An exit code other than 0, or no
// end within Patience, is an error.
func (p *Process) Stop() error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(Patience):
		p.Kill9()
		return fmt.Errorf("%s did not end within %v of SIGTERM", filepath.Base(p.cmd.Path), Patience)
	}
}

// End ends the process whatever its state: politely, then at once.
func (p *Process) End() {
	if p.Ended() {
		return
	}
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		p.Kill9()
	}
}

// Log returns what the process has printed so far.
func (p *Process) Log() string {
	b, _ := os.ReadFile(p.log)
	return string(b)
}

func tail(file string, n int) []byte {
	b, cut, err := lastOctets(file, n)
	if err != nil {
		return []byte(err.Error())
	}
	if cut {
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b = b[i+1:]
		}
	}
	return b
}

// Run runs a program to its end, with input as its standard input, and returns what it
// printed. It is killed after Patience; an exit code other than 0 is an error.
func Run(tb testing.TB, env []string, input, name string, args ...string) (string, error) {
	tb.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = bytes.NewReader([]byte(input))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return "", err
	}
	timer := time.AfterFunc(Patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	return out.String(), err
}

// MustRun is Run for a program that must succeed.
func MustRun(tb testing.TB, env []string, input, name string, args ...string) string {
	tb.Helper()
	out, err := Run(tb, env, input, name, args...)
	if err != nil {
		tb.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

// lastOctets returns the last n octets of a file, and whether that is not all of it.
func lastOctets(file string, n int) (b []byte, cut bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	skip := max(info.Size()-int64(n), 0)
	b, err = io.ReadAll(io.NewSectionReader(f, skip, info.Size()-skip))
	return b, skip > 0, err
}
