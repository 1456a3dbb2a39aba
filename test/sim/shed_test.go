package sim

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/vfs"
)

// journal is a log that a test reads.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

// count returns how many lines have a text.
func (j *journal) count(text string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.buf.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func (w *world) keepLog() *journal {
	j := &journal{}
	w.log = slog.NewTextHandler(j, nil)
	return j
}

// banner connects and returns the first reply.
func (w *world) banner() string {
	w.t.Helper()
	c, err := w.net.Dial(w.t.Context(), "tcp", relay)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 200)
	n, _ := c.Read(b)
	return string(b[:n])
}

// While memory is short no mail is taken, by SMTP or Pickup, and while it is nearly gone no connection; what was taken is
// delivered and reported on meanwhile. That it is over is seen without anybody (bad input F27).
func TestShortMemoryF27(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used, collections atomic.Int64
		w := newWorldOff(t)
		log := w.keepLog()
		w.top = `memory_limit = "100MB"`
		w.memory = func() (int64, uint64) { return used.Load(), uint64(collections.Load()) }
		w.start("")
		w.send("x@corp.test", "late@far.test", "early")
		w.send("x@corp.test", "y@nowhere.test", "refused")
		pass(time.Second) // nobody answers yet
		if w.waiting() != 2 {
			t.Fatalf("%d wait", w.waiting())
		}

		used.Store(85 << 20)
		pass(2 * time.Second)
		w.talk(say{"MAIL FROM:<x@corp.test>", "452 4.3.1"}, say{"QUIT", "221"})
		w.talk(say{"NOOP", "250"}, say{"MAIL FROM:<x@corp.test>", "452 4.3.1"}, say{"MAIL FROM:<>", "452 4.3.1"}, say{"QUIT", "221"})
		hub := w.serve(smart, "nowhere.test")
		w.drop("wait.eml", "x-sender: <x@corp.test>\r\nx-receiver: <p@far.test>\r\nSubject: file\r\n\r\n.\r\n")
		pass(6 * time.Minute)
		if got := hub.got(); len(got) != 1 || w.waiting() != 0 {
			t.Errorf("while mail is refused %d messages were delivered, %d wait", len(got), w.waiting())
		}
		if n := len(w.files("Drop", ".eml")); n != 1 {
			t.Errorf("%d reports in Drop, want 1", n)
		}
		if n := len(w.files("Pickup", ".eml")); n != 1 {
			t.Errorf("%d files in Pickup, want 1", n)
		}

		used.Store(95 << 20)
		pass(2 * time.Second)
		if got := w.banner(); !strings.HasPrefix(got, "421 4.3.2 ") {
			t.Errorf("the banner is %q", got)
		}
		if in := w.server().Inbound(); in.RefusedMemory != 1 || in.Refused != 1 {
			t.Errorf("%+v", in)
		}
		if m := w.svc.Memory(); m.Refused < 4 || m.Used != 95<<20 || m.Limit != 100<<20 || m.Since.IsZero() {
			t.Errorf("%+v", m)
		}
		used.Store(75 << 20)
		pass(2 * time.Second)
		w.talk(say{"MAIL FROM:<x@corp.test>", "452 4.3.1"}, say{"QUIT", "221"}) // connections again, mail not yet
		used.Store(60 << 20)
		pass(10 * time.Second)
		for text, want := range map[string]int{"no mail is taken: the memory": 2, "no connections are taken": 1, "mail is taken again: there is memory": 1} {
			if n := log.count(text); n != want {
				t.Errorf("the log has %d lines of %q, want %d", n, text, want)
			}
		}
		pass(2 * time.Minute)
		w.send("x@corp.test", "z@far.test", "again")
		pass(time.Second)
		if n := len(hub.got()); n != 3 {
			t.Errorf("%d messages were delivered, want 3: the file from Pickup too", n)
		}
		w.stop()
		hub.close()
	})
}

// While the disk has too little room mail is refused at MAIL, and what was taken is delivered and reported on; when there
// is room again mail is taken, not before there is a quarter more (bad input F28).
func TestShortDiskF28(t *testing.T) {
	for name, short := range map[string]struct{ low, more, enough vfs.Space }{
		"space":  {vfs.Space{Bytes: 90 << 20, Inodes: 1 << 20}, vfs.Space{Bytes: 110 << 20, Inodes: 1 << 20}, vfs.Space{Bytes: 126 << 20, Inodes: 1 << 20}},
		"inodes": {vfs.Space{Bytes: 1 << 40, Inodes: 90}, vfs.Space{Bytes: 1 << 40, Inodes: 110}, vfs.Space{Bytes: 1 << 40, Inodes: 126}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorldOff(t)
			log := w.keepLog()
			w.blocks = "queue {\n min_free_space = \"100MB\"\n min_free_files = 100\n}"
			w.start("")
			w.send("x@corp.test", "late@far.test", "early")
			w.send("x@corp.test", "y@nowhere.test", "refused")
			pass(time.Second)
			w.disk.SetFree(short.low)
			w.talk(say{"MAIL FROM:<x@corp.test>", "452 4.3.1"}, say{"QUIT", "221"})
			start := time.Now()
			hub := w.serve(smart, "nowhere.test")
			pass(6 * time.Minute)
			if got := hub.got(); len(got) != 1 || w.waiting() != 0 || len(w.files("Drop", ".eml")) != 1 {
				t.Errorf("%s: while mail is refused %d were delivered, %d wait, %d reports came", name, len(got), w.waiting(), len(w.files("Drop", ".eml")))
			}
			st := w.server().Store().Stats()
			if !st.LowSpace || st.Refused != 1 || st.Refusing == "" || !st.RefusingSince.Equal(start) {
				t.Errorf("%s: %+v", name, st)
			}
			w.disk.SetFree(short.more)
			pass(2 * time.Minute)
			w.talk(say{"MAIL FROM:<x@corp.test>", "452 4.3.1"}, say{"QUIT", "221"})
			w.disk.SetFree(short.enough)
			pass(2 * time.Minute)
			if n := log.count("no mail is taken"); n != 1 {
				t.Errorf("%s: the log says %d times that no mail is taken", name, n)
			}
			if n := log.count("mail is taken again"); n != 1 { // although no client came
				t.Errorf("%s: the log says %d times that mail is taken again", name, n)
			}
			w.send("x@corp.test", "z@far.test", "again")
			pass(time.Second)
			if n := len(hub.got()); n != 2 {
				t.Errorf("%s: %d messages were delivered, want 2", name, n)
			}
			w.stop()
			hub.close()
		})
	}
}
