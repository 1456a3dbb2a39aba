package dns

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// PeerNameTimeout is how long PeerName takes at most if its context sets no deadline.
const PeerNameTimeout = 5 * time.Second

// maxPeerNames is the number of names of one address that PeerName tries to confirm.
const maxPeerNames = 5

// PeerName returns the confirmed host name of a client, or "": a name that a PTR record gives
// and whose own addresses contain addr. It is fit to be written into a header or a log.
func PeerName(ctx context.Context, r Resolver, addr netip.Addr) string {
	name, _ := ConfirmName(ctx, r, addr)
	return name
}

// ConfirmName is PeerName with the reason: ErrNotExist or ErrNoData if addr has no name,
// ErrUnconfirmed if none of its names leads back, another error if it could not be found out.
func ConfirmName(ctx context.Context, r Resolver, addr netip.Addr) (string, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, PeerNameTimeout)
		defer cancel()
	}
	addr = addr.Unmap().WithZone("")
	set, err := r.PTR(ctx, addr)
	if err != nil {
		return "", err
	}
	failed := error(&Error{Name: addr.String(), Type: "PTR", Err: ErrUnconfirmed})
	for _, name := range set.Names[:min(len(set.Names), maxPeerNames)] {
		clean, ok := cleanName(name)
		if !ok || !isHostName(clean) {
			continue // a Resolver of another make may not have sanitised
		}
		hosts, err := r.Addrs(ctx, clean)
		if err == nil && slices.Contains(hosts.Addrs, addr) {
			return clean, nil
		}
		if e, ok := err.(*Error); ok && e.Temporary() {
			failed = err
		}
	}
	return "", failed
}
