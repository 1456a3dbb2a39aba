package log

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// busySpool leaves a spool with mail in several segments, some of it partly done, some beyond the checkpoint.
func busySpool(t *testing.T, mem *vfs.Mem) *world {
	w := newWorld(t, mem)
	w.open()
	for range 6 {
		a, b := w.put(2500, 2), w.put(900, 1)
		w.report(mail.ChangeDone, 0, a, b)
		w.put(700, 1)
	}
	w.put(5000, 1)
	w.tend()
	if err := w.s.checkpoint(); err != nil {
		t.Fatal(err)
	}
	c := w.put(1200, 3)
	w.report(mail.ChangeDone, 1, c)
	w.put(6000, 1)
	w.report(mail.ChangeDefer, 0, c)
	w.sure()
	close(w.s.quit)
	<-w.s.idle
	return w
}

// TestP2UnreadableFile lets one file after the other give an I/O error, or be closed to the service: the spool opens, says so, leaves the file as it
// is, keeps all else, and has everything again when the file can be read.
func TestP2UnreadableFile(t *testing.T) {
	mem := vfs.NewMem()
	w := busySpool(t, mem)
	read := 0
	defer func() {
		if read < 16 { // most for segments
			t.Errorf("%d openings failed to read something", read)
		}
	}()
	for name := range queueFiles(t, mem) {
		if !strings.Contains(name, "seg-") && !strings.Contains(name, "state-") && name != formatName {
			continue
		}
		for _, why := range []error{syscall.EIO, syscall.EACCES} {
			t.Run(fmt.Sprint(name, " ", why), func(t *testing.T) {
				clone := mem.CrashClone(nil)
				bad := func(op vfs.Op, path string, _ int) error {
					if filepath.Base(path) == name && (op == vfs.OpOpen || op == vfs.OpRead) {
						return why
					}
					return nil
				}
				before := content(t, clone, name)
				o := w.o
				o.FS = vfs.Inject(clone, bad, nil)
				for k := range 3 {
					s, err := Open(o)
					if err != nil {
						t.Fatalf("opening %d: %v", k, err)
					}
					st := s.Stats()
					if st.Unread == 0 && strings.HasPrefix(name, "state-") && len(st.Notes) == 0 {
						s.Close()
						return // it is older than the checkpoint, and not asked for any more
					}
					read++
					if st.Unread != 1 || !strings.Contains(strings.Join(st.Notes, "\n"), name+" cannot be read and stays as it is") {
						t.Fatalf("unread %d: %q", st.Unread, st.Notes)
					}
					if st.Lost+st.Quarantined > 0 {
						t.Errorf("lost or put aside: %q", st.Notes)
					}
					if id := commitOne(t, s, []byte("Subject: new\r\n\r\n"), "r@example.com"); id <= w.l.maxID {
						t.Errorf("id %v was given out before", id)
					} else if err := s.Report(t.Context(), []mail.Change{{ID: id, Kind: mail.ChangeDone}}); err != nil {
						t.Error(err)
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				}
				if content(t, clone, name) != before {
					t.Error("the file has changed")
				}
				o.FS = clone
				if strings.HasSuffix(name, ".log") {
					w.undefer() // new attempts are made meanwhile, so an old deferral is of no use
				}
				if err := w.l.checkOpen(o, false); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// checkOpen opens the spool and compares it with the ledger.
func (l *ledger) checkOpen(o Options, killed bool) error {
	s, err := Open(o)
	if err != nil {
		return err
	}
	defer s.Close()
	if st := s.Stats(); st.Lost+st.Quarantined+st.Unread > 0 {
		return fmt.Errorf("the opening found: %q", st.Notes)
	}
	return l.compare(s, killed)
}

func content(t *testing.T, v vfs.FS, name string) string {
	t.Helper()
	f, err := v.Open(filepath.Join("queue", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if err := format.ReadFull(f, b, 0); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// copyQueue copies the files of a queue folder over those of another, as cp does.
func copyQueue(t *testing.T, from, to *vfs.Mem) {
	t.Helper()
	for name := range queueFiles(t, from) {
		path := filepath.Join("queue", name)
		_ = to.Remove(path)
		f, err := to.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(content(t, from, name)), 0); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// TestTwoSpoolsInOneFolder copies a spool over another, whose files have the same numbers: both have all their mail,
// and what was done in them stays done.
func TestTwoSpoolsInOneFolder(t *testing.T) {
	for _, closed := range []bool{false, true} {
		for _, over := range []string{"busy over fresh", "fresh over busy"} {
			t.Run(fmt.Sprintf("%s, closed %v", over, closed), func(t *testing.T) {
				a, b := vfs.NewMem(), vfs.NewMem()
				busy := busySpool(t, a)
				time.Sleep(2 * time.Millisecond) // for other ids
				fresh := newWorld(t, b)
				fresh.seq = 1000
				fresh.open()
				fresh.put(800, 1)
				fresh.report(mail.ChangeDone, 0, fresh.put(3500, 2), fresh.put(500, 1))
				fresh.put(4000, 1)
				fresh.sure()
				close(fresh.s.quit)
				<-fresh.s.idle
				if closed {
					a, b = reclose(t, a), reclose(t, b)
				} else {
					a, b = a.CrashClone(nil), b.CrashClone(nil)
				}
				from, to := a, b
				if over == "fresh over busy" {
					from, to = b, a
				}
				copyQueue(t, from, to)
				both := ledger{msgs: map[mail.QueueID]*known{}}
				for _, w := range []*world{busy, fresh} {
					for id, k := range w.l.msgs {
						both.msgs[id] = k
					}
				}
				o := busy.o
				o.FS = to
				for k := range 3 {
					if err := both.checkOpen(o, true); err != nil {
						t.Fatalf("opening %d: %v", k, err)
					}
				}
			})
		}
	}
}

// reclose opens a spool that a process left behind and closes it in order.
func reclose(t *testing.T, mem *vfs.Mem) *vfs.Mem {
	mem = mem.CrashClone(nil)
	s := mustOpen(t, Options{Dir: "queue", FS: mem})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return mem
}

// TestTwoMessagesWithOneID: of two spools in one folder that gave out the same id one message is kept and the other put
// into quarantine, which is said; the same message twice is one message.
func TestTwoMessagesWithOneID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mems [2]*vfs.Mem
		var ids [2]mail.QueueID
		for i := range mems {
			mems[i] = vfs.NewMem()
			s := mustOpen(t, Options{Dir: "queue", FS: mems[i]})
			ids[i] = commitOne(t, s, fmt.Appendf(nil, "Subject: %d\r\n\r\n", i), "r@example.com")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if ids[0] != ids[1] {
			t.Fatalf("ids %v and %v", ids[0], ids[1])
		}
		copyQueue(t, mems[0], mems[1])
		s, err := Open(Options{Dir: "queue", FS: mems[1]})
		if err != nil {
			t.Fatal(err)
		}
		st := s.Stats()
		if st.Messages != 1 || st.Quarantined != 1 || !strings.Contains(strings.Join(st.Notes, "\n"), "another message has this id") {
			t.Errorf("%d messages, %d put aside: %q", st.Messages, st.Quarantined, st.Notes)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		mustOpen(t, Options{Dir: "queue", FS: mems[1]}).Close()
	})
}

// TestEmptySegmentWithATakenNumber: an empty file does not push the intact segment of its number aside.
func TestEmptySegmentWithATakenNumber(t *testing.T) {
	mem := vfs.NewMem()
	w := busySpool(t, mem)
	clone := mem.CrashClone(nil)
	f, err := clone.Create(filepath.Join("queue", format.ID{Kind: format.KindSegment, Num: 1, Salt: 1}.Name()))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	o := w.o
	o.FS = clone
	if err := w.l.checkOpen(o, true); err != nil {
		t.Error(err)
	}
	if _, err := clone.Stat("queue/quarantine"); err == nil {
		t.Error("something was put into quarantine")
	} else if !strings.Contains(err.Error(), fs.ErrNotExist.Error()) {
		t.Error(err)
	}
}

// TestP2DamagedMessageIsNamed: whoever asks for a message that turned out to be damaged is told where it is now.
func TestP2DamagedMessageIsNamed(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, Options{Dir: "queue", FS: mem})
	id := commitOne(t, s, []byte("Subject: x\r\n\r\nto be damaged\r\n"), "r@example.com")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name := range queueFiles(t, mem) {
		if strings.HasPrefix(name, "seg-") {
			flip(t, mem, filepath.Join("queue", name), format.HeaderSize+format.HeaderSize+20)
		}
	}
	var told []mail.QueueID
	s, err := Open(Options{Dir: "queue", FS: mem, Aside: func(id mail.QueueID, n int) {
		if n != 1 {
			t.Errorf("%d recipients", n)
		}
		told = append(told, id)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for k := range 2 {
		_, err := s.Body(t.Context(), id)
		if !errors.Is(err, spool.ErrDamaged) {
			t.Fatalf("%d: %v", k, err)
		}
		_, name, _ := strings.Cut(err.Error(), "quarantine: ")
		if _, err := mem.Stat(filepath.Join("queue", quarantineName, name)); err != nil {
			t.Errorf("%d: %q is not there: %v", k, name, err)
		}
		if notes := s.Stats().Notes; len(notes) != 1 || !strings.HasSuffix(notes[0], "now quarantine/"+name) {
			t.Errorf("notes %q", notes)
		}
	}
	if len(told) != 1 || told[0] != id {
		t.Errorf("told of %v, want %v once", told, id)
	}
}

// undefer makes deferrals uncertain: they may stand in a journal that was not read in time.
func (w *world) undefer() {
	for _, k := range w.l.msgs {
		for i := range k.attempts {
			k.attempts[i] = min(k.attempts[i], maybe)
		}
	}
}
