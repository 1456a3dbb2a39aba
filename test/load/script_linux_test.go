package load

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

// TestScript: mailroot.sh in the form of a peer: it starts, takes mail from 127.0.0.1 alone for the sink, flushes with and
// without mail that waits, and ends on SIGTERM.
func TestScript(t *testing.T) {
	sink := harness.NewSink(t, harness.SinkOptions{})
	dir, port := harness.Dir(t), harness.FreePort(t, "127.0.0.1")
	_, sinkPort, _ := net.SplitHostPort(sink.Addr())
	command := func(act string) *exec.Cmd {
		c := exec.Command("sh", filepath.Join(harness.Repo(t), "test", "load", "mailroot.sh"), act, dir, strconv.Itoa(port), sinkPort)
		c.Env = append(os.Environ(), "MAILROOT_BIN="+harness.Binary(t))
		return c
	}
	relay := command("start")
	if err := relay.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- relay.Wait() }()
	defer relay.Process.Kill()
	addr := harness.Loopback(port)
	harness.Eventually(t, 20*time.Second, "the relay answers", func() bool { return harness.Answers(addr) })

	if out, err := command("flush").CombinedOutput(); err != nil {
		t.Errorf("flush with nothing to flush: %v\n%s", err, out)
	}
	for ip, code := range map[string]int{"127.0.0.1": 250, "127.0.0.2": 550} {
		c, err := harness.ConnectFrom(ip, addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Expect("banner", 220); err != nil {
			t.Fatal(err)
		}
		if err := c.Hello("x"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Cmd(250, "MAIL FROM:<a@x.test>"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Cmd(code, "RCPT TO:<b@y.test>"); err != nil {
			t.Errorf("from %s: %v", ip, err)
		}
		c.Close()
	}
	if err := relay.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}
