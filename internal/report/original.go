package report

import (
	"bytes"
	"io"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/message"
)

// chooseOriginal decides how much of the message is returned: the whole of it in a report of
// failure unless RET=HDRS asked for less (RFC 3461 §6.2) or it is too large; never text with
// bare CR or LF, which a line-oriented part cannot hold.
func (c *composer) chooseOriginal() {
	if c.r.Body == nil {
		return
	}
	ct := &c.r.Env.Content
	binary := ct.Bare || c.r.Env.Sender.Body == mail.BodyBinaryMIME
	c.whole = c.r.Kind == Failure && c.r.Env.Sender.Ret != mail.RetHeaders && !binary && ct.Size <= c.o.MaxOriginal
	if c.whole {
		c.take = ct.Size
		c.eight = ct.EightBit || ct.UTF8
		return
	}
	c.take = ct.HeaderLen
	if c.take == 0 {
		c.take = min(ct.Size, message.MaxHeader) // its end was not found
	}
	c.eight = ct.UTF8
}

// original writes the third part: the message or its header (RFC 6522 §3, §4).
func (c *composer) original() error {
	if c.take == 0 {
		return nil
	}
	typ := "message/rfc822"
	switch {
	case c.whole && c.utf8:
		typ = "message/global"
	case !c.whole && c.utf8:
		typ = "message/global-headers"
	case !c.whole:
		typ = "text/rfc822-headers"
	}
	fields := []string{"Content-Type: " + typ}
	if c.eight {
		fields = append(fields, "Content-Transfer-Encoding: 8bit")
	}
	c.part(fields...)
	if !c.whole {
		return c.originalHeader()
	}
	n, err := io.Copy(c.Writer, io.NewSectionReader(c.r.Body, 0, c.take))
	if err == nil && n < c.take {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// originalHeader writes the header alone, without the empty line, cut after a whole line, line
// ends repaired.
func (c *composer) originalHeader() error {
	h := make([]byte, c.take)
	if n, err := c.r.Body.ReadAt(h, 0); n < len(h) {
		if err == io.EOF || err == nil {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if i := bytes.LastIndexByte(h, '\n'); i >= 0 {
		h = h[:i+1]
	}
	for len(h) > 0 {
		line := h
		if i := bytes.IndexByte(h, '\n'); i >= 0 {
			line = h[:i]
			h = h[i+1:]
		} else {
			h = nil
		}
		line = bytes.TrimRight(line, "\r")
		if len(line) == 0 && len(h) == 0 {
			break
		}
		_, _ = c.Write(bytes.ReplaceAll(line, []byte{'\r'}, []byte{' '}))
		c.put("\r\n")
	}
	return nil
}
