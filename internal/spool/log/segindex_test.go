package log

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/columns"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/spool/spooltest"
	"github.com/mailroot/mailroot/internal/vfs"
)

// TestSearchWhileMailMoves checks that a message that is there throughout is found once, whatever comes, goes and moves
// meanwhile.
func TestSearchWhileMailMoves(t *testing.T) {
	s := mustOpen(t, Options{
		Dir: "queue", FS: vfs.NewMem(), SegmentSize: 16 << 10, CheckpointSize: 4000, SyncInterval: 1, indexFew: 1, indexTail: 4,
	})
	defer s.Close()
	ctx := context.Background()
	put := func(sender string) mail.QueueID {
		tx, err := s.Begin(ctx)
		if err == nil {
			_, _ = tx.Write(make([]byte, 300))
			err = tx.Commit(ctx, spooltest.Envelope(sender, "r@example.org"))
		}
		if err != nil {
			t.Error(err)
			return 0
		}
		return tx.ID()
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	var want []mail.QueueID
	churn := func() {
		var changes []mail.Change
		for range 20 {
			changes = append(changes, mail.Change{ID: put("churn@example.com"), Kind: mail.ChangeDone})
		}
		if err := s.Report(ctx, changes); err != nil {
			t.Error(err)
		}
	}
	for range 100 {
		id := put("keep@example.com")
		reply := mail.Change{ID: id, Kind: mail.ChangeDefer, Attempts: 1, Reply: mail.NewReply(450, mail.EnhancedCode{}, "kept")}
		if err := s.Report(ctx, []mail.Change{reply}); err != nil {
			t.Error(err)
		}
		want = append(want, id)
		churn()
	}
	slices.Reverse(want)
	wg.Go(func() {
		for !stop.Load() {
			churn()
		}
	})
	wg.Go(func() {
		for i := 0; !stop.Load(); i++ { // replies move from journals to checkpoints
			c := mail.Change{ID: want[i%len(want)], Kind: mail.ChangeDefer, Attempts: 2, Reply: mail.NewReply(450, mail.EnhancedCode{}, "kept again")}
			if err := s.Report(ctx, []mail.Change{c}); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 60 {
		q := spool.Query{Sender: "keep@*"}
		if i%3 == 0 {
			q = spool.Query{Reply: "kept*"}
		}
		var got []mail.QueueID
		for cursor := spool.Cursor(0); ; {
			page, next, err := s.Search(ctx, q, cursor, 7)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				got = append(got, e.Envelope.ID)
			}
			if cursor = next; next == 0 {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v, search %d: %d found, %d expected", q, i, len(got), len(want))
			break
		}
	}
	stop.Store(true)
	wg.Wait()
	if st := s.Stats(); st.Moved == 0 || st.Checkpoints < 2 {
		t.Errorf("%d messages moved, %d checkpoints: that is no test", st.Moved, st.Checkpoints)
	}
}

// TestIndexFaults checks that an index that cannot be written or read changes nothing but the time that a search
// takes.
func TestIndexFaults(t *testing.T) {
	for op, err := range map[vfs.Op]error{
		vfs.OpCreate: vfs.ErrNoSpace, vfs.OpWrite: &vfs.Short{N: 100, Err: vfs.ErrNoSpace}, vfs.OpClose: vfs.ErrNoSpace, vfs.OpOpen: vfs.ErrNoSpace, vfs.OpRead: vfs.ErrNoSpace,
	} {
		t.Run(string(op), func(t *testing.T) {
			var broken atomic.Bool
			s := newSearched(t, 7)
			broken.Store(true)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s.o.FS = vfs.Inject(s.mem, func(o vfs.Op, path string, _ int) error {
				if o == op && broken.Load() && strings.HasSuffix(path, ".idx") {
					return err
				}
				return nil
			}, nil)
			s.open()
			for range 100 {
				s.put()
			}
			for range 4 {
				if _, err := s.tend(); err != nil {
					t.Error("maintenance:", err)
				}
				s.check()
			}
			if st := s.Stats(); st.DeadSegments > 0 {
				t.Errorf("%d segments were given up", st.DeadSegments)
			}
			broken.Store(false)
			s.indexWait = time.Time{}
			for range 3 {
				if _, err := s.tend(); err != nil {
					t.Error("maintenance:", err)
				}
			}
			s.check()
			if len(s.indexFiles()) == 0 {
				t.Error("no index was made when the fault had gone")
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestIndexLowSpace checks that no index is written while space is low.
func TestIndexLowSpace(t *testing.T) {
	s := newSearched(t, 8)
	defer func() { s.Close() }()
	for range 100 {
		s.put()
	}
	s.room.low.Store(true)
	for range 4 {
		if _, err := s.tend(); err != nil {
			t.Fatal(err)
		}
	}
	if names := s.indexFiles(); len(names) > 0 {
		t.Errorf("%d indexes while space is low", len(names))
	}
	s.check()
	s.room.low.Store(false)
	for range 3 {
		if _, err := s.tend(); err != nil {
			t.Fatal(err)
		}
	}
	octets := s.Stats().Octets
	sum := int64(0)
	for _, name := range s.indexFiles() {
		info, err := s.mem.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size
	}
	if sum == 0 || octets < sum {
		t.Errorf("%d octets of indexes, %d in all", sum, octets)
	}
}

// TestIndexesGo checks that an index goes with its segment, and that one without a segment is removed.
func TestIndexesGo(t *testing.T) {
	s := newSearched(t, 9)
	for range 60 {
		s.put()
	}
	for range 3 {
		if _, err := s.tend(); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.indexFiles()) == 0 {
		t.Fatal("no index was made")
	}
	if _, err := s.Change(context.Background(), spool.Selection{All: true}, spool.Action{Kind: spool.Delete}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := s.tend(); err != nil {
			t.Fatal(err)
		}
	}
	if names := s.indexFiles(); len(names) > 0 {
		t.Errorf("indexes after the drain: %v", names)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stray := filepath.Join("queue", format.IndexID(format.ID{Kind: format.KindSegment, Num: 1, Salt: 2}).Name())
	f, err := s.mem.Create(stray)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	s.open()
	if names := s.indexFiles(); len(names) > 0 {
		t.Errorf("after the opening: %v", names)
	}
	s.Close()
}

// TestIndexMemory checks what indexes hold in memory, and what a search takes.
func TestIndexMemory(t *testing.T) {
	var allocs []float64
	for _, n := range []int{4000, 16000} {
		s := mustOpen(t, Options{Dir: "queue", FS: vfs.NewMem(), SegmentSize: 1 << 20, SyncInterval: time.Hour})
		for i := range n {
			tx, err := s.Begin(context.Background())
			if err == nil {
				err = tx.Commit(context.Background(), spooltest.Envelope(fmt.Sprintf("s%d@example.com", i%7), fmt.Sprintf("r%d@example.org", i)))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		s.tryLead(s.sealHot)
		for range 3 {
			if _, err := s.tend(); err != nil {
				t.Fatal(err)
			}
		}
		size, described := int64(0), 0
		for _, g := range s.segs {
			x := &g.index
			if len(x.ids) > 0 || len(x.memory) > 0 || x.file == nil {
				t.Fatalf("a closed segment keeps %d ids and %d batches in memory", len(x.ids), len(x.memory))
			}
			size += x.file.Size
			for i := range x.file.Batches {
				described += x.file.Batches[i].N
			}
		}
		if described != n || size > int64(n)*50 {
			t.Errorf("%d of %d messages are described, in %d octets each", described, n, size/int64(n))
		}
		allocs = append(allocs, testing.AllocsPerRun(5, func() {
			page, next, err := s.Search(context.Background(), spool.Query{Recipient: "*nobody*"}, 0, 10)
			if len(page) > 0 || next != 0 || err != nil {
				t.Errorf("%d found, next %v, %v", len(page), next, err)
			}
		}))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if allocs[1] > allocs[0]+100 {
		t.Errorf("%v allocations for 4,000 and 16,000 messages", allocs)
	}
}

// indexedSpool makes a closed spool of one segment with an index.
func indexedSpool(t testing.TB) (mem *vfs.Mem, o Options, name string, id format.ID) {
	mem = vfs.NewMem()
	o = Options{Dir: "queue", FS: mem, SyncInterval: time.Hour, indexFew: 1}
	s := mustOpen(t, o)
	for i := range 20 {
		tx, err := s.Begin(context.Background())
		if err == nil {
			err = tx.Commit(context.Background(), spooltest.Envelope("s@example.com", fmt.Sprintf("r%d@example.org", i%3), "x@example.net"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s.tryLead(s.sealHot)
	for range 3 {
		if _, err := s.tend(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := mem.ReadDir("queue")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasSuffix(n, ".idx") {
			name = filepath.Join("queue", n)
			id, _ = format.ParseName(n)
		}
	}
	return mem, o, name, id
}

// FuzzIndex reads anything as the index of a segment, with the sums of its blocks right: a search then may find
// too little, but nothing that is not there.
func FuzzIndex(f *testing.F) {
	mem, o, name, id := indexedSpool(f)
	in, err := mem.Open(name)
	if err != nil {
		f.Fatal(err)
	}
	size, err := in.Size()
	if err != nil {
		f.Fatal(err)
	}
	whole := make([]byte, size)
	if err := format.ReadFull(in, whole, 0); err != nil {
		f.Fatal(err)
	}
	in.Close()
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		b = slices.Clone(b)
		if len(b) >= format.HeaderSize {
			copy(b, id.Header(0))
		}
		for off := format.HeaderSize; off+format.BlockHeader <= len(b); {
			n := int(le.Uint32(b[off+8:]))
			if n > len(b)-off-format.BlockHeader {
				break
			}
			le.PutUint64(b[off:], id.Salt)
			le.PutUint32(b[off+20:], format.BlockSum(b[off:off+format.BlockHeader+n]))
			off += format.BlockHeader + n
		}
		clone := mem.CrashClone(nil)
		if err := clone.Remove(name); err != nil {
			t.Fatal(err)
		}
		w, err := clone.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		w.Close()
		o := o
		o.FS = clone
		s := mustOpen(t, o)
		defer s.Close()
		page, next, err := s.Search(context.Background(), spool.Query{Recipient: "*1@example.org"}, 0, 100)
		if err != nil || next != 0 || len(page) > 7 {
			t.Errorf("%d found, next %v, %v", len(page), next, err)
		}
		if n := testing.AllocsPerRun(1, func() { _, _ = readSidecarOf(s) }); n > 1000 {
			t.Errorf("%v allocations", n)
		}
	})
}

func readSidecarOf(s *Store) (sc *columns.File, err error) {
	for _, g := range s.segs {
		f, c, e := s.openIndex(g.id)
		if e == nil {
			f.Close()
		}
		sc, err = c, e
	}
	return sc, err
}

// TestIndexOfTheCurrentSegment checks that what comes to stay in the segment for new mail is described, also when it comes
// in small numbers between two looks of maintain.
func TestIndexOfTheCurrentSegment(t *testing.T) {
	s := newSearched(t, 10)
	defer func() { s.Close() }()
	s.Store.o.SegmentSize, s.Store.o.indexTail = 1<<20, 10
	for range 20 {
		for range 6 {
			s.put()
		}
		if _, err := s.tend(); err != nil {
			t.Fatal(err)
		}
		if n := len(s.hot.index.ids); n > 30 {
			t.Fatalf("%d messages are not described", n)
		}
	}
	if len(s.hot.index.memory) == 0 {
		t.Error("nothing is described")
	}
	s.check()
}

// TestIndexOfForgottenMarks checks that an index is not used when messages that were done as it was made are back.
func TestIndexOfForgottenMarks(t *testing.T) {
	s := newSearched(t, 11)
	for range 60 {
		s.put()
	}
	var changes []mail.Change
	for i, id := range s.all() {
		for rcpt := range 3 {
			if i%2 == 0 {
				changes = append(changes, mail.Change{ID: id, Rcpt: rcpt, Kind: mail.ChangeDone})
			}
		}
	}
	if err := s.Report(context.Background(), changes); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := s.tend(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	indexes := len(s.indexFiles())
	names, err := s.mem.ReadDir("queue")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "state-") {
			if err := s.mem.Remove(filepath.Join("queue", name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s.Store, err = Open(s.o); err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	if back := len(s.all()); back <= 30 || indexes == 0 {
		t.Fatalf("%d messages are there, %d indexes: that is no test", back, indexes)
	}
	for range 5 {
		s.check()
	}
}

// TestReadEnvelopesOfMoved checks that a message that has been moved meanwhile is told of.
func TestReadEnvelopesOfMoved(t *testing.T) {
	s := newSearched(t, 12)
	defer func() { s.Close() }()
	for range 60 {
		s.put()
	}
	ids := s.all()
	old, young := ids[len(ids)-1], ids[0]
	g := s.segs[s.x.find(old).seg]
	got := map[mail.QueueID]bool{}
	err := s.readEnvelopes(context.Background(), g, []mail.QueueID{old, young, 1}, func(id mail.QueueID, env *mail.Envelope) { got[id] = env != nil })
	if err != nil || len(got) != 2 || !got[old] || got[young] {
		t.Errorf("read %v, %v", got, err)
	}
}
