package accesslog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dir = "/logs/SMTPSVC1"

func newLog(fsys vfs.FS, event func(Event)) *Log {
	return New(Options{FS: fsys, Dir: dir, Site: "SMTPSVC1", Computer: "HOST", Event: event})
}

// record records a row of this moment with arg in it.
func record(l *Log, arg string) {
	x := inbound(0, "MAIL", arg, 250, 1, 1)
	x.Time = time.Now()
	l.Record(&x)
}

func files(t *testing.T, fsys vfs.FS) []string {
	t.Helper()
	names, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func content(t *testing.T, fsys vfs.FS, name string) string {
	t.Helper()
	f, err := fsys.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if n > 0 {
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
	}
	return string(b)
}

// args returns the arguments of the rows in text, "#" for a header block, and checks the form.
func args(t *testing.T, text string) (out []string) {
	t.Helper()
	if text != "" && !strings.HasSuffix(text, "\r\n") || strings.Count(text, "\n") != strings.Count(text, "\r\n") {
		t.Errorf("line ends in %q", text)
	}
	for l := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n"), "\r\n") {
		switch f := strings.Split(l, " "); {
		case strings.HasPrefix(l, "#Software"):
			out = append(out, "#")
		case strings.HasPrefix(l, "#"):
		case len(f) == 21:
			out = append(out, strings.TrimPrefix(f[10], "+"))
		default:
			t.Errorf("line %q", l)
		}
	}
	return out
}

// A row is on the disk a second later; the start of the service, and each file, has a header.
func TestFlushAndRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := vfs.NewMem()
		l := newLog(fsys, nil)
		synctest.Wait()
		if d := cmp.Diff([]string{"ex000101.log"}, files(t, fsys)); d != "" {
			t.Fatal(d)
		}
		if d := cmp.Diff([]string{"#"}, args(t, content(t, fsys, "ex000101.log"))); d != "" {
			t.Error(d)
		}
		record(l, "one")
		if got := args(t, content(t, fsys, "ex000101.log")); len(got) != 1 {
			t.Errorf("written at once: %v", got)
		}
		time.Sleep(flushEvery)
		synctest.Wait()
		if d := cmp.Diff([]string{"#", "one"}, args(t, content(t, fsys, "ex000101.log"))); d != "" {
			t.Error(d)
		}
		record(l, "two")
		if s := l.Stats(); s.Rows != 2 || s.Dropped != 0 || filepath.Base(s.File) != "ex000101.log" || s.Err != nil {
			t.Errorf("%+v", s)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		record(l, "late")
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		text := content(t, fsys, "ex000101.log")
		if s := l.Stats(); s.Rows != 3 || s.Dropped != 1 || s.Octets != uint64(len(text)) || s.File != "" {
			t.Errorf("%+v, %d octets", s, len(text))
		}
		l = newLog(fsys, nil)
		record(l, "three")
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if d := cmp.Diff([]string{"#", "one", "two", "#", "three"}, args(t, content(t, fsys, "ex000101.log"))); d != "" {
			t.Error(d)
		}
	})
}

// At midnight UTC a new file begins, in the middle of a buffer if need be.
func TestRollover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := vfs.NewMem()
		time.Sleep(24*time.Hour - 100*time.Millisecond)
		l := newLog(fsys, nil)
		synctest.Wait()
		record(l, "before")
		time.Sleep(200 * time.Millisecond)
		record(l, "after")
		late := inbound(0, "MAIL", "late", 250, 1, 1)
		late.Time = time.Now().Add(-time.Second)
		l.Record(&late)
		none := inbound(0, "MAIL", "timeless", 250, 1, 1)
		none.Time = time.Time{}
		l.Record(&none)
		time.Sleep(3 * 24 * time.Hour)
		record(l, "days")
		back := inbound(0, "MAIL", "back", 250, 1, 1)
		back.Time = time.Now().Add(-72 * time.Hour)
		l.Record(&back)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		want := map[string][]string{
			"ex000101.log": {"#", "before"},
			"ex000102.log": {"#", "after", "late", "timeless", "#", "back"},
			"ex000105.log": {"#", "days"},
		}
		got := map[string][]string{}
		for _, f := range files(t, fsys) {
			got[f] = args(t, content(t, fsys, f))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

// A disk that hangs holds nobody up: two buffers of rows wait, what comes then is counted as
// lost, and when the disk is back all that waited is there, in order, each row whole.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		gate := make(chan struct{})
		var slow atomic.Bool
		fsys := vfs.Inject(mem, func(op vfs.Op, _ string, _ int) error {
			if op == vfs.OpWrite && slow.Load() {
				<-gate
			}
			return nil
		}, nil)
		l := newLog(fsys, nil)
		synctest.Wait()
		slow.Store(true)
		const n = 20_000
		for i := range n {
			record(l, fmt.Sprintf("%06d", i))
			if i == 10 {
				time.Sleep(2 * flushEvery) // the goroutine now hangs with a few rows
			}
		}
		s := l.Stats()
		if s.Rows != n || s.Dropped == 0 || s.Dropped == n {
			t.Fatalf("%+v", s)
		}
		slow.Store(false)
		close(gate)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		got := args(t, content(t, mem, "ex000101.log"))[1:]
		if want := n - int(s.Dropped); len(got) != want || !slices.IsSorted(got) {
			t.Errorf("%d rows, want %d, sorted: %v", len(got), want, slices.IsSorted(got))
		}
		if size := len(content(t, mem, "ex000101.log")); size > bufferSize+maxBuffer+1000 || size < maxBuffer {
			t.Errorf("%d octets waited", size)
		}
	})
}

// A full disk stops the log, not the mail; the operator is told once; the log resumes by
// itself and no line is torn.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		var broken atomic.Bool
		fsys := vfs.Inject(mem, func(op vfs.Op, _ string, n int) error {
			if op == vfs.OpWrite && broken.Load() {
				return &vfs.Short{N: n / 2, Err: vfs.ErrNoSpace}
			}
			return nil
		}, nil)
		var events []Event
		l := newLog(fsys, func(e Event) { events = append(events, e) })
		record(l, "one")
		time.Sleep(2 * flushEvery)
		broken.Store(true)
		record(l, "two")
		time.Sleep(10 * flushEvery)
		synctest.Wait()
		if len(events) != 1 || !events[0].Stopped || !vfs.IsNoSpace(events[0].Err) || !vfs.IsNoSpace(l.Stats().Err) {
			t.Fatalf("%+v, %+v", events, l.Stats())
		}
		if d := cmp.Diff([]string{"#", "one"}, args(t, content(t, mem, "ex000101.log"))); d != "" {
			t.Error(d)
		}
		const burst = 10_000
		for range burst {
			record(l, strings.Repeat("x", 100))
		}
		time.Sleep(flushEvery)
		lost := l.Stats().Dropped
		broken.Store(false)
		time.Sleep(2 * flushEvery)
		synctest.Wait()
		if len(events) != 2 || events[1].Stopped || events[1].Err != nil || events[1].Dropped != lost || lost == 0 {
			t.Errorf("%+v, %d lost", events, lost)
		}
		record(l, "end")
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		got := args(t, content(t, mem, "ex000101.log"))
		if len(got) != 1+2+burst-int(lost)+1 || got[2] != "two" || got[len(got)-1] != "end" {
			t.Errorf("%d rows, %d lost", len(got), lost)
		}
	})
}

// A directory that cannot be used is told, tried again, and used when it can.
func TestNoDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		boom := errors.New("boom")
		var fails atomic.Value
		fsys := vfs.Inject(mem, func(op vfs.Op, _ string, _ int) error {
			if fails.Load() == op {
				return boom
			}
			return nil
		}, nil)
		var events []Event
		fails.Store(vfs.OpMkdir)
		l := newLog(fsys, func(e Event) { events = append(events, e) })
		record(l, "one")
		for _, op := range []vfs.Op{vfs.OpCreate, vfs.OpSize, vfs.OpWrite} {
			time.Sleep(2 * flushEvery)
			synctest.Wait()
			fails.Store(op)
		}
		time.Sleep(2 * flushEvery)
		synctest.Wait()
		if len(events) != 1 || !errors.Is(events[0].Err, boom) {
			t.Errorf("%+v", events)
		}
		fails.Store(vfs.Op(""))
		time.Sleep(2 * flushEvery)
		if err := l.Close(); err != nil || len(events) != 2 {
			t.Errorf("%v %+v", err, events)
		}
		if d := cmp.Diff([]string{"#", "one"}, args(t, content(t, mem, "ex000101.log"))); d != "" {
			t.Error(d)
		}

		fails.Store(vfs.OpMkdir)
		time.Sleep(24 * time.Hour)
		l = newLog(fsys, nil)
		record(l, "lost")
		if err := l.Close(); !errors.Is(err, boom) {
			t.Error(err)
		}
		if s := l.Stats(); s.Dropped != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A line that a power cut left unfinished is ended before the next begins.
func TestTornLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := vfs.NewMem()
		if err := fsys.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
		f, err := fsys.Create(filepath.Join(dir, "ex000101.log"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.WriteAt([]byte("2000-01-01 00:00:00 192.0.2."), 0)
		_ = f.Close()
		l := newLog(fsys, nil)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if got := content(t, fsys, "ex000101.log"); !strings.HasPrefix(got, "2000-01-01 00:00:00 192.0.2.\r\n#Software: Mailroot\r\n") {
			t.Errorf("%q", got)
		}
	})
}

func TestConcurrent(t *testing.T) {
	fsys := vfs.NewMem()
	l := newLog(fsys, nil)
	var wg sync.WaitGroup
	const callers, each = 8, 300
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				x := inbound(0, "MAIL", fmt.Sprintf("%d-%d", c, i), 250, 1, 1)
				l.Record(&x)
				if i%100 == 0 {
					l.Stats()
				}
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	rows := 0
	for _, f := range files(t, fsys) {
		for _, a := range args(t, content(t, fsys, f)) {
			if a != "#" {
				rows++
			}
		}
	}
	if s := l.Stats(); s.Rows != callers*each || rows != callers*each-int(s.Dropped) {
		t.Errorf("%d rows, %+v", rows, s)
	}
}

func TestRecordAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector sync.Pool forgets on purpose")
	}
	l := newLog(vfs.NewMem(), nil)
	defer l.Close()
	x := inbound(0, "MAIL", "FROM:<a@b.example> SIZE=4096", 250, 36, 23)
	x.Time = time.Now()
	if n := testing.AllocsPerRun(200, func() { l.Record(&x) }); n != 0 {
		t.Errorf("%v allocations for a row", n)
	}
	out := outbound(mail.OutboundResponse, "", "250 ok")
	out.Time = x.Time
	if n := testing.AllocsPerRun(200, func() { l.Record(&out) }); n != 0 {
		t.Errorf("%v allocations for an outbound row", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	l := New(Options{FS: vfs.OS{}, Dir: b.TempDir(), Site: "SMTPSVC1", Computer: "HOST"})
	defer l.Close()
	x := inbound(0, "MAIL", "FROM:<a@b.example> SIZE=4096", 250, 36, 23)
	x.Time = time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Record(&x)
		}
	})
	b.ReportMetric(float64(l.Stats().Dropped)/float64(b.N), "dropped/op")
}

// TestRotators: a file that is cut, moved away, removed or written to by another program is noticed at
// the next write: rows go on at the end that is there, behind a header, and none is lost.
func TestRotators(t *testing.T) {
	base := t.TempDir()
	at := func(name string) string { return filepath.Join(base, name) }
	l := New(Options{FS: vfs.OS{}, Dir: base, Site: "SMTPSVC1", Computer: "HOST"})
	write := func(arg string) {
		t.Helper()
		record(l, arg)
		l.flushNow(t)
	}
	write("one")
	name := filepath.Base(l.Stats().File)
	if err := os.Truncate(at(name), 0); err != nil { // copytruncate
		t.Fatal(err)
	}
	write("two")
	if err := os.Rename(at(name), at("moved")); err != nil {
		t.Fatal(err)
	}
	write("three")
	if err := os.Remove(at(name)); err != nil {
		t.Fatal(err)
	}
	write("four")
	f, err := os.OpenFile(at(name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("#Remark: by hand\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	write("five")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"moved": "# two", name: "# four # five"} {
		b, err := os.ReadFile(at(file))
		if got := strings.Join(args(t, string(b)), " "); err != nil || got != want || strings.Contains(string(b), "\x00") {
			t.Errorf("%s has %s, want %s: %v", file, got, want, err)
		}
	}
	if s := l.Stats(); s.Rows != 5 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}

// flushNow waits until all rows so far are written.
func (l *Log) flushNow(t *testing.T) {
	t.Helper()
	l.signal()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		l.mu.Lock()
		written := l.full == nil && len(l.fill.b) == 0
		l.mu.Unlock()
		if written {
			return
		}
	}
	t.Fatal("the rows are not written")
}
