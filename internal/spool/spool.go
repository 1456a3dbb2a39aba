// Package spool says what a durable store of messages is: the interface that intake, queue and
// control see (Store), the questions that can be put to it (Query), and the octets of an
// envelope at rest (AppendEnvelope, DecodeEnvelope).
//
// The store for one machine is spool/log; package spooltest holds the tests that every store must
// pass. A store knows nothing of SMTP, next hops or configuration: it keeps messages and
// what became of each recipient, and never decides anything. Start with Store.
package spool

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// Cursor is a place in a list that is read in pages: the id of the last message seen. Zero
// begins, and zero returned ends.
type Cursor = mail.QueueID

// Store is a durable spool. All methods may be called concurrently.
type Store interface {
	// Begin starts a message. It fails with a *mail.Error, 452 4.3.1, when disk space or the
	// memory for messages in flight is short.
	Begin(ctx context.Context) (Tx, error)

	// Shards lists the parts of the spool that this process owns. A local store owns one, for
	// ever.
	Shards() []Shard

	// Load returns recipients that have waited since the store was opened, in order of message
	// id, from after the cursor on: about n (a message is never split; 0 means 1,000). What was
	// committed since the opening is not among them, what was finished since is left out. It may run
	// while mail comes in.
	Load(ctx context.Context, shard int, after Cursor, n int) ([]mail.Pending, Cursor, error)

	// Envelope returns the envelope of a message, or ErrNotFound. It is the caller's.
	Envelope(ctx context.Context, id mail.QueueID) (*mail.Envelope, error)

	// Body opens the octets of a message, or fails with ErrNotFound. The message may leave the
	// spool before the body is closed; the body stays readable.
	Body(ctx context.Context, id mail.QueueID) (Body, error)

	// Report records changes. They hold at once, survive the death of the process when Report
	// has returned nil, and a power cut soon after (at most a second). Changes to recipients that
	// are done or unknown are ignored. With an error other than ErrFenced the changes hold in this
	// process and are written as soon as the store can, but did not yet reach the disk.
	Report(ctx context.Context, changes []mail.Change) error

	// CanRecord reports whether Report can write down what it is told, as far as is known: there is room for it, and something to
	// write in. While it cannot, which ends by itself, what is delivered would be delivered again after a restart, and Change
	// refuses what a restart would take back. It costs the reading of a flag. An error that passes is no reason to say no:
	// what is lost by it are duplicates.
	CanRecord() bool

	// Status tells what became of each recipient of a message, in order, or ErrNotFound.
	Status(ctx context.Context, id mail.QueueID) ([]RecipientStatus, error)

	// Search returns messages that q selects, newest first, from before the cursor on, at most
	// n (0 means 100). The work of one call is bounded: a page may be short, even empty, while the cursor
	// is not zero.
	Search(ctx context.Context, q Query, before Cursor, n int) ([]Entry, Cursor, error)

	// Change does a to each waiting recipient that sel selects and returns how many it touched.
	// It is recorded as Report records. After an error (or the end of ctx) those counted are changed.
	Change(ctx context.Context, sel Selection, a Action) (int, error)

	// Stats returns the figures of this moment.
	Stats() Stats

	// Close records what is known and lets go of the files. Transactions that are open then fail.
	Close() error
}

// Tx is a message on its way in. It is used by one goroutine and ends with Commit or Abort.
type Tx interface {
	// ID returns the message's id: known from the beginning, never used for another.
	ID() mail.QueueID
	// Write appends octets to the message. It fails with a *mail.Error, 452 4.3.1, when
	// memory or disk is short; the transaction is then only good for Abort.
	Write(p []byte) (int, error)
	// Commit makes the message durable: nil means that it survives a power cut from now on. The
	// store fills in env.ID and keeps nothing of env. An error that wraps
	// mail.ErrUnknownOutcome says that the message may be in the spool all the same;
	// after any other it is not. Errors are or wrap *mail.Error.
	Commit(ctx context.Context, env *mail.Envelope) error
	// Abort forgets the message. After Commit it does nothing.
	Abort()
}

// Body is the octets of a message. ReadAt may be called concurrently. A Body of the local store on real
// files has also File() (*os.File, int64): the file and the offset where the message begins
// in it, for sendfile; the file belongs to the store.
type Body interface {
	io.ReaderAt
	Size() int64
	Close() error
}

// Shard is a part of the spool with the term of its ownership.
type Shard struct {
	ID    int
	Epoch uint64
}

// Errors of a Store.
var (
	// ErrNotFound: no such message is in the spool (any more).
	ErrNotFound = errors.New("no such message in the spool")
	// ErrDamaged: the message cannot be read and has been moved to quarantine. It wraps
	// ErrNotFound, since the message is no longer in the spool.
	ErrDamaged error = damaged{}
	// ErrFenced: another process owns the shard now; nothing was recorded.
	ErrFenced = errors.New("the shard belongs to another process")
	// ErrClosed: the store is closed.
	ErrClosed = errors.New("the spool is closed")
)

type damaged struct{}

func (damaged) Error() string { return "the message is damaged and was moved to quarantine" }
func (damaged) Unwrap() error { return ErrNotFound }

// State is where a recipient stands.
type State uint8

// The states. A recipient that is held keeps its attempts and reply.
const (
	Waiting  State = iota + 1 // not tried yet
	Deferred                  // tried, and waits for its next attempt
	Held                      // waits for an operator
	Done                      // delivered, returned or deleted
)

// String returns the word that people see.
func (s State) String() string {
	switch s {
	case Waiting:
		return "waiting"
	case Deferred:
		return "deferred"
	case Held:
		return "held"
	case Done:
		return "done"
	}
	return "unknown"
}

// RecipientStatus tells what became of one recipient.
type RecipientStatus struct {
	Rcpt     int // index into Envelope.Recipients
	State    State
	Attempts int
	Due      time.Time  // the next attempt; zero: at once
	Reply    mail.Reply // the last reply, if there was one; long texts are cut
	Host     string     // who said so
	Route    string     // the next hop that an operator has set, if any
}

// Entry is a message as Search finds it: all of its recipients, also those that are done.
type Entry struct {
	Envelope   *mail.Envelope
	Recipients []RecipientStatus // one for each of Envelope.Recipients, in order
}

// Selection says which recipients an Action is for: those of the messages that Query selects
// which Query selects themselves. The zero Selection selects nothing; All says that an empty Query is meant.
type Selection struct {
	Query Query
	All   bool
}

// ActionKind says what an Action does.
type ActionKind uint8

// The actions.
const (
	Delete  ActionKind = iota + 1 // done, without any report
	Hold                          // waits until released
	Release                       // as before the hold
	Retry                         // due at once; released if it was held
	Reroute                       // by the next hop Action.Route; due at once unless it is held
)

// Action is a change by an operator.
type Action struct {
	Kind  ActionKind
	Route string // of Reroute: the next hop, at most mail.MaxRoute octets; empty: as the routes say
	// Pick, if set, is a further condition, on what only the caller knows of a recipient. It must not call
	// the store.
	Pick func(id mail.QueueID, rcpt int) bool
	// Each, if set, is told of each change after it holds, in batches and in no order, by the
	// goroutine that called Change. It is how the schedule over the spool learns of it.
	Each func([]mail.Change)
}

// Stats are the figures of a store.
type Stats struct {
	Messages   int64 // in the spool, originals kept for their reports included
	Recipients int64 // that wait, held ones included
	Held       int64
	Octets     int64 // that the spool's files take on disk, quarantine aside
	Segments   int   // files of messages
	Spares     int   // emptied files that wait to be written over; they go a minute after the last mail
	SpareSize  int64 // of Octets, what those take
	InFlight   int64 // octets of memory that open transactions hold

	Commits     int64 // since the opening
	Syncs       int64 // of message data; one sync may cover many commits
	Checkpoints int64
	Moved       int64 // messages that were moved out of mostly empty segments

	Quarantined  int64 // damaged parts that were put aside since the opening
	Lost         int64 // messages that could not be recovered at the opening, or were found damaged
	Unread       int64 // files that the opening could not read and left as they are; the next one tries again
	Torn         int64 // unfinished ends of files that the opening cut off
	DeadSegments int64 // segments given up after a failed sync
	LowSpace     bool  // Begin refuses, since the disk has too little room
	LowMemory    bool  // Begin refuses, since those that have begun hold too much memory

	Refused       int64     // messages that were refused for a reason of the store, since the opening
	Refusing      string    // why the store refuses messages at present; "": it takes them
	RefusingSince time.Time // zero: it takes them
	// ReadErrors counts the reads of messages that failed since the opening, other than for damage. Unreadable is
	// why they fail at present, "": they do not; UnreadableSince is since when.
	ReadErrors      int64
	Unreadable      string
	UnreadableSince time.Time
	// Unrecordable is why CanRecord says no, "": it says yes; UnrecordableSince is since when.
	Unrecordable      string
	UnrecordableSince time.Time
	LastError         string // of a file operation, also if it did no harm; "": there was none
	LastErrorAt       time.Time
	// Unfinished says in words what the opening found of writes that had not come to their end, as a crash leaves them: as far as can be
	// known nothing of it was acknowledged. The first 20; Torn counts all.
	Unfinished []string
	// Notes says in words what the opening found wrong, and what was put aside since; the oldest 100, of damaged records the
	// first 20. Each part in quarantine has its reason beside it.
	Notes []string
	// MoreNotes counts the notes that were not kept.
	MoreNotes int64
}
