package queue

import (
	"context"
	"errors"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// Store is what the queue needs of the spool.
type Store interface {
	// Load returns recipients that wait in a shard since the spool was opened, in order of message id, from
	// after the message named on; about n of them, a message never split. The id returned
	// is where to go on; zero ends. What was committed since the opening is not among them.
	Load(ctx context.Context, shard int, after mail.QueueID, n int) ([]mail.Pending, mail.QueueID, error)
	// Envelope returns the envelope of a message that waits.
	Envelope(ctx context.Context, id mail.QueueID) (*mail.Envelope, error)
	// Report records changes in their order. After an error they are not reported again: they hold
	// in this process, and the store writes them as soon as it can.
	Report(ctx context.Context, changes []mail.Change) error
	// CanRecord reports whether the store can write down what becomes of recipients. While it cannot, no batch is
	// given out: after a restart it would be sent again. It is asked before each batch with the queue locked, and must not
	// wait.
	CanRecord() bool
}

// Retry says how often and when a recipient is tried.
type Retry struct {
	// MaxAttempts is the number of attempts in all, the first included. 0 stands for 48.
	MaxAttempts int
	// Intervals are the times from an attempt to the next; the last repeats. They are varied by
	// up to 10 % both ways, but for a single interval, which is kept as it is. None
	// stands for 60 minutes.
	Intervals []time.Duration
	// ExpireAfter is the age at which a recipient is given up whatever the attempts. 0: never.
	ExpireAfter time.Duration
	// NoticeAfter is the age at which the sender is told, once, that a recipient still waits. 0: never.
	NoticeAfter time.Duration
}

// Settings are what may change while the queue runs.
type Settings struct {
	// Route returns the next hop of a domain, which is in lower case. An error that is or wraps a permanent
	// *mail.Error fails the recipient without a connection; with another it is tried again later.
	// It is called with the queue locked: it must not wait and must not call the queue.
	Route func(domain string) (*mail.Hop, error)
	// RouteTo returns the next hop that an operator has named in a ChangeRoute, under the same terms. Nil: no
	// recipient has one.
	RouteTo func(text string) (*mail.Hop, error)

	// MaxOutbound limits the connections to all remote hops together. 0: no limit.
	MaxOutbound int
	// PerDomain limits the connections to one remote hop without a limit of its own. 0: no limit.
	PerDomain int
	// MaxLocal limits the runs of the drop directory. 0 stands for 4.
	MaxLocal int
	// MessagesPerConnection is the number of transactions after which a run of a remote hop ends. 0: no limit.
	MessagesPerConnection int
	// MaxRecipients is the largest number of recipients in one transaction with a remote hop. 0: no limit.
	MaxRecipients int
	// MaxHops is the largest number of Received fields that a message may have arrived with. 0: no limit.
	MaxHops int
	// Local is for the drop directory, Remote for all other hops.
	Local, Remote Retry
}

// Options make a Queue.
type Options struct {
	Settings

	// Store is the spool.
	Store Store
	// Shards are the parts of the spool to load. Empty stands for shard 0.
	Shards []int
	// Gone tells whether an error of Store.Envelope says that the message is no longer in the
	// spool, or can never be read. Its recipients are then forgotten. Nil: no error says so.
	Gone func(error) bool
	// Run makes one connection to the hop, or writes to the drop directory, and works until
	// Work.Next returns nil or the connection is of no more use. Each batch taken is given back by Work.Done.
	Run func(ctx context.Context, hop *mail.Hop, work mail.Work)
	// Report makes the failure of recipients of one message known to the sender: when it returns nil,
	// the report is durable (or there is none to be made, or the message is in Badmail). After an
	// error the recipients are deferred. It may call Add.
	Report func(ctx context.Context, env *mail.Envelope, failed []mail.Result) error
	// Delayed makes the delay of recipients of one message known to its sender, which is never null. until is when the first
	// of them will be given up. A result with a zero Reply and attempts behind it has a reply that only the
	// spool knows. When it returns nil the notice is durable, or nobody wants it; after an error it is
	// called again a minute later. It may call Add. Nil: there are no notices.
	Delayed func(ctx context.Context, env *mail.Envelope, delayed []mail.Result, until time.Time) error
	// Success makes the delivery of recipients of one message known to its sender, who asked for that and is never null: into
	// the drop directory or, with NoDSN, to a server that makes no such report. As with Report the recipients
	// are done when it has returned nil; after an error it is called again a minute later. It may call Add.
	// Nil: there are no such reports.
	Success func(ctx context.Context, env *mail.Envelope, delivered []mail.Result) error
	// Events are told of what happens; see there.
	Events Events

	// JitterSeed decides how retry intervals vary: the same seed, the same times. 0 stands for one at random.
	JitterSeed uint64
	// CacheMessages is how many envelopes of messages not yet tried are kept in memory. 0 stands for 4,096.
	CacheMessages int
}

// Events are called without a lock, one after the other or at the same time, and must not wait.
// Each may be nil.
type Events struct {
	HopDown       func(hop string, reply mail.Reply) // the hop could not be reached
	HopUp         func(hop string)                   // after HopDown, it could
	StoreTrouble  func(err error)                    // Load, Envelope or Report of the store failed
	ReportTrouble func(id mail.QueueID, err error)   // a report could not be made
	Lost          func(id mail.QueueID, err error)   // a waiting message is no longer in the spool
	Loaded        func(recipients int, took time.Duration)
}

// Queue is the schedule of one virtual server. Its methods may be called concurrently.
type Queue struct {
	store  Store
	gone   func(error) bool
	runner func(context.Context, *mail.Hop, mail.Work)
	report func(context.Context, *mail.Envelope, []mail.Result) error
	// delayed and success are Options.Delayed and Options.Success.
	delayed func(context.Context, *mail.Envelope, []mail.Result, time.Time) error
	success func(context.Context, *mail.Envelope, []mail.Result) error
	events  Events
	shards  []int
	epoch   time.Time // the origin of the queue's clock
	seed    maphash.Seed
	// jitterSeed is Options.JitterSeed, or chosen at random.
	jitterSeed uint64

	applying sync.Mutex // held by Apply, so that one sweep runs at a time

	mu        sync.Mutex // guards what follows
	set       Settings
	entries   slab
	messages  map[mail.QueueID]uint32 // the first entry of each message
	peak      int                     // the largest number of messages since the map was made
	domains   domainTable
	hops      hopTable
	replies   replyTable
	cache     envelopeCache
	wheel     wheel
	alarms    alarmHeap // of hops
	line      [classes]hopLine
	running   [classes]int // runs by the class of their hop
	turns     int          // connections given out, for the share of hops that are down
	newest    bool         // whose turn it is among hops never tried
	probes    int          // runs that began when their hop was down
	cutting   int          // runs that were cut off and have not ended yet
	parked    runList      // runs that wait for work, the one that has waited longest first
	unheard   runList      // runs to remote hops that have no server yet, oldest first
	sleep     int64        // until when the scheduler sleeps, 0 when it is awake
	fired     []uint32     // reused by the scheduler
	failing   failureList  // recipients that wait for their report
	noticeAt  int64        // when the next look for delayed mail is, never for none
	look      bool         // the reporter is to look
	routes    routeTable
	freezes   map[string]Freeze // in force, by name
	frozen    frozenList
	overtaken map[recipientID][]mail.Change  // by operators, of what the loader may be reading
	reading   bool                           // the loader has a page that is not added yet
	early     map[mail.QueueID][]mail.Change // by operators, of messages that may be about to be added
	earlyIDs  [maxEarly]mail.QueueID         // whose they are, a ring
	earlyTurn int
	changes   []mail.Change
	spare     []mail.Change
	room      sync.Cond // the collector has taken the changes
	sending   bool      // the collector is in Store.Report
	count     counters
	// unreported is why the last report that could not be made could not.
	unreported string
	total      [states]int  // recipients by state
	local      atomic.Int64 // octets that wait for the drop directory, each message once
	oldest     mail.QueueID // the smallest id that waits, 0 when it must be looked for

	started, loading, paused, stopping bool

	wake      chan struct{} // to the scheduler
	collect   chan struct{} // to the collector
	returning chan struct{} // to the reporter
	quit      chan struct{} // closed when scheduler, loader and reporter are to end
	flush     chan struct{} // closed when the collector is to end
	loaded    chan struct{} // closed when all that waited at the start is here
	runs      sync.WaitGroup
	workers   sync.WaitGroup // scheduler, loader, reporter
	collector sync.WaitGroup
	cancel    context.CancelFunc
}

// errNoRoutes is the failure of an operator's route in a queue without Settings.RouteTo.
var errNoRoutes = errors.New("queue: no routes of operators are known")

const (
	defaultMaxLocal    = 4
	defaultMaxAttempts = 48
	defaultInterval    = time.Hour
	defaultCache       = 4096
)

// New makes a queue that does nothing yet. Messages may be added before Start.
func New(o Options) *Queue {
	q := &Queue{
		store: o.Store, gone: o.Gone, runner: o.Run, report: o.Report, delayed: o.Delayed, success: o.Success, events: o.Events, shards: o.Shards,
		epoch:     time.Now(),
		seed:      maphash.MakeSeed(),
		set:       o.Settings.withDefaults(),
		messages:  make(map[mail.QueueID]uint32),
		wake:      make(chan struct{}, 1),
		collect:   make(chan struct{}, 1),
		returning: make(chan struct{}, 1),
		quit:      make(chan struct{}),
		flush:     make(chan struct{}),
		loaded:    make(chan struct{}),
	}
	if q.jitterSeed = o.JitterSeed; q.jitterSeed == 0 {
		q.jitterSeed = rand.Uint64()
	}
	if len(q.shards) == 0 {
		q.shards = []int{0}
	}
	if q.gone == nil {
		q.gone = func(error) bool { return false }
	}
	if q.delayed == nil {
		q.delayed = func(context.Context, *mail.Envelope, []mail.Result, time.Time) error { return nil }
	}
	if q.success == nil {
		q.success = func(context.Context, *mail.Envelope, []mail.Result) error { return nil }
	}
	q.noticeAt = never
	q.room.L = &q.mu
	q.unheard.which = unheardList
	q.cache.init(o.CacheMessages)
	q.domains.init()
	q.hops.init()
	q.replies.init()
	q.routes.init()
	return q
}

func (s Settings) withDefaults() Settings {
	if s.MaxLocal <= 0 {
		s.MaxLocal = defaultMaxLocal
	}
	s.Local, s.Remote = s.Local.withDefaults(), s.Remote.withDefaults()
	return s
}

func (r Retry) withDefaults() Retry {
	if r.MaxAttempts <= 0 {
		r.MaxAttempts = defaultMaxAttempts
	}
	if len(r.Intervals) == 0 {
		r.Intervals = []time.Duration{defaultInterval}
	}
	return r
}

// now returns the queue's time: milliseconds since it was made. It does not follow steps of the
// system's clock.
func (q *Queue) now() int64 { return time.Since(q.epoch).Milliseconds() }

// at and when turn times into the queue's and back.
func (q *Queue) at(t time.Time) int64 { return t.Sub(q.epoch).Milliseconds() }
func (q *Queue) when(t int64) time.Time {
	return q.epoch.Add(time.Duration(t) * time.Millisecond).Round(0)
}

// nudge wakes the owner of c if it sleeps.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
