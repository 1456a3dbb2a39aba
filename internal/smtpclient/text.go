package smtpclient

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

const (
	blockSize  = 32 << 10  // octets read from the body at a time; what is smaller goes in one write
	sendfileAt = 256 << 10 // octets from which on it pays to leave the copying to the kernel
)

// blocks are the buffers of one transaction: what was read, and its wire form, which is at
// most twice as long and has a command before or a lone dot after it.
type blocks struct {
	in  [blockSize]byte
	out [2*blockSize + 64]byte
}

// text is the message on its way to the wire.
type text struct {
	body    Body
	size    int64
	bdat    bool // as one chunk
	clean   bool // the octets need no Stuffer
	stuffer smtp.Stuffer
	b       *blocks
	whole   []byte // small messages: all that will be written
}

var blockPool = sync.Pool{New: func() any { return new(blocks) }}

func (t *text) set(tx *Transaction, binary bool) {
	content := &tx.Env.Content
	*t = text{
		body: tx.Body,
		size: tx.Body.Size(),
		// Without a bare CR or LF the text is good for DATA, whatever it was declared as.
		bdat:  binary && content.Bare && tx.Env.Sender.Body == mail.BodyBinaryMIME,
		clean: content.DotLines == 0 && !content.Bare,
		b:     blockPool.Get().(*blocks),
	}
}

func (t *text) free() {
	blockPool.Put(t.b)
	*t = text{}
}

// prepare reads what can be read before the transaction, so that a body which cannot be read
// disturbs nobody: small messages whole, of others the end.
func (t *text) prepare() error {
	if t.size > blockSize {
		if t.bdat || !t.clean {
			return nil
		}
		end := t.b.in[:2]
		if err := t.readAt(end, t.size-2); err != nil {
			return err
		}
		t.clean = string(end) == "\r\n"
		return nil
	}
	raw := t.b.in[:t.size]
	if err := t.readAt(raw, 0); err != nil {
		return err
	}
	if t.bdat {
		t.whole = append(t.chunk(), raw...)
		return nil
	}
	t.whole = t.stuffer.AppendEnd(t.stuffer.Append(t.b.out[:0], raw))
	return nil
}

// chunk returns the command that goes before the octets.
func (t *text) chunk() []byte {
	out := strconv.AppendInt(append(t.b.out[:0], "BDAT "...), t.size, 10)
	return append(out, " LAST\r\n"...)
}

func (t *text) readAt(p []byte, off int64) error {
	n, err := t.body.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading the stored message at %d: %w", off+int64(n), err)
}

// sendText sends the text and reads the reply to its end.
func (c *Conn) sendText(t *text, r *Outcome) {
	phase := "text"
	if t.bdat {
		c.recordCommand("BDAT", strconv.FormatInt(t.size, 10)+" LAST")
	}
	err, local := c.writeText(t, &r.Sent)
	switch {
	case local != nil: // half a message must not look like a whole one
		r.Local, r.Err = local, c.fail(phase, errAborted)
		return
	case err != nil:
		r.Err = c.fail(phase, err)
		if late := c.late(r.Err); late.Err == nil {
			// The server had enough of it, and said so (552 at its session limit).
			r.Data, r.Sent = late.Reply, false
		}
		return
	}
	reply, e := c.read("end of data", waitEnd)
	switch {
	case e != nil:
		r.Err = e
		return
	case reply.Code/100 == 3:
		r.Err = c.fail("end of data", fmt.Errorf("%w: %d was not expected", smtp.ErrProtocol, reply.Code))
		return
	}
	r.Data = reply
	c.rset = false
	r.Err = c.bad // a 421 is an answer to the data, and the end of the connection
}

// writeText writes all octets, the end of data included; sent is set when that is out.
func (c *Conn) writeText(t *text, sent *bool) (failed, local error) {
	if t.whole != nil {
		n, err := c.write(t.whole)
		*sent = n == len(t.whole)
		return err, nil
	}
	if t.bdat {
		if _, err := c.write(t.chunk()); err != nil {
			return err, nil
		}
	}
	off := int64(0)
	if t.clean || t.bdat {
		var err error
		if off, err = c.sendFile(t); err != nil {
			return err, nil
		}
	}
	for off < t.size {
		in := t.b.in[:min(blockSize, t.size-off)]
		if local := t.readAt(in, off); local != nil {
			return nil, local
		}
		off += int64(len(in))
		out := in
		if !t.clean && !t.bdat {
			out = t.stuffer.Append(t.b.out[:0], in)
		}
		n, err := c.write(out)
		if err != nil {
			return err, nil
		}
		*sent = t.bdat && off == t.size && n == len(out)
	}
	if t.bdat {
		return nil, nil
	}
	end := t.stuffer.AppendEnd(t.b.out[:0])
	n, err := c.write(end)
	*sent = n == len(end)
	return err, nil
}

// sendFile lets the kernel copy a large clean body from its file to a TCP socket, and returns
// how much of it is gone. 0 without an error: it is not to be had here.
func (c *Conn) sendFile(t *text) (int64, error) {
	tcp, ok := c.nc.(*net.TCPConn)
	if !ok || t.size < sendfileAt {
		return 0, nil
	}
	in, ok := t.body.(interface{ File() (*os.File, int64) })
	if !ok {
		return 0, nil
	}
	f, off := in.File()
	if f == nil {
		return 0, nil
	}
	return c.copyFile(tcp, f, off, t.size)
}
