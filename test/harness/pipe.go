package harness

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// pipeConn makes a program's standard streams look like a connection.
type pipeConn struct {
	io.Reader
	io.WriteCloser
}

func (pipeConn) LocalAddr() net.Addr              { return nil }
func (pipeConn) RemoteAddr() net.Addr             { return nil }
func (pipeConn) SetDeadline(time.Time) error      { return nil }
func (pipeConn) SetReadDeadline(time.Time) error  { return nil }
func (pipeConn) SetWriteDeadline(time.Time) error { return nil }

// Through starts a program that passes octets on to an SMTP server, such as "openssl s_client",
// and returns a client that speaks through it. The program is killed after Patience, and with
// the test; wait returns what it wrote to standard error, once it has ended.
func Through(tb testing.TB, name string, args ...string) (c *Client, wait func() (string, error)) {
	tb.Helper()
	cmd := exec.Command(name, args...)
	ownGroup(cmd)
	stderr, err := os.Create(tb.TempDir() + "/stderr")
	if err != nil {
		tb.Fatal(err)
	}
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	timer := time.AfterFunc(Patience, func() { _ = cmd.Process.Kill() })
	ended := make(chan error, 1)
	wait = func() (string, error) {
		_, _ = io.Copy(io.Discard, out)
		err := cmd.Wait()
		timer.Stop()
		ended <- err
		stderr.Close()
		b, _ := os.ReadFile(stderr.Name())
		return string(b), err
	}
	tb.Cleanup(func() {
		in.Close()
		select {
		case <-ended:
		default:
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			timer.Stop()
			stderr.Close()
		}
	})
	return &Client{Conn: pipeConn{out, in}, r: bufio.NewReader(out)}, wait
}
