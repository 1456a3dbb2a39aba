package spooltest

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
)

func testMessages(t *testing.T, f *fixture) {
	sizes := []int{0, 1, 63, 64, 65, 4096, 8127, 8128, 8129, 100_000, 262_143, 262_144, 262_145, 1 << 20, 3<<20 + 17}
	ids := map[int]mail.QueueID{}
	for i, size := range sizes {
		ids[size] = f.put(Message(uint64(i), size), Envelope("a@example.com", "b@example.org"))
	}
	check := func() {
		t.Helper()
		for i, size := range sizes {
			f.equal(fmt.Sprintf("message of %d", size), f.body(ids[size]), Message(uint64(i), size))
		}
	}
	check()
	f.equal("messages", f.Stats().Messages, int64(len(sizes)))
	f.reopen()
	check()

	b, err := f.Body(background, ids[4096])
	f.must(err)
	defer b.Close()
	part := make([]byte, 100)
	n, err := b.ReadAt(part, 4090)
	if n != 6 || !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt across the end: %d, %v; want 6, EOF", n, err)
	}
	if n, err := b.ReadAt(part, 4096); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt at the end: %d, %v; want 0, EOF", n, err)
	}
	if n, err := b.ReadAt(part, 100); n != 100 || err != nil || string(part) != string(Message(5, 4096)[100:200]) {
		t.Errorf("ReadAt in the middle: %d, %v", n, err)
	}
}

func testEnvelope(t *testing.T, f *fixture) {
	env := FullEnvelope()
	id := f.put([]byte("x"), env)
	plain := Envelope("", "b@example.org") // the null path
	plainID := f.put(nil, plain)
	for range 2 {
		got, err := f.Envelope(background, id)
		f.must(err)
		f.equal("envelope", got, env)
		got, err = f.Envelope(background, plainID)
		f.must(err)
		f.equal("envelope", got, plain)
		f.reopen()
	}
}

func testAbort(t *testing.T, f *fixture) {
	for _, size := range []int{0, 10, 1 << 20} {
		tx, err := f.Begin(background)
		f.must(err)
		_, err = tx.Write(Message(1, size))
		f.must(err)
		tx.Abort()
		tx.Abort()
		f.gone(tx.ID())
		if err := tx.Commit(background, Envelope("a@b", "c@d")); err == nil {
			t.Error("a commit after the abort has succeeded")
		}
		f.gone(tx.ID())
	}
	f.equal("memory in flight", f.Stats().InFlight, int64(0))
	f.reopen()
	f.equal("pending", len(f.load(10)), 0)
}

func testEndedTransaction(t *testing.T, f *fixture) {
	tx, err := f.Begin(background)
	f.must(err)
	f.must(tx.Commit(background, Envelope("a@b.test", "c@d.test")))
	if _, err := tx.Write([]byte("x")); err == nil {
		t.Error("a write after the commit has succeeded")
	}
	if err := tx.Commit(background, Envelope("a@b.test", "c@d.test")); err == nil {
		t.Error("a second commit has succeeded")
	}
	tx.Abort()
	if _, err := f.Envelope(background, tx.ID()); err != nil {
		t.Error("abort after commit:", err)
	}
	tx, err = f.Begin(background)
	f.must(err)
	if err := tx.Commit(background, Envelope("a@b.test")); err == nil {
		t.Error("a commit without recipients has succeeded")
	}
	f.equal("messages", f.Stats().Messages, int64(1))
}

func testIDs(t *testing.T, f *fixture) {
	seen := map[mail.QueueID]bool{}
	last := mail.QueueID(0)
	for range 5 {
		for i := range 20 {
			tx, err := f.Begin(background)
			f.must(err)
			if id := tx.ID(); id <= last || seen[id] {
				t.Fatalf("id %v after %v", id, last)
			}
			last = tx.ID()
			seen[last] = true
			if i%2 == 0 {
				f.must(tx.Commit(background, Envelope("a@b.test", "c@d.test")))
			} else {
				tx.Abort()
			}
		}
		f.reopen()
	}
}

func testNotFound(t *testing.T, f *fixture) {
	f.gone(1)
	f.gone(mail.QueueID(1) << 63)
	_, err := f.Envelope(background, 1)
	if errors.Is(err, spool.ErrDamaged) {
		t.Error("a message that never was is called damaged")
	}
}

func testConcurrent(t *testing.T, f *fixture) {
	const writers, each = 16, 40
	var wg sync.WaitGroup
	ids := make([][]mail.QueueID, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				size := (w*each + i) * 37
				if i%20 == 0 {
					size += 300_000
				}
				tx, err := f.Begin(background)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := tx.Write(Message(uint64(w*each+i), size)); err != nil {
					t.Error(err)
				}
				if err := tx.Commit(background, Envelope("a@example.com", "b@example.org", "c@example.net")); err != nil {
					t.Error(err)
				}
				id := tx.ID()
				ids[w] = append(ids[w], id)
				if err := f.Report(background, []mail.Change{{ID: id, Rcpt: 0, Kind: mail.ChangeDone}}); err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					if err := f.Report(background, []mail.Change{{ID: id, Rcpt: 1, Kind: mail.ChangeDone}}); err != nil {
						t.Error(err)
					}
				}
				if _, _, err := f.Search(background, spool.Query{Domain: "example.net"}, 0, 3); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	check := func() {
		t.Helper()
		for w := range ids {
			for i, id := range ids[w] {
				if i%2 == 0 {
					f.gone(id)
					continue
				}
				n := w*each + i
				f.equal("message", f.body(id), Message(uint64(n), n*37))
				s := f.status(id)
				if s[0].State != spool.Done || s[1].State != spool.Waiting {
					t.Errorf("status of %v: %v", id, s)
				}
			}
		}
		f.equal("messages", f.Stats().Messages, int64(writers*each/2))
		f.equal("recipients", f.Stats().Recipients, int64(writers*each/2))
	}
	check()
	f.reopen()
	check()
	f.equal("pending", len(f.load(7)), writers*each/2)
}

func testClosed(t *testing.T, f *fixture) {
	tx, err := f.Begin(background)
	f.must(err)
	id := f.put([]byte("x"), Envelope("a@b.test", "c@d.test"))
	f.must(f.Close())
	f.must(f.Close())
	if _, err := f.Begin(background); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("Begin: %v, want ErrClosed", err)
	}
	if err := tx.Commit(background, Envelope("a@b.test", "c@d.test")); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("Commit: %v, want ErrClosed", err)
	}
	if err := f.Report(background, []mail.Change{{ID: id, Kind: mail.ChangeDone}}); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("Report: %v, want ErrClosed", err)
	}
	if _, err := f.Envelope(background, id); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("Envelope: %v, want ErrClosed", err)
	}
	f.Store = f.open(t)
	f.gone(tx.ID())
	f.equal("messages", f.Stats().Messages, int64(1))
}
