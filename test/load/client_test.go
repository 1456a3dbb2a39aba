package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// client is a source of messages that knows what smtp-source does not: TLS, messages that differ from each other, and how long
// each waited for its 250. As smtp-source does, it sends each command when the last is answered.
type client struct {
	addr     string
	sessions int
	keep     bool // many messages on a connection
	size     int  // octets of a message
	messages int
	tls      *tls.Config // nil: no STARTTLS
	// envelope makes message i, from 0 on; nil: all are alike. It is called by the session that is about to send, and may wait.
	envelope func(i int) envelope
}

// envelope is what messages differ in.
type envelope struct {
	from    string
	to      []string
	subject string
}

func alike(int) envelope {
	return envelope{"sender@client.test", []string{"rcpt@remote.test"}, "load"}
}

// sent is what a source has done.
type sent struct {
	wall time.Duration // until the last 250 was read
	// replies are the times from the final dot to its 250, in ascending order.
	replies []time.Duration
}

// quantile returns the reply time that the part q of all messages did not exceed.
func (s *sent) quantile(q float64) time.Duration {
	if len(s.replies) == 0 {
		return 0
	}
	return s.replies[min(int(q*float64(len(s.replies))), len(s.replies)-1)]
}

// run sends all messages, or until ctx ends: that is no error, and no message is given up half sent. It ends at the first reply
// that is not the one that takes the message.
func (c *client) run(ctx context.Context) (*sent, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	take := func() (int, bool) {
		i := int(next.Add(1)) - 1
		return i, i < c.messages && ctx.Err() == nil
	}
	replies := make([][]time.Duration, c.sessions)
	start := time.Now()
	var failed error
	var once sync.Once
	var all sync.WaitGroup
	for k := range c.sessions {
		all.Go(func() {
			if err := c.work(take, &replies[k]); err != nil {
				once.Do(func() { failed = err; stop(err) })
			}
		})
	}
	all.Wait()
	s := &sent{wall: time.Since(start), replies: slices.Concat(replies...)}
	slices.Sort(s.replies)
	return s, failed
}

// work is one session of the source, with one connection or many in turn.
func (c *client) work(take func() (int, bool), replies *[]time.Duration) error {
	address := c.envelope
	if address == nil {
		address = alike
	}
	body := filler(c.size)
	var s *session
	for {
		i, ok := take()
		if !ok {
			if s != nil {
				return s.quit()
			}
			return nil
		}
		if s == nil {
			var err error
			if s, err = dial(c.addr, c.tls); err != nil {
				return err
			}
		}
		took, err := s.send(address(i), body)
		if err != nil {
			s.conn.Close()
			return fmt.Errorf("message %d: %w", i, err)
		}
		*replies = append(*replies, took)
		if c.keep {
			continue
		}
		if err := s.quit(); err != nil {
			return err
		}
		s = nil
	}
}

// filler is the text of a message of that size, less what header needs.
func filler(size int) []byte {
	line := strings.Repeat("X", 76) + "\r\n"
	n := max(size-150, 0)/len(line) + 1
	return append(bytes.Repeat([]byte(line), n), ".\r\n"...)
}

// replyPatience is how long a session waits for one answer: longer than any load test means to make it wait.
const replyPatience = 5 * time.Minute

// session is a connection to a server that takes mail.
type session struct {
	conn net.Conn
	r    *bufio.Reader
	line []byte // the command that is being sent
}

// dial connects and says EHLO, also after STARTTLS if there is a config for it.
func dial(addr string, conf *tls.Config) (*session, error) {
	// Of ten thousand clients that probe at the same moment the loopback device drops some, and their connections end.
	conn, err := (&net.Dialer{Timeout: replyPatience, KeepAlive: -1}).Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, r: bufio.NewReaderSize(conn, 512)}
	if err := s.greet(conf); err != nil {
		s.conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *session) greet(conf *tls.Config) error {
	if err := s.expect("220", "banner"); err != nil {
		return err
	}
	if err := s.command("250", "EHLO client.test"); err != nil || conf == nil {
		return err
	}
	if err := s.command("220", "STARTTLS"); err != nil {
		return err
	}
	t := tls.Client(s.conn, conf)
	if err := t.Handshake(); err != nil {
		return err
	}
	s.conn = t
	s.r.Reset(t)
	return s.command("250", "EHLO client.test")
}

// send transmits one message, and returns the time from the final dot to its 250.
func (s *session) send(e envelope, body []byte) (time.Duration, error) {
	if err := s.command("250", "MAIL FROM:<"+e.from+">"); err != nil {
		return 0, err
	}
	for _, to := range e.to {
		if err := s.command("250", "RCPT TO:<"+to+">"); err != nil {
			return 0, err
		}
	}
	if err := s.command("354", "DATA"); err != nil {
		return 0, err
	}
	s.line = fmt.Appendf(s.line[:0], "From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: Thu, 02 Jan 2026 03:04:05 +0000\r\n\r\n",
		e.from, e.to[0], e.subject)
	// What goes out last is small, so that the clock does not count how fast the message is transmitted.
	last := max(len(body)-8192, 0)
	if last > 0 {
		if _, err := s.conn.Write(append(s.line, body[:last]...)); err != nil {
			return 0, err
		}
		s.line = s.line[:0]
	}
	start := time.Now()
	s.line = append(s.line, body[last:]...)
	if _, err := s.conn.Write(s.line); err != nil {
		return 0, err
	}
	err := s.expect("250", "end of data")
	return time.Since(start), err
}

func (s *session) command(code, text string) error {
	if err := s.conn.SetDeadline(time.Now().Add(replyPatience)); err != nil {
		return err
	}
	s.line = append(append(s.line[:0], text...), "\r\n"...)
	if _, err := s.conn.Write(s.line); err != nil {
		return err
	}
	return s.expect(code, text)
}

// errReply wraps a reply of the server that was not the expected one.
var errReply = errors.New("the server answers")

// expect reads a reply of one line or several.
func (s *session) expect(code, what string) error {
	for {
		line, err := s.r.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if len(line) < 4 || string(line[:3]) != code {
			return fmt.Errorf("%s: %w %q", what, errReply, line)
		}
		if line[3] != '-' {
			return nil
		}
	}
}

func (s *session) quit() error {
	defer s.conn.Close()
	return s.command("221", "QUIT")
}
