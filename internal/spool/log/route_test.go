package log

import (
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// TestRouteSurvivesAKill: an operator's route is in the journal when Report has returned; a checkpoint keeps it, and
// it takes memory only while a recipient has it.
func TestRouteSurvivesAKill(t *testing.T) {
	const to = "[192.0.2.1]:25"
	mem := vfs.NewMem()
	o := Options{Dir: "queue", FS: mem, SyncInterval: time.Hour}
	s := mustOpen(t, o)
	id := commitOne(t, s, []byte("x"), "a@example.org", "b@example.org", "c@example.org")
	route := func(rcpt int, to string) {
		t.Helper()
		if err := s.Report(t.Context(), []mail.Change{{ID: id, Rcpt: rcpt, Kind: mail.ChangeRoute, Route: to}}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, want ...string) {
		t.Helper()
		status, err := s.Status(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for i, r := range status {
			if r.Route != want[i] {
				t.Errorf("%s: recipient %d goes by %q, want %q", what, i, r.Route, want[i])
			}
			if want[i] != "" {
				n++
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.x.routes) != n {
			t.Errorf("%s: %d routes in memory, want %d", what, len(s.x.routes), n)
		}
	}
	kill := func() {
		t.Helper()
		close(s.quit)
		<-s.idle
		mem = mem.CrashClone(nil)
		o.FS = mem
		var err error
		if s, err = Open(o); err != nil {
			t.Fatal(err)
		}
	}
	route(0, to)
	route(1, "other.test:26")
	route(1, "")
	route(2, "other.test:26")
	kill()
	check("after a kill", to, "", "other.test:26")
	if err := s.Close(); err != nil { // takes a checkpoint
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	check("from a checkpoint", to, "", "other.test:26")
	route(2, "")
	kill()
	check("after the next kill", to, "", "")
	for rcpt := range 3 {
		if err := s.Report(t.Context(), []mail.Change{{ID: id, Rcpt: rcpt, Kind: mail.ChangeDone}}); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	if s.x.routes != nil {
		t.Errorf("routes of messages that have left: %v", s.x.routes)
	}
	s.mu.Unlock()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
