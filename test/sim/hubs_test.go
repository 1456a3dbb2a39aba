package sim

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/dns"
)

// trait is how the mail exchanger of a domain behaves. The name of the domain is the trait's, so that an
// address says what will become of its mail.
type trait struct {
	domain string
	// answer may replace the reply to a verb; "" is the usual one, "cut" hangs up. attempt counts how
	// often this server has seen the recipient, from 1; chance is a number that depends on seed and
	// recipient alone.
	answer func(verb string, attempt, chance int) string
	wait   time.Duration // before each reply
	up     time.Duration // when it begins to listen; negative: never
	nxdomain, nullMX, twins,
	returned bool // no such domain; takes no mail; may take a message twice; its mail comes back
}

// traits are all there are; the relay's own domain is corp.test.
var traits = []trait{
	{domain: "good.test"},
	{domain: "slow.test", wait: 40 * time.Second},
	{domain: "grey.test", answer: func(verb string, attempt, chance int) string {
		if verb == "RCPT" && attempt <= 1+chance%5 {
			return "451 4.7.1 greylisted, come again"
		}
		return ""
	}},
	{domain: "busy.test", answer: func(verb string, attempt, chance int) string {
		if verb == "RCPT" && attempt == 1 && chance%2 == 0 {
			return "452 4.5.3 too many recipients"
		}
		return ""
	}},
	{domain: "cold.test", answer: func(verb string, attempt, chance int) string {
		if verb == "DATA" && attempt <= chance%4 {
			return "451 4.3.0 not now"
		}
		return ""
	}},
	{domain: "shut.test", answer: func(verb string, attempt, chance int) string {
		if verb == "MAIL" && chance%3 == 0 && attempt <= 2 {
			return "421 4.3.2 closing"
		}
		return ""
	}},
	{domain: "torn.test", answer: func(verb string, attempt, chance int) string {
		if verb == "DATA" && attempt <= 1+chance%3 {
			return "cut" // in the middle of the message
		}
		return ""
	}},
	{domain: "mute.test", twins: true, answer: func(verb string, attempt, chance int) string {
		if verb == "." && attempt <= chance%3 {
			return "cut" // it has the message and does not say so (bad input C3)
		}
		return ""
	}},
	{domain: "odd.test", answer: func(verb string, attempt, chance int) string {
		if verb == "RCPT" && attempt <= chance%3 {
			return "banana" // bad input C1
		}
		return ""
	}},
	{domain: "late.test", up: 20 * time.Hour},
	{domain: "unknown.test", returned: true, answer: func(verb string, _, _ int) string {
		if verb == "RCPT" {
			return "550 5.1.1 nobody of that name"
		}
		return ""
	}},
	{domain: "spam.test", returned: true, answer: func(verb string, _, _ int) string {
		if verb == "." {
			return "554 5.7.1 we do not like it"
		}
		return ""
	}},
	{domain: "dead.test", returned: true, up: -1},
	{domain: "nowhere.test", returned: true, nxdomain: true},
	{domain: "nothanks.test", returned: true, nullMX: true},
}

// hubs are the mail exchangers of all traits.
type hubs struct {
	seed  uint64
	done  sync.WaitGroup
	stops []func()

	mu       sync.Mutex
	attempts map[string]int // by recipient
	taken    []taken
}

// taken is a message that a hub keeps.
type taken struct {
	rcpts []string
	text  string
}

// chance returns a number that depends on the seed and the text alone.
func chance(seed uint64, text string) int {
	h := fnv.New64a()
	fmt.Fprint(h, seed, text)
	return int(h.Sum64() >> 33)
}

// openHubs makes the domains known and their servers listen, each when its trait says so.
func (w *world) openHubs() *hubs {
	h := &hubs{seed: w.seed, attempts: make(map[string]int)}
	for i := range traits {
		tr := &traits[i]
		address := fmt.Sprintf("198.51.100.%d", i+1)
		host := "mx." + tr.domain
		switch {
		case tr.nxdomain:
			continue
		case tr.nullMX:
			w.dns.Set(tr.domain, dns.Records{MX: []dns.MX{{Host: ".", Pref: 0}}})
			continue
		}
		w.dns.Set(tr.domain, dns.Records{MX: []dns.MX{{Host: host, Pref: 10}}})
		w.dns.Set(host, dns.Records{Addrs: []netip.Addr{netip.MustParseAddr(address)}})
		if tr.up < 0 {
			continue
		}
		stop := make(chan struct{})
		h.stops = append(h.stops, func() { close(stop) })
		h.done.Go(func() {
			select {
			case <-time.After(tr.up):
			case <-stop:
				return
			}
			l, err := w.net.Listen(w.t.Context(), "tcp", address+":25")
			if err != nil {
				w.t.Error(err)
				return
			}
			h.done.Go(func() { <-stop; l.Close() })
			h.accept(l, tr)
		})
	}
	return h
}

func (h *hubs) accept(l net.Listener, tr *trait) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		h.done.Go(func() { h.talk(c, tr) })
	}
}

// close ends all servers. Their clients must have gone.
func (h *hubs) close() {
	for _, stop := range h.stops {
		stop()
	}
	h.done.Wait()
}

// talk is one connection.
func (h *hubs) talk(c net.Conn, tr *trait) {
	defer c.Close()
	t := &talker{hubs: h, tr: tr, r: bufio.NewReader(c), w: c}
	t.say("220 mx." + tr.domain + " ESMTP")
	for t.command() {
	}
}

type talker struct {
	*hubs
	tr    *trait
	r     *bufio.Reader
	w     io.Writer
	from  string
	rcpts []string
}

func (t *talker) say(line string) {
	time.Sleep(t.tr.wait)
	_, _ = io.WriteString(t.w, line+"\r\n")
}

// command handles one; false ends the connection.
func (t *talker) command() bool {
	line, err := t.r.ReadString('\n')
	if err != nil {
		return false
	}
	switch verb := strings.ToUpper(line[:min(4, len(line))]); verb {
	case "EHLO":
		t.say("250-mx." + t.tr.domain + "\r\n250-PIPELINING\r\n250 8BITMIME")
	case "MAIL":
		t.from, t.rcpts = path(line), nil
		return t.reply(verb, t.from, "250 2.1.0 ok")
	case "RCPT":
		rcpt := path(line)
		t.mu.Lock()
		t.attempts[rcpt]++
		t.mu.Unlock()
		return t.reply(verb, rcpt, "250 2.1.5 ok")
	case "DATA":
		return t.data()
	case "QUIT":
		t.say("221 2.0.0 bye")
		return false
	default:
		t.say("250 2.0.0 ok")
	}
	return true
}

// reply says what the trait wants, or the usual. MAIL is judged by the sender, who stands for the message.
func (t *talker) reply(verb, who, usual string) bool {
	switch answer := t.ask(verb, who); answer {
	case "":
		if verb == "RCPT" {
			t.rcpts = append(t.rcpts, who)
		}
		t.say(usual)
	case "cut":
		return false
	default:
		t.say(answer)
		return !strings.HasPrefix(answer, "421")
	}
	return true
}

func (t *talker) ask(verb, who string) string {
	if t.tr.answer == nil {
		return ""
	}
	t.mu.Lock()
	if verb == "MAIL" {
		t.attempts["from "+who]++
		who = "from " + who
	}
	n := t.attempts[who]
	t.mu.Unlock()
	return t.tr.answer(verb, n, chance(t.seed, who))
}

func (t *talker) data() bool {
	if len(t.rcpts) == 0 {
		t.say("554 5.5.1 no recipients")
		return true
	}
	switch answer := t.ask("DATA", t.rcpts[0]); answer {
	case "":
	case "cut":
		t.say("354 go on")
		_, _ = t.r.ReadString('\n')
		return false
	default:
		t.say(answer)
		return true
	}
	t.say("354 go on")
	var b strings.Builder
	for {
		line, err := t.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
	answer := t.ask(".", t.rcpts[0])
	if answer == "" || answer == "cut" {
		t.mu.Lock()
		t.taken = append(t.taken, taken{t.rcpts, b.String()})
		t.mu.Unlock()
	}
	switch answer {
	case "":
		t.say("250 2.0.0 taken")
	case "cut":
		return false
	default:
		t.say(answer)
	}
	t.rcpts = nil
	return true
}

// path returns what stands between the angle brackets.
func path(line string) string {
	_, rest, _ := strings.Cut(line, "<")
	p, _, _ := strings.Cut(rest, ">")
	return p
}

// Each trait is known by its domain, and the domains differ.
func TestTraits(t *testing.T) {
	seen := make(map[string]bool)
	for _, tr := range traits {
		if tr.domain == "" || seen[tr.domain] {
			t.Errorf("domain %q", tr.domain)
		}
		seen[tr.domain] = true
	}
}
