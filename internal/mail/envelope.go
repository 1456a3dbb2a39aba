package mail

import (
	"net/netip"
	"time"
)

// BodyType is the BODY= parameter of RFC 6152 and RFC 3030.
type BodyType uint8

// The body types. Body7Bit is also what a client without BODY= declares.
const (
	Body7Bit BodyType = iota
	Body8BitMIME
	BodyBinaryMIME
)

// Ret is the RET= parameter of RFC 3461 §4.3.
type Ret uint8

// The values of RET=.
const (
	RetUnset Ret = iota
	RetFull
	RetHeaders
)

// Notify is the NOTIFY= parameter of RFC 3461 §4.1, a set. Zero means that it was not given,
// which asks for reports of failure and, by our choice, of delay.
type Notify uint8

// The values of NOTIFY=. NotifyNever excludes the others.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// Source says by which door a message came in.
type Source uint8

// The doors.
const (
	SourceSMTP Source = iota
	SourcePickup
	SourceReport
)

// Recipient is one forward-path of an envelope.
type Recipient struct {
	// Addr is the address after completion and alias rewriting: it always has a domain.
	Addr Address
	// Notify and ORcpt are the DSN parameters (RFC 3461 §4). ORcpt is kept xtext-encoded,
	// "rfc822;user@example.com", and is empty when it was not given.
	Notify Notify
	ORcpt  string
}

// Sender is the argument of MAIL: the reverse-path and its ESMTP parameters.
type Sender struct {
	Addr       Address // null for "<>"; bare until intake completes it
	Size       int64   // SIZE= (RFC 1870), 0 if not given
	Body       BodyType
	UTF8       bool   // SMTPUTF8 (RFC 6531)
	RequireTLS bool   // REQUIRETLS (RFC 8689)
	Ret        Ret    // RET=
	EnvID      string // ENVID=, xtext-encoded as received
}

// EditKind says what an Edit is for.
type EditKind uint8

// The kinds of Edit.
const (
	// EditBareDomain: a bare address ends at Offset; "@default-domain" is to be inserted
	// there (Length is 0).
	EditBareDomain EditKind = iota + 1
	// EditFromAddress: the addr-spec of the From: field, for masquerading; or of one that is written in
	// an odd way what stands from its "@" on, blanks and comments included.
	EditFromAddress
	// EditAliasDomain: the domain of an address, an alias that is to be replaced by the
	// default domain of the moment of arrival.
	EditAliasDomain
)

// Edit marks a place in the stored message that delivery may change on the way out.
// Offset counts from the first stored octet, our own trace fields included.
type Edit struct {
	Offset uint32
	Length uint32
	Kind   EditKind
}

// Content is what intake learned of a message while it wrote it. Delivery relies on it, so
// that it needs not read the message twice.
type Content struct {
	Size      int64  // octets stored, trace fields included
	HeaderLen int64  // octets up to and with the empty line; 0 if no end was found within 256 KB
	DotLines  int64  // lines that begin with "." and want stuffing in DATA (RFC 5321 §4.5.2)
	EightBit  bool   // an octet above 127 occurs in the body
	UTF8      bool   // an octet above 127 occurs in the header
	Bare      bool   // a bare CR or LF occurs (only possible in BodyBinaryMIME)
	Hops      int    // Received fields as the message arrived
	MessageID string // with angle brackets; ours when OwnID
	OwnID     bool   // the Message-ID was added by us
	Subject   string // as sent, unfolded, at most 256 octets
	Edits     []Edit // in order of Offset
}

// Envelope is all that is known of a message besides its octets. It is made by intake and
// does not change after the commit: what becomes of each recipient is kept by the spool.
type Envelope struct {
	ID         QueueID
	Sender     Sender
	Recipients []Recipient
	Arrived    time.Time
	Source     Source

	Peer     netip.Addr // the client; zero for Pickup and reports
	PeerName string     // its confirmed host name, if known
	Helo     string
	Account  string // authenticated as
	Protocol string // "ESMTPS" and so on (RFC 3848)

	DefaultDomain string // of the moment of arrival, for EditBareDomain
	Content       Content

	// Original is, in a report of failure, the message it reports on, which the spool keeps as long as
	// the report waits; 0 else.
	Original QueueID
}
