//go:build unix

package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lines is an output that calls see for each write.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	see  func(line string)
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if l.see != nil {
		l.see(string(p))
	}
	return len(p), nil
}

// TestHangUpDuringTheStart: a SIGHUP that comes before the service is up is served when it is, and
// does not end it. Without a handler it would end this test.
func TestHangUpDuringTheStart(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mailroot.hcl")
	src := fmt.Sprintf(`
version = 1
data_directory = %q
control {
  socket = "control"
}
virtual_server "default" {
  fqdn = "relay.test"
  binding "127.0.0.1:0" {
  }
  domain "corp.test" {
    kind = "default"
  }
}
`, filepath.Join(dir, "data"))
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var once sync.Once
	var order []string
	errs := &lines{see: func(line string) {
		once.Do(func() { // the warning of port 0 comes before anything is opened
			order = append(order, "signal")
			if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
				t.Error(err)
			}
		})
		if strings.Contains(line, "the configuration was reloaded") {
			order = append(order, "reloaded")
			cancel()
		}
	}}
	if code := Main(ctx, []string{"run", "--config", path}, Streams{Out: &lines{}, Err: errs}); code != ExitOK {
		t.Errorf("exit code %d", code)
	}
	if got := strings.Join(order, " "); got != "signal reloaded" {
		t.Errorf("%s, log:\n%s", got, &errs.text)
	}
}
