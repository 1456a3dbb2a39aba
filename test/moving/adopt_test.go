//go:build linux

package moving

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// queued is how many messages the old queue has.
const queued = 300

// oldQueue makes a Queue folder.
func oldQueue(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i := range queued {
		name := fmt.Sprintf("NTFS_%08x01ca6bc400000001.EML", i)
		text := fmt.Sprintf("From: app@corp.test\r\nTo: boss@corp.test\r\nSubject: old %d\r\n\r\ntext\r\n", i)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var oldSubject = regexp.MustCompile(`\r\nSubject: (old \d+)\r\n`)

// adopted waits for all messages of the old queue in Drop, and fails if one comes twice.
func (w *world) adopted() {
	w.t.Helper()
	seen := map[string]int{}
	for _, f := range w.WaitDrop(queued) {
		m := oldSubject.FindSubmatch(f.Message)
		if m == nil {
			w.t.Fatalf("not of the old queue:\n%s", f.Message)
		}
		seen[string(m[1])]++
	}
	if len(seen) != queued {
		w.t.Errorf("%d different messages of %d", len(seen), queued)
	}
	var out struct{ Entries []struct{ State string } }
	if err := json.Unmarshal([]byte(w.CLI("--json", "adopt", "--queue", w.queue)), &out); err != nil || len(out.Entries) != queued {
		w.t.Fatalf("%d entries, %v", len(out.Entries), err)
	}
	for _, e := range out.Entries {
		if e.State != "already" {
			w.t.Errorf("at last a file is %q", e.State)
		}
	}
	w.WaitDrop(queued)
}

// begin starts the command, and waits until some messages have come of it.
func (w *world) begin() *exec.Cmd {
	w.t.Helper()
	before := len(w.DropFiles())
	cmd := exec.Command(harness.Binary(w.t), "--config", w.ConfigFile, "adopt", "--queue", w.queue, "--yes")
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	harness.Eventually(w.t, harness.Patience, "some are adopted", func() bool { return len(w.DropFiles()) >= before+20 })
	return cmd
}

// The old queue is adopted, and meanwhile the command is interrupted and the service killed: each message comes once.
func TestAdoptInterrupted(t *testing.T) {
	o := old{server: attrs{"RelayIpList": ""}}
	w := o.start(t, "")
	w.queue = oldQueue(t)
	cmd := w.begin()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("an interrupted command has succeeded")
	}
	for range 3 {
		cmd := w.begin()
		w.Kill9()
		if err := cmd.Wait(); err == nil {
			t.Error("the command has succeeded although the service was killed")
		}
		w.Start()
	}
	w.CLI("adopt", "--queue", w.queue, "--yes")
	w.adopted()
	names, err := os.ReadDir(w.queue)
	if err != nil || len(names) != queued {
		t.Errorf("the old folder has %d files, %v", len(names), err)
	}
}

// A message of any size that the limits allow is adopted whole, beyond what one read of the control socket holds.
func TestAdoptLarge(t *testing.T) {
	o := old{server: attrs{"RelayIpList": ""}}
	w := o.start(t, "")
	dir := t.TempDir()
	text := append([]byte("From: app@corp.test\r\nTo: boss@corp.test\r\n"), body(9<<20)...)
	if err := os.WriteFile(filepath.Join(dir, "large.eml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	w.CLI("adopt", "--queue", dir, "--yes")
	if f := w.WaitDrop(1)[0]; !bytes.HasSuffix(f.Message, text[len(text)-9<<20+1<<10:]) {
		t.Errorf("%d octets of %d", len(f.Message), len(text))
	}
	if out, err := w.TryCLI("adopt", "--queue", dir, "--virtual-server", "other"); err == nil {
		t.Errorf("another virtual server: %s", out)
	}
	text = append(text, body(2<<20)...)
	if err := os.WriteFile(filepath.Join(dir, "larger.eml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := w.TryCLI("adopt", "--queue", dir, "--yes"); err == nil || !strings.Contains(out, "The message is larger than") {
		t.Errorf("beyond the session size: %v\n%s", err, out)
	}
	w.WaitDrop(1)
}
