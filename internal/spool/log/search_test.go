package log

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/columns"
	"github.com/mailroot/mailroot/internal/vfs"
)

// settleIndexes waits until maintain has described all that it means to.
func settleIndexes(tb testing.TB, s *Store) {
	tb.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		s.kick()
		rest := 0
		s.mu.Lock()
		for _, g := range s.segs {
			x := &g.index
			if !x.listed || len(x.ids) > s.o.indexTail || g.sealed && x.file == nil && !x.few {
				rest++
			}
		}
		s.mu.Unlock()
		if rest == 0 {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%d segments without an index", rest)
		}
	}
}

// searched is a store with what tests of its search do to it. The script says when maintain works.
type searched struct {
	*testing.T
	*Store
	o   Options
	mem *vfs.Mem
	rnd *rand.Rand
	seq int
}

func newSearched(t *testing.T, seed uint64) *searched {
	mem := vfs.NewMem()
	s := &searched{T: t, mem: mem, rnd: newRand(seed), o: Options{
		Dir: "queue", FS: mem, SegmentSize: 6 << 10, SmallMessage: 2000, CheckpointSize: 600, MaxOpenFiles: 3, SyncInterval: time.Hour,
		indexFew: 1, indexTail: 2,
	}}
	s.Store = mustOpen(t, s.o)
	return s
}

// die ends the process, or cuts the power with what that leaves, and opens the store again.
func (s *searched) die(power bool) {
	s.Helper()
	close(s.quit)
	<-s.idle
	s.closeFiles()
	if err := s.lock.Close(); err != nil {
		s.Fatal(err)
	}
	if power {
		s.mem = s.mem.CrashClone(s.rnd)
		s.o.FS = s.mem
	}
	s.open()
}

func (s *searched) open() {
	s.Helper()
	var err error
	if s.Store, err = Open(s.o); err != nil {
		s.Fatal(err)
	}
	if st := s.Stats(); st.Lost+st.Quarantined > 0 {
		s.Fatalf("the opening lost something: %q", st.Notes)
	}
}

var (
	someSubjects = []string{"", "Invoice", "Weekly *news*", "=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße aus Köln", "a\nb", "*", "=?utf-8?q?two=0Alines?="}
	someReplies  = []string{"Greylisted", "Try again\nlater", "mailbox full / 5.2.2", "451", "Ünknown ?", "greylisted, reference 17"}
	somePatterns = map[string][]string{
		"sender":    {"a0@example.com", "*@EXAMPLE.com", "<>", "*", "a*@*", "nobody@*", "*1@*"},
		"recipient": {"r0@d0.test", "*@D1.test", "r*", "*@*", "**", "*0@d*t", "x@*"},
		"client":    {"192.0.2.1", "192.0.2.*", "HOST1.*", "*", "::1", "*st*"},
		"account":   {"app0", "*", "*1", "none"},
		"subject":   {"invoice", "*grüße*", "*N*", "=?utf-8*", "*", "a\nb", "a", "*o\nl*", "two*lines"},
		"messageid": {"<1@x>", "2@x", "*@x", "<*", "*>", "*3*", "none"},
		"reply":     {"greylisted", "*LATER", "451 4.7.1 *", "*4.7.1*", "*", "*full / 5*", "*again / l*", "*?*", "451*451", "*17", "none"},
	}
)

func (s *searched) pick(list []string) string { return list[s.rnd.IntN(len(list))] }

// put commits a message at random.
func (s *searched) put() {
	s.seq++
	env := &mail.Envelope{Arrived: time.UnixMilli(int64(1_000_000 + 1000*s.rnd.IntN(100)))}
	if s.rnd.IntN(5) > 0 {
		env.Sender.Addr = mail.Address{Local: fmt.Sprintf("A%d", s.rnd.IntN(3)), Domain: "example.com"}
	}
	for range 1 + s.rnd.IntN(3) {
		env.Recipients = append(env.Recipients, mail.Recipient{Addr: mail.Address{Local: fmt.Sprintf("R%d", s.rnd.IntN(12)), Domain: fmt.Sprintf("d%d.test", s.rnd.IntN(3))}})
	}
	if s.rnd.IntN(3) > 0 {
		env.Peer, env.PeerName = netip.AddrFrom4([4]byte{192, 0, 2, byte(s.rnd.IntN(3))}), fmt.Sprintf("host%d.test", s.rnd.IntN(3))
	}
	if s.rnd.IntN(3) == 0 {
		env.Account = fmt.Sprintf("App%d", s.rnd.IntN(2))
	}
	size := s.rnd.IntN(600)
	if s.rnd.IntN(20) == 0 {
		size = 3000 // a file of its own
	}
	env.Content = mail.Content{Size: int64(size), Subject: s.pick(someSubjects), MessageID: fmt.Sprintf("<%d@x>", s.rnd.IntN(50))}
	if s.rnd.IntN(30) == 0 {
		env.Content.Subject = strings.Repeat("long ", columns.MaxValue/5+1)
	}
	t, err := s.Begin(context.Background())
	if err == nil {
		_, _ = t.Write(make([]byte, size))
		err = t.Commit(context.Background(), env)
	}
	if err != nil {
		s.Fatal(err)
	}
}

// change changes a recipient at random.
func (s *searched) change(ids []mail.QueueID) {
	if len(ids) == 0 {
		return
	}
	id := ids[s.rnd.IntN(len(ids))]
	c := mail.Change{ID: id, Rcpt: s.rnd.IntN(3), Kind: mail.ChangeDefer, Attempts: 1, Host: "mx"}
	switch s.rnd.IntN(6) {
	case 0, 1, 2:
		c.Kind = mail.ChangeDone
	case 3:
		c.Kind = mail.ChangeHold
	default:
		c.Reply = mail.NewReply(451, mail.Enhanced(4, 7, 1), s.pick(someReplies))
	}
	if err := s.Report(context.Background(), []mail.Change{c}); err != nil {
		s.Fatal(err)
	}
}

// drain finishes most of a run of messages, so that the rest will be moved.
func (s *searched) drain() {
	ids := s.all()
	from := s.rnd.IntN(len(ids) + 1)
	var changes []mail.Change
	for _, id := range ids[from:min(from+40, len(ids))] {
		if s.rnd.IntN(8) > 0 {
			for rcpt := range 3 {
				changes = append(changes, mail.Change{ID: id, Rcpt: rcpt, Kind: mail.ChangeDone})
			}
		}
	}
	if err := s.Report(context.Background(), changes); err != nil {
		s.Fatal(err)
	}
}

// query returns a question at random.
func (s *searched) query() (q spool.Query) {
	for field, p := range map[string]*string{
		"sender": &q.Sender, "recipient": &q.Recipient, "client": &q.Client, "account": &q.Account, "subject": &q.Subject, "messageid": &q.MessageID, "reply": &q.Reply,
	} {
		if s.rnd.IntN(4) == 0 {
			*p = s.pick(somePatterns[field])
		}
	}
	if s.rnd.IntN(6) == 0 {
		q.Domain = "*1.test"
	}
	if s.rnd.IntN(6) == 0 {
		q.After = time.UnixMilli(1_030_000)
	}
	if s.rnd.IntN(6) == 0 {
		q.Larger, q.Smaller = 100, 500
	}
	if s.rnd.IntN(3) == 0 {
		q.States = []spool.State{spool.State(1 + s.rnd.IntN(4)), spool.State(1 + s.rnd.IntN(4))}
	}
	return q
}

// all returns the ids of what is there, the newest first.
func (s *searched) all() (ids []mail.QueueID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.x.byID {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, descending)
	return ids
}

// brute answers q by reading everything.
func (s *searched) brute(q *spool.Query) (out []mail.QueueID) {
	for _, id := range s.all() {
		env, err := s.Envelope(context.Background(), id)
		if err != nil {
			s.Fatal(err)
		}
		status, err := s.Status(context.Background(), id)
		if err != nil {
			s.Fatal(err)
		}
		if q.MatchMessage(env) && slices.ContainsFunc(status, func(r spool.RecipientStatus) bool {
			return q.MatchRecipient(&env.Recipients[r.Rcpt], r.State) && q.MatchReply(&r)
		}) {
			out = append(out, id)
		}
	}
	return out
}

// check compares answers at random with brute force.
func (s *searched) check() {
	s.Helper()
	for range 6 {
		q := s.query()
		var got []mail.QueueID
		for cursor, n := spool.Cursor(0), 1+s.rnd.IntN(20); ; {
			page, next, err := s.Search(context.Background(), q, cursor, n)
			if err != nil {
				s.Fatal(err)
			}
			for _, e := range page {
				got = append(got, e.Envelope.ID)
			}
			if cursor = next; next == 0 {
				break
			}
		}
		if want := s.brute(&q); !slices.Equal(got, want) {
			s.Fatalf("%+v:\n got %v\nwant %v", q, got, want)
		}
	}
}

// indexFiles returns the names of the indexes.
func (s *searched) indexFiles() (out []string) {
	names, err := s.mem.ReadDir("queue")
	if err != nil {
		s.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".idx") {
			out = append(out, "queue/"+name)
		}
	}
	return out
}

// damage does harm to an index at random.
func (s *searched) damage() {
	names := s.indexFiles()
	if len(names) == 0 {
		return
	}
	name := s.pick(names)
	if s.rnd.IntN(4) == 0 {
		if err := s.mem.Remove(name); err != nil {
			s.Fatal(err)
		}
		return
	}
	f, err := s.mem.OpenReadWrite(name)
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		s.Fatal(err)
	}
	if size == 0 { // damaged before
		return
	}
	at := s.rnd.Int64N(size)
	if s.rnd.IntN(3) == 0 {
		err = f.Truncate(at)
	} else {
		b := []byte{0}
		if _, err = f.ReadAt(b, at); err == nil {
			b[0] ^= 1 << s.rnd.IntN(8)
			_, err = f.WriteAt(b, at)
		}
	}
	if err != nil {
		s.Fatal(err)
	}
}

var seeds = flag.Int("seeds", 12, "runs of TestSearchEquivalence")

// TestSearchEquivalence does things at random, and asks at random: what the indexes narrow is what
// reading everything finds. Messages move, segments go, the process and the power end, indexes are damaged.
func TestSearchEquivalence(t *testing.T) {
	made, moved := 0, int64(0)
	for seed := range uint64(*seeds) {
		s := newSearched(t, seed)
		for range 250 {
			switch s.rnd.IntN(40) {
			case 0:
				moved += s.Stats().Moved
				s.die(s.rnd.IntN(2) == 0)
			case 1:
				moved += s.Stats().Moved
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s.rnd.IntN(2) == 0 {
					s.damage()
				}
				s.open()
			case 2, 3:
				s.damage()
			case 4, 5, 6, 7, 8, 9, 10:
				if _, err := s.tend(); err != nil {
					t.Fatal(err)
				}
			case 11, 12:
				s.check()
			case 13:
				s.drain()
			default:
				s.put()
				for range 2 {
					s.change(s.all())
				}
			}
			made = max(made, len(s.indexFiles()))
		}
		s.check()
		moved += s.Stats().Moved
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if made < 5 || moved < 20 {
		t.Errorf("at most %d indexes, %d messages moved: that is no test", made, moved)
	}
}
