package policy

import (
	"net/netip"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

// Options are the settings of a Policy.
type Options struct {
	Access List // connection control: who may connect
	Relay  List // who may relay

	// Authenticated lets authenticated clients relay, those for whom MayRelay(account) is true;
	// nil MayRelay: all of them. An account that may not relay counts as none.
	Authenticated bool
	MayRelay      func(account string) bool

	// Local reports whether a domain is ours; nil: none is. It is asked with domains as the
	// client wrote them.
	Local func(domain string) bool
	// AllowsRelay reports whether anyone may send to a remote domain; nil: to none.
	AllowsRelay func(domain string) bool
	// Recipients are the local recipients that exist, by local-part or local-part@local-domain;
	// none: each local-part does. Postmaster is where postmaster's mail goes, if it has a place
	// of its own.
	Recipients []string
	Postmaster mail.Address
	// Quota bounds the octets of the drop directory; 0: there is no bound. Full reports whether it is met
	// with a further message of so many octets; nil: never.
	Quota int64
	Full  func(octets int64) bool
	// Own reports whether an address is one of ours; nil: only the loopback and unspecified
	// addresses are.
	Own func(netip.Addr) bool
}

// Policy answers the questions. It is safe for concurrent use and does not change.
type Policy struct {
	opts   Options
	access checker
	relay  checker

	recipients recipients
}

// New makes a Policy.
func New(o Options) *Policy {
	return &Policy{
		opts:   o,
		access: newChecker(o.Access, AllExcept, "the connection control list"),
		relay:  newChecker(o.Relay, Only, "the relay list"),

		recipients: newRecipients(o.Recipients, o.Local),
	}
}

// checker is a List made ready. The reasons are made once, not for each question.
type checker struct {
	mode    Mode
	set     prefixSet
	reasons []string // parallel to set
	outside string
}

func newChecker(l List, zero Mode, name string) checker {
	c := checker{mode: l.Mode, set: newPrefixSet(l.Prefixes)}
	if c.mode == 0 {
		c.mode = zero
	}
	kind := "only the list is granted"
	if c.mode == AllExcept {
		kind = "all except the list is granted"
	}
	c.outside = "the client is not in " + name + " (" + kind + ")"
	for _, p := range c.set {
		text := p.String()
		if p.IsSingleIP() {
			text = p.Addr().String()
		}
		c.reasons = append(c.reasons, "the client is in "+name+" by "+text+" ("+kind+")")
	}
	return c
}

func (c *checker) check(addr netip.Addr) (granted bool, reason string) {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return false, "the client's address is not known"
	}
	if i := c.set.find(addr); i >= 0 {
		return c.mode == Only, c.reasons[i]
	}
	return c.mode == AllExcept, c.outside
}

// Connect decides whether a client may connect. The refusal is 554 5.7.1; the session sends it
// in place of the banner and closes.
func (p *Policy) Connect(peer *mail.Peer) mail.Decision {
	ok, reason := p.access.check(peer.Remote.Addr())
	if ok {
		return mail.Decision{Allow: true, Reason: reason}
	}
	return deny(554, mail.Enhanced(5, 7, 1), "Your address is not allowed to connect to this server", reason)
}

// RelayClient reports whether the relay list lets the client relay to anywhere: the value of
// mail.Peer.Relay.
func (p *Policy) RelayClient(addr netip.Addr) bool {
	ok, _ := p.relay.check(addr)
	return ok
}

// Relay decides whether a client may send to a recipient. In this order: a recipient in a
// local domain (or without a domain: the default domain is added to it) is taken; a remote
// domain that allows relay; an authenticated client whose account may relay; a client in the
// relay list. All else is refused with 550 5.7.1, as is an address literal that leads to this
// server, whoever asks (bad input E8).
//
// The local-part is never looked at: "user%other@local" is local and nothing else (E7).
func (p *Policy) Relay(peer *mail.Peer, to mail.Address) mail.Decision {
	switch {
	case to.IsNull():
		return deny(501, mail.Enhanced(5, 1, 3), "Invalid recipient address", "the forward-path is empty")
	case to.Domain == "":
		return mail.Decision{Allow: true, Reason: "the recipient has no domain, so the default domain is added"}
	case p.opts.Local != nil && p.opts.Local(to.Domain):
		return mail.Decision{Allow: true, Reason: "the recipient is in a local domain"}
	}
	if to.IsLiteral() {
		addr, ok := smtp.LiteralAddr(to.Domain)
		if addr = addr.Unmap(); !ok { // an IPv4-mapped address must not hide a loopback address
			return deny(501, mail.Enhanced(5, 1, 3), "Invalid address literal", "not an address literal of RFC 5321 section 4.1.3")
		}
		if addr.IsLoopback() || addr.IsUnspecified() || p.opts.Own != nil && p.opts.Own(addr) {
			return unableToRelay(to, "the address literal is a loopback address or our own")
		}
	}
	if p.opts.AllowsRelay != nil && p.opts.AllowsRelay(to.Domain) {
		return mail.Decision{Allow: true, Reason: "the remote domain allows relay"}
	}
	if p.opts.Authenticated && peer.Account != "" && (p.opts.MayRelay == nil || p.opts.MayRelay(peer.Account)) {
		return mail.Decision{Allow: true, Reason: "the client is authenticated and its account may relay"}
	}
	ok, reason := p.relay.check(peer.Remote.Addr())
	if ok {
		return mail.Decision{Allow: true, Reason: reason}
	}
	if peer.Account != "" {
		reason += "; the account may not relay"
	}
	return unableToRelay(to, reason)
}

func unableToRelay(to mail.Address, reason string) mail.Decision {
	return deny(550, mail.Enhanced(5, 7, 1), "Unable to relay for "+to.String(), reason)
}

func deny(code int, enhanced mail.EnhancedCode, text, reason string) mail.Decision {
	return mail.Decision{Reply: mail.NewReply(code, enhanced, text), Reason: reason}
}
