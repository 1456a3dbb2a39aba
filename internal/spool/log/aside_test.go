package log

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/spool/spooltest"
	"github.com/mailroot/mailroot/internal/vfs"
)

// commitOne puts one message into a store.
func commitOne(t *testing.T, s *Store, body []byte, rcpts ...string) mail.QueueID {
	t.Helper()
	tx, err := s.Begin(t.Context())
	if err == nil {
		_, err = tx.Write(body)
	}
	env := spooltest.Envelope("a@example.com", rcpts...)
	env.Content.Size = int64(len(body))
	if err == nil {
		err = tx.Commit(t.Context(), env)
	}
	if err != nil {
		t.Fatal(err)
	}
	return env.ID
}

// flip changes one octet of a file.
func flip(t *testing.T, fs vfs.FS, name string, off int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x20
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}

// TestP2Quarantine: of what was damaged the quarantine gives back all that can be read, says what and why, and
// forgets it when told to.
func TestP2Quarantine(t *testing.T) {
	body := bytes.Repeat([]byte("a line of the message\r\n"), 20)
	large := bytes.Repeat([]byte("a line of the large message\r\n"), 200)
	tests := []struct {
		name            string
		body            []byte
		off             func(r format.Record) int64 // in the record
		file            bool                        // the octet is in the message's own file
		envelope, whole bool
	}{
		{"message", body, func(format.Record) int64 { return format.HeaderSize + 30 }, false, true, false},
		{"envelope", body, func(r format.Record) int64 { return r.EnvOff() + 12 }, false, false, true},
		{"header", body, func(format.Record) int64 { return 40 }, false, true, true},
		{"length in the header", body, func(format.Record) int64 { return 24 }, false, false, false},
		{"message in its file", large, func(format.Record) int64 { return 99 }, true, true, false},
		{"envelope of a message in its file", large, func(r format.Record) int64 { return r.EnvOff() + 12 }, false, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mem := vfs.NewMem()
			o := Options{Dir: "queue", FS: mem, SmallMessage: 2000, SyncInterval: time.Hour}
			s := mustOpen(t, o)
			commitOne(t, s, []byte("before"), "x@example.org")
			id := commitOne(t, s, tt.body, "b@example.org", "c@example.org")
			commitOne(t, s, []byte("after"), "x@example.org")
			s.mu.Lock()
			m := *s.x.find(id)
			seg := s.segs[m.seg].id
			s.mu.Unlock()
			f, err := mem.Open(filepath.Join("queue", seg.Name()))
			if err != nil {
				t.Fatal(err)
			}
			r, err := format.ReadRecord(f, seg, int64(m.off))
			f.Close()
			if err != nil {
				t.Fatal(err)
			}
			close(s.quit) // as a kill leaves it, without a checkpoint
			<-s.idle
			o.FS = mem.CrashClone(nil)
			path := filepath.Join("queue", seg.Name())
			at := int64(m.off) + tt.off(r)
			if tt.file {
				path, at = filepath.Join("queue", format.BodyName(id)), tt.off(r)
			}
			flip(t, o.FS, path, at)

			if s, err = Open(o); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			_, berr := s.Body(t.Context(), id) // where the damage is in the message it shows now
			_, err = s.Body(t.Context(), id)
			if berr == nil || !errors.Is(err, spool.ErrNotFound) {
				t.Fatalf("the damaged message: %v, %v", berr, err)
			}
			checkAside(t, s.Quarantine(), id, tt.body, tt.envelope, tt.whole)
		})
	}
}

// checkAside checks what the quarantine tells of message id, then removes everything.
func checkAside(t *testing.T, q spool.Quarantine, id mail.QueueID, body []byte, envelope, whole bool) {
	t.Helper()
	list, err := q.List(t.Context(), 10)
	if n, cerr := q.Count(); err != nil || cerr != nil || n != len(list) || n == 0 {
		t.Fatalf("%d parts, counted %d, %v, %v", len(list), n, err, cerr)
	}
	found := false
	for _, listed := range list {
		p, err := q.Show(t.Context(), listed.Name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Reason == "" || p.Time.IsZero() || time.Since(p.Time).Abs() > time.Hour || p.Size == 0 {
			t.Errorf("part %+v", p)
		}
		r, n, c, err := q.Message(t.Context(), p.Name)
		if p.Octets < 0 {
			if !errors.Is(err, spool.ErrNotFound) {
				t.Errorf("a message out of nothing: %v", err)
			}
			continue
		}
		if err != nil || n != int64(len(body)) {
			t.Fatalf("message: %d octets, %v", n, err)
		}
		got, err := io.ReadAll(io.NewSectionReader(r, 0, n))
		c.Close()
		if err != nil || strings.HasPrefix(p.Name, "seg-") && bytes.Equal(got, body) != whole {
			t.Errorf("message %s: %v, as it was: %t", p.Name, err, bytes.Equal(got, body))
		}
		if strings.HasPrefix(p.Name, "seg-") {
			found = true
			if (p.Envelope != nil) != envelope || p.Whole != whole || p.ID != id {
				t.Errorf("part %+v", p)
			}
		}
		if p.Envelope != nil && len(p.Envelope.Recipients) != 2 {
			t.Errorf("envelope %+v", p.Envelope)
		}
	}
	if found != (envelope || whole) {
		t.Errorf("the message was found: %t", found)
	}
	for _, p := range list {
		if err := q.Remove(t.Context(), p.Name); err != nil && !errors.Is(err, spool.ErrNotFound) {
			t.Error(err)
		}
	}
	if n, err := q.Count(); n != 0 || err != nil {
		t.Errorf("%d parts are left, %v", n, err)
	}
	for _, name := range []string{"", ".", "..", "../format", "a/b", list[0].Name, list[0].Name + ".txt", "lock"} {
		if _, err := q.Show(context.Background(), name); !errors.Is(err, spool.ErrNotFound) {
			t.Errorf("show %q: %v", name, err)
		}
		if err := q.Remove(context.Background(), name); !errors.Is(err, spool.ErrNotFound) {
			t.Errorf("remove %q: %v", name, err)
		}
	}
}

// FuzzAside: whatever lies in the quarantine can be listed, shown and read.
func FuzzAside(f *testing.F) {
	f.Add("seg-0000000001-000000000000002a-64.rec", []byte("x"), "why\n")
	f.Add("body-0000000000000001.dat", []byte("x"), "why\nPut aside: 2026-01-02T03:04:05Z\n")
	f.Fuzz(func(t *testing.T, name string, b []byte, why string) {
		mem := vfs.NewMem()
		s := newStore(Options{Dir: "queue", FS: mem}.withDefaults())
		dir, err := s.quarantineDir()
		if err != nil {
			t.Fatal(err)
		}
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			t.Skip("no name of a file")
		}
		for n, text := range map[string][]byte{name: b, name + ".txt": []byte(why)} {
			file, err := mem.Create(filepath.Join(dir, n))
			if err != nil {
				t.Skip("the file system does not take the name: ", err)
			}
			_, _ = file.WriteAt(text, 0)
			file.Close()
		}
		q := s.Quarantine()
		list, err := q.List(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			if _, err := q.Show(t.Context(), p.Name); err != nil {
				t.Error(err)
			}
			if r, n, c, err := q.Message(t.Context(), p.Name); err == nil {
				if got, err := io.ReadAll(io.NewSectionReader(r, 0, n)); err != nil || int64(len(got)) != n {
					t.Error(fmt.Sprint(len(got), n), err)
				}
				c.Close()
			}
		}
	})
}
