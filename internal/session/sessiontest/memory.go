// Package sessiontest runs SMTP sessions in memory for tests: a Transaction that keeps what it
// takes, a client that talks over a pipe, and a runner for dialogs written down as scripts.
//
// Start with Dial for a test in Go, with Run for scripts; the form of a script stands at Run.
package sessiontest

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/session"
)

// FQDN is the name of the server in these tests.
const FQDN = "relay.example.com"

// Message is one that was committed.
type Message struct {
	Peer   mail.Peer
	Sender mail.Sender // the address completed
	Rcpts  []mail.Recipient
	Text   string
}

// Memory takes messages into memory. The fields are set before use; the zero value takes
// everything. Its Begin is for session.Options.
type Memory struct {
	Domain string // completes bare addresses; example.com if empty

	// These fail what they are named after, if set. FailWrite fails once more than that many
	// octets were written.
	FailBegin, FailCommit error
	FailRcpt              func(mail.Address) error
	FailWrite             func(n int64) error
	// Committing is called at the start of Commit, with its context.
	Committing func(context.Context)

	mu       sync.Mutex
	messages []Message
	open     int
	aborted  int
}

// Begin starts a transaction.
func (m *Memory) Begin(_ context.Context, p *mail.Peer, s mail.Sender) (session.Transaction, error) {
	if m.FailBegin != nil {
		return nil, m.FailBegin
	}
	m.mu.Lock()
	m.open++
	m.mu.Unlock()
	s.Addr = m.complete(s.Addr)
	return &transaction{m: m, msg: Message{Peer: *p, Sender: s}}, nil
}

func (m *Memory) complete(a mail.Address) mail.Address {
	if !a.IsBare() {
		return a
	}
	if m.Domain == "" {
		return a.WithDomain("example.com")
	}
	return a.WithDomain(m.Domain)
}

// Messages returns what was committed so far.
func (m *Memory) Messages() []Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.messages)
}

// Open returns how many transactions have neither been committed nor aborted.
func (m *Memory) Open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open
}

// Aborted returns how many transactions were aborted.
func (m *Memory) Aborted() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.aborted
}

type transaction struct {
	m    *Memory
	msg  Message
	text bytes.Buffer
	over bool
}

func (t *transaction) Sender() mail.Address { return t.msg.Sender.Addr }

func (t *transaction) Rcpt(_ context.Context, r mail.Recipient) (mail.Address, error) {
	r.Addr = t.m.complete(r.Addr)
	if t.m.FailRcpt != nil {
		if err := t.m.FailRcpt(r.Addr); err != nil {
			return mail.Address{}, err
		}
	}
	t.msg.Rcpts = append(t.msg.Rcpts, r)
	return r.Addr, nil
}

func (t *transaction) Write(p []byte) (int, error) {
	if t.over {
		panic("sessiontest: Write after the end of the transaction")
	}
	t.text.Write(p)
	if t.m.FailWrite != nil {
		if err := t.m.FailWrite(int64(t.text.Len())); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (t *transaction) end() {
	if t.over {
		panic("sessiontest: the transaction has ended already")
	}
	t.over = true
	t.m.open--
}

func (t *transaction) Commit(ctx context.Context) (mail.Accepted, error) {
	if t.m.Committing != nil {
		t.m.Committing(ctx)
	}
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	t.end()
	if t.m.FailCommit != nil {
		return mail.Accepted{}, t.m.FailCommit
	}
	t.msg.Text = t.text.String()
	t.m.messages = append(t.m.messages, t.msg)
	acc := mail.Accepted{ID: mail.QueueID(len(t.m.messages))}
	if acc.MessageID = messageID(t.msg.Text); acc.MessageID == "" {
		acc.MessageID, acc.OwnID = "<"+acc.ID.String()+"@"+FQDN+">", true
	}
	return acc, nil
}

func (t *transaction) Abort() {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	t.end()
	t.m.aborted++
}

// messageID returns the Message-ID of a message, or "".
func messageID(text string) string {
	header, _, _ := strings.Cut(text, "\r\n\r\n")
	for line := range strings.SplitSeq(header, "\r\n") {
		name, value, ok := strings.Cut(line, ":")
		if ok && mail.EqualFoldASCII(name, "Message-ID") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Rules is a simple session.Policy.
type Rules struct {
	Local []string // domains that anybody may send to
	Open  bool     // all others too
	Deny  bool     // may not even connect
}

// Connect allows all unless Deny is set.
func (r *Rules) Connect(*mail.Peer) mail.Decision {
	if r.Deny {
		return mail.Decision{
			Reply:  mail.NewReply(554, mail.Enhanced(5, 7, 1), "Connection refused"),
			Reason: "the client is on the list",
		}
	}
	return mail.Decision{Allow: true}
}

// Relay allows local domains, bare addresses and, with Open, all others.
func (r *Rules) Relay(_ *mail.Peer, to mail.Address, _ int64) mail.Decision {
	local := slices.ContainsFunc(r.Local, func(d string) bool { return mail.EqualFoldASCII(d, to.Domain) })
	if r.Open || local || to.IsBare() {
		return mail.Decision{Allow: true}
	}
	return mail.Decision{
		Reply:  mail.NewReply(550, mail.Enhanced(5, 7, 1), "Unable to relay for "+to.String()),
		Reason: "the client is not in the relay list",
	}
}
