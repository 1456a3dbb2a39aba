package service

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/mailroot/mailroot/internal/badmail"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/pickup"
)

// Resubmission says what of the envelope is to be another one than an entry of badmail has.
type Resubmission struct {
	From *mail.Address  // nil: as it was
	To   []mail.Address // none: those that failed, or all if it is not known of any that it did
}

// ErrNoEnvelope is returned for an entry that does not say to whom its message is to go.
var ErrNoEnvelope = errors.New("the entry has no envelope; name sender and recipients")

// Resubmit sends the message of a badmail entry once more, as a new message with attempts of its own,
// and removes the entry when that is durable. With an error and an id the message is queued, and the
// entry is still there; with an error alone nothing has changed, unless it wraps mail.ErrUnknownOutcome. A
// crash between the two leaves both.
func (v *Server) Resubmit(ctx context.Context, name string, r Resubmission) (mail.QueueID, error) {
	v.resubmitting.Lock() // so that nobody else sends the same entry meanwhile
	defer v.resubmitting.Unlock()
	e, err := v.bad.Read(name)
	if err != nil {
		return 0, err
	}
	sender, to, err := r.envelope(&e)
	if err != nil {
		return 0, err
	}
	source := mail.SourceSMTP
	switch e.Cause() {
	case badmail.CauseReport:
		source = mail.SourceReport
	case badmail.CausePickup:
		source = mail.SourcePickup
	}
	tx, err := v.plan.Load().intake.BeginAgain(ctx, sender, source)
	if err != nil {
		return 0, err
	}
	defer tx.Abort()
	for _, rcpt := range to {
		if _, err := tx.Rcpt(ctx, rcpt); err != nil {
			return 0, err
		}
	}
	if e.File != "" { // never was a message: its recipients must not see the envelope, nor Bcc
		err = v.copyPickup(ctx, tx, name)
	} else {
		err = v.copyBadmail(tx, name, sender.Body == mail.BodyBinaryMIME)
	}
	if err != nil {
		return 0, err
	}
	accepted, err := tx.Commit(ctx)
	if err != nil {
		return 0, err
	}
	// Who asked may have gone meanwhile; what was sent must not stay there to be sent again.
	if _, err := v.bad.Remove(context.WithoutCancel(ctx), name); err != nil {
		return accepted.ID, fmt.Errorf("the message is queued as %s, but its entry cannot be removed from badmail: %w", accepted.ID, err)
	}
	return accepted.ID, nil
}

// envelope puts the envelope together from the entry and what is asked for.
func (r *Resubmission) envelope(e *badmail.Stored) (s mail.Sender, to []mail.Recipient, err error) {
	if e.Foreign == "" {
		if s, to, err = e.Envelope(); err != nil {
			return s, nil, err
		}
	} else if r.From == nil {
		return s, nil, ErrNoEnvelope
	}
	if r.From != nil {
		s.Addr = *r.From
	}
	if len(r.To) > 0 {
		to = make([]mail.Recipient, len(r.To))
		for i, a := range r.To {
			to[i].Addr = a
			s.UTF8 = s.UTF8 || !isASCII(a)
		}
	}
	s.UTF8 = s.UTF8 || !isASCII(s.Addr)
	if len(to) == 0 {
		return s, nil, ErrNoEnvelope
	}
	return s, to, nil
}

func isASCII(a mail.Address) bool {
	for _, c := range a.String() {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// copyPickup writes the message in a file of the pickup directory to w.
func (v *Server) copyPickup(ctx context.Context, w io.Writer, name string) error {
	f, err := v.bad.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	return pickup.WriteText(ctx, w, f, size, pickupSettings(v.plan.Load().cfg))
}

// copyBadmail writes the message of an entry to w.
func (v *Server) copyBadmail(w io.Writer, name string, binary bool) error {
	f, err := v.bad.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	if !binary {
		w = &lineEnds{w: w}
	}
	n, err := io.Copy(w, io.NewSectionReader(f, 0, size))
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// lineEnds makes every line end CRLF, as all that we stored has it and as what other programs left in
// the folder may not (bad input F3).
type lineEnds struct {
	w   io.Writer
	cr  bool // the last octet was a CR, which has been written
	buf []byte
}

func (l *lineEnds) Write(p []byte) (int, error) {
	out := l.buf[:0]
	for _, c := range p {
		switch {
		case c == '\n' && !l.cr:
			out = append(out, '\r', '\n')
		case c != '\n' && l.cr:
			out = append(out, '\n', c)
		default:
			out = append(out, c)
		}
		l.cr = c == '\r'
	}
	l.buf = out
	if _, err := l.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}
