package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mailroot/mailroot/internal/dns"
)

const (
	// ownNameTimeout bounds a look-up of the server's own name.
	ownNameTimeout = 15 * time.Second
	// ownNameAgain is when a name that led to no address of this host is looked up again: the network
	// may have come up after the service.
	ownNameAgain = 10 * time.Minute
)

// ownName watches whether the name that the server calls itself leads to this host. It keeps nothing
// from starting or from working: it makes a warning.
type ownName struct {
	wake chan struct{} // the name may be another one

	mu      sync.Mutex
	name    string // that the warning is about
	warning string
}

// look asks for a look-up soon.
func (o *ownName) look() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// warn returns the warning about a name, "" when all is well or not yet known.
func (o *ownName) warn(name string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.name != name {
		return ""
	}
	return o.warning
}

// watchOwnName looks the name up at the start and after each reload, until ctx ends.
func (v *Server) watchOwnName(ctx context.Context) {
	again := time.NewTicker(ownNameAgain)
	defer again.Stop()
	for {
		p := v.plan.Load()
		warning := p.ownNameWarning(ctx)
		if ctx.Err() != nil {
			return
		}
		if warning != "" && warning != v.ownName.warn(p.fqdn) {
			v.log.Warn(warning, "server", v.name)
		}
		v.ownName.mu.Lock()
		v.ownName.name, v.ownName.warning = p.fqdn, warning
		v.ownName.mu.Unlock()
		var tick <-chan time.Time
		if warning != "" {
			tick = again.C
		}
		select {
		case <-ctx.Done():
			return
		case <-v.ownName.wake:
		case <-tick:
		}
	}
}

// ownNameWarning says why the server's name does not lead to an address of this host, "" when it does.
// A name without a dot has a warning of its own; one that is reserved for tests is nobody's.
func (p *plan) ownNameWarning(ctx context.Context) string {
	if !strings.Contains(p.fqdn, ".") || reserved(p.fqdn) {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, ownNameTimeout)
	defer cancel()
	set, err := p.resolver.Addrs(ctx, p.fqdn)
	const so = "other servers may not trust it in EHLO; correct fqdn or DNS"
	switch {
	case errors.Is(err, dns.ErrNotExist), errors.Is(err, dns.ErrNoData):
		return fmt.Sprintf("the server's name %s has no address in DNS: %s", p.fqdn, so)
	case err != nil:
		return fmt.Sprintf("the server's name %s cannot be looked up: %v", p.fqdn, err)
	case slices.ContainsFunc(set.Addrs, p.isOwn):
		return ""
	}
	return fmt.Sprintf("the server's name %s leads to %s, which is no address of this host: %s, or leave it so when addresses are translated on the way",
		p.fqdn, set.Addrs[0], so)
}

// reserved reports whether a name is one that no DNS server leads to a host (RFC 2606, RFC 6761).
func reserved(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	top := name[strings.LastIndexByte(name, '.')+1:]
	return slices.Contains([]string{"test", "example", "invalid", "localhost"}, top)
}
