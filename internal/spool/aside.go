package spool

import (
	"context"
	"io"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// Quarantine is what a store has put aside because it could not be read as what it should be. The names are those
// that List returns; any other gives ErrNotFound.
type Quarantine interface {
	// Count returns how many parts are in quarantine.
	Count() (int, error)
	// List returns up to n parts, in order of their names. It reads envelopes, not messages.
	List(ctx context.Context, n int) ([]Aside, error)
	// Show returns one part, and whether its message is whole.
	Show(ctx context.Context, name string) (Aside, error)
	// Message opens the octets of the message in a part, as far as they are there, or fails with ErrNotFound if
	// it holds none. They may be damaged.
	Message(ctx context.Context, name string) (io.ReaderAt, int64, io.Closer, error)
	// Remove deletes a part for good, with its reason, and the file of its message.
	Remove(ctx context.Context, name string) error
}

// Aside is one part of the spool that was put into quarantine.
type Aside struct {
	Name   string
	Size   int64 // octets in quarantine
	Time   time.Time
	Reason string
	// ID is the message that it belongs to, 0 if that is not known.
	ID mail.QueueID
	// Envelope is nil if it could not be read. It may name recipients that had the message already.
	Envelope *mail.Envelope
	// Octets is how many octets of the message are there; -1: it holds no message, or where it is cannot be told.
	Octets int64
	// Whole says, of Show, that the octets are those that were committed.
	Whole bool
}
