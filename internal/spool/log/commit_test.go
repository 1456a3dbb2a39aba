package log

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// TestGroupCommit checks that all commits that come while a sync runs are covered by one write and one sync.
func TestGroupCommit(t *testing.T) {
	const others = 40
	started, release := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	var writes, syncs int
	var s *Store
	fs := vfs.Inject(vfs.NewMem(), func(op vfs.Op, path string, _ int) error {
		if s == nil || len(path) < 9 || path[6:9] != "seg" {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		switch op {
		case vfs.OpWrite:
			writes++
		case vfs.OpSync:
			if syncs++; syncs == 1 {
				mu.Unlock()
				close(started)
				<-release
				mu.Lock()
			}
		}
		return nil
	}, nil)
	s = mustOpen(t, Options{Dir: "queue", FS: fs})
	defer s.Close()
	put := func() {
		tx, err := s.Begin(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := tx.Write(make([]byte, 1000)); err != nil {
			t.Error(err)
		}
		if err := tx.Commit(context.Background(), benchEnvelope()); err != nil {
			t.Error(err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(put)
	<-started
	for range others {
		wg.Go(put)
	}
	for {
		s.cmu.Lock()
		n := 0
		for c := s.waiting.first; c != nil; c = c.next {
			n++
		}
		s.cmu.Unlock()
		if n == others {
			break
		}
		time.Sleep(time.Millisecond)
	}
	close(release)
	wg.Wait()
	// One write is the segment's header.
	if writes != 3 || syncs != 2 {
		t.Errorf("%d writes and %d syncs for one commit, and %d during its sync; want 3 and 2", writes, syncs, others)
	}
	if st := s.Stats(); st.Commits != others+1 || st.Syncs != 2 {
		t.Errorf("stats: %d commits, %d syncs", st.Commits, st.Syncs)
	}
}

// TestBatchLimit checks that one write does not take more than it should, and that the rest follows.
func TestBatchLimit(t *testing.T) {
	var s Store
	list := func(n int) (k int) {
		for range n {
			s.waiting.push(&commit{rec: format.Record{Kind: format.RecordInline, Size: 1 << 20}})
		}
		for c := s.takeBatch(); c != nil; c = c.next {
			k++
		}
		return k
	}
	if n := list(30); n != 16 {
		t.Errorf("%d records of 1 MB in the first write", n)
	}
	if n := list(0); n != 14 || s.waiting.first != nil || s.waiting.last != nil {
		t.Errorf("%d in the second", n)
	}
}

// TestCommitAllocations checks what a small message costs beside its transaction.
func TestCommitAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := mustOpen(t, Options{Dir: t.TempDir()})
	defer s.Close()
	ctx := context.Background()
	body := make([]byte, 4096)
	env := benchEnvelope()
	done := []mail.Change{{Kind: mail.ChangeDone}}
	one := func() {
		tx, err := s.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		tx.Write(body)
		if err := tx.Commit(ctx, env); err != nil {
			t.Fatal(err)
		}
		done[0].ID = tx.ID()
		if err := s.Report(ctx, done); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		one()
	}
	if n := testing.AllocsPerRun(200, one); n > 8 {
		t.Errorf("%v allocations for begin, write, commit, sync and report", n)
	}
}

// TestEndOfLead checks that a commit is not left alone when the leader has nobody to hand over to.
func TestEndOfLead(t *testing.T) {
	s := mustOpen(t, Options{Dir: "queue", FS: vfs.NewMem()})
	commitMany(t, s, 2000, 2, 100)
	if st := s.Stats(); st.Commits != 2000 || st.Messages != 0 {
		t.Errorf("%+v", st)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestF28RefusedIsGone fails a write of two messages after the first is whole on the disk: both are refused for certain, so
// that a power cut at any moment from then on must not bring the first one back.
func TestF28RefusedIsGone(t *testing.T) {
	mem := vfs.NewMem()
	failing := false
	fs := vfs.Inject(mem, func(op vfs.Op, path string, n int) error {
		if failing && op == vfs.OpWrite && strings.HasSuffix(path, ".seg") {
			failing = false
			return &vfs.Short{N: n - 100, Err: syscall.ENOSPC}
		}
		return nil
	}, nil)
	w := newWorld(t, fs)
	w.open()
	defer w.s.Close()
	w.put(300, 1)
	w.faulty, failing = true, true
	if ids := w.commit(w.begin(200, 1, 0), w.begin(2000, 1, 0)); len(ids) > 0 || failing {
		t.Fatalf("acknowledged: %v", ids)
	}
	for id, k := range w.l.msgs {
		if k.there == maybe {
			t.Errorf("message %v: nobody knows what became of it", id)
		}
	}
	for seed := range uint64(60) {
		o := w.o
		o.FS = mem.CrashClone(newRand(seed))
		if err := w.l.check(o, false); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// TestF28FailedSyncIsToldToAll lets the one sync fail that covers several commits: none of them is acknowledged, neither the one
// that leads nor those that wait for it.
func TestF28FailedSyncIsToldToAll(t *testing.T) {
	const all = 8
	first, release := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	syncs := 0
	armed := false
	fs := vfs.Inject(vfs.NewMem(), func(op vfs.Op, path string, _ int) error {
		if op != vfs.OpSync || !strings.HasSuffix(path, ".seg") {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if !armed {
			return nil
		}
		if syncs++; syncs == 1 {
			mu.Unlock()
			close(first)
			<-release
			mu.Lock()
		}
		return syscall.EIO
	}, nil)
	s := mustOpen(t, Options{Dir: "queue", FS: fs})
	defer s.Close()
	armed = true
	put := func() {
		tx, err := s.Begin(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		err = tx.Commit(context.Background(), benchEnvelope())
		if reply := mail.ReplyOf(err); !errors.Is(err, mail.ErrUnknownOutcome) || !reply.Transient() {
			t.Errorf("commit with a failing sync: %v", err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(put)
	<-first
	for range all - 1 {
		wg.Go(put)
	}
	for waiting := 0; waiting < all-1; {
		time.Sleep(time.Millisecond)
		waiting = 0
		s.cmu.Lock()
		for c := s.waiting.first; c != nil; c = c.next {
			waiting++
		}
		s.cmu.Unlock()
	}
	close(release)
	wg.Wait()
	if st := s.Stats(); syncs != 2 || st.Commits != 0 || st.Messages != 0 || st.DeadSegments != 2 {
		t.Errorf("%d syncs, %d commits, %d messages, %d dead segments", syncs, st.Commits, st.Messages, st.DeadSegments)
	}
	mu.Lock()
	armed = false
	mu.Unlock()
}
