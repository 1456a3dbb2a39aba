package service

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/delivery"
	"github.com/mailroot/mailroot/internal/dns"
	"github.com/mailroot/mailroot/internal/intake"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/policy"
	"github.com/mailroot/mailroot/internal/report"
	"github.com/mailroot/mailroot/internal/route"
	"github.com/mailroot/mailroot/internal/session"
	"github.com/mailroot/mailroot/internal/spool"
)

// plan is all that follows from a configuration and can be replaced while the service runs. It
// does not change: a reload makes a new one. Sessions keep limits and wording of the plan that they
// began with; who may relay and where mail goes is asked of the plan in force.
type plan struct {
	cfg           *config.VirtualServer
	fqdn          string
	defaultDomain string
	own           map[netip.Addr]bool // addresses of this host
	ports         map[uint16]bool     // that we listen on

	table    *route.Table
	policy   *policy.Policy
	resolver dns.Resolver
	intake   *intake.Intake
	deliver  *delivery.Deliverer
	sessions map[string]*session.Options // by the address of the binding
	report   report.Options
	warnings []string
}

// newPlan makes the plan for a configuration, keeping of the one in force what must stay the same
// (the identity of next hops). Nothing of it is in use before install.
func (v *Server) newPlan(cfg *config.Config, c *config.VirtualServer) (*plan, error) {
	p := &plan{cfg: c, fqdn: c.FQDN, defaultDomain: c.DefaultDomain()}
	if p.fqdn == "" {
		p.fqdn = v.hostName()
	}
	if p.defaultDomain == "" {
		p.defaultDomain = v.hostName()
	}
	if !strings.Contains(p.fqdn, ".") {
		p.warnings = append(p.warnings, "the server's name "+p.fqdn+" has no dot: other servers may refuse it in EHLO; set fqdn")
	}
	p.own, p.ports = ownAddresses(c), listenPorts(c)
	var keep *route.Table
	if old := v.plan.Load(); old != nil {
		keep = old.table
	}
	table, err := route.New(routeOptions(c, p.defaultDomain, p.isOwn, keep))
	if err != nil {
		return nil, err
	}
	p.table = table
	p.policy = policy.New(policy.Options{
		Access: policyList(c.Access.ConnectionControl),
		Relay:  policyList(c.Access.Relay),
		Local:  table.Local, AllowsRelay: table.AllowsRelay, Own: p.isOwn,
		Recipients: c.Drop.Recipients, Postmaster: c.Protocol.Postmaster,
		Quota: c.Drop.Quota,
		Full:  func(size int64) bool { return v.drop.over(c.Drop.Quota, v.queue.LocalOctets()+size) },
	})
	p.resolver = v.newResolver(cfg)
	p.intake = intake.New(v.intakeOptions(p))
	p.deliver = delivery.New(v.deliveryOptions(p))
	p.report = reportOptions(c, p.fqdn, p.defaultDomain)
	return p, v.planSessions(p, cfg)
}

// planSessions makes the options of the sessions of each binding.
func (v *Server) planSessions(p *plan, cfg *config.Config) error {
	c := p.cfg
	tlsConfig, err := v.inboundTLS(c)
	if err != nil {
		return err
	}
	if tlsConfig != nil {
		p.warnings = append(p.warnings, v.keys.Warnings(p.fqdn)...)
	}
	p.sessions = make(map[string]*session.Options, len(c.Bindings))
	for i := range c.Bindings {
		b := &c.Bindings[i]
		o := sessionOptions(c, b, p.fqdn)
		if b.TLS != config.TLSNone {
			o.TLS = tlsConfig
			// Where the file asks for it by name, its check has warned.
			if path := c.Path("binding[\"" + b.Address + "\"]"); tlsConfig == nil && !cfg.Sets(path+".tls") {
				p.warnings = append(p.warnings, path+": "+config.NoSTARTTLS)
			}
		}
		// Who may do what is asked of the plan in force, so that a reload reaches open connections.
		o.Policy = rules{v}
		o.RelayClient = func(a netip.Addr) bool { return v.plan.Load().policy.RelayClient(a) }
		o.Begin = func(ctx context.Context, peer *mail.Peer, s mail.Sender) (session.Transaction, error) {
			if err := v.shed.mail(); err != nil {
				return nil, err
			}
			tx, err := v.plan.Load().intake.BeginSMTP(ctx, peer, s)
			if err != nil {
				return nil, err // a nil *Tx must not become a non-nil interface
			}
			return tx, nil
		}
		if c.Delivery.ReverseDNS {
			o.PeerName = func(ctx context.Context, a netip.Addr) string {
				ctx, cancel := context.WithTimeout(ctx, c.Delivery.ReverseDNSTimeout)
				defer cancel()
				return dns.PeerName(ctx, p.resolver, a)
			}
		}
		o.Record = v.record
		o.Track = v.sessions.track
		o.NextConn = v.nextConn
		o.Panicked = v.panicked
		p.sessions[b.Address] = &o
	}
	return nil
}

// rules is the policy in force, as sessions ask for it.
type rules struct{ v *Server }

// Connect decides whether a client may connect.
func (r rules) Connect(p *mail.Peer) mail.Decision { return r.v.plan.Load().policy.Connect(p) }

// Relay decides whether a client may send to an address, and whether a local one is taken.
func (r rules) Relay(p *mail.Peer, to mail.Address, size int64) mail.Decision {
	inForce := r.v.plan.Load().policy
	if d := inForce.Relay(p, to); !d.Allow {
		return d
	}
	return inForce.Recipient(to, size)
}

// isOwn reports whether an address belongs to this host.
func (p *plan) isOwn(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return p.own[a] || a.IsLoopback() || a.IsUnspecified()
}

// isSelf reports whether a connection to that address and port would reach ourselves.
func (p *plan) isSelf(ap netip.AddrPort) bool { return p.ports[ap.Port()] && p.isOwn(ap.Addr()) }

func (v *Server) intakeOptions(p *plan) intake.Options {
	return intake.Options{
		Spool:         spoolTx(v.local.Begin),
		SpoolReport:   spoolTx(v.local.BeginReport),
		Hold:          v.local.Hold,
		Enqueue:       v.queue.Add,
		FQDN:          func() string { return p.fqdn },
		DefaultDomain: func() string { return p.defaultDomain },
		IsAlias:       p.table.OtherName,
		StampHeader:   stamped(p.cfg),
		Postmaster:    func() mail.Address { return p.cfg.Protocol.Postmaster },
		MaxHops:       p.cfg.Delivery.MaxHops,
		RejectHops:    p.cfg.Delivery.HopReply == config.HopReject,
	}
}

// spoolTx lets intake begin messages in the spool.
func spoolTx(begin func(context.Context) (spool.Tx, error)) func(context.Context) (intake.SpoolTx, error) {
	return func(ctx context.Context) (intake.SpoolTx, error) {
		tx, err := begin(ctx)
		if err != nil {
			return nil, err // a nil Tx must not become a non-nil interface
		}
		return tx, nil
	}
}

func (v *Server) deliveryOptions(p *plan) delivery.Options {
	o := deliveryOptions(p.cfg, p.fqdn)
	o.Resolver = p.resolver
	o.Body = func(ctx context.Context, id mail.QueueID) (delivery.Body, error) {
		b, err := v.store.Body(ctx, id)
		if err != nil {
			return nil, err
		}
		return b, nil
	}
	o.Drop.FS = v.fs
	o.Drop.Wrote = v.drop.add
	o.IsLocal = p.table.Local
	o.IsSelf = p.isSelf
	o.Current = v.Deliverer
	o.Dial = v.dial
	o.Record = v.record
	o.ConnID = v.nextConn
	return o
}

// listenPorts lists the ports that the service listens on.
func listenPorts(c *config.VirtualServer) map[uint16]bool {
	ports := make(map[uint16]bool, len(c.Bindings))
	for _, b := range c.Bindings {
		ports[b.Port] = true
	}
	return ports
}

// ownAddresses lists the addresses of this host: those of its interfaces and of the bindings.
func ownAddresses(c *config.VirtualServer) map[netip.Addr]bool {
	own := make(map[netip.Addr]bool)
	for _, b := range c.Bindings {
		if b.IP.IsValid() && !b.IP.IsUnspecified() {
			own[b.IP.Unmap()] = true
		}
	}
	// Without a list of interfaces the bindings must do.
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				own[ip.Unmap()] = true
			}
		}
	}
	return own
}
