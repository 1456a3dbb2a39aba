package service

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// Notices counts what was not well with clients since the start.
type Notices struct {
	Denied           uint64 // connections refused by connection control
	RelayRefused     uint64 // recipients
	TLSFailures      uint64 // handshakes
	SessionSizeMet   uint64 // connections ended by the session size
	RepairedMessages uint64 // with line ends that were made CRLF
	RepairedLineEnds uint64
}

// notices tells the service's log what sessions record of refusals and faults, and counts it. Clients
// decide how often something happens, so of each kind only noticeBurst lines come in noticeSpan; the
// next one says how many were left out.
type notices struct {
	log *slog.Logger

	denied, relayRefused, tlsFailures, sizes, repairedMessages, repairedLineEnds atomic.Uint64

	mu    sync.Mutex
	kinds [noticeKinds]struct {
		since time.Time // the begin of the span
		lines int       // in it
		left  int       // not told since the last line
	}
	large largeSenders
}

const (
	noticeBurst = 10
	noticeSpan  = time.Minute
	// maxNoticeText bounds the texts of a line, in octets.
	maxNoticeText = 500
)

type noticeKind uint8

const (
	noticeFault noticeKind = iota
	noticeConnection
	noticeRelay
	noticeTLS
	noticeLarger
	noticeRefused
	noticeSize
	noticeStore
	noticeReport
	noticeLost
	noticeKinds // how many there are
)

// take looks at an exchange with a client that has a reason or repaired line ends.
func (n *notices) take(x *mail.Exchange) {
	if x.Repaired > 0 {
		n.repairedMessages.Add(1)
		n.repairedLineEnds.Add(uint64(x.Repaired))
	}
	switch {
	case x.Reason == "":
	case x.Enhanced.Class == 4 && x.Enhanced.Subject == 3 && x.Verb != "CONNECT":
		// X.3.X is trouble of the mail system: ours.
		n.tell(noticeFault, slog.LevelError, "a client was put off because of trouble of ours", x)
	case x.Verb == "CONNECT":
		if x.Code == 554 && x.Enhanced.Subject == 7 {
			n.denied.Add(1)
		}
		n.tell(noticeConnection, slog.LevelInfo, "a connection was refused", x)
	case x.Verb == "RCPT" && x.Enhanced == mail.Enhanced(5, 7, 1):
		n.relayRefused.Add(1)
		n.tell(noticeRelay, slog.LevelInfo, "a recipient was refused", x)
	case x.Verb == "TLS":
		n.tlsFailures.Add(1)
		n.tell(noticeTLS, slog.LevelInfo, "a TLS handshake failed", x)
	case x.Code < 300 && x.Code > 0:
		n.tell(noticeLarger, slog.LevelInfo, "a message is not what the client declared", x)
	default:
		n.tell(noticeRefused, slog.LevelInfo, "a client was refused", x)
	}
}

// trouble tells of an error of our own, under the same terms.
func (n *notices) trouble(kind noticeKind, text string, attrs ...any) {
	left, ok := n.may(kind)
	if !ok {
		return
	}
	if left > 0 {
		attrs = append(attrs, "left_out", left)
	}
	n.log.Error(text, attrs...)
}

// tell writes a line about an exchange, unless there were many of its kind.
func (n *notices) tell(kind noticeKind, level slog.Level, text string, x *mail.Exchange) {
	left, ok := n.may(kind)
	if !ok {
		return
	}
	attrs := append(make([]slog.Attr, 0, 8), slog.String("client", x.Remote.String()), slog.String("helo", limited(x.Helo)))
	if x.Verb == "TLS" {
		attrs = append(attrs, slog.String("version", x.Arg))
	} else {
		attrs = append(attrs, slog.String("verb", x.Verb), slog.String("reply", mail.NewReply(x.Code, x.Enhanced, "").String()))
	}
	if kind == noticeRelay {
		attrs = append(attrs, slog.String("argument", limited(x.Arg)))
	}
	attrs = append(attrs, slog.String("reason", limited(x.Reason)))
	if left > 0 {
		attrs = append(attrs, slog.Int("left_out", left))
	}
	n.log.LogAttrs(context.Background(), level, text, attrs...)
}

// may reports whether another line of a kind may be written, and how many were not before it.
func (n *notices) may(kind noticeKind) (left int, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := &n.kinds[kind]
	if now := time.Now(); now.Sub(k.since) >= noticeSpan {
		k.since, k.lines = now, 0
	}
	burst := noticeBurst
	if kind == noticeStore {
		burst = 1 // one disk fails for all messages alike
	}
	if k.lines >= burst {
		k.left++
		return 0, false
	}
	left, k.left = k.left, 0
	k.lines++
	return left, true
}

func limited(s string) string { return s[:min(len(s), maxNoticeText)] }

// counts returns the figures of the moment.
func (n *notices) counts() Notices {
	return Notices{
		Denied: n.denied.Load(), RelayRefused: n.relayRefused.Load(), TLSFailures: n.tlsFailures.Load(),
		SessionSizeMet:   n.sizes.Load(),
		RepairedMessages: n.repairedMessages.Load(), RepairedLineEnds: n.repairedLineEnds.Load(),
	}
}

// sizeMet notes a client whose message has reached the session size. Most take the closed connection
// for a passing fault and come again, so that the second time is a warning.
func (n *notices) sizeMet(client netip.Addr) {
	n.sizes.Add(1)
	n.mu.Lock()
	times := n.large.add(client, time.Now())
	n.mu.Unlock()
	if times < 2 {
		return
	}
	if left, ok := n.may(noticeSize); ok {
		n.log.Warn("a client meets the session size repeatedly; it is likely to send its message again",
			"client", client.String(), "times", times, "left_out", left)
	}
}

// warnings are those for status.
func (n *notices) warnings() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	client, met, ok := n.large.repeated(time.Now())
	if !ok {
		return nil
	}
	return []string{fmt.Sprintf("the client %s has met the session size %d times, the last time at %s, and is likely to send its message again: "+
		"have it send less, or raise messages.max_session_size", client, met.times, met.last.Format("2006-01-02 15:04"))}
}

// largeSenders remembers which clients have met the session size.
type largeSenders struct {
	seen map[netip.Addr]sizeMet
	last netip.Addr // the last that met it at least twice
}

type sizeMet struct {
	times int
	last  time.Time
}

const (
	// maxLargeSenders bounds the memory; the client that was quiet for longest makes room.
	maxLargeSenders = 128
	// largeMemory is how long a client is remembered.
	largeMemory = 24 * time.Hour
)

// add counts and returns how many times the client has met the limit.
func (l *largeSenders) add(client netip.Addr, now time.Time) int {
	if l.seen == nil {
		l.seen = make(map[netip.Addr]sizeMet)
	}
	m, known := l.seen[client]
	if now.Sub(m.last) >= largeMemory {
		m.times = 0
	}
	if !known && len(l.seen) >= maxLargeSenders {
		oldest := client
		for a, other := range l.seen {
			if oldest == client || other.last.Before(l.seen[oldest].last) {
				oldest = a
			}
		}
		delete(l.seen, oldest)
	}
	m.times, m.last = m.times+1, now
	l.seen[client] = m
	if m.times >= 2 {
		l.last = client
	}
	return m.times
}

// repeated returns the last client that met the limit at least twice, as long as it is remembered.
func (l *largeSenders) repeated(now time.Time) (netip.Addr, sizeMet, bool) {
	m, ok := l.seen[l.last]
	return l.last, m, ok && now.Sub(m.last) < largeMemory
}
