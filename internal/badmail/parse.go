package badmail

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

const (
	// maxProperties is the largest .BDP that is read, in octets.
	maxProperties = 16 << 20
	maxRecipients = 100_000
	// maxLine bounds a text of a .BDP that is shown: reason, reply, subject.
	maxLine = 4 << 10
)

var errNotOurs = errors.New("not a .BDP file of this service")

// ParseProperties reads a .BDP. It takes what Write wrote and refuses all else: another
// version, a path or parameter that the grammar of SMTP would not let pass, texts without
// measure. So an envelope from a file is as harmless as one from the wire (bad input E1).
func ParseProperties(b []byte) (*Properties, error) {
	if len(b) > maxProperties {
		return nil, fmt.Errorf("%w: it is larger than %d octets", errNotOurs, maxProperties)
	}
	var p Properties
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotOurs, err)
	}
	switch {
	case p.Version != Version:
		return nil, fmt.Errorf("%w: it has version %d, this program knows version %d", errNotOurs, p.Version, Version)
	case !ValidName(p.Name), p.Linked != "" && !ValidName(p.Linked):
		return nil, fmt.Errorf("%w: a name in it cannot be one of ours", errNotOurs)
	case len(p.Recipients) > maxRecipients:
		return nil, fmt.Errorf("%w: it has more than %d recipients", errNotOurs, maxRecipients)
	}
	if _, err := parseCode(p.Code); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotOurs, err)
	}
	if _, err := p.sender(); err != nil {
		return nil, fmt.Errorf("%w: the sender: %w", errNotOurs, err)
	}
	for i := range p.Recipients {
		if _, err := p.Recipients[i].parse(); err != nil {
			return nil, fmt.Errorf("%w: recipient %d: %w", errNotOurs, i+1, err)
		}
	}
	return &p, p.bounded()
}

// bounded checks the texts that nothing else has checked.
func (p *Properties) bounded() error {
	texts := []string{p.Reason, p.Subject, p.QueueID, p.ReportOn, p.Source}
	if c := p.Client; c != nil {
		texts = append(texts, c.Address, c.Name, c.Helo, c.Account, c.Protocol)
	}
	for i := range p.Recipients {
		texts = append(texts, p.Recipients[i].Reply, p.Recipients[i].Host)
	}
	for _, s := range texts {
		if len(s) > maxLine {
			return fmt.Errorf("%w: a text in it is longer than %d octets", errNotOurs, maxLine)
		}
	}
	return nil
}

func parseCode(s string) (Code, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 32)
	if err != nil || len(s) != len("0xC00402C7") {
		return 0, fmt.Errorf("%.20q is not a code", s)
	}
	return Code(n), nil
}

// Envelope returns the reverse-path and the forward-paths that are to be used when the message
// is submitted again: of the recipients those that failed, or all where the file does not say
// of any that it did.
func (p *Properties) Envelope() (mail.Sender, []mail.Recipient, error) {
	s, err := p.sender()
	if err != nil {
		return mail.Sender{}, nil, err
	}
	some := false
	for i := range p.Recipients {
		some = some || p.Recipients[i].Failed
	}
	var to []mail.Recipient
	for i := range p.Recipients {
		if some && !p.Recipients[i].Failed {
			continue
		}
		r, err := p.Recipients[i].parse()
		if err != nil {
			return mail.Sender{}, nil, err
		}
		to = append(to, r)
	}
	return s, to, nil
}

// sender has the grammar of the MAIL command judge the reverse-path and its parameters.
func (p *Properties) sender() (mail.Sender, error) {
	params := [][2]string{{"BODY", p.Sender.Body}, {"RET", p.Sender.Ret}, {"ENVID", p.Sender.EnvID}}
	args, ok := command("FROM:", p.Sender.Address, params)
	if p.Sender.SMTPUTF8 || !isASCII(p.Sender.Address) {
		args += " SMTPUTF8"
	}
	s, err := smtp.ParseMail(args, smtp.Internet)
	if err == nil && (!ok || s.Addr.String() != p.Sender.Address) {
		err = smtp.ErrAddress
	}
	s.RequireTLS = p.Sender.RequireTLS
	return s, err
}

// parse has the grammar of the RCPT command judge the forward-path and its parameters.
func (r *Recipient) parse() (mail.Recipient, error) {
	args, ok := command("TO:", r.Address, [][2]string{{"NOTIFY", r.Notify}, {"ORCPT", r.ORcpt}})
	to, err := smtp.ParseRcpt(args, smtp.Internet, true)
	if err == nil && (!ok || to.Addr.String() != r.Address) {
		err = smtp.ErrAddress
	}
	return to, err
}

// command writes the arguments of a command; false if a value would be more than one parameter.
func command(keyword, path string, params [][2]string) (args string, ok bool) {
	args, ok = keyword+"<"+path+">", true
	for _, p := range params {
		if name, value := p[0], p[1]; value != "" {
			args += " " + name + "=" + value
			ok = ok && !strings.Contains(value, " ")
		}
	}
	return args, ok
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

// Cause says in a word why a message is in badmail.
type Cause string

// The causes. An entry that this service did not write is CauseForeign.
const (
	CauseReport   Cause = "report"    // a report of ours that could not be delivered
	CauseOriginal Cause = "original"  // the message that such a report was on
	CauseNoSender Cause = "no-sender" // undeliverable, with the null reverse-path
	CausePickup   Cause = "pickup"    // a file in the pickup directory that could not be used
	CauseForeign  Cause = "foreign"
)

// Causes returns all causes, in the order in which they are shown.
func Causes() []Cause {
	return []Cause{CauseReport, CauseOriginal, CauseNoSender, CausePickup, CauseForeign}
}

// Cause tells why the entry is in badmail; it follows from the rest.
func (p *Properties) Cause() Cause {
	switch {
	case p.Version == 0:
		return CauseForeign
	case p.Code == code(CodePickup):
		return CausePickup
	case p.Source == source(mail.SourceReport):
		return CauseReport
	case p.Sender.Address == "":
		return CauseNoSender
	}
	return CauseOriginal
}
