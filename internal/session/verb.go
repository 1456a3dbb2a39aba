package session

import (
	"context"
	"slices"
)

// flags say what the loop has to know of a verb.
type flags uint8

const (
	needsHello flags = 1 << iota // refused before HELO or EHLO
	plainText                    // taken before TLS where TLS is required (RFC 3207 §4)
	endsGroup                    // nothing may follow it before it is answered (RFC 2920 §3.1)
	junk                         // does nothing for a message: counted
	noArgument                   // refused with one
	isChunk                      // octets follow it whatever is answered
	secret                       // only the first word of its argument may be recorded, and nothing of what is no verb after it
)

// verb is a row of the verb table.
type verb struct {
	name   string
	handle func(s *session, ctx context.Context, arg string) reply
	flags  flags
	// enabled is asked whether the virtual server has the verb; nil: it has. A verb without a
	// handler is known but in no service of this version.
	enabled func(*session) bool
	// refuse is said when it is not enabled; sayNotImplemented if zero.
	refuse text
	// help is the verb's place in the reply to HELP; 0: not named there.
	help int
	// keywords are what EHLO offers for it while it is enabled.
	keywords []keyword

	key uint64
}

// keyword is a line of the reply to EHLO (RFC 5321 §4.1.1.1).
type keyword struct {
	rank    int // place in the reply
	name    string
	classic string // in the spelling of the classic voice; if empty, as name
	// param appends what stands behind the keyword; nil: nothing.
	param func(s *session, dst []byte) []byte
	// offered is asked whether it is offered now; nil: always.
	offered func(*session) bool

	verb *verb
}

// standard is the verb table. Handlers reach it through session.t only.
var standard = newTable([]verb{
	{name: "HELO", handle: (*session).helo, help: 1},
	{name: "EHLO", handle: (*session).ehlo, flags: plainText, help: 2, keywords: []keyword{
		{rank: 4, name: "PIPELINING"},
		{rank: 6, name: "ENHANCEDSTATUSCODES"},
	}},
	{name: "STARTTLS", handle: (*session).startTLS, flags: plainText | needsHello | endsGroup | noArgument,
		enabled: (*session).hasTLS, help: 3, keywords: []keyword{
			{rank: 12, name: "STARTTLS", offered: (*session).inPlainText},
		}},
	{name: "RCPT", handle: (*session).rcpt, flags: needsHello, help: 4, keywords: []keyword{
		{rank: 5, name: "DSN"},
		{rank: 15, name: "LIMITS", param: (*session).appendLimits, offered: (*session).hasLimits},
	}},
	{name: "DATA", handle: (*session).dataVerb, flags: needsHello | endsGroup | noArgument, help: 5},
	{name: "RSET", handle: (*session).rset, flags: junk | noArgument, help: 6},
	{name: "MAIL", handle: (*session).mailVerb, flags: needsHello, help: 7, keywords: []keyword{
		{rank: 2, name: "SIZE", param: (*session).appendSize},
		{rank: 7, name: "8BITMIME", classic: "8bitmime"},
		{rank: 14, name: "SMTPUTF8"},
	}},
	{name: "QUIT", handle: (*session).quit, flags: plainText, help: 8},
	{name: "HELP", handle: (*session).help, flags: junk, help: 9},
	{name: "BDAT", handle: (*session).bdat, flags: needsHello | isChunk, help: 13, keywords: []keyword{
		{rank: 8, name: "BINARYMIME"},
		{rank: 9, name: "CHUNKING"},
	}},
	{name: "VRFY", handle: (*session).vrfy, flags: junk, help: 14, keywords: []keyword{
		{rank: 10, name: "VRFY"},
	}},
	{name: "NOOP", handle: (*session).noop, flags: plainText | junk},
	{name: "EXPN"},
	{name: "AUTH", flags: secret, refuse: sayNoAuth, help: 10, keywords: []keyword{{rank: 13, name: "AUTH"}}},
	{name: "TURN", help: 11, keywords: []keyword{{rank: 1, name: "TURN"}}},
	{name: "ETRN", help: 12, keywords: []keyword{{rank: 3, name: "ETRN"}}},
	{name: "ATRN", keywords: []keyword{{rank: 16, name: "ATRN"}}},
})

// table is the verb table with what is derived from it.
type table struct {
	verbs    []verb
	keywords []keyword // in the order of EHLO
	help     []*verb   // in the order of HELP
}

func newTable(verbs []verb) table {
	t := table{verbs: verbs}
	for i := range verbs {
		v := &verbs[i]
		v.key = pack([]byte(v.name))
		for _, k := range v.keywords {
			k.verb = v
			t.keywords = append(t.keywords, k)
		}
		if v.help > 0 {
			t.help = append(t.help, v)
		}
	}
	slices.SortFunc(t.keywords, func(a, b keyword) int { return a.rank - b.rank })
	slices.SortFunc(t.help, func(a, b *verb) int { return a.help - b.help })
	return t
}

// pack returns up to eight letters as a number, in upper case; 0 for what cannot be a verb.
// Only ASCII letters are folded.
func pack(name []byte) uint64 {
	if len(name) == 0 || len(name) > 8 {
		return 0
	}
	key := uint64(0)
	for _, c := range name {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c < 'A' || c > 'Z' {
			return 0
		}
		key = key<<8 | uint64(c)
	}
	return key
}

// find returns the row of a verb as sent, or nil.
func (t *table) find(name []byte) *verb {
	key := pack(name)
	if key == 0 {
		return nil
	}
	for i := range t.verbs {
		if t.verbs[i].key == key {
			return &t.verbs[i]
		}
	}
	return nil
}

// has reports whether the virtual server has the verb.
func (s *session) has(v *verb) bool {
	return v.handle != nil && (v.enabled == nil || v.enabled(s))
}
