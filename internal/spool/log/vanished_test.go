package log

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// cutSpool leaves a spool as a kill does whose last segment holds messages that no checkpoint knows, small and
// large ones, every one deferred if deferred says so. Before that last is done.
func cutSpool(t *testing.T, deferred bool, last ...func(*Store) error) (w *world, hot string, ends []int64) {
	mem := vfs.NewMem()
	w = newWorld(t, mem)
	w.o.SegmentSize = 1 << 20
	w.open()
	w.put(400, 1)
	if err := w.s.checkpoint(); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		ends = append(ends, w.s.hotSize())
		id := w.put(300+4000*(i%2), 1)
		if deferred {
			w.report(mail.ChangeDefer, 0, id)
		}
	}
	gone := w.put(500, 2) // delivered after it was deferred
	w.report(mail.ChangeDefer, 0, gone)
	w.report(mail.ChangeDone, 0, gone)
	w.report(mail.ChangeDone, 1, gone)
	for _, f := range last {
		if err := f(w.s); err != nil {
			t.Fatal(err)
		}
	}
	w.sure()
	hot = w.s.hot.id.Name()
	close(w.s.quit)
	<-w.s.idle
	w.o.FS = mem.CrashClone(nil)
	return w, hot, ends
}

func cutFile(t *testing.T, fs vfs.FS, name string, size int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(name)
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func openDamaged(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Store) hotSize() int64 {
	if s.hot == nil {
		return format.HeaderSize
	}
	return s.hot.size
}

// TestP2CutSegment cuts the segment that takes new mail, between records and within them: what the journal proves to be lost is
// counted and named, and the file of no message is removed whose record is missing.
func TestP2CutSegment(t *testing.T) {
	w, hot, ends := cutSpool(t, true)
	mem := w.o.FS.(*vfs.Mem)
	for _, end := range ends {
		for _, cut := range []int64{end, end + 8, end + 100} {
			t.Run(fmt.Sprint(cut), func(t *testing.T) {
				clone := mem.CrashClone(nil)
				cutFile(t, clone, filepath.Join("queue", hot), cut)
				o := w.o
				o.FS = clone
				s := openDamaged(t, o)
				st := s.Stats()
				var lost []mail.QueueID
				for id, k := range w.l.msgs {
					if !k.gone(yes) && s.x.find(id) == nil {
						lost = append(lost, id)
					}
				}
				if int64(len(lost)) != st.Lost || len(lost) == 0 {
					t.Errorf("%d messages are lost, and %d said to be: %q", len(lost), st.Lost, st.Notes)
				}
				for _, id := range lost {
					if !strings.Contains(strings.Join(st.Notes, "\n"), id.String()) {
						t.Errorf("message %v is not named: %q", id, st.Notes)
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				w.l.mustKeepBodies(t, clone)
				mustOpen(t, o).Close() // told once
			})
		}
	}
}

// mustKeepBodies looks for the file of each large message that is not done, in the queue or in quarantine.
func (l *ledger) mustKeepBodies(t *testing.T, fs vfs.FS) {
	t.Helper()
	for id, k := range l.msgs {
		if err := l.bodyKept(fs, id, k); err != nil {
			t.Error(err)
		}
	}
}

func (l *ledger) bodyKept(fs vfs.FS, id mail.QueueID, k *known) error {
	if len(k.body) <= 3000 || k.there != yes || k.gone(maybe) {
		return nil
	}
	_, err := fs.Stat(filepath.Join("queue", format.BodyName(id)))
	_, aside := fs.Stat(filepath.Join("queue", quarantineName, format.BodyName(id)))
	if err != nil && aside != nil {
		return fmt.Errorf("the file of message %v was removed: %w", id, err)
	}
	return nil
}

// TestP2CutSegmentUntold: also where no journal names the messages, nor knows how far the segment was durable, the end of a
// record that is missing keeps their files.
func TestP2CutSegmentUntold(t *testing.T) {
	w, hot, ends := cutSpool(t, false)
	clone := w.o.FS.(*vfs.Mem)
	cutFile(t, clone, filepath.Join("queue", hot), ends[2]+100)
	s := openDamaged(t, w.o)
	if st := s.Stats(); st.Torn != 1 || st.Lost > 0 || len(st.Notes) > 0 || len(st.Unfinished) == 0 || !strings.Contains(st.Unfinished[0], filepath.Base(hot)) {
		t.Errorf("torn %d, lost %d: %q, unfinished %q", st.Torn, st.Lost, st.Notes, st.Unfinished)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w.l.mustKeepBodies(t, clone)
}

// TestDoneDuringCheckpoint defers a message and finishes it while a checkpoint is written, which then leaves it out: after a power
// cut it is done, and not taken for lost.
func TestDoneDuringCheckpoint(t *testing.T) {
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprintf("mark fails %v", fails), func(t *testing.T) {
			mem := vfs.NewMem()
			var w *world
			var id mail.QueueID
			failing, during := false, false
			fail := func(op vfs.Op, path string, _ int) error {
				if failing && op == vfs.OpWrite && strings.HasSuffix(path, ".log") {
					return syscall.EIO
				}
				return nil
			}
			w = newWorld(t, vfs.Inject(mem, fail, func(op vfs.Op, path string) {
				if !during || op != vfs.OpWrite || !strings.HasSuffix(path, ".chk.tmp") {
					return
				}
				during = false
				w.report(mail.ChangeDefer, 0, id)
				failing, w.faulty = fails, fails
				w.report(mail.ChangeDone, 0, id)
				failing, w.faulty = false, false
			}))
			w.open()
			w.put(100, 1)
			id = w.put(900, 1)
			during = true
			err := w.s.checkpoint()
			if w.s.x.find(id) != nil || (err != nil) != fails {
				t.Fatalf("checkpoint: %v; the message: %v", err, w.s.x.find(id))
			}
			for seed := range uint64(30) {
				o := w.o
				o.FS = mem.CrashClone(newRand(seed))
				if err := w.l.check(o, false); err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
			}
			if err := w.s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCrashUnderLoad cuts the power while several clients put, defer and finish messages and maintenance takes checkpoints, moves and
// removes: no opening takes anything for lost, and what was acknowledged and not done is there.
func TestCrashUnderLoad(t *testing.T) {
	mem := vfs.NewMem()
	crashes := 60
	if testing.Short() {
		crashes = 20
	}
	o := Options{
		Dir: "queue", FS: mem, SegmentSize: 12 << 10, SmallMessage: 3000, CheckpointSize: 600, MaxOpenFiles: 3,
		SyncInterval: time.Millisecond, indexFew: 1, indexTail: 1,
	}
	s := mustOpen(t, o)
	var mu sync.Mutex // makes a crash a moment of the ledger
	waiting := map[mail.QueueID]bool{}
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for k := range 4 {
		clients.Go(func() {
			rnd := newRand(uint64(k))
			var mine []mail.QueueID
			for ctx.Err() == nil {
				id := commitOne(t, s, make([]byte, rnd.IntN(4000)), "a@example.com")
				mu.Lock()
				waiting[id] = true
				mu.Unlock()
				mine = append(mine, id)
				some := mine[rnd.IntN(len(mine))]
				if err := s.Report(ctx, []mail.Change{{ID: some, Kind: mail.ChangeDefer, Due: time.Now(), Attempts: 5, Reply: mail.NewReply(450, mail.Enhanced(4, 2, 1), "later")}}); err != nil {
					t.Error(err)
				}
				if len(mine) < 8 {
					continue
				}
				i := rnd.IntN(len(mine))
				mu.Lock()
				delete(waiting, mine[i])
				mu.Unlock()
				if err := s.Report(ctx, []mail.Change{{ID: mine[i], Kind: mail.ChangeDone}}); err != nil {
					t.Error(err)
				}
				mine = slices.Delete(mine, i, i+1)
			}
		})
	}
	for n := range uint64(crashes) {
		time.Sleep(5 * time.Millisecond)
		after := o
		mu.Lock()
		after.FS = mem.CrashClone(newRand(n))
		want := maps.Clone(waiting)
		mu.Unlock()
		got, err := Open(after)
		if err != nil {
			t.Fatal(err)
		}
		if st := got.Stats(); st.Lost+st.Quarantined > 0 {
			t.Errorf("crash %d: lost %d, put aside %d: %q", n, st.Lost, st.Quarantined, st.Notes)
		}
		for id := range want {
			if _, err := got.Status(t.Context(), id); err != nil {
				t.Errorf("crash %d: message %v: %v", n, id, err)
			}
		}
		if err := got.Close(); err != nil {
			t.Error(err)
		}
	}
	stop()
	clients.Wait()
	if st := s.Stats(); st.Checkpoints < 5 || st.Commits < 50 {
		t.Errorf("%d checkpoints, %d messages only", st.Checkpoints, st.Commits)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestTornEndAndFinished: an end that was not written keeps the files of messages that may have stood there, not those of messages that are
// done and were about to go, whether or not their record is still known.
func TestTornEndAndFinished(t *testing.T) {
	for _, checkpoint := range []bool{false, true} {
		w, _, _ := cutSpool(t, false)
		done := w.newest()
		s := mustOpen(t, w.o)
		w.s = s
		w.report(mail.ChangeDone, 0, done)
		if checkpoint {
			if err := s.checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
		unfinished := w.begin(7000, 1, 0) // on its way in
		w.put(200, 1)
		hot, cut := s.hot.id.Name(), s.hot.size-100
		close(s.quit)
		<-s.idle
		clone := w.o.FS.(*vfs.Mem).CrashClone(nil)
		cutFile(t, clone, filepath.Join("queue", hot), cut)
		o := w.o
		o.FS = clone
		s = openDamaged(t, o)
		if st := s.Stats(); st.Torn != 1 || st.Lost+st.Quarantined > 0 {
			t.Errorf("%+v", st)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for id, want := range map[mail.QueueID]bool{done: false, unfinished.id: true} {
			_, err := clone.Stat(filepath.Join("queue", quarantineName, format.BodyName(id)))
			_, left := clone.Stat(filepath.Join("queue", format.BodyName(id)))
			if (err == nil) != want || left == nil {
				t.Errorf("checkpoint %v: file of %v in quarantine: %v, want %v; in the queue: %v", checkpoint, id, err, want, left)
			}
		}
	}
}

// newest returns the youngest large message that waits.
func (w *world) newest() (newest mail.QueueID) {
	for id, k := range w.l.msgs {
		if len(k.body) > 3000 && !k.gone(maybe) {
			newest = max(newest, id)
		}
	}
	return newest
}
