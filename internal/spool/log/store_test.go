package log

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/spool/spooltest"
	"github.com/mailroot/mailroot/internal/vfs"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, Options{Dir: dir})
	_, err := Open(Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second opening: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := mustOpen(t, Options{Dir: dir}).Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(Options{}); err == nil {
		t.Error("a spool without a folder was opened")
	}
}

func TestP2FolderOfLaterVersion(t *testing.T) {
	mem := vfs.NewMem()
	if err := mustOpen(t, Options{Dir: "queue", FS: mem}).Close(); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := mem.Remove("queue/format"); err != nil {
			t.Fatal(err)
		}
		f, err := mem.Create("queue/format")
		if err == nil {
			_, err = f.WriteAt([]byte(text), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(format.Line(format.Version + 1))
	if _, err := Open(Options{Dir: "queue", FS: mem}); err == nil || !strings.Contains(err.Error(), "later version") {
		t.Errorf("a folder of a later version: %v", err)
	}
	write("mailroot spool 9\n") // damaged: the check is missing
	s, err := Open(Options{Dir: "queue", FS: mem})
	if err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); len(st.Notes) != 1 || !strings.Contains(st.Notes[0], "format") {
		t.Errorf("notes %q", st.Notes)
	}
	s.Close()
	if err := mustOpen(t, Options{Dir: "queue", FS: mem}).Close(); err != nil {
		t.Error(err)
	}
}

// rewriteHeader changes the header of the first record of the only segment.
func rewriteHeader(t *testing.T, mem *vfs.Mem, change func(b []byte)) {
	t.Helper()
	for name := range queueFiles(t, mem) {
		id, ok := format.ParseName(name)
		if !ok || id.Kind != format.KindSegment {
			continue
		}
		f, err := mem.OpenReadWrite(filepath.Join("queue", name))
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, format.HeaderSize)
		if _, err := f.ReadAt(b, format.HeaderSize); err != nil {
			t.Fatal(err)
		}
		change(b)
		le.PutUint32(b[60:], format.Sum(b[:60]))
		if _, err := f.WriteAt(b, format.HeaderSize); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("no segment")
}

// killedSpool returns a spool with three messages whose process has died.
func killedSpool(t *testing.T) (*vfs.Mem, *world) {
	mem := vfs.NewMem()
	w := newWorld(t, mem)
	w.open()
	for range 3 {
		w.put(700, 1)
	}
	close(w.s.quit)
	<-w.s.idle
	clone := mem.CrashClone(nil)
	w.o.FS = clone
	return clone, w
}

func TestP2RecordOfUnknownVersion(t *testing.T) {
	for name, change := range map[string]func(b []byte){
		"version": func(b []byte) { b[8] = format.RecordVersion + 1 },
		"kind":    func(b []byte) { b[9] = 77 },
	} {
		mem, w := killedSpool(t)
		rewriteHeader(t, mem, change)
		s, err := Open(w.o)
		if err != nil {
			t.Fatal(err)
		}
		st := s.Stats()
		if st.Messages != 2 || st.Quarantined != 1 || st.Lost != 1 || len(st.Notes) != 1 || !strings.Contains(st.Notes[0], "not known here") {
			t.Errorf("%s: %+v", name, st)
		}
		s.Close()
		names, err := mem.ReadDir("queue/quarantine")
		if err != nil || len(names) != 2 || !strings.HasSuffix(names[0], ".rec") || !strings.HasSuffix(names[1], ".rec.txt") {
			t.Errorf("%s: in quarantine: %q, %v", name, names, err)
		}
	}
}

func TestP2FileOfUnknownVersion(t *testing.T) {
	mem, w := killedSpool(t)
	later := 0
	for name := range queueFiles(t, mem) {
		if _, ok := format.ParseName(name); !ok {
			continue
		}
		later++
		f, err := mem.OpenReadWrite(filepath.Join("queue", name))
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, format.HeaderSize)
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		le.PutUint16(b[8:], format.FileVersion+1)
		le.PutUint32(b[60:], format.Sum(b[:60]))
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(w.o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	st := s.Stats()
	if st.Messages != 0 || st.Quarantined != int64(later) {
		t.Errorf("%d files of a later version: %+v", later, st)
	}
	names, err := mem.ReadDir("queue/quarantine")
	if err != nil || len(names) != 2*later {
		t.Errorf("in quarantine: %q, %v", names, err)
	}
	if (&world{t: t, s: s, l: ledger{msgs: map[mail.QueueID]*known{}}}).put(100, 1) == 0 {
		t.Error("no mail is taken")
	}
}

// TestForgedRecord puts records into messages: none of them is ever taken for one.
func TestForgedRecord(t *testing.T) {
	mem, w := killedSpool(t)
	var all []byte
	for name, size := range queueFiles(t, mem) {
		if id, ok := format.ParseName(name); ok && id.Kind == format.KindSegment {
			f, err := mem.Open(filepath.Join("queue", name))
			if err != nil {
				t.Fatal(err)
			}
			all = make([]byte, size)
			if _, err := f.ReadAt(all, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	mem2 := vfs.NewMem()
	s := mustOpen(t, Options{Dir: "queue", FS: mem2})
	tx, err := s.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	tx.Write(all) // whole records, of another segment
	if err := tx.Commit(context.Background(), benchEnvelope()); err != nil {
		t.Fatal(err)
	}
	close(s.quit)
	<-s.idle
	mem3 := mem2.CrashClone(nil)
	rewriteHeader(t, mem3, func(b []byte) { b[0]++ }) // so that opening has to search
	s, err = Open(Options{Dir: "queue", FS: mem3})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if st := s.Stats(); st.Messages != 0 || st.Quarantined+st.Torn != 1 {
		t.Errorf("%+v", st)
	}
	_ = w
}

// TestDrain fills many segments, keeps a message here and there, and finds the disk nearly empty
// after most have gone, and quite empty after all have.
func TestDrain(t *testing.T) {
	mem := vfs.NewMem()
	const segment = 64 << 10
	s := mustOpen(t, Options{Dir: "queue", FS: mem, SegmentSize: segment, SmallMessage: 8000, SyncInterval: time.Hour, CheckpointSize: 64 << 10})
	w := &world{t: t, s: s, l: ledger{msgs: map[mail.QueueID]*known{}}}
	var ids []mail.QueueID
	for i := range 600 {
		ids = append(ids, w.put(2000+i%3*4000, 1))
	}
	full := s.Stats()
	if full.Segments < 20 || full.Octets < 1<<20 {
		t.Fatalf("%+v", full)
	}
	tend := func() {
		for range 50 {
			again, err := s.tend()
			if err != nil {
				t.Fatal(err)
			}
			if !again {
				return
			}
			if !s.spareSince.IsZero() {
				s.spareSince = s.spareSince.Add(-spareTime) // as if it were long ago
			}
		}
		t.Error("maintenance finds no end")
	}
	for i, id := range ids {
		if i%40 != 0 {
			w.report(mail.ChangeDone, 0, id)
		}
	}
	tend()
	st := s.Stats()
	if st.Messages != 15 || st.Octets > 3*segment || st.Moved == 0 {
		t.Errorf("with %d messages left %d octets are taken in %d segments", st.Messages, st.Octets, st.Segments)
	}
	if used := mem.Used(); used > st.Octets+1000 || used < st.Octets-1000 {
		t.Errorf("%d octets are used, the figure says %d", used, st.Octets)
	}
	if err := w.l.compare(s, true); err != nil {
		t.Error(err)
	}
	for i, id := range ids {
		if i%40 == 0 {
			w.report(mail.ChangeDone, 0, id)
		}
	}
	tend()
	tend()
	if used := mem.Used(); used > segment/4 {
		t.Errorf("the queue is empty, and %d octets are used: %v", used, queueFiles(t, mem))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestPinnedFiles checks that files stay as long as somebody reads them, and go then.
func TestPinnedFiles(t *testing.T) {
	mem := vfs.NewMem()
	w := newWorld(t, mem)
	w.open()
	defer w.s.Close()
	small, large := w.put(2900, 1), w.put(9000, 1)
	for range 4 {
		w.report(mail.ChangeDone, 0, w.put(2900, 1))
	}
	var bodies []spool.Body
	for _, id := range []mail.QueueID{small, large} {
		b, err := w.s.Body(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, b)
	}
	w.report(mail.ChangeDone, 0, small, large)
	w.tend()
	w.tend()
	segment := bodies[0].(*body).seg.id.Name()
	are := func() (out [2]bool) {
		files := queueFiles(t, mem)
		_, out[0] = files[segment]
		_, out[1] = files[format.BodyName(large)]
		return out
	}
	if are() != [2]bool{true, true} {
		t.Error("a file was removed while somebody reads it")
	}
	for i, b := range bodies {
		got := make([]byte, b.Size())
		if _, err := b.ReadAt(got, 0); err != nil || !bytes.Equal(got, w.l.msgs[[]mail.QueueID{small, large}[i]].body) {
			t.Errorf("body %d: %v", i, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error("second close:", err)
		}
	}
	w.tend()
	if are() != [2]bool{} {
		t.Error("a file that nobody needs is still there")
	}
}

// TestLazySync checks that a change is durable after SyncInterval, by itself.
func TestLazySync(t *testing.T) {
	mem := vfs.NewMem()
	w := newWorld(t, mem)
	w.o.SyncInterval = 5 * time.Millisecond
	w.o.CheckpointSize = 1 << 20
	w.open()
	defer w.s.Close()
	id := w.put(100, 2)
	w.report(mail.ChangeDone, 0, id)
	for range 1000 {
		w.s.mu.Lock()
		clean := w.s.dirtySince.IsZero() && w.s.must == w.s.mustDone
		w.s.mu.Unlock()
		if clean {
			break
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond) // the sync itself
	w.sure()
	for seed := range uint64(20) {
		o := w.o
		o.FS = mem.CrashClone(newRand(seed))
		if err := w.l.check(o, false); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMemory checks what a queued message costs in memory.
func TestMemory(t *testing.T) {
	const n = 100_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var x index
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("domain%d.example.org", i)
	}
	for i := range n {
		m := x.add(message{id: mail.QueueID(i+1) << 20}, 1)
		x.recipients(m)[0].domain = x.domains.take(names[i%len(names)])
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if per := float64(after.HeapAlloc-before.HeapAlloc) / n; per > 150 {
		t.Errorf("%.0f octets for a message with one recipient", per)
	} else {
		t.Logf("%.0f octets for a message with one recipient", per)
	}
	if objects := after.HeapObjects - before.HeapObjects; objects > 6000 {
		t.Errorf("%d objects", objects)
	}
	for i := range n {
		x.remove(x.find(mail.QueueID(i+1) << 20))
	}
	if x.slabs != nil || x.live != 0 || len(x.domains.ids) != 0 {
		t.Error("an empty index keeps its memory")
	}
}

func TestArena(t *testing.T) {
	var a arena
	type run struct{ run, n uint32 }
	var runs []run
	for i := range uint32(3000) {
		n := i*i%5000 + 1
		r := run{a.take(n), n}
		for k := range a.at(r.run, n) {
			a.at(r.run, n)[k].due = int64(i)
		}
		runs = append(runs, r)
		if i%3 == 2 { // give one back
			old := runs[i/2]
			if old.n > 0 {
				a.give(old.run, old.n)
				runs[i/2].n = 0
			}
		}
	}
	for i, r := range runs {
		for _, v := range a.at(r.run, max(r.n, 1))[:r.n] {
			if v.due != int64(i) {
				t.Fatalf("run %d of %d holds what belongs to run %d", i, r.n, v.due)
			}
		}
	}
}

// TestManySegments has more segments than may be open.
func TestManySegments(t *testing.T) {
	mem := vfs.NewMem()
	open := map[string]int{}
	fs := vfs.Inject(mem, nil, func(op vfs.Op, path string) {
		if !strings.HasSuffix(path, ".seg") {
			return
		}
		switch op {
		case vfs.OpOpen, vfs.OpCreate:
			open[path]++
		case vfs.OpClose:
			open[path]--
		}
	})
	w := newWorld(t, fs)
	w.open()
	for range 40 {
		w.put(2900, 1)
	}
	for range 2 {
		if err := w.l.compare(w.s, true); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, k := range open {
			n += k
		}
		if n > w.o.MaxOpenFiles+2 {
			t.Errorf("%d segments are open", n)
		}
		w.restart()
	}
	w.s.Close()
	for path, k := range open {
		if k != 0 {
			t.Errorf("%s was opened %d times more than closed", path, k)
		}
	}
}

func TestIDsAcrossRestarts(t *testing.T) {
	mem := vfs.NewMem()
	o := Options{Dir: "queue", FS: mem}
	s := mustOpen(t, o)
	s.ids.last = mail.QueueID(time.Now().Add(1000*time.Hour).UnixMilli()) << idTimeShift // the clock was wrong
	tx, err := s.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	tx.Abort() // it never reached the disk, but its id was given out
	for _, o := range []Options{{Dir: "queue", FS: mem.CrashClone(nil)}, {Dir: "queue", FS: mem.CrashClone(newRand(1))}} {
		s := mustOpen(t, o)
		tx2, err := s.Begin(context.Background())
		if err != nil || tx2.ID() <= tx.ID() {
			t.Errorf("id %v after %v, %v", tx2.ID(), tx.ID(), err)
		}
		tx2.Abort()
		s.Close()
	}
	last := tx.ID()
	for range 3 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, o)
		tx, err := s.Begin(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if tx.ID() <= last {
			t.Errorf("id %v after %v", tx.ID(), last)
		}
		if tx.ID() > last+10 {
			t.Errorf("id %v after %v: an orderly end should not skip any", tx.ID(), last)
		}
		last = tx.ID()
		tx.Abort()
	}
	s.Close()
}

// TestSearchBounded checks that one Search reads a bounded number of envelopes that no index describes.
func TestSearchBounded(t *testing.T) {
	s := mustOpen(t, Options{Dir: "queue", FS: vfs.NewMem(), SyncInterval: time.Hour})
	defer s.Close()
	for i := range maxLooked + 100 {
		tx, err := s.Begin(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		sender := "no@example.com"
		if i == 0 {
			sender = "yes@example.com"
		}
		if err := tx.Commit(context.Background(), spooltest.Envelope(sender, "r@example.org")); err != nil {
			t.Fatal(err)
		}
	}
	q := spool.Query{Sender: "yes@*"}
	page, next, err := s.Search(context.Background(), q, 0, 10)
	if err != nil || len(page) != 0 || next == 0 {
		t.Fatalf("first page: %d entries, cursor %v, %v", len(page), next, err)
	}
	page, next, err = s.Search(context.Background(), q, next, 10)
	if err != nil || len(page) != 1 || next != 0 {
		t.Errorf("second page: %d entries, cursor %v, %v", len(page), next, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Change(ctx, spool.Selection{All: true}, spool.Action{Kind: spool.Delete}); !errors.Is(err, context.Canceled) {
		t.Errorf("Change after the end of its context: %v", err)
	}
	n, err := s.Change(context.Background(), spool.Selection{All: true}, spool.Action{Kind: spool.Delete})
	if err != nil || n != maxLooked+100 {
		t.Errorf("%d deleted, %v", n, err)
	}
}
