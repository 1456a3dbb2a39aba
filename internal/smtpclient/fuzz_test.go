package smtpclient

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// deafConn is a server that says what it will, whatever it hears.
type deafConn struct {
	says  *bytes.Reader
	heard bytes.Buffer
}

func (c *deafConn) Read(p []byte) (int, error)       { return c.says.Read(p) }
func (c *deafConn) Write(p []byte) (int, error)      { return c.heard.Write(p) }
func (c *deafConn) Close() error                     { return nil }
func (c *deafConn) LocalAddr() net.Addr              { return nil }
func (c *deafConn) RemoteAddr() net.Addr             { return nil }
func (c *deafConn) SetDeadline(time.Time) error      { return nil }
func (c *deafConn) SetReadDeadline(time.Time) error  { return nil }
func (c *deafConn) SetWriteDeadline(time.Time) error { return nil }

var _ io.Reader = (*deafConn)(nil)

// FuzzConn lets a server say anything: the client ends, claims no delivery without a 2xx after
// its final dot, and writes nothing but lines.
func FuzzConn(f *testing.F) {
	f.Add("220 x\r\n250-x\r\n250 PIPELINING\r\n250 a\r\n250 b\r\n550 c\r\n354 d\r\n250 e\r\n250 f\r\n250 g\r\n250 h\r\n354 i\r\n250 j\r\n221 k\r\n")
	f.Add("220 x\r\n250 x\r\n250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 e\r\n")
	f.Add("220 x\r\n502 x\r\n250 x\r\n250 a\r\n550 b\r\n550 c\r\n250 d\r\n")
	f.Add("220 x\r\n250-x\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=1 MAILMAX=1\r\n250 a\r\n550 b\r\n354 c\r\n550 d\r\n")
	f.Add("220 x\r\n250 x\r\n421 a\r\n")
	f.Fuzz(func(t *testing.T, says string) {
		nc := &deafConn{says: bytes.NewReader([]byte(says))}
		c := New(nc, &Options{FQDN: "relay.example.com"})
		if c.Greet() != nil || c.Hello() != nil {
			c.Quit()
			return
		}
		var o Outcome
		for range 2 {
			before := nc.heard.Len()
			c.Send(message(2, "x\r\n.y\r\n"), &o)
			dots := strings.Count("\n"+nc.heard.String()[before:], "\n.\r\n")
			if o.Data.Code/100 == 2 && (!o.Sent || o.accepted() == 0 || o.Mail.Code/100 != 2) {
				t.Errorf("delivered without reason: %+v", o)
			}
			if o.Sent != strings.Contains(nc.heard.String()[before:], "x\r\n..y\r\n.\r\n") || dots > 1 {
				t.Errorf("sent is %v, heard %q", o.Sent, nc.heard.String()[before:])
			}
			if o.Err == nil && !c.Reusable() && c.offers.MailMax == 0 {
				t.Error("past use without an error")
			}
			for i, r := range o.Rcpts {
				if o.Err == nil && r.IsZero() && i < o.Asked && o.Mail.Positive() {
					t.Errorf("recipient %d has no answer: %+v", i, o)
				}
			}
		}
		c.Quit()
		for line := range strings.SplitAfterSeq(nc.heard.String(), "\r\n") {
			if line != "" && (!strings.HasSuffix(line, "\r\n") || strings.ContainsAny(line[:len(line)-2], "\r\n")) {
				t.Errorf("wrote %q", line)
			}
		}
	})
}
