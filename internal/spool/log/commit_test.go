package log

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
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
			s.waiting.push(&commit{rec: record{kind: recordInline, size: 1 << 20}})
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
