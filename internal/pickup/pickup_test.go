package pickup

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

const plainMail = "x-sender: a@b.example\r\nx-receiver: c@d.example\r\nSubject: hello\r\n\r\ntext\r\n"

// inWorld runs a story in a world with a clock of its own.
func inWorld(t *testing.T, story func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		story(w)
	})
}

func (w *world) path(name string) string { return filepath.Join(dir, name) }

// after lets time pass and all that happens in it happen.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestTakesAFile(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.put("one.eml", plainMail)
		after(10 * time.Second)
		all := w.envelopes()
		if len(all) != 1 {
			t.Fatalf("%d messages, want 1; events %q", len(all), w.events)
		}
		env := all[0]
		if env.Source != mail.SourcePickup || env.Sender.Addr.String() != "a@b.example" || len(env.Recipients) != 1 || env.Recipients[0].Addr.String() != "c@d.example" {
			t.Errorf("envelope %+v", env)
		}
		if got := w.text(env); got != "Subject: hello\r\n\r\ntext\r\n" {
			t.Errorf("stored %q", got)
		}
		if s := w.stored(env); !strings.Contains(s, "\r\nMessage-ID: <") || !strings.Contains(s, "\r\nDate: ") || !strings.Contains(s, "\r\n\tfor <c@d.example>;\r\n") {
			t.Errorf("stored %q", s)
		}
		if left := w.left(); len(left) != 0 {
			t.Errorf("left %q", left)
		}
		if s := w.p.Stats(); s.Taken != 1 || s.Waiting != 0 || s.InFlight != 0 || s.LastError != "" {
			t.Errorf("stats %+v", s)
		}
	})
}

// P1: a file that is still open is waited for, however long it stays as it is.
func TestWaitsForTheWriter(t *testing.T) {
	inWorld(t, func(w *world) {
		w.files.set(w.path("open"), facts{writer: WriterOpen, links: 1})
		w.put("open", "x-sender: a@b.example\r\nx-recei")
		w.start()
		after(50 * time.Minute)
		if n := len(w.envelopes()) + len(w.badFiles()); n != 0 || w.sawEvent("late") != 0 {
			t.Fatalf("%d were taken, events %q", n, w.events)
		}
		if s := w.p.Stats(); s.Waiting != 1 {
			t.Errorf("stats %+v", s)
		}
		after(11 * time.Minute)
		if s := w.p.Stats(); w.sawEvent("late open: a program has the file open") != 1 || len(s.Late) != 1 {
			t.Errorf("events %q, stats %+v", w.events, s)
		}
		w.put("open", "ver: c@d.example\r\n\r\ntext\r\n")
		w.files.set(w.path("open"), facts{writer: WriterNone, links: 1, modified: time.Now()})
		after(5 * time.Second)
		if n := len(w.envelopes()); n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
		if s := w.p.Stats(); len(s.Late) != 0 || s.Waiting != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// P1: where nobody can tell who writes, a file is complete when it has not changed for two seconds.
func TestWaitsUntilItSettles(t *testing.T) {
	inWorld(t, func(w *world) {
		w.files.unknown = true
		w.start()
		text := plainMail
		w.put("slow", text[:1])
		for i := 1; i < len(text); i++ {
			after(1900 * time.Millisecond)
			w.put("slow", text[i:i+1])
		}
		synctest.Wait()
		if n := len(w.envelopes()) + len(w.badFiles()); n != 0 {
			t.Fatalf("%d were taken of a file that is being written", n)
		}
		after(defaultRescan + settle + grace)
		if n := len(w.envelopes()); n != 1 {
			t.Fatalf("%d messages, want 1; events %q", n, w.events)
		}
	})
}

// A script that appends line by line has the file open now and then.
func TestWaitsForALineByLineScript(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		for line := range strings.SplitAfterSeq(plainMail, "\n") {
			w.put("script", line)
			w.files.set(w.path("script"), facts{writer: WriterNone, links: 1, modified: time.Now()})
			after(grace * 4 / 5)
		}
		if n := len(w.envelopes()) + len(w.badFiles()); n != 0 {
			t.Fatal("it was taken in the middle")
		}
		after(2 * grace)
		if n := len(w.envelopes()); n != 1 {
			t.Fatalf("%d messages, want 1", n)
		}
	})
}

// P1: an empty file has its time to be written, then it goes to badmail.
func TestEmptyFile(t *testing.T) {
	inWorld(t, func(w *world) {
		w.put("empty", "")
		w.put("filled", "")
		w.start()
		after(emptyWait - time.Second)
		w.put("filled", plainMail)
		if len(w.badFiles()) != 0 {
			t.Fatal("it went to badmail at once")
		}
		after(10 * time.Second)
		if len(w.badFiles()) != 1 || w.badFiles()[0].File != "empty" || w.badFiles()[0].Reason != "The file is empty." || len(w.envelopes()) != 1 {
			t.Errorf("bad %+v, %d messages", w.bad, len(w.envelopes()))
		}
	})
}

// P1: what is no plain file with one name is left alone, named once and counted.
func TestOddFiles(t *testing.T) {
	inWorld(t, func(w *world) {
		odd := map[string]facts{
			"symlink": {kind: KindLink}, "junction\x1b[2J": {kind: KindLink}, "pipe": {kind: KindOther},
			"hard.eml": {links: 2, writer: WriterNone},
		}
		for name, f := range odd {
			w.put(name, plainMail)
			w.files.set(w.path(name), f)
		}
		if err := w.mem.MkdirAll(w.path("folder.eml")); err != nil {
			t.Fatal(err)
		}
		w.start()
		after(time.Hour)
		if len(w.envelopes())+len(w.badFiles()) != 0 || len(w.left()) != 5 {
			t.Errorf("left %q", w.left())
		}
		if s := w.p.Stats(); s.Skipped != 5 || s.Waiting != 0 {
			t.Errorf("stats %+v", s)
		}
		if n := w.sawEvent("skipped"); n != 5 || w.sawEvent(`skipped junction\x1B[2J: a link`) != 1 {
			t.Errorf("%d events: %q", n, w.events)
		}
		// A second name that goes away soon is how some programs put a file into its place.
		w.files.set(w.path("hard.eml"), facts{links: 1, writer: WriterNone})
		after(10 * time.Second)
		if len(w.envelopes()) != 1 {
			t.Error("the file with one name was not taken")
		}
	})
}

// P1: names with control octets are names like others, and never shown raw.
func TestNames(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, name := range []string{"a\nb\x1b.eml", "no extension", ".hidden", "x.txt", "Käse \xff.eml", "-rf", strings.Repeat("n", 255)} {
			w.put(name, plainMail)
		}
		w.put("bad\r\nlog line", "nothing")
		w.start()
		after(10 * time.Second)
		if n := len(w.envelopes()); n != 7 {
			t.Errorf("%d messages, want 7", n)
		}
		if len(w.badFiles()) != 1 || w.badFiles()[0].File != `bad\x0D\x0Alog line` {
			t.Errorf("bad %+v", w.badFiles())
		}
	})
}

// While the spool refuses, files stay where they are; it is asked again, less and less often.
func TestSpoolRefuses(t *testing.T) {
	inWorld(t, func(w *world) {
		w.beginErr = mail.Fail(452, mail.Enhanced(4, 3, 1), "Insufficient system storage", nil)
		for i := range 10 {
			w.put(fmt.Sprint(i), plainMail)
		}
		w.start()
		after(5 * time.Minute)
		if got := len(w.left()); got != 10 || w.sawEvent("trouble") != 1 {
			t.Errorf("%d files left, want 10; events %q", got, w.events)
		}
		if s := w.p.Stats(); s.Waiting != 10 || !strings.Contains(s.LastError, "452") {
			t.Errorf("stats %+v", s)
		}
		w.mu.Lock()
		w.beginErr = nil
		w.mu.Unlock()
		after(longestPause + time.Second)
		if n := len(w.envelopes()); n != 10 || len(w.left()) != 0 || w.sawEvent("over") != 1 || w.p.Stats().LastError != "" {
			t.Errorf("%d messages, left %q, events %q", n, w.left(), w.events)
		}
	})
}

// A disk that fills up while a message is written keeps the file, which is sent once there is room.
func TestDiskFullAtWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		full.Store(true)
		w := newWorldOn(t, vfs.NewMem(), func(fs vfs.FS) vfs.FS {
			return vfs.Inject(fs, func(op vfs.Op, path string, n int) error {
				if full.Load() && op == vfs.OpWrite && strings.HasPrefix(path, queueDir) && n > 32<<10 {
					return vfs.ErrNoSpace
				}
				return nil
			}, nil)
		})
		defer w.close()
		w.put("big", plainMail+strings.Repeat("0123456789abcde\r\n", 1<<16))
		w.start()
		after(10 * time.Minute)
		if left := w.left(); len(left) != 1 || w.sawEvent("trouble: 452") != 1 || w.sawEvent("held") != 0 || w.p.Stats().Waiting != 1 {
			t.Fatalf("left %q, events %q, stats %+v", left, w.events, w.p.Stats())
		}
		full.Store(false)
		after(longestHold + time.Second)
		if n := len(w.envelopes()); n != 1 || len(w.left()) != 0 || w.p.Stats().LastError != "" {
			t.Errorf("%d messages, left %q, stats %+v", n, w.left(), w.p.Stats())
		}
	})
}

// A file that cannot be read now is held, and does not hold up others.
func TestUnreadable(t *testing.T) {
	inWorld(t, func(w *world) {
		w.files.set(w.path("secret"), facts{links: 1, openErr: errors.New("permission denied")})
		w.put("secret", plainMail)
		w.put("fine", plainMail)
		w.start()
		after(10 * time.Second)
		if n := len(w.envelopes()); n != 1 || len(w.p.Stats().Late) != 1 || w.sawEvent("late secret: it cannot be read: permission denied") != 1 {
			t.Errorf("%d messages, events %q", n, w.events)
		}
		w.files.set(w.path("secret"), facts{links: 1, writer: WriterNone})
		after(10 * time.Second)
		if n := len(w.envelopes()); n != 2 {
			t.Errorf("%d messages, want 2", n)
		}
	})
}

// Badmail that cannot be written keeps the file.
func TestBadmailFails(t *testing.T) {
	inWorld(t, func(w *world) {
		w.badErr = errors.New("disk full")
		w.put("nonsense", "nonsense")
		w.start()
		after(time.Hour)
		if len(w.left()) != 1 || w.sawEvent("held nonsense: disk full") != 1 || w.p.Stats().Bad != 0 || w.p.Stats().LastError == "" {
			t.Errorf("left %q, events %q", w.left(), w.events)
		}
		w.mu.Lock()
		w.badErr = nil
		w.mu.Unlock()
		after(longestHold + time.Second)
		if d := cmp.Diff([]string{"nonsense"}, w.badTexts()); d != "" || len(w.left()) != 0 || w.p.Stats().LastError != "" {
			t.Errorf("%s; left %q", d, w.left())
		}
	})
}

// A folder that cannot be read is trouble until it can be, files or not.
func TestFolderCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		w := newWorldOn(t, vfs.NewMem(), func(fs vfs.FS) vfs.FS {
			return vfs.Inject(fs, func(op vfs.Op, path string, _ int) error {
				if broken.Load() && op == vfs.OpReadDir && path == dir {
					return errors.New("input/output error")
				}
				return nil
			}, nil)
		})
		defer w.close()
		w.start()
		broken.Store(true)
		after(time.Hour)
		if s := w.p.Stats(); w.sawEvent("trouble: pickup directory: input/output error") != 1 || s.LastError == "" {
			t.Errorf("events %q, stats %+v", w.events, s)
		}
		broken.Store(false)
		after(time.Minute)
		if s := w.p.Stats(); w.sawEvent("over") != 1 || s.LastError != "" {
			t.Errorf("events %q, stats %+v", w.events, s)
		}
	})
}

// A file that is written while it is read, by somebody whom nobody sees, is read again later: what has come
// of it may look like no message at all.
func TestWrittenWhileRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *world
		var once sync.Once
		w = newWorldOn(t, vfs.NewMem(), func(fs vfs.FS) vfs.FS {
			return vfs.Inject(fs, nil, func(op vfs.Op, path string) {
				if op != vfs.OpRead || !strings.Contains(path, claimedName) {
					return
				}
				once.Do(func() {
					f, err := w.mem.OpenReadWrite(path)
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := f.WriteAt([]byte(plainMail[5:]), 5); err != nil {
						t.Error(err)
					}
				})
			})
		})
		defer w.close()
		w.files.unknown = true
		w.put("slow", plainMail[:5])
		w.start()
		after(time.Minute)
		if all := w.envelopes(); len(all) != 1 || len(w.badFiles()) != 0 {
			t.Errorf("%d messages, bad %+v", len(all), w.badFiles())
		}
	})
}

// A sent file that cannot be removed is not sent again by this process, and removed as soon as it can be.
func TestCannotRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stuck atomic.Bool
		stuck.Store(true)
		w := newWorldOn(t, vfs.NewMem(), func(fs vfs.FS) vfs.FS {
			return vfs.Inject(fs, func(op vfs.Op, path string, _ int) error {
				if stuck.Load() && op == vfs.OpRemove && strings.HasPrefix(path, dir) {
					return errors.New("in use")
				}
				return nil
			}, nil)
		})
		defer w.close()
		w.put("one", plainMail)
		w.start()
		after(time.Hour)
		if len(w.envelopes()) != 1 || len(w.left()) != 1 || w.sawEvent("stays one") != 1 {
			t.Errorf("%d messages, left %q, events %q", len(w.envelopes()), w.left(), w.events)
		}
		stuck.Store(false)
		after(longestHold + time.Second)
		if len(w.envelopes()) != 1 || len(w.left()) != 0 || w.p.Stats().LastError != "" {
			t.Errorf("%d messages, left %q, stats %+v", len(w.envelopes()), w.left(), w.p.Stats())
		}
	})
}

// The folder may go away and come back.
func TestFolderIsMadeAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		after(time.Minute)
		for _, name := range []string{w.path(claimedName + "/" + lockName), w.path(claimedName), dir} {
			if err := w.mem.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		after(time.Minute)
		w.put("one", plainMail)
		after(10 * time.Second)
		if len(w.envelopes()) != 1 {
			t.Errorf("events %q", w.events)
		}
	})
}

// Thousands of files, and never more than the workers in flight.
func TestManyFiles(t *testing.T) {
	inWorld(t, func(w *world) {
		const n = 3000
		for i := range n {
			w.put(fmt.Sprintf("%05d", i), fmt.Sprintf("x-sender: a@b.example\nx-receiver: c@d.example\nSubject: %05d\n\ntext\n", i))
		}
		most := 0
		w.onQueue = func(*mail.Envelope) {
			w.mu.Lock()
			defer w.mu.Unlock()
			most = max(most, w.p.Stats().InFlight)
		}
		w.start()
		synctest.Wait()
		if s := w.p.Stats(); s.Waiting != n { // they were written a moment ago
			t.Errorf("stats %+v", s)
		}
		after(time.Minute)
		all := w.envelopes()
		if len(all) != n || most > 4 || len(w.left()) != 0 {
			t.Fatalf("%d messages, %d in flight, %d left", len(all), most, len(w.left()))
		}
		for i, env := range all {
			if want := fmt.Sprintf("%05d", i); env.Content.Subject != want {
				t.Fatalf("message %d is %q", i, env.Content.Subject)
			}
		}
	})
}

// Stop ends what is being read, and what is left is taken at the next start.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 500 {
			w.put(fmt.Sprint(i), plainMail)
		}
		w.onQueue = func(*mail.Envelope) { time.Sleep(time.Second) }
		w.start()
		after(3500 * time.Millisecond)
		w.close()
		taken := len(w.envelopes())
		if left := len(w.left()); taken == 0 || left == 0 || taken+left != 500 {
			t.Errorf("%d taken, %d left", taken, left)
		}
		again := newWorldOn(t, w.mem, nil)
		defer again.close()
		again.start()
		after(time.Minute)
		if n := len(again.envelopes()); taken+n != 500 {
			t.Errorf("%d and %d messages, want 500", taken, n)
		}
	})
}
