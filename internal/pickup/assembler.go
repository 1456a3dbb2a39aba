package pickup

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/message"
)

// maxEnvelope is how long the x-sender and x-receiver lines of a file may be together, in octets.
const maxEnvelope = 1 << 20

// assembler takes the text of a file and writes the message: it keeps the header until it has all of it,
// learns the envelope, leaves out what is not for others, and passes on the rest as it comes.
type assembler struct {
	ctx  context.Context // of this file
	tx   Transaction
	out  io.Writer // instead of tx: the envelope is known, and the text alone is wanted
	max  int64     // 0: no limit
	size int64     // written
	head []byte
	done bool // the header is written
	env  envelope
}

func (a *assembler) reset(ctx context.Context, tx Transaction, max int64) {
	head := a.head[:0]
	if cap(head) > sliceSize {
		head = nil
	}
	*a = assembler{ctx: ctx, tx: tx, max: max, head: head}
}

// fits refuses a file before it is read, if what is left without its envelope is surely too large.
func (a *assembler) fits(size int64) error {
	if a.max > 0 && size-maxEnvelope-message.MaxHeader > a.max {
		return a.tooLarge()
	}
	return nil
}

func (a *assembler) tooLarge() error {
	return unusablef("The message is larger than %d octets, the setting messages.max_session_size.", a.max)
}

var emptyLine = []byte("\r\n\r\n")

func (a *assembler) write(p []byte) error {
	if a.done {
		return a.store(p)
	}
	from := max(0, len(a.head)-len(emptyLine)+1)
	a.head = append(a.head, p...)
	if bytes.HasPrefix(a.head, crlf) { // no header at all
		return a.writeHead(len(crlf))
	}
	if i := bytes.Index(a.head[from:], emptyLine); i >= 0 {
		return a.writeHead(from + i + len(emptyLine))
	}
	if len(a.head) > maxEnvelope+message.MaxHeader {
		return unusablef("The header does not end within %d octets.", maxEnvelope+message.MaxHeader)
	}
	return nil
}

// end ends the text.
func (a *assembler) end() error {
	if a.done {
		return nil
	}
	return a.writeHead(len(a.head))
}

// writeHead writes the header, the first n octets of head, and what came with it of the body.
func (a *assembler) writeHead(n int) error {
	a.done = true
	head := a.head[:n]
	if a.out != nil {
		a.env.layout(head)
	} else if err := a.env.parse(head); err != nil {
		return err
	}
	if n-a.env.start > message.MaxHeader {
		return unusablef("The header is longer than %d octets.", message.MaxHeader)
	}
	if err := a.address(); err != nil {
		return err
	}
	at := a.env.start
	for _, cut := range append(a.env.cuts, span{n, n}) {
		if err := a.store(head[at:cut.start]); err != nil {
			return err
		}
		at = cut.end
	}
	return a.store(a.head[n:])
}

// address tells the transaction who sends and who receives.
func (a *assembler) address() error {
	if a.out != nil {
		return nil
	}
	a.tx.From(a.env.sender)
	for _, r := range a.env.rcpts {
		if _, err := a.tx.Rcpt(a.ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// store writes to the message.
func (a *assembler) store(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if a.size += int64(len(p)); a.max > 0 && a.size > a.max {
		return a.tooLarge()
	}
	if a.out != nil {
		_, err := a.out.Write(p)
		return err
	}
	if _, err := a.tx.Write(p); err != nil {
		var me *mail.Error
		if errors.As(err, &me) {
			return err
		}
		return mail.Fail(451, mail.Enhanced(4, 3, 0), "The message could not be written", err)
	}
	return nil
}
