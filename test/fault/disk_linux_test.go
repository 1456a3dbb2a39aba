package fault

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

// fill writes files of that size into a folder until the file system takes no more of them, or max files were made. With
// size 0 it uses up inodes alone.
func fill(t *testing.T, dir string, size, max int) (files int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	block := make([]byte, size)
	for files < max {
		err := os.WriteFile(filepath.Join(dir, "fill"+strconv.Itoa(files)), block, 0o644)
		if errors.Is(err, syscall.ENOSPC) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		files++
	}
	return files
}

// diskFiles is how many files the small disk can have.
const diskFiles = 20_000

// TestSmallDisk gives the service a disk that fills up, to the last octet or the last inode, and has
// room again later. Mail is refused with 452 or 451 meanwhile, what was taken is delivered, the status tells, and mail flows again by
// itself (bad input F28).
func TestSmallDisk(t *testing.T) {
	const unlimited = "queue {\n min_free_space = \"off\"\n min_free_files = \"off\"\n}"
	for _, tt := range []struct {
		name, queue string
		size, files int // of what fills the disk, and how many
		low         bool
	}{
		{"no space", unlimited, 4096, 1 << 20, false},
		{"below the floor", "queue {\n min_free_space = \"60MB\"\n}", 1 << 20, 360, true},
		{"no inodes", unlimited, 0, 1 << 20, false},
		{"inodes below the floor", "queue {\n min_free_space = \"off\"\n min_free_files = 5000\n}", 0, diskFiles - 1000, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, harness.Options{Server: tt.queue})
			disk := filepath.Join(w.server.Dir, "default")
			w.server.Wrap = harness.SmallDisk(t, disk, 400<<20, diskFiles)
			w.server.Start()
			seen := w.server.Seen(disk)
			w.load(true)
			w.flows("mail flows before", 20)
			if tt.size > 0 && tt.files > 1000 { // most of it quickly
				fill(t, seen+"/fill", 1<<20, 1000)
			}
			fill(t, seen+"/fill2", tt.size, tt.files)
			harness.Eventually(t, harness.Patience, "clients are put off", func() bool { w.server.Alive(); return w.putOffs() >= 3*clients })
			w.tells(true)
			if tt.low && !w.server.Status().VirtualServers[0].Spool.LowSpace {
				t.Error("the status does not say that space is low")
			}
			before := w.acked()
			harness.Within(harness.Patience, func() bool { n, _ := w.g.Missing(false); return n == 0 }) // delivery goes on
			if n, _ := w.g.Missing(false); n > 0 {
				t.Errorf("%d letters wait while the disk is short, though nothing keeps them", n)
			}
			t.Logf("%d letters were acknowledged while the disk was short", w.acked()-before)
			for _, dir := range []string{"/fill", "/fill2"} {
				if err := os.RemoveAll(seen + dir); err != nil {
					t.Fatal(err)
				}
			}
			w.flows("mail flows again, without a restart", 50)
			w.tells(false)
			w.quiet()
			w.verdict()
			if log := w.server.Log(); strings.Count(log, "no mail is taken") == 0 || strings.Count(log, "mail is taken again") == 0 {
				t.Error("the log does not say when mail was refused, and when it was taken again")
			}
			t.Logf("%d clients put off, %d letters acknowledged", w.putOffs(), w.acked())
			w.server.Stop()
		})
	}
}

// TestRestartOnAFullDisk: on a disk that others fill to the last octet, mail that waited is delivered, leaves the disk, and is not delivered again by
// restarts while the disk is full; the room that it leaves is filled each time (bad input F28).
func TestRestartOnAFullDisk(t *testing.T) {
	w := newWorld(t, harness.Options{Server: "queue {\n min_free_space = \"off\"\n}"})
	disk := filepath.Join(w.server.Dir, "default")
	w.server.Wrap = harness.SmallDisk(t, disk, 200<<20, diskFiles)
	w.server.Start()
	reserve := filepath.Join(w.server.Seen(disk), "Queue", "reserve-*")
	harness.Eventually(t, harness.Patience, "the queue has its reserve", func() bool { list, _ := filepath.Glob(reserve); return len(list) == 3 })
	w.server.CLI("queue", "freeze", "--all", "--for", "15s")
	w.load(true)
	w.flows("mail is taken", 300)
	w.quiet()
	queued := w.server.Status().VirtualServers[0].Spool.Octets
	full := 0
	fillUp := func() {
		full++
		dir := w.server.Seen(disk) + "/full" + strconv.Itoa(full)
		fill(t, dir, 1<<20, 1000)
		fill(t, dir+"b", 4096, 1<<20)
	}
	fillUp()
	if n, _ := w.g.Missing(false); n < 200 {
		t.Fatalf("%d letters only wait on the full disk", n)
	}
	harness.Eventually(t, 2*harness.Patience, "what waited is delivered", func() bool { n, _ := w.g.Missing(false); return n == 0 })
	harness.Eventually(t, harness.Patience, "what was delivered leaves the disk", func() bool {
		return w.server.Status().VirtualServers[0].Spool.Octets < queued/4
	})
	for range 3 {
		fillUp()
		w.server.Stop()
		w.server.Start()
		w.server.Status()
		harness.Within(2*time.Second, func() bool { return w.g.Report().Duplicates > 0 })
	}
	if r := w.g.Report(); r.Duplicates > 0 {
		t.Errorf("%d of %d letters were delivered again: %q", r.Duplicates, r.Acked, r.Repeated)
	}
	w.verdict()
	if err := os.RemoveAll(w.server.Seen(disk) + "/full1"); err != nil {
		t.Fatal(err)
	}
	w.load(true)
	w.flows("mail flows again", 20)
	w.quiet()
	w.verdict()
	w.server.Stop()
}
