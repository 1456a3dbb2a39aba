package kill

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

// Files in the Pickup folder while the relay is killed again and again: each is in Drop in the end, once.
func TestKill9Pickup(t *testing.T) {
	server := harness.New(t, harness.Options{})
	pickup := filepath.Join(server.Dir, "default", "Pickup")
	outside := filepath.Join(server.Dir, "writing") // on the same volume
	for _, dir := range []string{pickup, outside} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var letters []harness.Letter
	put := func() {
		l := harness.Letter{Number: len(letters), Local: true}
		letters = append(letters, l)
		name := fmt.Sprintf("%d.eml", l.Number)
		if err := os.WriteFile(filepath.Join(outside, name), l.Text(), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(outside, name), filepath.Join(pickup, name)); err != nil {
			t.Fatal(err)
		}
	}
	kills := (rounds(t) + 3) / 4
	for range kills {
		for range 200 {
			put()
		}
		server.Start()
		// Ready comes a moment before the first file is taken.
		for end := time.Now().Add(time.Duration(rand.IntN(400)) * time.Millisecond); time.Now().Before(end); {
			put()
		}
		server.Kill9()
	}
	server.Start()
	files := server.WaitDrop(len(letters))
	got := make(map[string]int)
	for _, f := range files {
		for _, r := range f.Receivers {
			got[r]++
		}
	}
	for _, l := range letters {
		if n := got[l.Rcpt()]; n != 1 {
			t.Errorf("letter %d is %d times in Drop", l.Number, n)
		}
	}
	if left, err := os.ReadDir(filepath.Join(pickup, ".claimed")); err != nil || len(left) != 1 || left[0].Name() != "lock" {
		t.Errorf("left among the claimed files: %v, %v", left, err)
	}
	t.Logf("%d kills, %d files", kills, len(letters))
	server.Stop()
}
