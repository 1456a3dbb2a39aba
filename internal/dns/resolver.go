package dns

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"
)

// Caps on what one look-up may bring, whatever the server sends.
const (
	// MaxRecords is the number of records that an answer keeps. Of more MX records those with
	// the lowest preference values stay.
	MaxRecords = 100
	// MaxAliases is the length of a chain of CNAME records that is followed.
	MaxAliases = 8
	// MaxAnswer is the size of an answer in octets; DNS over TCP cannot carry more.
	MaxAnswer = 64 << 10
)

// Resolver answers the questions that a mail relay has. Names are given without regard to
// case, with or without the final dot, in A-labels. An error is always an *Error: ErrNotExist
// and ErrNoData are answers, all others are temporary.
//
// The sets belong to the caller, who may sort or shuffle them.
type Resolver interface {
	// MX returns the mail exchangers of a domain in order of preference. CNAMEs are followed.
	// Whether to take the addresses of the domain itself after ErrNoData (RFC 5321 §5.1) is
	// the caller's decision.
	MX(ctx context.Context, name string) (MXSet, error)
	// Addrs returns the addresses of a host, A before AAAA, each in the order of the answer.
	// When only one of the two questions finds addresses, these are the answer, even if the
	// other question failed.
	Addrs(ctx context.Context, host string) (AddrSet, error)
	// PTR returns the names of an address. Names that no host can have are left out, and the
	// others are unconfirmed: see PeerName.
	PTR(ctx context.Context, addr netip.Addr) (Names, error)
	// TXT returns the TXT records of a name, the strings of each record joined.
	TXT(ctx context.Context, name string) (Texts, error)
}

// MX is one mail exchanger.
type MX struct {
	Host string // lower case, without final dot; "." says "no mail" (see MXSet.Null)
	Pref uint16 // lowest first
}

// MXSet is the answer to Resolver.MX.
type MXSet struct {
	Name    string // the name that has the records, after CNAMEs
	Records []MX   // in order of preference; 1 to MaxRecords
	Meta
}

// Null reports whether the domain says that it takes no mail (RFC 7505). A "." that stands
// beside real exchangers is left out of Records, so that it makes no null MX.
func (s MXSet) Null() bool { return len(s.Records) == 1 && s.Records[0].Host == "." }

// AddrSet is the answer to Resolver.Addrs.
type AddrSet struct {
	Name  string       // the name that has the records, after CNAMEs
	Addrs []netip.Addr // 1 to 2*MaxRecords, never IPv4-mapped IPv6
	Meta
}

// Names is the answer to Resolver.PTR.
type Names struct {
	Names []string // lower case, without final dot; 1 to MaxRecords
	Meta
}

// Texts is the answer to Resolver.TXT.
type Texts struct {
	Name  string   // the name that has the records, after CNAMEs
	Texts []string // octets as the server sent them; 1 to MaxRecords
	Meta
}

// Meta is what each answer carries beside its records.
type Meta struct {
	// TTL says how much longer the answer may be kept.
	TTL time.Duration
	// Authentic is set when a trusted server vouches by DNSSEC for the whole answer, CNAMEs
	// included (the AD bit of RFC 4035 §3.2.3).
	Authentic bool
}

// The two answers that are no records. Test with errors.Is.
var (
	// ErrNotExist: the name does not exist (NXDOMAIN).
	ErrNotExist = errors.New("no such name")
	// ErrNoData: the name exists but has no record of the type.
	ErrNoData = errors.New("no such record")
	// ErrUnconfirmed: the names of an address do not lead back to it (ConfirmName only).
	ErrUnconfirmed = errors.New("no name that leads back to the address")
)

// Error is a look-up without records.
type Error struct {
	Name   string // as asked for
	Type   string // "MX", "A" …
	Server string // who said so, "192.0.2.53:53"; "" if it was decided without a server
	// Code is what the server said, "SERVFAIL (DNSSEC Bogus)"; "" if no answer came.
	Code string
	// Err is ErrNotExist, ErrNoData, or what went wrong.
	Err error
}

// Error says what was asked for, what came of it and, where one did, which server said so.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Type)
	b.WriteByte(' ')
	b.WriteString(printableName(e.Name))
	b.WriteString(": ")
	b.WriteString(e.Err.Error())
	switch {
	case e.Server != "" && e.Code != "":
		b.WriteString(" (" + e.Server + " said " + e.Code + ")")
	case e.Server != "":
		b.WriteString(" (asked " + e.Server + ")")
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Temporary reports whether the question found no answer and may find one later: all but
// ErrNotExist, ErrNoData and ErrUnconfirmed.
func (e *Error) Temporary() bool {
	return e.Err != ErrNotExist && e.Err != ErrNoData && e.Err != ErrUnconfirmed
}
