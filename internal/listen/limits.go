package listen

import "net/netip"

// Limits are the numbers of connections at the same time, over all bindings; 0: no limit.
type Limits struct {
	Total      int
	PerAddress int // of one client address
	PerNetwork int // of the clients of one network: /24 in IPv4, /64 in IPv6
}

// Refusal says why a connection is refused.
type Refusal uint8

// The refusals.
const (
	// OverTotal: there are as many connections as there may be.
	OverTotal Refusal = iota
	// OverAddress: the client's address has as many as it may have.
	OverAddress
	// OverNetwork: the client's network has.
	OverNetwork
	// WhilePaused: none is taken until Continue.
	WhilePaused
	// WhileShort: none is taken while Options.Short says so.
	WhileShort
)

// String returns the refusal in words for logs.
func (r Refusal) String() string {
	switch r {
	case OverAddress:
		return "too many connections of the client's address"
	case OverNetwork:
		return "too many connections of the client's network"
	case WhilePaused:
		return "paused"
	case WhileShort:
		return "memory is short"
	}
	return "too many connections"
}

// clients counts connections by address and by network. A client without an address, as tests may
// have, counts in neither.
type clients struct {
	addresses map[netip.Addr]int
	networks  map[netip.Prefix]int
}

func newClients() clients {
	return clients{make(map[netip.Addr]int), make(map[netip.Prefix]int)}
}

// networkOf returns the network that an address counts in.
func networkOf(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 24
	}
	// Either fits the kind of address, so that there is no error.
	p, _ := a.Prefix(bits)
	return p
}

func (c *clients) add(a netip.Addr) {
	if a.IsValid() {
		c.addresses[a]++
		c.networks[networkOf(a)]++
	}
}

func (c *clients) remove(a netip.Addr) {
	if a.IsValid() {
		drop(c.addresses, a)
		drop(c.networks, networkOf(a))
	}
}

func drop[K comparable](m map[K]int, k K) {
	if m[k]--; m[k] <= 0 {
		delete(m, k)
	}
}

// refusal returns why another connection of a client is refused, if it is. l.mu is held.
func (l *Listener) refusal(a netip.Addr, short bool) (why Refusal, refused bool) {
	switch {
	case l.paused:
		return WhilePaused, true
	case short:
		return WhileShort, true
	case l.limits.Total > 0 && len(l.conns) >= l.limits.Total:
		return OverTotal, true
	case !a.IsValid():
	case l.limits.PerAddress > 0 && l.clients.addresses[a] >= l.limits.PerAddress:
		return OverAddress, true
	case l.limits.PerNetwork > 0 && l.clients.networks[networkOf(a)] >= l.limits.PerNetwork:
		return OverNetwork, true
	}
	return 0, false
}

// count counts a refusal.
func (c *Counts) count(why Refusal) {
	c.Refused++
	switch why {
	case OverAddress:
		c.RefusedAddress++
	case OverNetwork:
		c.RefusedNetwork++
	case WhileShort:
		c.RefusedShort++
	}
}
