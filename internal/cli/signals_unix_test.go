//go:build unix

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// stubborn makes this test program one that does not stop when it is told to.
const stubborn = "MAILROOT_TEST_STUBBORN"

// TestSecondSignalEndsAtOnce: the first SIGTERM asks a command to stop; one that hangs meanwhile is
// ended by the second.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	if os.Getenv(stubborn) != "" {
		ctx, stop := UntilSignal(context.Background())
		defer stop()
		fmt.Println("ready")
		<-ctx.Done()
		fmt.Println("asked")
		time.Sleep(time.Minute)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), stubborn+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }() // it has ended, if all is well
	lines := bufio.NewScanner(out)
	for _, want := range []string{"ready", "asked"} {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("says %q, want %q", lines.Text(), want)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for deadline := time.After(20 * time.Second); ; {
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
				t.Errorf("ended by %v", err)
			}
			return
		case <-time.After(100 * time.Millisecond): // the one before may have come too early
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended meanwhile
		case <-deadline:
			t.Fatal("it goes on after the second SIGTERM")
		}
	}
}
