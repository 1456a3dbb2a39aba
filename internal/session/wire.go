package session

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mailroot/mailroot/internal/smtp"
)

// The ends of reading besides those of the network.
var (
	errIdle     = errors.New("session: idle time-out")
	errSlow     = errors.New("session: data comes too slowly")
	errResting  = errors.New("session: at rest")
	errStopped  = errors.New("session: shut down")
	errEndless  = errors.New("session: command line without end")
	errLongLine = errors.New("session: command line too long")
	errLongBare = errors.New("session: command line too long, with a bare CR or LF")
	errForeign  = errors.New("session: not SMTP")
)

// tlsHandshake is the first octet of a TLS record that opens a connection.
const tlsHandshake = 0x16

// wire moves octets: it holds the buffers, sets the deadlines and knows when to flush.
//
// Every read and write has a deadline. Setting one costs, so one that is early enough is left
// in place; when it fires before its time it is set anew.
type wire struct {
	c    net.Conn // raw, or TLS over it
	raw  net.Conn
	idle time.Duration
	now  time.Time // of the last look at the clock

	buf      []byte // pooled; buf[pos:end] has arrived but was not used
	pos, end int
	seen     int  // buf[pos:pos+seen] holds no LF
	full     bool // the last read filled the buffer: more may be waiting
	data     bool // message data is read: use a large buffer

	out   []byte // composed but not sent; pooled
	wrErr error
	rdErr error // of a read for the first octet of a command; the next one returns it

	readBy, writeBy time.Time // the deadlines in force; zero: none

	mayRest bool            // nothing is at stake: the first octet of a command is waited for
	resting syscall.RawConn // what a session at rest waits with; nil: it is not at rest
	since   time.Time       // when the wait for that octet began; zero: there was none

	rate rate

	// busy says that a transaction is open, which a shut down lets finish.
	busy     bool
	grace    time.Duration
	stopped  atomic.Bool
	graceEnd time.Time // once the stop was noticed
}

func (w *wire) init(c net.Conn, o *Options) {
	w.c, w.raw, w.now = c, c, time.Now()
	w.idle, w.grace = o.idleTimeout(), o.grace()
	w.rate.min, w.rate.grace = o.minRate(), o.rateGrace()
}

// stop wakes a session that waits for its client. It is called from outside.
func (w *wire) stop() {
	w.stopped.Store(true)
	// An error says that the connection is gone, which the reader will notice too.
	_ = w.raw.SetReadDeadline(time.Unix(1, 0))
}

// buffered returns how many octets have arrived but were not used.
func (w *wire) buffered() int { return w.end - w.pos }

// recordTime is how long more waits for the rest of a TLS record that has begun to arrive.
const recordTime = time.Millisecond

// more reports whether the client has sent more than was used: in the buffer, in the TLS layer or in
// the socket, whose reads end where the buffer was full. It does not wait; what arrives later cannot be
// known.
func (w *wire) more() bool {
	if w.buffered() > 0 {
		return true
	}
	waits := pending(w.raw)
	if w.c == w.raw {
		return waits
	}
	// What waits in the socket may be a record that is no data, and what the TLS layer holds
	// does not show but by reading. Nothing waits longer than a moment for the rest of a record.
	until := time.Unix(1, 0)
	if waits {
		until = time.Now().Add(recordTime)
	}
	_ = w.raw.SetReadDeadline(until)
	w.readBy = time.Time{}
	w.makeRoom()
	// An error comes again with the next read, but for that of the deadline.
	n, _ := w.c.Read(w.buf[w.end:])
	w.end += n
	return n > 0
}

// look returns the time. What has passed since the last look was not the client's.
func (w *wire) look() time.Time {
	now := time.Now()
	w.rate.pause(now.Sub(w.now))
	w.now = now
	return now
}

// line returns the next command line with its line end. It is valid until the next read.
// Replies are sent before it waits, and only then: a group of pipelined commands that has
// arrived as a whole is answered as a whole (RFC 2920 §3.2).
//
// A line has the idle time as a whole, however it drips in (bad input F22).
func (w *wire) line() ([]byte, error) {
	since := w.since
	w.since = time.Time{}
	for {
		if w.buffered() > 0 && w.buf[w.pos] == tlsHandshake {
			return nil, errForeign
		}
		if i := bytes.IndexByte(w.buf[w.pos+w.seen:w.end], '\n'); i >= 0 {
			n := w.seen + i + 1
			line := w.buf[w.pos : w.pos+n]
			w.pos += n
			w.seen = 0
			if n > smtp.MaxCommandLine {
				l := longLine{}
				l.add(line)
				return l.result()
			}
			return line, nil
		}
		w.seen = w.buffered()
		if w.seen > smtp.MaxCommandLine {
			return w.drain(since)
		}
		if err := w.fill(&since); err != nil {
			return nil, err
		}
	}
}

// chunk returns up to limit octets that have arrived, after waiting for at least one.
func (w *wire) chunk(limit int64) ([]byte, error) {
	if w.pos == w.end {
		var since time.Time
		if err := w.fill(&since); err != nil {
			return nil, err
		}
	}
	return w.buf[w.pos : w.pos+int(min(limit, int64(w.buffered())))], nil
}

// use marks n octets as used.
func (w *wire) use(n int) { w.pos += n }

// fill waits for octets. Everything composed is sent before. The idle time begins at since, which is
// set to now if it is zero.
func (w *wire) fill(since *time.Time) error {
	w.look()
	if err := w.flush(w.now); err != nil {
		return err
	}
	if w.rdErr != nil {
		return w.rdErr
	}
	if since.IsZero() {
		*since = w.now
	}
	w.makeRoom()
	for {
		if w.stopped.Load() {
			if err := w.stopping(); err != nil {
				return err
			}
		}
		w.arm(*since)
		// A stop that came after the look above set a deadline that arm may have replaced.
		if w.stopped.Load() && w.graceEnd.IsZero() {
			continue
		}
		n, err := w.c.Read(w.buf[w.end:])
		w.now = time.Now()
		if n > 0 {
			w.end += n
			w.full = w.end == len(w.buf)
			w.rate.add(n)
			return nil
		}
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		default:
			w.readBy = time.Time{}
			if err := w.expired(*since); err != nil {
				return err
			}
			if w.mayRest && w.now.Sub(*since) >= restAfter && w.rest(*since) {
				return errResting
			}
		}
	}
}

// arm makes sure that reading ends when something is due.
func (w *wire) arm(begin time.Time) {
	until := begin.Add(w.idle)
	if w.rate.on && w.rate.due.Before(until) {
		until = w.rate.due
	}
	if !w.graceEnd.IsZero() && w.graceEnd.Before(until) {
		until = w.graceEnd
	}
	if rest := w.now.Add(restAfter); w.mayRest && rest.Before(until) {
		until = rest
	}
	if w.readBy.After(until) || !w.readBy.After(w.now) {
		w.readBy = until
		// An error shows in the read that follows.
		_ = w.raw.SetReadDeadline(until)
	}
}

// expired finds out whose time is over, if anybody's.
func (w *wire) expired(begin time.Time) error {
	if !w.graceEnd.IsZero() && !w.now.Before(w.graceEnd) {
		return errStopped
	}
	if w.rate.on && !w.rate.check(w.now) {
		return errSlow
	}
	if !w.now.Before(begin.Add(w.idle)) {
		return errIdle
	}
	return nil
}

// stopping says whether a session that is shut down has to end now.
func (w *wire) stopping() error {
	if w.graceEnd.IsZero() {
		w.graceEnd = w.now.Add(w.grace)
	}
	if !w.busy {
		return errStopped
	}
	return nil // until graceEnd, which is a deadline from now on
}

// makeRoom makes sure that there is room behind end, in a buffer of the size that fits: small
// while idle, so that a waiting session costs little.
func (w *wire) makeRoom() {
	if w.pos == w.end {
		w.pos, w.end = 0, 0
		want := smallBuffer
		switch {
		case w.data:
			want = largeBuffer
		case w.full:
			want = middleBuffer
		}
		if len(w.buf) != want {
			putBuffer(w.buf)
			w.buf = getBuffer(want)
		}
		return
	}
	if w.end < len(w.buf) {
		return
	}
	to := w.buf
	if w.pos == 0 {
		to = getBuffer(nextBuffer(len(w.buf)))
	}
	n := copy(to, w.buf[w.pos:w.end])
	if w.pos == 0 {
		putBuffer(w.buf)
		w.buf = to
	}
	w.pos, w.end = 0, n
}

// flush sends what was composed.
func (w *wire) flush(now time.Time) error {
	if len(w.out) == 0 || w.wrErr != nil {
		return w.wrErr
	}
	if w.writeBy.Sub(now) < w.idle/2 {
		w.writeBy = now.Add(w.idle)
		// An error shows in the write that follows.
		_ = w.raw.SetWriteDeadline(w.writeBy)
	}
	_, w.wrErr = w.c.Write(w.out)
	putOut(w.out)
	w.out = nil
	return w.wrErr
}

// grow returns the buffer for replies, with room for a usual one. A group of commands whose
// replies fill it is answered in pieces.
func (w *wire) grow() []byte {
	if len(w.out) > outBuffer/2 {
		// The error is kept and shows at the next read.
		_ = w.flush(w.now)
	}
	if w.out == nil {
		w.out = getOut()
	}
	return w.out
}

// secure goes on over TLS. The deadlines were used by the handshake.
func (w *wire) secure(c *tls.Conn) {
	w.c = c
	w.readBy, w.writeBy = time.Time{}, time.Time{}
}

// partingTime bounds the last write.
const partingTime = 5 * time.Second

// close sends what is composed, closes the connection and gives the buffers back.
func (w *wire) close(reason CloseReason) {
	w.now = time.Now()
	w.writeBy = w.now.Add(min(w.idle, partingTime))
	_ = w.raw.SetWriteDeadline(w.writeBy)
	linger := w.flush(w.now) == nil
	switch reason {
	case ClosedByQuit:
		linger = linger && w.buffered() > 0
	case ClosedByClient, ClosedByNetwork, ClosedByOperator:
		linger = false
	}
	if w.c != w.raw {
		// Says close_notify, and closes raw unless we linger.
		if t, ok := w.c.(*tls.Conn); ok && linger {
			_ = t.CloseWrite()
		} else {
			_ = w.c.Close()
		}
	}
	if half, ok := unwrap(w.raw).(interface{ CloseWrite() error }); ok && linger {
		if half.CloseWrite() == nil {
			w.linger(lingerFor(reason))
		}
	}
	// Nothing is left to be done about an error.
	_ = w.raw.Close()
	putBuffer(w.buf)
	putOut(w.out)
	w.buf, w.out, w.pos, w.end = nil, nil, 0, 0
}

// unwrap returns the connection within c as far as NetConn leads.
func unwrap(c net.Conn) net.Conn {
	for {
		in, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = in.NetConn()
	}
}

// socket returns what gives access to the socket of c; nil: c is none.
func socket(c net.Conn) syscall.RawConn {
	sc, ok := unwrap(c).(syscall.Conn)
	if !ok {
		return nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return rc
}

// ended says what a failed read or write means.
func ended(err error) CloseReason {
	if errors.Is(err, io.EOF) {
		return ClosedByClient
	}
	return ClosedByNetwork
}
