package sim

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/vfs"
)

// full is a disk that others fill again as soon as an octet is free.
type full struct{ on atomic.Bool }

// set fills the disk of w, or makes room.
func (f *full) set(w *world, on bool) {
	free := vfs.Space{Bytes: 1 << 40, Inodes: 1 << 20}
	if f.on.Store(on); on {
		free.Bytes = 0
	}
	w.disk.SetFree(free)
}

// fullWorld is a relay that was killed with mail in its queue for a server that did not answer, and has no reserve any more, as that of
// an older build; others have filled its disk since. spare says that it has a spare segment.
func fullWorld(t *testing.T, spare bool) (w *world, f *full, texts []string) {
	w, f = newWorldOff(t), &full{}
	w.blocks = "queue {\n min_free_space = \"off\"\n min_free_files = \"off\"\n}"
	w.start("")
	for i := range 40 {
		text := fmt.Sprintf("number %02d", i)
		w.send("x@corp.test", "late@far.test", text)
		texts = append(texts, text)
	}
	pass(time.Second)
	w.powerCut(nil)
	dir := dataDir + "/default/Queue/"
	names, err := w.disk.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "reserve-") || strings.HasPrefix(name, "spare-") {
			if err := w.disk.Remove(dir + name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if spare {
		s, err := w.disk.Create(dir + "spare-0000000000000001.seg")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.WriteAt(make([]byte, 2<<20), 0); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	w.after = func(vfs.Op, string) {
		if f.on.Load() {
			f.set(w, true)
		}
	}
	f.set(w, true)
	return w, f, texts
}

// copies says how often a server has each of the texts: the fewest and the most.
func (s *server) copies(texts []string) (least, most int) {
	all := strings.Join(s.got(), "\n")
	least = len(all)
	for _, text := range texts {
		n := strings.Count(all, "Subject: "+text+"\r\n")
		least, most = min(least, n), max(most, n)
	}
	return least, most
}

// TestFullDiskWithoutReserveF28: what cannot be written down is not delivered. The relay starts on a disk that is full and has no room of
// its own, is killed again and again, says why mail waits, and delivers each message once when there is room, without a restart.
func TestFullDiskWithoutReserveF28(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, f, texts := fullWorld(t, false)
		log := w.keepLog()
		hub := w.serve(smart, "")
		for i := range 6 {
			if i > 0 {
				w.powerCut(nil)
			}
			w.mustStart()
			pass(20 * time.Minute)
			if n := len(hub.got()); n != 0 || w.waiting() != len(texts) {
				t.Fatalf("start %d: %d were delivered, %d wait", i+1, n, w.waiting())
			}
		}
		w.talk(say{"MAIL FROM:<x@corp.test>", "452 4.3.1"}, say{"QUIT", "221"})
		st := w.server().Store().Stats()
		if st.Unrecordable == "" || time.Since(st.UnrecordableSince) < 20*time.Minute {
			t.Errorf("%+v", st)
		}
		f.set(w, false)
		pass(time.Minute)
		if least, most := hub.copies(texts); least != 1 || most != 1 || w.waiting() != 0 {
			t.Errorf("with room each was delivered %d to %d times, %d wait", least, most, w.waiting())
		}
		w.send("x@corp.test", "z@far.test", "again")
		pass(time.Minute)
		w.powerCut(nil)
		w.mustStart()
		pass(20 * time.Minute)
		if n := len(hub.got()); n != len(texts)+1 {
			t.Errorf("%d were delivered in all, want %d", n, len(texts)+1)
		}
		if begins, ends := log.count("delivery waits: "), log.count("delivery goes on"); begins != 6 || ends != 1 {
			t.Errorf("the log says %d times that delivery waits, want once for each of 6 starts, and %d times that it goes on", begins, ends)
		}
		w.stop()
		hub.close()
	})
}

// TestFullDiskWithASpareF28: a spare segment is room enough: all is delivered though the disk stays full, and nothing again after restarts.
func TestFullDiskWithASpareF28(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, texts := fullWorld(t, true)
		hub := w.serve(smart, "")
		for i := range 6 {
			w.mustStart()
			pass(20 * time.Minute)
			if least, most := hub.copies(texts); least != 1 || most != 1 || w.waiting() != 0 {
				t.Fatalf("start %d: each was delivered %d to %d times, %d wait", i+1, least, most, w.waiting())
			}
			if i%2 == 0 {
				w.powerCut(nil)
			} else {
				w.stop()
			}
		}
		hub.close()
	})
}
