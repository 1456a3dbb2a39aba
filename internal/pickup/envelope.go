package pickup

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// envelope is what the header of a file says of sender and recipients.
type envelope struct {
	sender mail.Sender
	rcpts  []mail.Recipient
	start  int    // where the message begins, behind the x-lines
	cuts   []span // fields that are left out of the message, in order

	senderBy, rcptsBy string // the fields that told sender and recipients
	report            bool   // the message is a report (RFC 3464)
}

type span struct{ start, end int }

// field is one header field in a header.
type field struct {
	span
	name []byte
	body []byte // behind the colon, with line ends
}

func (f *field) is(name string) bool { return bytes.EqualFold(f.name, []byte(name)) }

// next returns the field at pos, continuation lines included. A line that is no field has no name.
func next(head []byte, pos int) field {
	end := pos
	for {
		i := bytes.IndexByte(head[end:], '\n')
		if i < 0 {
			end = len(head)
			break
		}
		end += i + 1
		if end == len(head) || head[end] != ' ' && head[end] != '\t' {
			break
		}
	}
	f := field{span: span{pos, end}}
	if name, body, ok := bytes.Cut(head[pos:end], []byte(":")); ok && len(name) > 0 && name[0] != ' ' && name[0] != '\t' {
		f.name, f.body = bytes.TrimRight(name, " \t"), body // blanks before the colon: RFC 5322 §4.5
	}
	return f
}

// layout finds the x-lines, which come before all other fields, and what is left out of the message. It
// looks at names alone, so it works where addresses are beyond reading.
func (e *envelope) layout(head []byte) (x, fields []field) {
	pos := 0
	for pos < len(head) {
		f := next(head, pos)
		if !f.is("x-sender") && !f.is("x-receiver") {
			break
		}
		x = append(x, f)
		pos = f.end
	}
	e.start = pos
	if bytes.HasPrefix(head[pos:], bom) { // x-lines were put before a file that had one
		e.start += len(bom)
	}
	for pos = e.start; pos < len(head); {
		f := next(head, pos)
		fields = append(fields, f)
		if f.is("bcc") || f.is("resent-bcc") {
			e.cuts = append(e.cuts, f.span)
		}
		pos = f.end
	}
	return x, fields
}

// parse reads the header of a file, with its empty line if it has one. What the x-lines leave open is
// told by the fields of the message, those of its latest resending if there was one (RFC 5322 §3.6.6).
func (e *envelope) parse(head []byte) error {
	lines, fields := e.layout(head)
	var x xLines
	for i := range lines {
		if err := x.take(&lines[i]); err != nil {
			return err
		}
	}
	h := headers{}
	for i := range fields {
		h.take(&fields[i])
	}
	return e.resolve(&x, &h)
}

// xLines are the x-sender and x-receiver lines.
type xLines struct {
	sender *mail.Address // nil: nothing was said
	rcpts  []mail.Address
}

// take takes one of the lines.
func (x *xLines) take(f *field) error {
	if f.is("x-receiver") {
		list, err := parseList(f.body, false)
		if err != nil {
			return fieldError("x-receiver", err)
		}
		x.rcpts = append(x.rcpts, list...)
		return nil
	}
	list, err := parseList(f.body, true)
	switch {
	case err != nil:
		return fieldError("x-sender", err)
	case len(list) == 0: // nothing is said
		return nil
	case len(list) == 1 && x.sender != nil && *x.sender == list[0]: // some programs write it twice
		return nil
	case len(list) > 1 || x.sender != nil:
		return unusablef("There is more than one address in x-sender.")
	}
	x.sender = &list[0]
	return nil
}

// fieldError tells which field was not understood, and why.
func fieldError(name string, err error) error {
	return unusablef("The field %s cannot be read: %v.", name, err)
}

// headers are the fields of the message that make an envelope.
type headers struct {
	plain, resent block
	resentDone    bool // the latest resending is complete
	resentSeen    map[string]bool
	report        bool // Content-Type says that it is one
}

// block is one set of fields.
type block struct {
	sender, from *field
	rcpts        []field
}

// take takes note of f.
func (h *headers) take(f *field) {
	name, resent := f.name, false
	if len(name) > 7 && bytes.EqualFold(name[:7], []byte("resent-")) {
		name, resent = name[7:], true
	}
	if resent {
		h.block(string(bytes.ToLower(name)))
	} else if f.is("received") && h.resentSeen != nil {
		h.resentDone = true // what comes now is from before
	}
	if resent && h.resentDone {
		return
	}
	b := &h.plain
	if resent {
		b = &h.resent
	}
	switch {
	case f.is("content-type"):
		h.report = h.report || isReport(f.body)
	case bytes.EqualFold(name, []byte("sender")) && b.sender == nil:
		b.sender = f
	case bytes.EqualFold(name, []byte("from")) && b.from == nil:
		b.from = f
	case bytes.EqualFold(name, []byte("to")), bytes.EqualFold(name, []byte("cc")), bytes.EqualFold(name, []byte("bcc")):
		b.rcpts = append(b.rcpts, *f)
	}
}

// isReport reports whether a Content-Type is that of a report (RFC 3464 §2).
func isReport(body []byte) bool {
	lower := bytes.ToLower(body)
	return bytes.HasPrefix(bytes.TrimSpace(lower), []byte("multipart/report")) && bytes.Contains(lower, []byte("delivery-status"))
}

// block notices where an older resending begins: with a field that the latest has already.
func (h *headers) block(name string) {
	if h.resentSeen == nil {
		h.resentSeen = make(map[string]bool)
	}
	if h.resentSeen[name] {
		h.resentDone = true
	}
	h.resentSeen[name] = true
}

// resolve puts the envelope together.
func (e *envelope) resolve(x *xLines, h *headers) error {
	b := &h.plain
	if len(h.resent.rcpts) > 0 {
		b = &h.resent
	}
	rcpts := x.rcpts
	e.rcptsBy = "x-receiver"
	if len(rcpts) == 0 {
		var names []string
		for i := range b.rcpts {
			list, err := parseList(b.rcpts[i].body, false)
			if err != nil {
				return fieldError(string(b.rcpts[i].name), err)
			}
			if name := string(b.rcpts[i].name); len(list) > 0 && !slices.Contains(names, name) {
				names = append(names, name)
			}
			rcpts = append(rcpts, list...)
		}
		e.rcptsBy = strings.Join(names, ", ")
	}
	sender, by, err := b.senderOf(x)
	if err != nil {
		return err
	}
	e.senderBy, e.report = by, h.report
	e.rcpts = make([]mail.Recipient, len(rcpts))
	for i, a := range rcpts {
		e.rcpts[i].Addr = a
	}
	if sender != nil {
		e.sender = mail.Sender{Addr: *sender, Body: mail.Body8BitMIME, UTF8: needsUTF8(*sender, rcpts)}
	}
	return missing(sender == nil, len(rcpts) == 0)
}

// senderOf returns the reverse-path, nil if nothing tells it, and the field that does.
func (b *block) senderOf(x *xLines) (a *mail.Address, by string, err error) {
	if x.sender != nil {
		return x.sender, "x-sender", nil
	}
	for _, f := range []*field{b.sender, b.from} {
		if f == nil {
			continue
		}
		list, err := parseList(f.body, false)
		if err != nil {
			return nil, "", fieldError(string(f.name), err)
		}
		if len(list) > 0 {
			return &list[0], string(f.name), nil
		}
	}
	return nil, "", nil
}

// missing says what there is too little of.
func missing(sender, rcpts bool) error {
	const noSender = "no sender (x-sender, Sender or From)"
	const noRcpt = "no recipient (x-receiver, To, Cc or Bcc)"
	switch {
	case sender && rcpts:
		return unusablef("The file names %s and %s.", noSender, noRcpt)
	case sender:
		return unusablef("The file names %s.", noSender)
	case rcpts:
		return unusablef("The file names %s.", noRcpt)
	}
	return nil
}

// needsUTF8 reports whether an address cannot be written without SMTPUTF8 (RFC 6531). A header with 8-bit
// text does not ask for it: such text goes its way as that of an SMTP client does, which asks for
// nothing either.
func needsUTF8(sender mail.Address, rcpts []mail.Address) bool {
	if !isASCII(sender) {
		return true
	}
	for _, r := range rcpts {
		if !isASCII(r) {
			return true
		}
	}
	return false
}

func isASCII(a mail.Address) bool {
	for _, s := range [...]string{a.Local, a.Domain} {
		for i := range len(s) {
			if s[i] >= 0x80 {
				return false
			}
		}
	}
	return true
}

var (
	errNoAddress    = errors.New("this is no mail address")
	errUnclosed     = errors.New("a quotation mark, comment or bracket is not closed")
	errGroupAddress = errors.New("an address stands where the name of a group should; perhaps a line break or a comma is wrong")
	errAmbiguous    = errors.New("it is not clear whether a comma belongs to a name or separates addresses; put the name in quotation marks")
	errNull         = errors.New("the empty address <> is no recipient")
)

func addressError(text []byte, err error) error {
	return fmt.Errorf("%w (%s)", err, show(string(bytes.TrimSpace(text))))
}
