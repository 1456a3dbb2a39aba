package log

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/spooltest"
	"github.com/mailroot/mailroot/internal/vfs"
)

// certainty says how sure it is that something is on disk.
type certainty int

const (
	no    certainty = iota // it must not be there
	maybe                  // it may be there
	yes                    // it must be there
)

// ledger is what the outside world knows of a spool: what was acknowledged, and what was reported.
type ledger struct {
	msgs  map[mail.QueueID]*known
	maxID mail.QueueID
}

type known struct {
	body     []byte
	env      *mail.Envelope
	there    certainty
	done     []certainty
	attempts []certainty // that the deferral with attempts 5 is recorded
}

// world runs a script on a store and keeps the ledger.
type world struct {
	t   testing.TB
	o   Options
	s   *Store
	l   ledger
	rnd *rand.Rand
	// faulty: operations may fail, which is then no failure of the test.
	faulty bool
	seq    int
	// What the stores before the last restart have counted.
	checkpoints, moved, reused int64
	unread                     int // openings that could not read everything
}

func newWorld(t testing.TB, fs vfs.FS) *world {
	return &world{
		t: t, l: ledger{msgs: map[mail.QueueID]*known{}}, rnd: rand.New(rand.NewPCG(1, 2)),
		o: Options{
			Dir: "queue", FS: fs, SegmentSize: 12 << 10, SmallMessage: 3000, CheckpointSize: 600, MaxOpenFiles: 3,
			SyncInterval: time.Hour, // the script says when
			indexFew:     1, indexTail: 1,
		},
	}
}

func (w *world) open() {
	w.t.Helper()
	s, err := Open(w.o)
	for range 20 { // until the fault has gone
		switch {
		case err != nil && w.faulty:
			s, err = Open(w.o)
		case err == nil && w.faulty && s.Stats().Unread > 0:
			w.unread++
			w.undefer()
			if len(s.Stats().Notes) == 0 {
				w.t.Fatal("something could not be read, and no note says so")
			}
			_ = s.Close() // the next opening knows better
			s, err = Open(w.o)
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.s = s
}

// begin starts a message of size octets to n recipients; nil if that failed.
func (w *world) begin(size, n int, original mail.QueueID) *tx {
	w.seq++
	t, err := w.s.Begin(context.Background())
	if err != nil {
		w.failed("begin", err)
		return nil
	}
	var rcpts []string
	for i := range n {
		rcpts = append(rcpts, fmt.Sprintf("r%d@d%d.example.org", i, w.seq%3))
	}
	env := spooltest.Envelope("sender@example.com", rcpts...)
	env.Original = original
	k := &known{body: spooltest.Message(uint64(w.seq), size), env: env, there: maybe, done: make([]certainty, n), attempts: make([]certainty, n)}
	if t.ID() <= w.l.maxID {
		w.t.Fatalf("id %v after %v", t.ID(), w.l.maxID)
	}
	w.l.maxID = t.ID()
	w.l.msgs[t.ID()] = k
	for b := k.body; len(b) > 0; {
		n := min(len(b), 1700)
		if _, err := t.Write(b[:n]); err != nil {
			w.failed("write", err)
			t.Abort()
			delete(w.l.msgs, t.ID())
			return nil
		}
		b = b[n:]
	}
	return t.(*tx)
}

func (w *world) failed(what string, err error) {
	w.t.Helper()
	if !w.faulty {
		w.t.Fatalf("%s: %v", what, err)
	}
	var e *mail.Error
	if !errors.As(err, &e) || !e.Reply.Transient() {
		w.t.Fatalf("%s: %v is not a *mail.Error with a 4xx reply", what, err)
	}
}

// commit commits the transactions, several under one sync.
func (w *world) commit(txs ...*tx) (ids []mail.QueueID) {
	w.t.Helper()
	var batch commits
	var all []*tx
	for _, t := range txs {
		if t == nil {
			continue
		}
		if len(txs) == 1 { // the usual way
			if w.settle(t, t.Commit(context.Background(), w.l.msgs[t.id].env)) {
				ids = append(ids, t.id)
			}
			continue
		}
		env := w.l.msgs[t.id].env
		env.ID = t.id
		err := t.finishFile()
		if err == nil {
			err = t.finishRecord(env)
		}
		if err != nil {
			t.Abort()
			w.settle(t, err)
			continue
		}
		t.done = true
		batch.push(&t.c)
		all = append(all, t)
	}
	if batch.first == nil {
		return ids
	}
	w.s.write(batch.first)
	for _, t := range all {
		t.release()
		if w.settle(t, t.c.err) {
			ids = append(ids, t.id)
		}
	}
	return ids
}

// settle notes the result of a commit.
func (w *world) settle(t *tx, err error) bool {
	k := w.l.msgs[t.id]
	switch {
	case err == nil:
		k.there = yes
		return true
	case errors.Is(err, mail.ErrUnknownOutcome):
		k.there = maybe
	default:
		k.there = no
	}
	w.failed("commit", err)
	return false
}

func (w *world) put(size, n int) mail.QueueID {
	ids := w.commit(w.begin(size, n, 0))
	if len(ids) == 0 {
		return 0
	}
	return ids[0]
}

// report reports changes: of recipient i of each message.
func (w *world) report(kind mail.ChangeKind, rcpt int, ids ...mail.QueueID) {
	var changes []mail.Change
	for _, id := range ids {
		k := w.l.msgs[id]
		if k == nil || k.there != yes || rcpt >= len(k.done) {
			continue
		}
		c := mail.Change{ID: id, Rcpt: rcpt, Kind: kind}
		if kind == mail.ChangeDone {
			k.done[rcpt] = maybe
		} else {
			c.Attempts, c.Reply, c.Host = 5, mail.NewReply(450, mail.Enhanced(4, 2, 1), fmt.Sprint("reply to ", id)), "mx.example.org"
			k.attempts[rcpt] = maybe
		}
		changes = append(changes, c)
	}
	if err := w.s.Report(context.Background(), changes); err != nil {
		w.failed("report", err)
	}
}

// tend does the maintenance; what was reported is durable after that.
func (w *world) tend() {
	w.s.chkRetry = time.Time{}
	_, err := w.s.tend()
	if err != nil {
		if !w.faulty {
			w.t.Fatal("tend:", err)
		}
		return
	}
	w.sure()
}

func (w *world) sure() {
	for _, k := range w.l.msgs {
		for i := range k.done {
			if k.done[i] == maybe {
				k.done[i] = yes
			}
			if k.attempts[i] == maybe {
				k.attempts[i] = yes
			}
		}
	}
}

// script does a bit of everything: small and large messages, several under one sync, segments
// that fill and empty, stragglers that move, checkpoints, reports with originals, a restart.
func (w *world) script() {
	w.open()
	a := w.put(500, 2)
	w.s.ids.last += 1 << 40 // the clock went ahead, and is set right now
	w.report(mail.ChangeDefer, 0, a)
	b := w.commit(w.begin(900, 1, 0), w.begin(0, 3, 0), w.begin(2900, 1, 0), w.begin(64, 1, 0))
	big := w.put(9000, 2)
	w.tend()
	w.report(mail.ChangeDone, 0, append(b, big)...)
	for range 3 {
		w.report(mail.ChangeDone, 0, w.commit(w.begin(2500, 1, 0), w.begin(2500, 1, 0), w.begin(2500, 1, 0))...)
	}
	c := w.put(100, 1)
	w.tend() // moves stragglers
	w.tend()
	d := w.put(4000, 1)
	w.report(mail.ChangeDone, 0, w.put(3100, 1))
	w.put(50, 1)
	w.die()
	w.s.o.CheckpointSize = 1 << 20 // it takes one only because it must
	w.tend()
	w.s.o.CheckpointSize = w.o.CheckpointSize
	w.report(mail.ChangeDefer, 0, c, d)
	report := w.commit(w.begin(700, 1, a))
	w.report(mail.ChangeDone, 0, a)
	w.report(mail.ChangeDone, 1, a)
	w.tend()
	for range 4 {
		w.report(mail.ChangeDone, 0, w.commit(w.begin(2900, 1, 0), w.begin(2900, 1, 0))...)
	}
	w.tend()
	w.restart()
	w.report(mail.ChangeDefer, 1, big)
	w.report(mail.ChangeDone, 0, report...)
	w.report(mail.ChangeDone, 0, d)
	w.s.ids.last += 1 << 40
	e := w.put(3500, 1)
	w.tend()
	w.tend()
	w.report(mail.ChangeDone, 0, c, e)
	w.report(mail.ChangeDone, 1, big)
	w.put(10, 1)
	w.tend()
	w.tend()
}

func (w *world) count() {
	st := w.s.Stats()
	w.checkpoints += st.Checkpoints
	w.moved += st.Moved
	for _, g := range w.s.segs {
		if g.disk > 0 || g.reused {
			w.reused++
		}
	}
}

func (w *world) restart() {
	w.t.Helper()
	w.count()
	if err := w.s.Close(); err != nil {
		if !w.faulty {
			w.t.Fatal("close:", err)
		}
		w.open()
		w.forget()
		return
	}
	w.sure()
	w.open()
}

// die is kill -9 and a new start: nothing is lost, and nothing more is synced.
func (w *world) die() {
	w.t.Helper()
	w.count()
	close(w.s.quit)
	<-w.s.idle
	w.s.closeFiles()
	if err := w.s.lock.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
	if w.faulty {
		w.forget()
	}
}

// forget takes out of the ledger what could not be recorded before a restart, and was then forgotten.
func (w *world) forget() {
	for id, k := range w.l.msgs {
		status, _ := w.s.Status(context.Background(), id)
		for i, r := range status {
			if k.done[i] == maybe && r.State != spool.Done {
				k.done[i] = no
			}
			if k.attempts[i] == maybe && r.Attempts == 0 {
				k.attempts[i] = no
			}
		}
	}
}

// check opens the spool on fs and compares it with the ledger. killed says that only the
// process had died, so that also what was not synced is there.
func (l *ledger) check(o Options, killed bool) (err error) {
	s, err := Open(o)
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	defer func() {
		if cerr := s.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("close: %w", cerr)
		}
	}()
	if st := s.Stats(); st.Quarantined+st.Lost > 0 {
		return fmt.Errorf("the opening lost something: %q", st.Notes)
	}
	if n := quarantined(o.FS); killed && n > 0 {
		return fmt.Errorf("%d octets were put aside after a mere kill", n)
	}
	if err := l.compare(s, killed); err != nil {
		return err
	}
	t, err := s.Begin(context.Background())
	if err != nil {
		return err
	}
	defer t.Abort()
	if t.ID() <= l.maxID {
		return fmt.Errorf("id %v was given out, and %v before the crash", t.ID(), l.maxID)
	}
	return nil
}

// quarantined returns the octets that are in quarantine.
func quarantined(fs vfs.FS) (n int64) {
	names, _ := fs.ReadDir("queue/quarantine")
	for _, name := range names {
		if info, err := fs.Stat("queue/quarantine/" + name); err == nil && strings.HasSuffix(name, ".rec") {
			n += info.Size
		}
	}
	return n
}

func (l *ledger) compare(s *Store, killed bool) error {
	kept := map[mail.QueueID]certainty{} // originals of reports that may or must be there
	for _, k := range l.msgs {
		switch {
		case k.there == yes && !k.gone(maybe):
			kept[k.env.Original] = yes
		case k.there != no && !k.gone(yes):
			kept[k.env.Original] = max(maybe, kept[k.env.Original])
		}
	}
	n := int64(0)
	for id, k := range l.msgs {
		there, err := k.compare(s, id, killed, kept[id])
		if err != nil {
			return fmt.Errorf("message %v of %d octets: %w", id, len(k.body), err)
		}
		if there {
			n++
		}
	}
	if got := s.Stats().Messages; got != n {
		return fmt.Errorf("%d messages are there, %d of them known", got, n)
	}
	// What is there is found by its index, if it has one.
	q := spool.Query{Sender: "sender@*", Recipient: "r0@*", States: []spool.State{spool.Waiting, spool.Deferred, spool.Held, spool.Done}}
	page, next, err := s.Search(context.Background(), q, 0, len(l.msgs)+1)
	if err != nil || next != 0 || int64(len(page)) != n {
		return fmt.Errorf("%d of %d messages were found, next %v, %w", len(page), n, next, err)
	}
	return nil
}

// gone reports whether all recipients are done, with that certainty at least.
func (k *known) gone(c certainty) bool {
	for _, d := range k.done {
		if d < c {
			return false
		}
	}
	return true
}

func (k *known) compare(s *Store, id mail.QueueID, killed bool, original certainty) (there bool, err error) {
	status, err := s.Status(context.Background(), id)
	if errors.Is(err, spool.ErrNotFound) {
		if k.there == yes && !k.gone(maybe) {
			return false, errors.New("it was acknowledged and is lost")
		}
		if original == yes {
			return false, errors.New("it is the original of a report that is queued, and is lost")
		}
		return false, nil
	}
	switch {
	case err != nil:
		return false, err
	case k.there == no:
		return true, errors.New("its commit failed for certain, and it is there")
	case k.gone(yes) && original == no:
		return true, errors.New("it was done for certain, and is there again")
	case k.gone(maybe) && killed && original == no:
		return true, errors.New("it was done, and is there again after kill -9")
	}
	for i, r := range status {
		done := r.State == spool.Done
		switch {
		case done && k.done[i] == no:
			return true, fmt.Errorf("recipient %d is done though nobody said so", i)
		case !done && (k.done[i] == yes || killed && k.done[i] == maybe):
			return true, fmt.Errorf("recipient %d was done and waits", i)
		case !done && (k.attempts[i] == yes || killed && k.attempts[i] == maybe) && (r.Attempts != 5 || r.Reply.Text != fmt.Sprint("reply to ", id) || r.Host != "mx.example.org"):
			return true, fmt.Errorf("recipient %d has forgotten its deferral: %+v", i, r)
		}
	}
	return true, k.compareOctets(s, id)
}

func (k *known) compareOctets(s *Store, id mail.QueueID) error {
	env, err := s.Envelope(context.Background(), id)
	if err != nil {
		return err
	}
	if env.ID != id || env.Original != k.env.Original || len(env.Recipients) != len(k.env.Recipients) || !env.Arrived.Equal(k.env.Arrived) {
		return fmt.Errorf("another envelope: %+v", env)
	}
	b, err := s.Body(context.Background(), id)
	if err != nil {
		return err
	}
	defer b.Close()
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil || !bytes.Equal(got, k.body) {
		return fmt.Errorf("other octets: %d of them, %v", len(got), err)
	}
	return nil
}

// TestCrash cuts the power after every file operation of the script, with several outcomes each, and
// compares what opening finds with what was acknowledged.
func TestCrash(t *testing.T) {
	mem := vfs.NewMem()
	var w *world
	ops, crashes, outcomes := 0, 0, 6
	if testing.Short() {
		outcomes = 2
	}
	var busy sync.Mutex
	after := func(op vfs.Op, path string) {
		switch op {
		case vfs.OpRead, vfs.OpStat, vfs.OpSize, vfs.OpReadDir, vfs.OpSpace, vfs.OpOpen, vfs.OpClose, vfs.OpLock:
			return // nothing has changed
		}
		busy.Lock()
		defer busy.Unlock()
		ops++
		for seed := range outcomes {
			var rnd *rand.Rand // kill -9 first
			if seed > 0 {
				rnd = rand.New(rand.NewPCG(uint64(ops), uint64(seed)))
			}
			crashes++
			if err := crashOnce(w, mem, rnd); err != nil {
				t.Fatalf("after operation %d (%s %s), seed %d: %v", ops, op, path, seed, err)
			}
		}
	}
	w = newWorld(t, vfs.Inject(mem, nil, after))
	w.script()
	w.count()
	if w.checkpoints < 3 || w.moved < 3 || w.reused == 0 || ops < 150 || len(w.l.msgs) < 25 {
		t.Errorf("the script does too little: %d operations, %d messages, %d checkpoints, %d moved, %d segments reused", ops, len(w.l.msgs), w.checkpoints, w.moved, w.reused)
	}
	t.Logf("%d crashes after %d operations, %d checkpoints, %d moved, %d segments reused", crashes, ops, w.checkpoints, w.moved, w.reused)
}

// crashOnce checks a crash, a second one soon after the opening, and what is left then.
func crashOnce(w *world, mem *vfs.Mem, rnd *rand.Rand) error {
	o := w.o
	clone := mem.CrashClone(rnd)
	o.FS = clone
	if err := w.l.check(o, rnd == nil); err != nil {
		return err
	}
	if err := w.l.check(o, rnd == nil); err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	clone = mem.CrashClone(rnd)
	o.FS = clone
	s, err := Open(o)
	if err != nil {
		return err
	}
	// A removal that comes too soon would show now.
	for range 2 {
		if _, err := s.tend(); err != nil {
			return fmt.Errorf("tend: %w", err)
		}
	}
	o.FS = clone.CrashClone(rnd)
	close(s.quit)
	<-s.idle
	if err := w.l.check(o, rnd == nil); err != nil {
		return fmt.Errorf("second crash: %w", err)
	}
	return nil
}
