package pickup

import (
	"context"
	"errors"
	"io"

	"github.com/mailroot/mailroot/internal/mail"
)

// WriteText writes the message in a file of the pickup directory that went to badmail, now that somebody
// else knows sender and recipients: without the x-lines, Bcc and doubled dots, as it would have been sent.
// It fails for what is no text, and for what is above the limits.
func WriteText(ctx context.Context, w io.Writer, f io.ReaderAt, size int64, s Settings) error {
	var src source
	msg := assembler{ctx: ctx, out: w, max: s.MaxSize}
	return src.read(ctx, f, size, s.DotStuffed, make([]byte, sliceSize), &msg)
}

// Letter is what the header of a file says of its envelope.
type Letter struct {
	Sender     mail.Sender
	Recipients []mail.Recipient
	// The fields that told it, as they are written there: "x-sender", "From"; "x-receiver", "To, Cc".
	SenderBy, RecipientsBy string
	// Report says that the message is a report (RFC 3464), whose sender was the null reverse-path whatever From says.
	Report bool
}

// Submit writes the message in a file into tx, which it neither commits nor aborts, as if the file had been in the
// pickup directory, and returns its envelope. A file that is no message is an error that Unusable knows; of
// its envelope what was understood is returned.
func Submit(ctx context.Context, tx Transaction, f io.ReaderAt, size int64, s Settings) (Letter, error) {
	var src source
	var msg assembler
	msg.reset(ctx, tx, s.MaxSize)
	err := src.read(ctx, f, size, s.DotStuffed, make([]byte, sliceSize), &msg)
	e := &msg.env
	return Letter{Sender: e.sender, Recipients: e.rcpts, SenderBy: e.senderBy, RecipientsBy: e.rcptsBy, Report: e.report}, err
}

// Unusable returns why a file is no message, in one sentence, and "" if err says something else.
func Unusable(err error) string {
	var u *unusable
	var me *mail.Error
	switch {
	case errors.As(err, &u):
		return u.reason
	case errors.As(err, &me) && me.Permanent():
		return "The message was refused: " + me.Reply.String()
	}
	return ""
}
