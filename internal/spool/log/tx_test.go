package log

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
)

// TestBodyFile checks that a body on real files says where it is, for sendfile.
func TestBodyFile(t *testing.T) {
	w := &world{t: t, s: mustOpen(t, Options{Dir: t.TempDir()}), l: ledger{msgs: map[mail.QueueID]*known{}}}
	defer w.s.Close()
	for _, size := range []int{1000, 400_000, 3 << 20} {
		id := w.put(size, 1)
		b, err := w.s.Body(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		f, off := b.(interface{ File() (*os.File, int64) }).File()
		got := make([]byte, size)
		if _, err := f.ReadAt(got, off); err != nil || !bytes.Equal(got, w.l.msgs[id].body) {
			t.Errorf("%d octets at %d of %s: %v", size, off, f.Name(), err)
		}
		b.Close()
	}
}

// TestMediumMessages checks that messages of up to 2 MB stay in memory only while there is plenty, and are
// whole either way.
func TestMediumMessages(t *testing.T) {
	dir := t.TempDir()
	w := &world{t: t, s: mustOpen(t, Options{Dir: dir, Limits: Limits{Memory: 10 << 20}}), l: ledger{msgs: map[mail.QueueID]*known{}}}
	defer w.s.Close()
	files := func() int {
		names, err := filepath.Glob(filepath.Join(dir, "body-*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	// What is under way: with a third message more than a quarter of the memory would be taken.
	var open []*tx
	for range 4 {
		open = append(open, w.begin(1<<20, 1, 0))
	}
	if n := files(); n != 2 {
		t.Errorf("%d of four messages of 1 MB went into a file, want 2", n)
	}
	if held := w.s.inFlight.Load(); held > 4<<20 {
		t.Errorf("they hold %d octets of memory", held)
	}
	ids := w.commit(open...)
	ids = append(ids, w.put(1<<20, 1))
	if n := files(); n != 2 {
		t.Errorf("%d files once all are in, want 2", n)
	}
	for _, id := range ids {
		b, err := w.s.Body(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 1<<20)
		if _, err := b.ReadAt(got, 0); err != nil || !bytes.Equal(got, w.l.msgs[id].body) {
			t.Errorf("message %v is not what came in: %v", id, err)
		}
		b.Close()
	}
}
