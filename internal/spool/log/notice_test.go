package log

import (
	"context"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// TestNoticedSurvivesACrash: a sender who was told of a delay is not told again after a power cut: the mark is in the
// journal, and in the checkpoint that replaces it.
func TestNoticedSurvivesACrash(t *testing.T) {
	for name, later := range map[string]func(w *world){
		"journal":    func(w *world) { w.s.must = w.s.mustDone },
		"checkpoint": func(w *world) { w.s.must++ },
		"done since": func(w *world) { w.s.must++; w.report(mail.ChangeDone, 1, w.l.maxID) },
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewMem()
			w := newWorld(t, mem)
			w.o.CheckpointSize = 1 << 20
			w.open()
			defer w.s.Close()
			id := w.put(100, 2)
			if err := w.s.Report(context.Background(), []mail.Change{{ID: id, Rcpt: 0, Kind: mail.ChangeNoticed}}); err != nil {
				t.Fatal(err)
			}
			later(w)
			w.tend()
			if n := w.s.Stats().Checkpoints; (n > 0) != (name != "journal") {
				t.Fatalf("%d checkpoints", n)
			}
			for seed := range uint64(10) {
				o := w.o
				o.FS = mem.CrashClone(newRand(seed))
				s, err := Open(o)
				if err != nil {
					t.Fatal(err)
				}
				list, _, err := s.Load(context.Background(), 0, 0, 0)
				if err != nil || len(list) == 0 || !list[0].Noticed || len(list) > 1 && list[1].Noticed {
					t.Errorf("after the crash: %+v, %v", list, err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
