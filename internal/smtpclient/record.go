package smtpclient

import (
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// recordCommand tells the sink of one command that was sent. The octets are those of the verb
// and the time is that of the response before, as the original's log has them.
func (c *Conn) recordCommand(verb, arg string) {
	if c.o.Record == nil {
		return
	}
	x := &c.ex
	x.Time, x.Dir = time.Now(), mail.OutboundCommand
	x.Verb, x.Arg, x.Code, x.Enhanced = verb, arg, 0, mail.EnhancedCode{}
	x.In, x.Out, x.Took = 0, int64(len(verb)), c.took
	c.o.Record(x)
}

// recordFlight tells of each command of the flight. The arguments share one string.
func (c *Conn) recordFlight() {
	if c.o.Record == nil {
		return
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(c.out), "\r\n"), "\r\n") {
		verb, arg, _ := strings.Cut(line, " ")
		c.recordCommand(verb, arg)
	}
}

// recordResponse tells of a reply: its first line is what is logged.
func (c *Conn) recordResponse(reply *mail.Reply) {
	if c.o.Record == nil {
		return
	}
	x := &c.ex
	x.Time, x.Dir = time.Now(), mail.OutboundResponse
	c.took = x.Time.Sub(c.o.Start)
	first := c.rr.FirstLine()
	x.Verb, x.Arg, x.Code, x.Enhanced = "", first, reply.Code, reply.Enhanced
	x.In, x.Out, x.Took = int64(len(first)), 0, c.took
	c.o.Record(x)
}

// recordSilence tells why there was no reply, or none that makes sense, in the place of the reply.
func (c *Conn) recordSilence(err error) {
	if c.o.Record == nil {
		return
	}
	x := &c.ex
	x.Time, x.Dir = time.Now(), mail.OutboundResponse
	c.took = x.Time.Sub(c.o.Start)
	x.Verb, x.Arg, x.Code, x.Enhanced = "", "(no reply: "+err.Error()+")", 0, mail.EnhancedCode{}
	x.In, x.Out, x.Took = 0, 0, c.took
	c.o.Record(x)
}
