// Package log is the local spool: messages in append-only segments under group commit, what
// became of recipients in an append-only journal, and checkpoints of it.
//
// # Files
//
// In the queue folder: segments (seg-*.seg) with their indexes (seg-*.idx), one file for each large message (body-*), journals (state-*.log), checkpoints
// (state-*.chk), room for these on a full disk (reserve-*.log), lock, format, quarantine/. The state table of messages and files, and what
// opening does for each state, is docs/decisions/0002-spool.md; in short:
//
//	a message is       when                                              after a crash
//	coming in          its record was not written                        never was (its body file is removed)
//	in doubt           its record was written, the sync did not return   taken if whole, else cut off
//	accepted           the sync of its record returned                   waits
//	deferred, held     a journal entry says so                           as the last entry that survived says
//	done               all recipients are done and no queued report      gone
//	                   names it as Original
//	moved              a younger segment has a copy that was synced      the younger copy counts
//	damaged            a CRC is wrong                                    in quarantine/, counted; all others are kept
//
//	a file may go      when
//	index              its segment goes
//	segment            its last message is done (marks synced) or moved (copy synced); two may stay as spares
//	body file          its message is done (marks synced)
//	journal            two younger checkpoints are durable
//	checkpoint         two younger ones are durable
//	reserve            never: it becomes a journal or checkpoint, and a file that may go becomes reserve while that is incomplete
//
// # Order
//
// Commits queue up; one of the goroutines that commit leads: it writes all that wait with one
// write and one sync, enters them in the index, and hands the lead to the first that
// came meanwhile (commit.go). Changes are encoded into one journal block and written without a sync
// (journal.go). One goroutine does the rest, about once a second when there is something to do: syncs the
// journal, takes checkpoints, moves stragglers, removes files (maintain.go), and makes the indexes that a search
// narrows by (segindex.go, package columns). What stands in files is package format.
//
// Locks, in the order in which they may be taken: jmu (journal; whoever changes recipients holds
// it), mu (index, segments, figures; never held during I/O). imu (indexes) comes before mu and is held with no
// other. cmu guards the queue of
// commits alone; leadership is what allows to append to the segment for new mail.
//
// The package imports spool, mail, message (for the words of a subject) and vfs and knows nothing of schedules or next hops. Start with
// Open in open.go and Store.write in commit.go.
package log

import (
	"encoding/binary"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// Options says how a store is opened. Only Dir is needed.
type Options struct {
	Dir string // the queue folder; made if it does not exist
	FS  vfs.FS // nil: the operating system's

	SegmentSize int64 // octets after which a segment is closed; 0: 56 MB, so that an empty queue takes less than 64; at most 1 GB
	// SmallMessage is the size up to which a message is kept in memory until its commit; a larger
	// one goes into a file of its own as it comes in. Over 256 KB it does so too when messages under way
	// take up more than a quarter of the memory. 0: 2 MB.
	SmallMessage int
	// Limits are those at the opening; see SetLimits.
	Limits
	// Locked, if set, is called when the folder belongs to this store and has not been read yet: what else is
	// there for one process alone can be taken then, before the time that reading takes. An error ends the opening.
	Locked func() error
	// Refusing, if set, is told when the store begins to refuse messages, with the reason, and with nil when it
	// takes them again. It must not call the store.
	Refusing func(why error)
	// Unreadable, if set, is told when messages begin to be unreadable for another reason than damage, with the
	// reason, and with nil when they can be read again. It must not call the store.
	Unreadable func(why error)
	// Unrecordable, if set, is told when CanRecord becomes false, with the reason, and with nil when it is true again. It
	// must not call the store.
	Unrecordable func(why error)

	// SyncInterval is the time after which changes are synced at the latest. 0: one second.
	SyncInterval time.Duration
	// CheckpointSize is the size of a journal, in octets, at which a checkpoint is taken, if it is
	// also larger than the last checkpoint was. 0: 16 MB.
	CheckpointSize int64
	// MaxOpenFiles limits how many closed segments stay open for reading. 0: 256.
	MaxOpenFiles int

	// Aside, if set, is told of each message that turned out to be damaged while the store was open, after it has left
	// the spool: its number of recipients too. It may call the store.
	Aside func(id mail.QueueID, recipients int)

	indexFew  int   // a closed segment with fewer messages gets no index; 0: 64
	indexTail int   // how many messages of a segment may stay without a description; 0: 2,048
	reserve   int64 // octets of each file of the reserve; 0: a 64th of a segment
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	setDefault(&o.SegmentSize, 56<<20)
	o.SegmentSize = min(o.SegmentSize, 1<<30)
	setDefault(&o.SmallMessage, 2<<20)
	setDefault(&o.SyncInterval, time.Second)
	setDefault(&o.CheckpointSize, 16<<20)
	setDefault(&o.MaxOpenFiles, 256)
	setDefault(&o.reserve, o.SegmentSize/64)
	setDefault(&o.indexFew, 64)
	setDefault(&o.indexTail, 2048)
	return o
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// Store is an open spool. Open makes one.
type Store struct {
	o    Options
	fs   vfs.FS
	lock io.Closer

	ids       ids
	limits    atomic.Pointer[Limits]
	room      room
	refusal   spell        // messages are refused
	reading   spell        // messages cannot be read
	recording spell        // what becomes of recipients cannot be written down
	inFlight  atomic.Int64 // octets of chunks in use
	chunks    [len(chunkSizes)]sync.Pool
	// results holds channels for commits that wait. They are the store's own: with testing/synctest a channel must
	// not leave the bubble that it was made in.
	results sync.Pool

	cmu     sync.Mutex // guards these four; see commit.go
	led     sync.Cond  // leading became false
	waiting commits
	leading bool
	closed  bool
	hot     *segment // new mail goes here; belongs to the leader
	iov     [][]byte // the leader's

	jmu     sync.Mutex
	journal *journal // nil after a failure, until a new one can be made
	jbuf    []byte
	jclosed bool

	mu          sync.Mutex
	x           index
	segs        map[uint32]*segment
	nextSeg     uint32
	nextState   uint32
	openFiles   int
	shut        bool       // no more files are opened
	trash       []*segment // without messages, to be removed after a sync of the journal
	going       []*segment // of trash, what is being removed; checkpoints still say so
	trashBodies []bodyFile // the same for body files
	bodyPins    map[mail.QueueID]int
	bodyOctets  int64
	usedUp      int64                   // segments for new mail that were full
	setAsideAs  map[mail.QueueID]string // messages that went into quarantine, and their names there
	spares      map[string]int64        // segments to be written over, with their octets
	reserves    map[string]int64        // files for a full disk, with their octets
	reserving   int                     // files that are about to be there too
	// marks counts the events after which a mark in memory stands in no journal that was synced or is going to be;
	// marksDone is what it was when the last checkpoint that succeeded began. While they differ nothing is removed.
	marks, marksDone uint64
	// must counts the events after which something holds in memory that no journal surely has, or
	// something on disk must be covered; mustDone is what it was when the last checkpoint that succeeded
	// began. While they differ a checkpoint is due.
	must, mustDone uint64
	dirtySince     time.Time           // the oldest change that is not synced; zero: none
	sinceChk       int64               // octets written to segments since the last checkpoint
	untold         bool                // segments have grown, and the journal does not know how far they are durable
	stateFiles     map[format.ID]int64 // journals and checkpoints on disk, with their octets
	unread         map[format.ID]bool  // those of them that the opening could not read: the next one is to try again
	loading        []mail.QueueID      // for Load, sorted; nil when it has come to its end
	opened         mail.QueueID        // ids up to this one were given out before the opening
	stats          spool.Stats

	// These belong to the goroutine of maintain.
	cold     *segment // moved messages go here
	lastChk  uint32   // the number of the newest checkpoint, 0: none
	prevChk  uint32
	chkSize  int64         // of the newest
	chkLive  int64         // recipients that waited then
	chkRetry time.Time     // no checkpoint before, after one failed
	chkPause time.Duration // between the last two attempts
	// hotAtLastLook is the size of the segment for new mail a while ago, if it was idle.
	hotAtLastLook int64
	// spareUsed is what usedUp has been since spareSince.
	spareUsed    int64
	spareSince   time.Time
	reserveRetry time.Time // no reserve is made before, after one could not be
	reserveShort bool      // the reserve is not complete, and there is no room for it

	imu       sync.Mutex // held by the one who reads or makes indexes
	indexWait time.Time  // none is written before, after one could not be

	wake chan struct{}
	quit chan struct{}
	idle chan struct{} // closed when maintain has ended
}

var _ spool.Store = (*Store)(nil)

// Shards implements spool.Store: one, for ever.
func (s *Store) Shards() []spool.Shard { return []spool.Shard{{ID: 0, Epoch: 1}} }

// Stats implements spool.Store.
func (s *Store) Stats() spool.Stats {
	var now spool.Stats
	s.refusalStats(&now)
	s.readingStats(&now)
	s.recordingStats(&now)
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Refused, st.Refusing, st.RefusingSince = now.Refused, now.Refusing, now.RefusingSince
	st.ReadErrors, st.Unreadable, st.UnreadableSince = now.ReadErrors, now.Unreadable, now.UnreadableSince
	st.Unrecordable, st.UnrecordableSince = now.Unrecordable, now.UnrecordableSince
	st.Messages, st.Recipients, st.Held = int64(len(s.x.byID)), s.x.live, s.x.held
	st.Segments = len(s.segs)
	st.Octets = s.bodyOctets
	for _, g := range s.segs {
		st.Octets += g.onDisk() + g.index.onDisk()
	}
	for _, g := range s.trash {
		st.Octets += g.onDisk() + g.index.onDisk()
	}
	st.Spares = len(s.spares)
	for _, n := range s.spares {
		st.SpareSize += n
	}
	st.Octets += st.SpareSize
	for _, n := range s.reserves {
		st.Octets += n
	}
	for _, n := range s.stateFiles {
		st.Octets += n
	}
	st.InFlight = s.inFlight.Load()
	st.LowSpace, st.LowMemory = s.room.low.Load(), s.room.tight.Load()
	st.Notes, st.Unfinished = slices.Clone(st.Notes), slices.Clone(st.Unfinished)
	return st
}

// All numbers in files are little-endian.
var le = binary.LittleEndian

// maxNotes bounds Stats.Notes, maxAlike those of one kind, of which a single damaged segment brings thousands.
const (
	maxNotes = 100
	maxAlike = 20
)

// note keeps a sentence for Stats. mu is held.
func (s *Store) note(text string) {
	if len(s.stats.Notes) < maxNotes {
		s.stats.Notes = append(s.stats.Notes, text)
		return
	}
	s.stats.MoreNotes++
}

// noteDamaged keeps a sentence on the part that was put aside last: of the first alone, so that there is room for others. mu is held.
func (s *Store) noteDamaged(text string) {
	if s.stats.Quarantined > maxAlike {
		s.stats.MoreNotes++
		return
	}
	s.note(text)
}

func (s *Store) path(name string) string { return filepath.Join(s.o.Dir, name) }

func (s *Store) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// errStorage is what a peer is told when the disk is full or memory is short.
func errStorage(err error) error {
	return mail.Fail(452, mail.Enhanced(4, 3, 1), "Insufficient system storage", err)
}

// errLocal is what a peer is told about any other failure, "451 4.3.0".
func errLocal(err error) error {
	if vfs.IsNoSpace(err) {
		return errStorage(err)
	}
	var e *mail.Error
	if errors.As(err, &e) {
		return err
	}
	return mail.Fail(451, mail.Enhanced(4, 3, 0), "Requested action aborted: local error in processing", err)
}
