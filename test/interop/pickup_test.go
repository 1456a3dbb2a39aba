package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

// Thousands of files in the Pickup folder hold up no client: mail that comes in by SMTP behind them
// is delivered before the last of them.
func TestPickupFilesAndClients(t *testing.T) {
	const files, letters = 2000, 20
	s := harness.New(t, harness.Options{})
	pickup := filepath.Join(s.Dir, "default", "Pickup")
	if err := os.MkdirAll(pickup, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range files {
		text := fmt.Sprintf("x-sender: app@local.test\r\nx-receiver: file@local.test\r\nSubject: file %d\r\n\r\ntext\r\n", i)
		if err := os.WriteFile(filepath.Join(pickup, fmt.Sprint(i)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.Start()
	c := s.Dial()
	for i := range letters {
		if err := c.Send("a@client.test", []string{"letter@local.test"}, []byte(harness.Message("a@client.test", "letter@local.test", fmt.Sprint("letter ", i), "text"))); err != nil {
			t.Fatal(err)
		}
	}
	last := map[string]time.Time{}
	count := map[string]int{}
	for _, f := range s.WaitDrop(files + letters) {
		to := f.Receivers[0]
		count[to]++
		if f.Written.After(last[to]) {
			last[to] = f.Written
		}
	}
	if count["file@local.test"] != files || count["letter@local.test"] != letters {
		t.Errorf("in Drop: %v", count)
	}
	if !last["letter@local.test"].Before(last["file@local.test"]) {
		t.Errorf("the last letter came at %v, the last file at %v", last["letter@local.test"], last["file@local.test"])
	}
	if out := s.CLI("status"); !strings.Contains(out, fmt.Sprintf("%d messages taken, 0 to Badmail", files)) {
		t.Errorf("status says:\n%s", out)
	}
}
