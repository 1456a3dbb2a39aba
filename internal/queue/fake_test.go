package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

var errGone = errors.New("gone")

// fakeStore is a spool in memory which checks that what it is told makes sense.
type fakeStore struct {
	t testing.TB

	mu       sync.Mutex
	envs     map[mail.QueueID]*mail.Envelope
	status   map[key]*fakeStatus
	changes  []mail.Change // all, in order
	keep     bool          // changes are kept
	reads    int           // of envelopes
	reports  int
	fail     func() error                // for Report, after it took effect
	failRead func(id mail.QueueID) error // for Envelope
	failLoad func() error
	opened   mail.QueueID // the largest id at the opening
	loads    int
	mute     atomic.Bool  // CanRecord says no
	asked    atomic.Int64 // how often it was asked
}

type key struct {
	id   mail.QueueID
	rcpt int
}

type fakeStatus struct {
	done, held bool
	noticed    int
	attempts   int
	due        time.Time
	reply      mail.Reply
	route      string
	dones      int
}

func newFakeStore(t testing.TB) *fakeStore {
	return &fakeStore{t: t, envs: map[mail.QueueID]*mail.Envelope{}, status: map[key]*fakeStatus{}, keep: true}
}

// commit puts a message in the store.
func (s *fakeStore) commit(env *mail.Envelope) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.envs[env.ID] = env
	for k := range env.Recipients {
		s.status[key{env.ID, k}] = &fakeStatus{}
	}
}

// reopen makes the store load what waits now.
func (s *fakeStore) reopen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = 0
	for id := range s.envs {
		s.opened = max(s.opened, id)
	}
}

func (s *fakeStore) Load(_ context.Context, shard int, after mail.QueueID, n int) ([]mail.Pending, mail.QueueID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	if s.failLoad != nil {
		if err := s.failLoad(); err != nil {
			return nil, 0, err
		}
	}
	var ids []mail.QueueID
	for id := range s.envs {
		if id > after && id <= s.opened {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	var page []mail.Pending
	for _, id := range ids {
		if len(page) >= n {
			return page, after, nil
		}
		after = id
		env := s.envs[id]
		for k := range env.Recipients {
			st := s.status[key{id, k}]
			if st.done {
				continue
			}
			page = append(page, mail.Pending{
				ID: id, Rcpt: k, Domain: env.Recipients[k].Addr.Domain, Size: env.Content.Size,
				Arrived: env.Arrived, Attempts: st.attempts, Due: st.due, Held: st.held, Route: st.route,
				Null: env.Sender.Addr.IsNull(), Noticed: st.noticed > 0,
			})
		}
	}
	return page, 0, nil
}

func (s *fakeStore) Envelope(_ context.Context, id mail.QueueID) (*mail.Envelope, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.failRead != nil {
		if err := s.failRead(id); err != nil {
			return nil, err
		}
	}
	env := s.envs[id]
	if env == nil {
		return nil, fmt.Errorf("envelope %v: %w", id, errGone)
	}
	return env, nil
}

func (s *fakeStore) Report(_ context.Context, changes []mail.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports++
	for _, c := range changes {
		if s.keep {
			s.changes = append(s.changes, c)
		}
		st := s.status[key{c.ID, c.Rcpt}]
		if st == nil {
			s.t.Errorf("change of an unknown recipient: %+v", c)
			continue
		}
		if st.done { // by an operator meanwhile
			continue
		}
		switch c.Kind {
		case mail.ChangeDone:
			st.dones++
			st.done = true
		case mail.ChangeDefer:
			if c.Due.IsZero() || c.Attempts < 1 {
				s.t.Errorf("deferred without a time or attempts: %+v", c)
			}
			st.due, st.attempts, st.reply = c.Due, c.Attempts, c.Reply
		case mail.ChangeHold:
			st.held = true
		case mail.ChangeRelease:
			st.held = false
		case mail.ChangeNoticed:
			st.noticed++
		default:
			s.t.Errorf("unknown change %+v", c)
		}
	}
	if s.fail != nil {
		return s.fail()
	}
	return nil
}

// breakReads makes reads of envelopes fail as f says.
func (s *fakeStore) breakReads(f func(mail.QueueID) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failRead = f
}

// get returns a copy of the state of a recipient.
func (s *fakeStore) get(id mail.QueueID, rcpt int) fakeStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.status[key{id, rcpt}]
}

// pending counts the recipients that are not done.
func (s *fakeStore) pending() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.status {
		if !st.done {
			n++
		}
	}
	return n
}

// peer is the world beyond the queue: it answers transactions and keeps a ledger of them.
type peer struct {
	mu        sync.Mutex
	answer    func(hop *mail.Hop, b *mail.Batch) []mail.Result // nil: all delivered
	greet     func(ctx context.Context, hop *mail.Hop) bool    // false: no server; nil: there is one
	pause     time.Duration                                    // that a transaction takes
	idle      time.Duration                                    // for which a run waits for more
	runs      map[string]int                                   // connections begun, by hop
	active    map[string]int
	most      map[string]int // at the same time
	allActive int
	allMost   int
	batches   []transaction
	delivered map[key]int
	attempts  map[key][]time.Time
	quiet     bool // keep no ledger
}

type transaction struct {
	hop   string
	run   int // number of the connection to the hop
	id    mail.QueueID
	rcpts []int
	at    time.Time
}

func newPeer() *peer {
	return &peer{
		runs: map[string]int{}, active: map[string]int{}, most: map[string]int{},
		delivered: map[key]int{}, attempts: map[key][]time.Time{},
	}
}

func (p *peer) run(ctx context.Context, hop *mail.Hop, w mail.Work) {
	p.mu.Lock()
	p.runs[hop.Key]++
	n := p.runs[hop.Key]
	p.active[hop.Key]++
	p.most[hop.Key] = max(p.most[hop.Key], p.active[hop.Key])
	if !hop.Local() {
		p.allActive++
		p.allMost = max(p.allMost, p.allActive)
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.active[hop.Key]--
		if !hop.Local() {
			p.allActive--
		}
		p.mu.Unlock()
	}()
	for first := true; ; first = false {
		b := w.Next(p.idle)
		if b == nil {
			return
		}
		if first && p.greet != nil && !p.greet(ctx, hop) {
			p.giveUp(ctx, hop, b, w)
			return
		}
		if first && !w.Connected() {
			p.giveUp(ctx, hop, b, w)
			return
		}
		if p.pause > 0 {
			time.Sleep(p.pause)
		}
		results, down := p.transact(hop, b, n)
		w.Done(b, results)
		if down {
			return
		}
	}
}

func (p *peer) transact(hop *mail.Hop, b *mail.Batch, run int) ([]mail.Result, bool) {
	var results []mail.Result
	p.mu.Lock()
	answer := p.answer
	p.mu.Unlock()
	if answer != nil {
		results = answer(hop, b)
	}
	if results == nil {
		results = all(b, mail.Delivered, mail.NewReply(250, mail.Enhanced(2, 0, 0), "OK"))
	}
	down := false
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range results {
		down = down || r.HopDown
		if p.quiet {
			continue
		}
		k := key{b.ID, r.Rcpt}
		p.attempts[k] = append(p.attempts[k], time.Now())
		if r.Outcome == mail.Delivered {
			p.delivered[k]++
		}
	}
	if !p.quiet {
		p.batches = append(p.batches, transaction{hop.Key, run, b.ID, slices.Clone(b.Rcpts), time.Now()})
	}
	return results, down
}

// obey gives the peer other answers.
func (p *peer) obey(answer func(*mail.Hop, *mail.Batch) []mail.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// down is the answer of hops that cannot be reached.
func down(_ *mail.Hop, b *mail.Batch) []mail.Result { return noConnection(b) }

// all makes the same result for each recipient of a batch.
func all(b *mail.Batch, o mail.Outcome, r mail.Reply) []mail.Result {
	results := make([]mail.Result, len(b.Rcpts))
	for k, rcpt := range b.Rcpts {
		results[k] = mail.Result{ID: b.ID, Rcpt: rcpt, Outcome: o, Reply: r, Host: "mx.test"}
	}
	return results
}

var refused = mail.NewReply(451, mail.Enhanced(4, 4, 1), "Connection refused")

// noConnection is the result of a hop that cannot be reached.
func noConnection(b *mail.Batch) []mail.Result {
	results := all(b, mail.Deferred, refused)
	for k := range results {
		results[k].HopDown, results[k].Ours = true, true
	}
	return results
}

// world is a queue with its store, its peer and the reports it made.
type world struct {
	*Queue
	store *fakeStore
	peer  *peer
	opts  Options

	mu         sync.Mutex
	returned   map[key][]mail.Result
	notices    []notice
	successes  map[key][]mail.Result
	failTell   error // of notices of delay and reports of success
	failReport error
	hops       map[string]*mail.Hop
	events     []string
	lastID     mail.QueueID
}

// newWorld makes a queue that is not started. Domains are routed by MX, but for drop.test, which is local,
// and none.test, which has no route.
func newWorld(t testing.TB, change func(*Options)) *world {
	w := &world{store: newFakeStore(t), peer: newPeer(), returned: map[key][]mail.Result{}, successes: map[key][]mail.Result{}, hops: map[string]*mail.Hop{}}
	w.opts = Options{
		Settings: Settings{
			Route:                 w.route,
			RouteTo:               func(text string) (*mail.Hop, error) { return w.route("to." + text) },
			MaxOutbound:           500,
			PerDomain:             100,
			MessagesPerConnection: 20,
			Remote:                Retry{Intervals: []time.Duration{5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}},
			Local:                 Retry{Intervals: []time.Duration{time.Minute}},
		},
		Store:   w.store,
		Gone:    func(err error) bool { return errors.Is(err, errGone) },
		Run:     func(ctx context.Context, hop *mail.Hop, work mail.Work) { w.peer.run(ctx, hop, work) },
		Report:  w.reportFailure,
		Delayed: w.reportDelay,
		Success: w.reportSuccess,
		Events: Events{
			HopDown:       func(hop string, _ mail.Reply) { w.note("down " + hop) },
			HopUp:         func(hop string) { w.note("up " + hop) },
			StoreTrouble:  func(err error) { w.note("store " + err.Error()) },
			ReportTrouble: func(_ mail.QueueID, err error) { w.note("report " + err.Error()) },
			Lost:          func(_ mail.QueueID, err error) { w.note("lost") },
			Loaded:        func(n int, _ time.Duration) { w.note(fmt.Sprintf("loaded %d", n)) },
		},
	}
	if change != nil {
		change(&w.opts)
	}
	w.Queue = New(w.opts)
	return w
}

func (w *world) note(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, s)
}

func (w *world) noted() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

func (w *world) route(domain string) (*mail.Hop, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch domain {
	case "none.test":
		return nil, mail.Fail(550, mail.Enhanced(5, 4, 4), "No route to none.test", nil)
	case "later.test":
		return nil, errors.New("the route is not known now")
	}
	h := w.hops[domain]
	if h == nil {
		h = &mail.Hop{Key: domain, Kind: mail.HopMX, Domain: domain}
		if domain == "drop.test" {
			h = &mail.Hop{Key: "drop", Kind: mail.HopDrop}
		}
		w.hops[domain] = h
	}
	return h, nil
}

func (w *world) reportFailure(_ context.Context, env *mail.Envelope, failed []mail.Result) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failReport != nil {
		return w.failReport
	}
	for _, r := range failed {
		if r.ID != env.ID || r.Outcome != mail.Failed || r.Rcpt >= len(env.Recipients) {
			w.store.t.Errorf("wrong result in a report: %+v", r)
		}
		k := key{env.ID, r.Rcpt}
		w.returned[k] = append(w.returned[k], r)
	}
	return nil
}

// notice is one call of Options.Delayed.
type notice struct {
	id      mail.QueueID
	results []mail.Result
	at      time.Time
	until   time.Time
}

func (w *world) reportDelay(_ context.Context, env *mail.Envelope, delayed []mail.Result, until time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failTell != nil {
		return w.failTell
	}
	for _, r := range delayed {
		if r.ID != env.ID || r.Outcome != mail.Deferred || w.store.get(r.ID, r.Rcpt).noticed > 0 {
			w.store.t.Errorf("wrong result in a notice, or told before: %+v", r)
		}
	}
	w.notices = append(w.notices, notice{env.ID, slices.Clone(delayed), time.Now(), until})
	return nil
}

// told returns the notices so far.
func (w *world) told() []notice {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.notices)
}

func (w *world) reportSuccess(_ context.Context, env *mail.Envelope, delivered []mail.Result) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failTell != nil {
		return w.failTell
	}
	for _, r := range delivered {
		if r.ID != env.ID || r.Outcome != mail.Delivered || w.store.get(r.ID, r.Rcpt).done {
			w.store.t.Errorf("wrong result in a report of success, or done before: %+v", r)
		}
		k := key{env.ID, r.Rcpt}
		w.successes[k] = append(w.successes[k], r)
	}
	return nil
}

func (w *world) successOf(id mail.QueueID, rcpt int) []mail.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.successes[key{id, rcpt}])
}

// breakReports makes notices of delay and reports of success fail, or with nil work again.
func (w *world) breakReports(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failTell = err
}

func (w *world) returnedOf(id mail.QueueID, rcpt int) []mail.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.returned[key{id, rcpt}])
}

// message makes an envelope with an id of this moment.
func (w *world) message(sender string, domains ...string) *mail.Envelope {
	w.lastID = max(w.lastID+1, mail.QueueID(time.Now().UnixMilli())<<20)
	env := &mail.Envelope{ID: w.lastID, Arrived: time.Now()}
	if sender != "" {
		env.Sender.Addr = mail.Address{Local: sender, Domain: "example.com"}
	}
	env.Content.Size = 4096
	for k, d := range domains {
		env.Recipients = append(env.Recipients, mail.Recipient{Addr: mail.Address{Local: fmt.Sprintf("r%d", k), Domain: d}})
	}
	return env
}

// send commits and adds a message.
func (w *world) send(sender string, domains ...string) mail.QueueID {
	env := w.message(sender, domains...)
	w.store.commit(env)
	w.Add(env)
	return env.ID
}

// restart makes a new queue over the same store and peer.
func (w *world) restart() {
	w.store.reopen()
	w.Queue = New(w.opts)
}

func (w *world) start(t testing.TB) { w.Start(t.Context()) }

func (w *world) stop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
	w.check(t)
}

// rest lets time pass, and then everything come to rest. It is for the test's own goroutine.
func rest(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (p *peer) count(m map[string]int, hop string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return m[hop]
}

// got says how often a recipient was delivered.
func (p *peer) got(k key) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delivered[k]
}

func (p *peer) deliveries() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.delivered)
}

// tries says when a recipient was tried.
func (p *peer) tries(k key) []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.attempts[k])
}

// list returns the transactions so far.
func (p *peer) list() []transaction {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.batches)
}

func (p *peer) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.batches = nil
	clear(p.most)
}

// now and peak count the remote connections.
func (p *peer) now() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.allActive
}

func (p *peer) peak() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.allMost
}
