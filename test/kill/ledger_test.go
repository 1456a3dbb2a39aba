package kill

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// letter is one message of the test: everything about it follows from its number, so that what
// arrives can be checked without keeping what was sent.
type letter struct {
	number int
	local  bool // for Drop, else for the next hop
}

func (l letter) rcpt() string {
	if l.local {
		return fmt.Sprintf("m%d@local.test", l.number)
	}
	return fmt.Sprintf("m%d@remote.test", l.number)
}

// size returns the length of the text: mostly some kilobytes, now and then up to a megabyte.
func (l letter) size() int {
	switch {
	case l.number%97 == 0:
		return 1 << 20
	case l.number%19 == 0:
		return 96 << 10
	}
	return 500 + l.number*37%6000
}

// reluctant reports whether the next hop refuses the letter for now when it sees it first.
func (l letter) reluctant() bool { return !l.local && l.number%7 == 0 }

// text returns the message: a header, and random lines that begin from the number, some of them with a dot.
func (l letter) text() []byte {
	var b strings.Builder
	b.Grow(l.size() + 400)
	fmt.Fprintf(&b, "From: sender@client.test\r\nTo: %s\r\nSubject: letter %d\r\nDate: Fri, 02 Jan 2026 03:04:05 +0000\r\n"+
		"Message-ID: <%d@client.test>\r\n\r\n", l.rcpt(), l.number, l.number)
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(l.number))
	random := rand.NewChaCha8(seed)
	line := make([]byte, 36)
	for end := b.Len() + l.size(); b.Len() < end; {
		random.Read(line)
		if line[0] < 32 {
			b.WriteByte('.')
		}
		b.WriteString(hex.EncodeToString(line))
		b.WriteString("\r\n")
	}
	return []byte(b.String())
}

// sum identifies a text.
func sum(text []byte) [32]byte { return sha256.Sum256(text) }

// ledger is what the test knows of all letters. Its methods may be called at the same time.
type ledger struct {
	mu       sync.Mutex
	next     int
	sent     map[int]letter      // transmission begun
	acked    map[int]bool        // the client has seen 250
	arrivals map[int][]time.Time // complete at their destination
	damaged  []string            // arrivals that are not what was sent
	kills    []kill              // in order
	deferred map[int]bool        // refused once by the next hop
}

// kill is one end of the server by force: when it was killed, and when its successor was ready.
type kill struct{ at, restart time.Time }

func newLedger() *ledger {
	return &ledger{sent: map[int]letter{}, acked: map[int]bool{}, arrivals: map[int][]time.Time{}, deferred: map[int]bool{}}
}

// letter opens a new letter; half of them are for Drop.
func (g *ledger) letter() letter {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next++
	l := letter{number: g.next, local: g.next%2 == 0}
	g.sent[l.number] = l
	return l
}

func (g *ledger) acknowledge(l letter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.acked[l.number] = true
}

// putOff reports whether the next hop shall refuse the letter for now: only once.
func (g *ledger) putOff(rcpt string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	l, ok := g.find(rcpt)
	if !ok || !l.reluctant() || g.deferred[l.number] {
		return false
	}
	g.deferred[l.number] = true
	return true
}

func (g *ledger) find(rcpt string) (letter, bool) {
	var n int
	if _, err := fmt.Sscanf(rcpt, "m%d@", &n); err != nil {
		return letter{}, false
	}
	l, ok := g.sent[n]
	return l, ok
}

// arrive notes an arrival of a message, without its trace fields.
func (g *ledger) arrive(rcpt string, text []byte, at time.Time) {
	got := sum(text)
	g.mu.Lock()
	l, ok := g.find(rcpt)
	g.mu.Unlock()
	same := ok && l.rcpt() == rcpt && got == sum(l.text())
	g.mu.Lock()
	defer g.mu.Unlock()
	if !same {
		g.damaged = append(g.damaged, fmt.Sprintf("%s: %d octets", rcpt, len(text)))
		return
	}
	g.arrivals[l.number] = append(g.arrivals[l.number], at)
}

func (g *ledger) kill(at, restart time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kills = append(g.kills, kill{at, restart})
}

// missing returns how many acknowledged letters of a kind have not arrived, and one of them.
func (g *ledger) missing(local bool) (n int, one letter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for number := range g.acked {
		if l := g.sent[number]; l.local == local && len(g.arrivals[number]) == 0 {
			n, one = n+1, l
		}
	}
	return n, one
}

// report is the outcome.
type report struct {
	sent, acked, arrived int
	unasked              int      // arrived though the client saw no 250: allowed, it will send again
	duplicates           int      // arrivals beyond the first
	settled              int      // duplicates that no kill soon after the first arrival excuses
	putOff               int      // were deferred once
	repeated             []string // the stories of the settled ones
}

// settle is how long after an arrival the spool must have it recorded as done, so that no
// restart repeats it: done marks are written together, but without waiting for company.
const settle = 2 * time.Second

func (g *ledger) report() report {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := report{sent: len(g.sent), acked: len(g.acked), arrived: len(g.arrivals), putOff: len(g.deferred)}
	for number, times := range g.arrivals {
		if !g.acked[number] {
			r.unasked++
		}
		r.duplicates += len(times) - 1
		for i, later := range times {
			for _, earlier := range times[:i] {
				if !g.excused(earlier, later) {
					r.settled++
					r.repeated = append(r.repeated, g.story(number))
					break
				}
			}
		}
	}
	return r
}

// story tells when a letter arrived, and when the server was killed between.
func (g *ledger) story(number int) string {
	times := g.arrivals[number]
	s := fmt.Sprintf("letter %d to %s, acknowledged %v, put off %v:", number, g.sent[number].rcpt(), g.acked[number], g.deferred[number])
	for i, at := range times {
		for k, kill := range g.kills {
			if i > 0 && kill.restart.After(times[i-1]) && kill.at.Before(at) {
				s += fmt.Sprintf(" kill %d after %v,", k+1, kill.at.Sub(times[0]).Round(time.Millisecond))
			}
		}
		s += fmt.Sprintf(" arrival %d after %v,", i+1, at.Sub(times[0]).Round(time.Millisecond))
	}
	return s
}

// excused reports whether a kill can be the reason that what arrived first arrived a second
// time: one that came before the first arrival was settled. The second arrival may be much later,
// and after further kills: the letter waited again. What a process has sent may be read by its peer
// after its death: up to the restart, arrivals count as from before the kill.
func (g *ledger) excused(first, second time.Time) bool {
	for _, k := range g.kills {
		if k.restart.After(first) && k.at.Before(second) && k.at.Before(first.Add(settle)) {
			return true
		}
	}
	return false
}
