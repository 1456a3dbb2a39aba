//go:build unix

package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/api"
	"github.com/mailroot/mailroot/internal/control"
)

// The environment variable by which a test starts itself again, as another account.
const askAs = "MAILROOT_TEST_ASK_SOCKET"

func TestMain(m *testing.M) {
	if path := os.Getenv(askAs); path != "" {
		_, err := api.New(path).Status(context.Background())
		switch {
		case errors.Is(err, control.ErrForbidden):
			os.Exit(10)
		case errors.Is(err, api.ErrNoAccess):
			os.Exit(11)
		}
		os.Exit(12)
	}
	os.Exit(m.Run())
}

// serve answers at a socket; the handler must not be reached by those who are refused.
func serve(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mailroot") // short: a socket's path has 108 octets at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "run", "control.sock")
	l, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(nil, "")
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return path
}

func TestSocketIsClosedToOthers(t *testing.T) {
	path := serve(t)
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if perm := fi.Mode().Perm(); perm != 0o660 {
		t.Errorf("the socket has mode %o, want 660", perm)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can ask as another account")
	}
	if code := askAsNobody(t, path); code != 11 {
		t.Errorf("another account: exit %d, want 11: the system refuses", code)
	}
	// Even with the mode wide open the peer credentials decide.
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if code := askAsNobody(t, path); code != 10 {
		t.Errorf("another account with the socket open to all: exit %d, want 10: forbidden", code)
	}
}

// A process whose primary group is the control group needs no entry in the account database.
func TestGroupMayUseTheSocket(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can ask as another account")
	}
	g, err := user.LookupGroupId("65534")
	if err != nil {
		t.Skipf("no group 65534 here: %v", err)
	}
	dir, err := os.MkdirTemp("", "mailroot")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "run", "control.sock")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := Listen(path, g.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fi, err := os.Stat(filepath.Dir(path))
	if err != nil || fi.Mode().Perm() != 0o710 {
		t.Errorf("the socket's folder has mode %o, want 710 so that the group can pass (%v)", fi.Mode().Perm(), err)
	}
	asked := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			asked <- err
			return
		}
		defer c.Close()
		_, err = actorOf(c, g.Name)
		asked <- err
	}()
	askAsNobody(t, path)
	if err := <-asked; err != nil {
		t.Errorf("a member of the group: %v", err)
	}
	if _, err := Listen(path+"2", "no such group"); err == nil || !strings.Contains(err.Error(), "control.group") {
		t.Errorf("a group that does not exist: %v", err)
	}
}

func askAsNobody(t *testing.T, path string) int {
	t.Helper()
	// The test binary may lie where only root can go: a copy in a folder of its own.
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip("no /proc/self/exe to start again")
	}
	exe := filepath.Join(filepath.Dir(filepath.Dir(path)), "ask")
	if err := os.WriteFile(exe, self, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(exe), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Dir = "/"
	cmd.Env = []string{askAs + "=" + path}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("start again: %v: %s", err, out)
	}
	return cmd.ProcessState.ExitCode()
}

func TestGarbageOnTheSocketIsAnErrorToThatClientOnly(t *testing.T) { // bad input L3
	path := serve(t)
	for _, garbage := range []string{
		"\x00\x01\x02\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "POST /v1/queue/act HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{{{{{",
		"POST /v1/queue/act HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n" + `{"unknown_field": 1}`,
		"GET /v1/nowhere HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("A", 100<<10),
	} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, garbage) // the server may hang up in the middle
		if uc, ok := c.(*net.UnixConn); ok {
			_ = uc.CloseWrite()
		}
		answer, _ := io.ReadAll(c)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 4") && !strings.HasPrefix(string(answer), "HTTP/1.1 505") && len(answer) > 0 {
			t.Errorf("%.40q was answered with %.60q", garbage, answer)
		}
		c.Close()
	}
	resp, err := (&http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) },
	}}).Get("http://x/v1/nowhere")
	if err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("after the garbage: %v, %v", resp, err)
	}
	if err == nil {
		resp.Body.Close()
	}
}

func TestListenTakesOverOnlyADeadSocket(t *testing.T) {
	path := serve(t)
	if _, err := Listen(path, ""); err == nil || !strings.Contains(err.Error(), "another Mailroot is running") {
		t.Errorf("a socket that answers: %v", err)
	}
	stale := filepath.Join(filepath.Dir(path), "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	again, err := Listen(stale, "")
	if err != nil {
		t.Fatalf("a socket that a dead process left: %v", err)
	}
	again.Close()
	file := filepath.Join(filepath.Dir(path), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file, ""); err == nil {
		t.Error("a file in the place of the socket must not be touched")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file now holds %q, %v", b, err)
	}
}

func TestNoServiceIsSaidSo(t *testing.T) {
	_, err := api.New(filepath.Join(t.TempDir(), "none")).Status(t.Context())
	if !errors.Is(err, api.ErrNotRunning) {
		t.Errorf("got %v", err)
	}
}
