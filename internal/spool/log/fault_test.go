package log

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/vfs"
)

// faults fails file operations number from to from+count-1.
type faults struct {
	mu          sync.Mutex
	n           int
	from, count int
	err         func(op vfs.Op, n int) error
	hit         string // the first that failed
	op          vfs.Op // what that was
}

func (f *faults) fail(op vfs.Op, path string, n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if f.n < f.from || f.n >= f.from+f.count {
		return nil
	}
	err := f.err(op, n)
	if err != nil && f.hit == "" {
		f.op = op
		f.hit = fmt.Sprintf("operation %d, %s of %d octets, %s", f.n, op, n, path)
	}
	return err
}

func (f *faults) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count = 0
}

// operation is one that the script does; n is its octets.
type operation struct {
	op vfs.Op
	n  int
}

// operations runs the script and lists what it does to files, in one of the orders that are possible.
func operations(t *testing.T) (list []operation) {
	f := &faults{count: 1 << 30, err: func(op vfs.Op, n int) error {
		list = append(list, operation{op, n})
		return nil
	}}
	w := newWorld(t, vfs.Inject(vfs.NewMem(), f.fail, nil))
	w.o.reserve = 2 << 10
	w.script()
	return list
}

// TestFaults lets each file operation of the script fail in turn, in several ways, and compares what is there
// afterwards, in the process and after a crash, with what was acknowledged.
func TestFaults(t *testing.T) {
	ops := operations(t)
	if len(ops) < 250 {
		t.Fatalf("the script has %d operations only", len(ops))
	}
	kinds := []struct {
		name  string
		count int
		err   func(op vfs.Op, n int) error
	}{
		{"EIO", 1, func(vfs.Op, int) error { return syscall.EIO }},
		{"ENOSPC", 1, func(op vfs.Op, _ int) error {
			switch op {
			case vfs.OpCreate, vfs.OpWrite, vfs.OpSync, vfs.OpRename, vfs.OpMkdir, vfs.OpSyncDir:
				return syscall.ENOSPC
			}
			return nil
		}},
		{"short write", 1, func(op vfs.Op, n int) error {
			if op != vfs.OpWrite || n == 0 {
				return nil
			}
			return &vfs.Short{N: n * 2 / 3, Err: syscall.ENOSPC}
		}},
		{"failed sync", 1, func(op vfs.Op, _ int) error {
			if op != vfs.OpSync && op != vfs.OpSyncDir {
				return nil
			}
			return syscall.EIO
		}},
		{"writes fail for a while", 12, func(op vfs.Op, _ int) error {
			switch op {
			case vfs.OpCreate, vfs.OpWrite, vfs.OpSync, vfs.OpTruncate, vfs.OpRename, vfs.OpRemove:
				return syscall.EIO
			}
			return nil
		}},
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			hits, tried, step := 0, 0, 1
			if testing.Short() {
				step = 7
			}
			for from := 1; from <= len(ops); from += step {
				if o := ops[from-1]; k.count == 1 && k.err(o.op, o.n) == nil {
					continue // it would not fail
				}
				tried++
				f := &faults{from: from, count: k.count, err: k.err}
				if err := faultRun(t, f); err != nil {
					t.Fatalf("%s: %v", f.hit, err)
				}
				if f.hit != "" {
					hits++
				}
			}
			// The order of operations varies, so that another than the one that was meant may come.
			if hits == 0 || step == 1 && (tried < 25 || hits < tried/2) {
				t.Errorf("of %d operations %d failed only", tried, hits)
			}
		})
	}
}

func faultRun(t *testing.T, f *faults) (err error) {
	mem := vfs.NewMem()
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("%s: panic", f.hit)
			panic(p)
		}
	}()
	var w *world
	since := 0
	w = newWorld(t, vfs.Inject(mem, f.fail, func(op vfs.Op, _ string) {
		if f.op != vfs.OpWrite && f.op != vfs.OpSync || op == vfs.OpRead || op == vfs.OpStat {
			return
		}
		since++
		for seed := range uint64(2) { // the power fails soon after
			if since > 6 {
				break
			}
			o := w.o
			o.FS = mem.CrashClone(newRand(uint64(f.from)*100 + seed))
			if cerr := w.l.check(o, false); cerr != nil && err == nil {
				err = fmt.Errorf("crash at operation %d after it: %w", since, cerr)
			}
		}
	}))
	w.faulty = true
	w.o.reserve = 2 << 10 // as much as the journals of the script need
	w.script()
	f.heal()
	if err != nil {
		return err
	}

	// In the process, and as a crash would leave it now.
	if err := w.l.compare(w.s, true); err != nil {
		return fmt.Errorf("in the process: %w", err)
	}
	o := w.o
	rnd := rand.New(rand.NewPCG(uint64(f.from), 7))
	o.FS = mem.CrashClone(rnd)
	if err := w.l.check(o, false); err != nil {
		return fmt.Errorf("crash: %w", err)
	}

	// The fault has gone: all works as before.
	w.s.recording.last = time.Time{} // long ago
	w.faulty = false
	w.tend()
	id := w.put(2000, 1)
	w.report(mail.ChangeDefer, 0, id)
	w.put(5000, 1)
	w.tend()
	if st := w.s.Stats(); st.DeadSegments > 8 {
		return fmt.Errorf("%d dead segments", st.DeadSegments)
	}
	for i := range 2 {
		o.FS = mem.CrashClone(rnd)
		if err := w.l.check(o, false); err != nil {
			return fmt.Errorf("crash after recovery: %w", err)
		}
		if i == 0 {
			w.restart()
		}
	}
	o.FS = mem.CrashClone(nil)
	if err := w.l.check(o, true); err != nil {
		return fmt.Errorf("kill after recovery: %w", err)
	}
	return w.s.Close()
}

// TestF28 checks what clients are told, and that a segment is given up after a failed sync: a sync is
// never tried again on the same file.
func TestF28(t *testing.T) {
	mem := vfs.NewMem()
	var failing error
	syncs := map[string]int{} // after the first that failed
	fs := vfs.Inject(mem, func(op vfs.Op, path string, _ int) error {
		if op == vfs.OpSync && failing != nil {
			syncs[path]++
			return failing
		}
		return nil
	}, nil)
	w := newWorld(t, fs)
	w.open()
	defer w.s.Close()
	before := w.put(1000, 1)
	w.faulty = true
	for _, tt := range []struct {
		err   error
		reply string
	}{
		{syscall.EIO, "451 4.3.0"},
		{syscall.ENOSPC, "452 4.3.1"},
	} {
		failing = tt.err
		for range 3 {
			tx := w.begin(1000, 1, 0)
			err := tx.Commit(context.Background(), w.l.msgs[tx.id].env)
			if !errors.Is(err, mail.ErrUnknownOutcome) || !errors.Is(err, tt.err) {
				t.Errorf("commit with a failing sync: %v", err)
			}
			if got := mail.ReplyOf(err).String(); got[:len(tt.reply)] != tt.reply {
				t.Errorf("the reply is %q, want %s", got, tt.reply)
			}
			w.l.msgs[tx.id].there = maybe
		}
	}
	failing = nil
	if len(syncs) != 6 {
		t.Errorf("syncs failed for %d files, want one for each of 6 commits", len(syncs))
	}
	for path, n := range syncs {
		if n != 1 {
			t.Errorf("%s was synced %d times after a failure", path, n)
		}
	}
	if st := w.s.Stats(); st.DeadSegments != 6 || st.LastError == "" {
		t.Errorf("stats: %d dead segments, last error %q", st.DeadSegments, st.LastError)
	}
	w.faulty = false
	after := w.put(1000, 1)
	if err := w.l.compare(w.s, true); err != nil {
		t.Error(err)
	}
	if before == 0 || after == 0 {
		t.Error("a commit without a fault has failed")
	}
	w.tend()
	// What was never acknowledged is covered by now: it does not come back at a restart.
	for _, k := range w.l.msgs {
		if k.there == maybe {
			k.there = no
		}
	}
	o := w.o
	o.FS = mem.CrashClone(nil)
	if err := w.l.check(o, true); err != nil {
		t.Error(err)
	}
}

// TestF28LowSpace checks that Begin refuses before the disk is full, and that it does not waver.
func TestF28LowSpace(t *testing.T) {
	mem := vfs.NewMem()
	const mb = 1 << 20
	s := mustOpen(t, Options{Dir: "queue", FS: mem, Limits: Limits{MinFree: 100 * mb, ResumeFree: 150 * mb, MinInodes: 100}})
	defer s.Close()
	for _, step := range []struct {
		free vfs.Space
		ok   bool
	}{
		{vfs.Space{Bytes: 101 * mb, Inodes: 1000}, true},
		{vfs.Space{Bytes: 99 * mb, Inodes: 1000}, false},
		{vfs.Space{Bytes: 120 * mb, Inodes: 1000}, false}, // not enough to resume
		{vfs.Space{Bytes: 150 * mb, Inodes: 1000}, true},
		{vfs.Space{Bytes: 120 * mb, Inodes: 1000}, true},
		{vfs.Space{Bytes: 1000 * mb, Inodes: 99}, false},
		{vfs.Space{Bytes: 1000 * mb, Inodes: 110}, false},
		{vfs.Space{Bytes: 1000 * mb, Inodes: 125}, true},
	} {
		mem.SetFree(step.free)
		s.room.checked = time.Time{} // as if it were long ago
		tx, err := s.Begin(context.Background())
		if (err == nil) != step.ok {
			t.Errorf("%+v: Begin: %v", step.free, err)
		}
		if s.Stats().LowSpace == step.ok {
			t.Errorf("%+v: LowSpace is %v", step.free, !step.ok)
		}
		if err == nil {
			tx.Abort()
			continue
		}
		if r := mail.ReplyOf(err); r.Code != 452 || r.Enhanced != mail.Enhanced(4, 3, 1) {
			t.Errorf("reply %v", r)
		}
	}
}

// TestReportsHaveAReserve: below the floor no mail is taken but for reports, down to half of it.
func TestReportsHaveAReserve(t *testing.T) {
	mem := vfs.NewMem()
	const mb = 1 << 20
	s := mustOpen(t, Options{Dir: "queue", FS: mem, Limits: Limits{MinFree: 100 * mb, MinInodes: 100}})
	defer s.Close()
	for _, step := range []struct {
		free         vfs.Space
		mail, report bool
	}{
		{vfs.Space{Bytes: 100 * mb, Inodes: 100}, true, true},
		{vfs.Space{Bytes: 99 * mb, Inodes: 100}, false, true},
		{vfs.Space{Bytes: 50 * mb, Inodes: 50}, false, true},
		{vfs.Space{Bytes: 49 * mb, Inodes: 100}, false, false},
		{vfs.Space{Bytes: 100 * mb, Inodes: 49}, false, false},
		{vfs.Space{Bytes: 125 * mb, Inodes: 125}, true, true},
	} {
		mem.SetFree(step.free)
		for i, begin := range []func(context.Context) (spool.Tx, error){s.Begin, s.BeginReport} {
			s.room.checked = time.Time{} // as if it were long ago
			tx, err := begin(t.Context())
			if want := [...]bool{step.mail, step.report}[i]; (err == nil) != want {
				t.Errorf("%+v: report %v: %v", step.free, i == 1, err)
			}
			if err == nil {
				tx.Abort()
			} else if r := mail.ReplyOf(err); r.Code != 452 || r.Enhanced != mail.Enhanced(4, 3, 1) {
				t.Errorf("reply %v", r)
			}
		}
	}
}

// TestF28DiskFull fills the disk to the last octet: what was acknowledged is there, and when there is
// room again all works.
func TestF28DiskFull(t *testing.T) {
	mem := vfs.NewMem()
	w := newWorld(t, mem)
	w.o.MinFree, w.o.MinInodes = -1, -1
	w.open()
	w.faulty = true
	mem.SetFree(vfs.Space{Bytes: 100_000, Inodes: 1000})
	var ids []mail.QueueID
	for i := range 80 {
		if id := w.put(1000+i*40, 1); id != 0 {
			ids = append(ids, id)
		}
	}
	if len(ids) < 20 || len(ids) > 60 {
		t.Errorf("%d messages of 80 found room", len(ids))
	}
	if err := w.l.compare(w.s, true); err != nil {
		t.Error(err)
	}
	w.report(mail.ChangeDone, 0, ids[:10]...) // may fail to be recorded
	for range 3 {
		w.tend()
	}
	o := w.o
	o.FS = mem.CrashClone(nil)
	o.FS.(*vfs.Mem).SetFree(vfs.Space{Bytes: 1 << 40, Inodes: 1000})
	if err := w.l.check(o, false); err != nil {
		t.Error("crash on the full disk:", err)
	}
	mem.SetFree(vfs.Space{Bytes: 1 << 40, Inodes: 1000})
	w.faulty = false
	w.tend()
	w.put(3000, 1)
	w.tend()
	w.restart()
	if err := w.l.compare(w.s, true); err != nil {
		t.Error(err)
	}
	if err := w.s.Close(); err != nil {
		t.Error(err)
	}
}

// TestF27 checks the memory limit of messages in flight.
func TestF27(t *testing.T) {
	s := mustOpen(t, Options{Dir: "queue", FS: vfs.NewMem(), Limits: Limits{Memory: 1 << 20}})
	defer s.Close()
	var open []*tx
	refused := func(err error) bool {
		if err == nil {
			return false
		}
		if r := mail.ReplyOf(err); r.Code != 452 || r.Enhanced != mail.Enhanced(4, 3, 1) {
			t.Fatalf("reply %v", r)
		}
		return true
	}
	part := make([]byte, 40<<10)
	writeRefused, beginRefused := 0, 0
	for range 12 { // those that have begun compete
		tx0, err := s.Begin(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, tx0.(*tx))
	}
	for _, tx := range open {
		for range 4 {
			if _, err := tx.Write(part); refused(err) {
				writeRefused++
				break
			}
		}
		if n := s.Stats().InFlight; n > 1<<20 {
			t.Fatalf("%d octets in flight", n)
		}
	}
	for range 5 { // no more may begin
		if _, err := s.Begin(context.Background()); refused(err) {
			beginRefused++
		}
	}
	if writeRefused == 0 || writeRefused > 7 || beginRefused != 5 {
		t.Errorf("%d open, %d refused at Begin, %d at Write", len(open), beginRefused, writeRefused)
	}
	for i, tx := range open {
		err := tx.Commit(context.Background(), benchEnvelope())
		if (err == nil) != (tx.size == 160<<10) {
			t.Errorf("commit %d of %d octets: %v", i, tx.size, err)
		}
	}
	if n := s.Stats().InFlight; n != 0 {
		t.Errorf("%d octets in flight after the end of all", n)
	}
	if tx, err := s.Begin(context.Background()); err != nil {
		t.Error(err)
	} else {
		tx.Abort()
	}
}

// TestHoldF27: memory outside of the store counts against the same limit, and is given back.
func TestHoldF27(t *testing.T) {
	s := mustOpen(t, Options{Dir: "queue", FS: vfs.NewMem(), Limits: Limits{Memory: 1 << 20}})
	defer s.Close()
	taken := 0
	for range 100 {
		err := s.Hold(100 << 10)
		if err == nil {
			taken++
		} else if r := mail.ReplyOf(err); r.Code != 452 || r.Enhanced != mail.Enhanced(4, 3, 1) {
			t.Fatalf("reply %v", r)
		}
	}
	if _, err := s.Begin(t.Context()); taken != 10 || err == nil {
		t.Errorf("%d of 100 were granted, want 10; Begin: %v", taken, err)
	}
	for range taken {
		if err := s.Hold(-100 << 10); err != nil {
			t.Error(err)
		}
	}
	if n := s.Stats().InFlight; n != 0 {
		t.Errorf("%d octets in flight", n)
	}
}
