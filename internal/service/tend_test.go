package service

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/spool"
)

// noting is a store that has found something wrong.
type noting struct {
	spool.Store
	stats spool.Stats
}

func (n *noting) Stats() spool.Stats { return n.stats }

// TestP2UnfinishedIsNoError: what a crash has left of a write that was not acknowledged is a warning, and of much damage the first lines
// are told and how many more there are.
func TestP2UnfinishedIsNoError(t *testing.T) {
	var out strings.Builder
	notes := make([]string, 100)
	for i := range notes {
		notes[i] = fmt.Sprint("part ", i)
	}
	store := &noting{stats: spool.Stats{Unfinished: []string{"seg-1 is cut off"}, Notes: notes, MoreNotes: 900}}
	v := &Server{name: "default", store: store, log: slog.New(slog.NewTextHandler(&out, nil))}
	v.tellNotes()
	v.tellNotes()
	if n := strings.Count(out.String(), "level=WARN"); n != 1 || !strings.Contains(out.String(), "seg-1 is cut off") {
		t.Errorf("%d warnings, want 1:\n%s", n, out.String())
	}
	if n := strings.Count(out.String(), "level=ERROR"); n != maxTold+1 || !strings.Contains(out.String(), "further=960") {
		t.Errorf("%d errors, want %d and how many more:\n%s", n, maxTold+1, out.String())
	}
}

// TestP2NotesAreTold: each thing that the spool finds wrong is an error in the log, once.
func TestP2NotesAreTold(t *testing.T) {
	var out strings.Builder
	store := &noting{stats: spool.Stats{Notes: []string{"seg-1 is damaged", "seg-2 cannot be read"}}}
	v := &Server{name: "default", store: store, log: slog.New(slog.NewTextHandler(&out, nil))}
	v.tellNotes()
	v.tellNotes()
	if n := strings.Count(out.String(), "level=ERROR"); n != 2 {
		t.Errorf("%d errors, want 2:\n%s", n, out.String())
	}
	store.stats.Notes = append(store.stats.Notes, "body-3 is missing")
	store.stats.MoreNotes = 7
	out.Reset()
	v.tellNotes()
	v.tellNotes()
	for _, want := range []string{"body-3 is missing", "further=7"} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("%q is not told once:\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "level=ERROR"); n != 2 {
		t.Errorf("%d errors, want 2", n)
	}
}
