package service

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/mailroot/mailroot/internal/badmail"
	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/delivery"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/pickup"
	"github.com/mailroot/mailroot/internal/queue"
	"github.com/mailroot/mailroot/internal/record/accesslog"
	"github.com/mailroot/mailroot/internal/route"
	"github.com/mailroot/mailroot/internal/spool"
)

// What control needs to see of a virtual server. None of it changes anything by itself.

// Name returns the name of the virtual server.
func (v *Server) Name() string { return v.name }

// Config returns the settings in force.
func (v *Server) Config() *config.VirtualServer { return v.plan.Load().cfg }

// FQDN returns the name that the server calls itself.
func (v *Server) FQDN() string { return v.plan.Load().fqdn }

// DefaultDomain returns the default domain in force.
func (v *Server) DefaultDomain() string { return v.plan.Load().defaultDomain }

// Warnings returns what an administrator should know about the configuration in force (where its name leads is known a
// moment after the start), about the state that
// was found, and of a client that sends what is too large again and again.
func (v *Server) Warnings() []string {
	p := v.plan.Load()
	w := append(slices.Clone(p.warnings), v.notices.warnings()...)
	if name := v.ownName.warn(p.fqdn); name != "" {
		w = append(w, name)
	}
	if v.freezes.trouble != "" {
		w = append(w, v.freezes.trouble)
	}
	if text := v.unreported.Load(); text != nil {
		w = append(w, "mail that failed waits, since its report or its way to Badmail cannot be written: "+*text)
	}
	if n, err := v.quarantine.Count(); err == nil && n > 0 {
		w = append(w, fmt.Sprintf("damaged parts of the queue are in quarantine: %d; see: mailroot queue quarantine list", n))
	}
	return w
}

// IsSelf reports whether a connection to that address and port would reach this virtual server.
func (v *Server) IsSelf(ap netip.AddrPort) bool { return v.plan.Load().isSelf(ap) }

// Routes returns the routes in force.
func (v *Server) Routes() *route.Table { return v.plan.Load().table }

// Recipient tells whether the drop folder takes mail for an address at present.
func (v *Server) Recipient(to mail.Address) mail.Decision {
	return v.plan.Load().policy.Recipient(to, 0)
}

// Deliverer returns the deliverer in force: to be asked, and for runs that go over to it.
func (v *Server) Deliverer() *delivery.Deliverer { return v.plan.Load().deliver }

// Store returns the spool.
func (v *Server) Store() spool.Store { return v.store }

// Queue returns the queue.
func (v *Server) Queue() *queue.Queue { return v.queue }

// Badmail returns the badmail folder.
func (v *Server) Badmail() *badmail.Folder { return v.bad }

// Pickup returns the figures of the pickup directory.
func (v *Server) Pickup() pickup.Stats { return v.pickup.Stats() }

// Inbound are the figures of client connections.
type Inbound struct {
	Connections int    // open now
	Limit       int    // of them, in force; 0: none
	Accepted    uint64 // since the start
	Refused     uint64 // over a limit, since the start
	// RefusedAddress and RefusedNetwork are those of Refused over the limit of an address or network.
	RefusedAddress, RefusedNetwork uint64
	RefusedMemory                  uint64 // those of Refused for want of memory
	Messages                       int64  // taken by SMTP since the start
	Notices
}

// Inbound returns the figures of client connections.
func (v *Server) Inbound() Inbound {
	s := v.listener.Counts()
	return Inbound{
		Connections: s.Current, Limit: shareFiles(v.Config(), v.files).inbound, Accepted: s.Accepted,
		Refused: s.Refused, RefusedAddress: s.RefusedAddress, RefusedNetwork: s.RefusedNetwork, RefusedMemory: s.RefusedShort,
		Messages: v.sessions.received(), Notices: v.notices.counts(),
	}
}

// Binding is one address that is listened on.
type Binding struct {
	Address string // as bound, with the real port
	TLS     config.BindingTLS
	Offered bool // STARTTLS or implicit TLS works: there is a certificate
}

// Bindings returns the addresses that are listened on.
func (v *Server) Bindings() []Binding {
	p := v.plan.Load()
	out := make([]Binding, len(p.cfg.Bindings))
	for i, b := range p.cfg.Bindings {
		out[i] = Binding{Address: b.Address, TLS: b.TLS, Offered: p.sessions[b.Address].TLS != nil}
	}
	return out
}

// Log returns the figures of the transaction log, and whether there is one.
func (v *Server) Log() (accesslog.Stats, bool) {
	l := v.access.Load()
	if l == nil {
		return accesslog.Stats{}, false
	}
	return l.Stats(), true
}
