package sim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// ledger is the account of a run: who was promised delivery, and what became of it.
type ledger struct {
	promised map[string]*account // by recipient; each recipient gets one message
	order    []string
}

// account is one recipient.
type account struct {
	trait    *trait // nil: a local recipient
	sender   string
	text     string // of the message; "": nobody compares it
	unsure   bool   // the client sent it again after an answer that it could not know
	arrived  int    // copies that somebody has
	returned int    // reports that reached the sender, or Badmail in his stead
	waiting  int    // still in the queue
}

func newLedger() *ledger { return &ledger{promised: make(map[string]*account)} }

// promise notes that a recipient's mail has been taken.
func (l *ledger) promise(rcpt string, a *account) {
	l.promised[rcpt] = a
	l.order = append(l.order, rcpt)
}

// submit sends a message until it is accepted, as a client does that does not give up. It fails the test
// when that takes more than two days.
func (w *world) submit(l *ledger, from string, to []string, domains []*trait, text string) {
	w.t.Helper()
	unsure := false
	for range 300 {
		accepted, lost, err := w.offer(from, to, text)
		unsure = unsure || lost
		if err != nil {
			if w.heard != nil {
				w.heard(err)
			}
			time.Sleep(10 * time.Minute)
			continue
		}
		if len(accepted) != len(to) {
			w.t.Fatalf("of %q only %q were accepted", to, accepted)
		}
		for i, rcpt := range to {
			l.promise(rcpt, &account{trait: domains[i], sender: from, unsure: unsure})
		}
		return
	}
	w.t.Fatalf("%q is not accepted in two days", to)
}

var errRefused = errors.New("refused")

// offer makes one attempt to submit. lost says that the answer to the message did not come, so that
// it may have been accepted.
func (w *world) offer(from string, to []string, text string) (accepted []string, lost bool, err error) {
	c, err := w.net.Dial(w.t.Context(), "tcp", relay)
	if err != nil {
		return nil, false, err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	if err := expect(c, r, "", "220"); err != nil {
		return nil, false, err
	}
	for _, line := range []string{"EHLO client.test", "MAIL FROM:<" + from + ">"} {
		if err := expect(c, r, line, "250"); err != nil {
			return nil, false, err
		}
	}
	for _, rcpt := range to {
		if err := expect(c, r, "RCPT TO:<"+rcpt+">", "250"); err != nil {
			return nil, false, err
		}
		accepted = append(accepted, rcpt)
	}
	if err := expect(c, r, "DATA", "354"); err != nil {
		return nil, false, err
	}
	if err := expect(c, r, text+".", "250"); err != nil {
		// 451 may hide a message that was stored all the same (mail.ErrUnknownOutcome).
		return nil, true, err
	}
	_ = expect(c, r, "QUIT", "221")
	return accepted, false, nil
}

// expect sends a line, unless it is empty, and reads a reply that must have the code.
func expect(c net.Conn, r *bufio.Reader, say, code string) error {
	if say != "" {
		if _, err := io.WriteString(c, say+"\r\n"); err != nil {
			return err
		}
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, code) {
			return fmt.Errorf("%w: %s", errRefused, line)
		}
		if len(line) > 3 && line[3] == ' ' {
			return nil
		}
	}
}

// settle looks where everything is and fills in the accounts.
func (w *world) settle(l *ledger, h *hubs) {
	w.t.Helper()
	for _, m := range h.taken {
		if isReport(m.text) {
			l.returns(failed(m.text))
			continue
		}
		for _, rcpt := range m.rcpts {
			l.arrives(rcpt)
		}
	}
	for _, file := range w.files("Drop", ".eml") {
		head, text, _ := strings.Cut(file, "\r\nReceived:")
		if isReport(text) {
			l.returns(failed(text))
			continue
		}
		for line := range strings.SplitSeq(head, "\r\n") {
			if rcpt, ok := strings.CutPrefix(line, "x-receiver: "); ok {
				l.arrives(rcpt)
			}
		}
	}
	w.settleBadmail(l)
	w.settleQueue(l)
}

// settleBadmail counts reports that failed, and messages without a sender.
func (w *world) settleBadmail(l *ledger) {
	w.t.Helper()
	for _, file := range w.files("Badmail", ".BDP") {
		var p struct {
			Name, Source string
			Sender       struct{ Address string }
			Recipients   []struct {
				Address string
				Failed  bool
			}
		}
		if err := json.Unmarshal([]byte(file), &p); err != nil {
			w.t.Fatal(err)
		}
		switch {
		case p.Source == "report":
			l.returns(failed(w.read(dataDir + "/default/Badmail/" + p.Name + ".BAD")))
		case p.Sender.Address == "":
			for _, r := range p.Recipients {
				if r.Failed {
					l.returns([]string{r.Address})
				}
			}
		}
	}
}

func isReport(text string) bool { return strings.Contains(text, "report-type=delivery-status") }

// failed returns the recipients that a report says have failed.
func failed(text string) (out []string) {
	rcpt := ""
	for line := range strings.SplitSeq(text, "\r\n") {
		if r, ok := strings.CutPrefix(line, "Final-Recipient: rfc822; "); ok {
			rcpt = r
		}
		if line == "Action: failed" && rcpt != "" {
			out = append(out, rcpt)
			rcpt = ""
		}
	}
	return out
}

func (l *ledger) arrives(rcpt string) {
	if a := l.promised[rcpt]; a != nil {
		a.arrived++
	}
}

func (l *ledger) returns(rcpts []string) {
	for _, rcpt := range rcpts {
		if a := l.promised[rcpt]; a != nil {
			a.returned++
		}
	}
}

// faults says what a run had to bear besides its peers.
type faults struct {
	cuts int  // of power
	disk bool // operations failed
}

// check returns what is wrong: lost mail above all. Copies too many are wrong where nothing excuses them:
// a client or a server that did not hear an answer, a cut of power, a disk that failed.
func (l *ledger) check(f faults) (wrong []string, extra int) {
	for _, rcpt := range l.order {
		a := l.promised[rcpt]
		n := a.arrived + a.returned + a.waiting
		excused := a.unsure || f.cuts > 0 || f.disk || a.trait != nil && a.trait.twins
		switch {
		case n == 0:
			wrong = append(wrong, rcpt+" is lost")
		case a.trait != nil && a.trait.returned && a.arrived > 0:
			wrong = append(wrong, fmt.Sprintf("%s has arrived, and cannot have", rcpt))
		case (a.trait == nil || !a.trait.returned) && a.returned > 0:
			wrong = append(wrong, fmt.Sprintf("%s was returned, and was to arrive", rcpt))
		case n > 1 && !excused:
			wrong = append(wrong, fmt.Sprintf("%s: %d copies arrived, %d reports, %d wait", rcpt, a.arrived, a.returned, a.waiting))
		}
		extra += max(0, n-1)
	}
	return wrong, extra
}

// String tells what became of each recipient, in the order of submission.
func (l *ledger) String() string {
	var b strings.Builder
	for _, rcpt := range l.order {
		a := l.promised[rcpt]
		fmt.Fprintf(&b, "%s %d %d %d\n", rcpt, a.arrived, a.returned, a.waiting)
	}
	return b.String()
}
