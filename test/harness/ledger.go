package harness

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Letter is one message of the test: everything about it follows from its number, so that what
// arrives can be checked without keeping what was sent.
type Letter struct {
	Number int
	Local  bool // for Drop, else for the next hop
}

// Rcpt returns the one recipient.
func (l Letter) Rcpt() string {
	if l.Local {
		return fmt.Sprintf("m%d@local.test", l.Number)
	}
	return fmt.Sprintf("m%d@remote.test", l.Number)
}

// size returns the length of the text: mostly some kilobytes, now and then a megabyte, or so much that the spool
// keeps it in a file of its own.
func (l Letter) size() int {
	switch {
	case l.Number%194 == 97:
		return 5 << 19
	case l.Number%97 == 0:
		return 1 << 20
	case l.Number%19 == 0:
		return 96 << 10
	}
	return 500 + l.Number*37%6000
}

// reluctant reports whether the next hop refuses the letter for now when it sees it first.
func (l Letter) reluctant() bool { return !l.Local && l.Number%7 == 0 }

// Text returns the message: a header, and random lines that begin from the number, some of them with a dot.
func (l Letter) Text() []byte {
	var b strings.Builder
	b.Grow(l.size() + 400)
	fmt.Fprintf(&b, "From: sender@client.test\r\nTo: %s\r\nSubject: letter %d\r\nDate: Fri, 02 Jan 2026 03:04:05 +0000\r\n"+
		"Message-ID: <%d@client.test>\r\n\r\n", l.Rcpt(), l.Number, l.Number)
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(l.Number))
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

// Ledger is what a test knows of all letters. Its methods may be called at the same time.
type Ledger struct {
	// Remote sends no letter to Drop. It is set before the first.
	Remote bool

	mu       sync.Mutex
	next     int
	sent     map[int]Letter      // transmission begun
	acked    map[int]bool        // the client has seen 250
	arrivals map[int][]time.Time // complete at their destination
	damaged  []string            // arrivals that are not what was sent
	kills    []kill              // in order
	deferred map[int]bool        // refused once by the next hop
}

// kill is one end of the server by force: when it was killed, and when its successor was ready.
type kill struct{ at, restart time.Time }

// NewLedger returns an empty Ledger.
func NewLedger() *Ledger {
	return &Ledger{sent: map[int]Letter{}, acked: map[int]bool{}, arrivals: map[int][]time.Time{}, deferred: map[int]bool{}}
}

// Next opens a new letter; half of them are for Drop, unless all are for the next hop.
func (g *Ledger) Next() Letter {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next++
	l := Letter{Number: g.next, Local: g.next%2 == 0 && !g.Remote}
	g.sent[l.Number] = l
	return l
}

// Acknowledge notes that the server has said 250.
func (g *Ledger) Acknowledge(l Letter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.acked[l.Number] = true
}

// PutOff reports whether the next hop shall refuse the letter for now: only once.
func (g *Ledger) PutOff(rcpt string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	l, ok := g.find(rcpt)
	if !ok || !l.reluctant() || g.deferred[l.Number] {
		return false
	}
	g.deferred[l.Number] = true
	return true
}

func (g *Ledger) find(rcpt string) (Letter, bool) {
	var n int
	if _, err := fmt.Sscanf(rcpt, "m%d@", &n); err != nil {
		return Letter{}, false
	}
	l, ok := g.sent[n]
	return l, ok
}

// Arrive notes an arrival of a message, without its trace fields.
func (g *Ledger) Arrive(rcpt string, text []byte, at time.Time) {
	got := sum(text)
	g.mu.Lock()
	l, ok := g.find(rcpt)
	g.mu.Unlock()
	same := ok && l.Rcpt() == rcpt && got == sum(l.Text())
	g.mu.Lock()
	defer g.mu.Unlock()
	if !same {
		g.damaged = append(g.damaged, fmt.Sprintf("%s: %d octets", rcpt, len(text)))
		return
	}
	g.arrivals[l.Number] = append(g.arrivals[l.Number], at)
}

// Killed notes an end of the server by force, and the start after it.
func (g *Ledger) Killed(at, restart time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kills = append(g.kills, kill{at, restart})
}

// Missing returns how many acknowledged letters of a kind have not arrived, and one of them.
func (g *Ledger) Missing(local bool) (n int, one Letter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for number := range g.acked {
		if l := g.sent[number]; l.Local == local && len(g.arrivals[number]) == 0 {
			n, one = n+1, l
		}
	}
	return n, one
}

// LedgerReport is the outcome.
type LedgerReport struct {
	Sent, Acked, Arrived int
	Unasked              int      // arrived though the client saw no 250: allowed, it will send again
	Duplicates           int      // arrivals beyond the first
	Settled              int      // duplicates that no kill soon after the first arrival excuses
	PutOff               int      // were deferred once
	Repeated             []string // the stories of the settled ones
}

// settle is how long after an arrival the spool must have it recorded as done, so that no
// restart repeats it: done marks are written together, but without waiting for company.
const settle = 2 * time.Second

// Report returns the outcome so far.
func (g *Ledger) Report() LedgerReport {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := LedgerReport{Sent: len(g.sent), Acked: len(g.acked), Arrived: len(g.arrivals), PutOff: len(g.deferred)}
	for number, times := range g.arrivals {
		if !g.acked[number] {
			r.Unasked++
		}
		r.Duplicates += len(times) - 1
		for i, later := range times {
			for _, earlier := range times[:i] {
				if !g.excused(earlier, later) {
					r.Settled++
					r.Repeated = append(r.Repeated, g.story(number))
					break
				}
			}
		}
	}
	return r
}

// AckedLocal returns how many acknowledged letters are for Drop.
func (g *Ledger) AckedLocal() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for number := range g.acked {
		if g.sent[number].Local {
			n++
		}
	}
	return n
}

// Damaged lists the arrivals that are not what was sent.
func (g *Ledger) Damaged() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.damaged)
}

// ArriveAt notes an arrival at a sink; the test fails when it has no trace fields of ours.
func (g *Ledger) ArriveAt(tb testing.TB, m *SinkMessage) {
	n, err := TraceLen(m.Data)
	if err != nil || len(m.Rcpts) != 1 {
		tb.Errorf("at the sink for %q: %v", m.Rcpts, err)
		return
	}
	g.Arrive(m.Rcpts[0], m.Data[n:], m.Time)
}

// Load sends letters to a server, several on a connection, until it is told to stop or goOn, asked about each error,
// says no. A nil goOn never says yes.
func (g *Ledger) Load(addr string, stop <-chan struct{}, goOn func(error) bool) {
	for {
		err := g.session(addr, stop)
		select {
		case <-stop:
			return
		default:
		}
		if err != nil && (goOn == nil || !goOn(err)) {
			return
		}
	}
}

func (g *Ledger) session(addr string, stop <-chan struct{}) error {
	c, err := Dial(addr, "client.test")
	if err != nil {
		return err
	}
	defer c.Close()
	for range 1 + rand.IntN(20) {
		select {
		case <-stop:
			return nil
		default:
		}
		l := g.Next()
		if err := c.Send("sender@client.test", []string{l.Rcpt()}, l.Text()); err != nil {
			return err
		}
		g.Acknowledge(l)
	}
	return c.Quit()
}

// story tells when a letter arrived, and when the server was killed between.
func (g *Ledger) story(number int) string {
	times := g.arrivals[number]
	s := fmt.Sprintf("letter %d to %s, acknowledged %v, put off %v:", number, g.sent[number].Rcpt(), g.acked[number], g.deferred[number])
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
func (g *Ledger) excused(first, second time.Time) bool {
	for _, k := range g.kills {
		if k.restart.After(first) && k.at.Before(second) && k.at.Before(first.Add(settle)) {
			return true
		}
	}
	return false
}
