package service

import (
	"net/netip"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/delivery"
	"github.com/mailroot/mailroot/internal/listen"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/pickup"
	"github.com/mailroot/mailroot/internal/policy"
	"github.com/mailroot/mailroot/internal/queue"
	"github.com/mailroot/mailroot/internal/report"
	"github.com/mailroot/mailroot/internal/route"
	"github.com/mailroot/mailroot/internal/session"
	"github.com/mailroot/mailroot/internal/smtp"
	spoollog "github.com/mailroot/mailroot/internal/spool/log"
)

// This file alone maps the schema to the options of the parts. What is not a value of the
// configuration (closures over other parts) is added in plan.go and server.go.

func routeOptions(c *config.VirtualServer, defaultDomain string, own func(netip.Addr) bool, keep *route.Table) route.Options {
	o := route.Options{
		SmartHost:   c.Delivery.SmartHost,
		DirectFirst: c.Delivery.DirectFirst,
		Port:        uint16(c.Connections.OutboundPort),
		TLS:         hopTLS(c.Delivery.OutboundSecurity.TLS),
		Own:         own,
		Keep:        keep,
		Domains:     []route.Domain{{Name: defaultDomain, Kind: route.Default}},
	}
	for _, d := range c.Domains {
		switch d.Kind {
		case config.KindAlias:
			o.Domains = append(o.Domains, route.Domain{Name: d.Name, Kind: route.Alias})
		case config.KindRemote:
			tls := hopTLS(d.TLS)
			o.Domains = append(o.Domains, route.Domain{
				Name: d.Name, Kind: route.Remote, Route: d.Route, AllowRelay: d.AllowRelay,
				UseHELO: d.SendHELO, TLS: &tls, MaxConnections: ownLimit(d.MaxConnections, c.Connections.OutboundPerDomain),
			})
		}
	}
	return o
}

// ownLimit is a domain's limit of connections where it is not the site's: only then is its next hop one with
// terms of its own.
func ownLimit(domain, site int) int {
	if domain == site {
		return 0
	}
	return domain
}

func hopTLS(t config.OutboundTLS) mail.HopTLS {
	switch t {
	case config.OutboundRequired:
		return mail.TLSRequired
	case config.OutboundVerified:
		return mail.TLSVerified
	case config.OutboundOff:
		return mail.TLSOff
	}
	return mail.TLSOpportunistic
}

func policyList(l config.AddressList) policy.List {
	p := policy.List{Mode: policy.Only, Prefixes: l.List}
	if l.Mode == config.ListAllExcept {
		p.Mode = policy.AllExcept
	}
	return p
}

func sessionOptions(c *config.VirtualServer, b *config.Binding, fqdn string) session.Options {
	o := session.Options{
		FQDN:                     fqdn,
		Banner:                   c.Protocol.Banner,
		Implicit:                 b.TLS == config.TLSImplicit,
		RequireTLS:               c.Access.RequireTLS,
		IdleTimeout:              c.Connections.InboundTimeout,
		MinRate:                  c.Protocol.MinDataRate,
		RateGrace:                c.Protocol.MinDataGrace,
		MaxMessageSize:           c.Messages.MaxSize,
		MaxSessionSize:           c.Messages.MaxSessionSize,
		StrictSize:               c.Messages.StrictSize,
		SessionSizePerConnection: c.Messages.SessionSizeCounts == config.CountsConnection,
		MaxRecipients:            c.Messages.MaxRecipients,
	}
	if o.MinRate == 0 {
		o.MinRate = -1 // in the schema 0 is "no minimum"
	}
	if c.Protocol.Voice == config.VoicePlain {
		o.Voice = session.Plain
	}
	switch b.Profile {
	case config.ProfileInternet:
		o.Profile = smtp.Internet
	case config.ProfileSubmission:
		o.Profile = smtp.Submission
	default:
		o.Profile = smtp.Internal
	}
	return o
}

// spoolLimits are those of the queue block; 0 is "all may be used" in the schema. memory is what the process may use, 0 if
// that has no limit: messages fill faster than anybody looks at the memory of the process.
func spoolLimits(cfg *config.Config, c *config.VirtualServer, memory int64) spoollog.Limits {
	l := spoollog.Limits{Memory: c.Queue.Memory, MinFree: c.Queue.MinFreeSpace, MinInodes: c.Queue.MinFreeFiles}
	if memory > 0 && !cfg.Sets(c.Path("queue.memory")) {
		l.Memory = min(l.Memory, max(memory/4, 1<<20))
	}
	if l.MinFree == 0 {
		l.MinFree = -1
	}
	if l.MinInodes == 0 {
		l.MinInodes = -1
	}
	return l
}

func pickupSettings(c *config.VirtualServer) pickup.Settings {
	return pickup.Settings{DotStuffed: c.Pickup.DotStuffed, MaxSize: c.Messages.MaxSessionSize}
}

func queueSettings(c *config.VirtualServer, f files) queue.Settings {
	return queue.Settings{
		MaxOutbound:           f.outbound,
		PerDomain:             c.Connections.OutboundPerDomain,
		MessagesPerConnection: c.Messages.MaxPerConnection,
		MaxRecipients:         c.Messages.MaxRecipients,
		MaxHops:               c.Delivery.MaxHops,
		Local:                 retry(c.Delivery.Local),
		Remote:                retry(c.Delivery.Remote),
	}
}

func retry(r config.Retry) queue.Retry {
	return queue.Retry{MaxAttempts: r.MaxRetries, Intervals: r.RetryIntervals, ExpireAfter: r.ExpireAfter, NoticeAfter: r.DelayNoticeAfter}
}

func reportOptions(c *config.VirtualServer, fqdn, defaultDomain string) report.Options {
	return report.Options{
		FQDN:        fqdn,
		From:        mail.Address{Local: "postmaster", Domain: defaultDomain},
		MaxOriginal: c.Messages.NDROriginalSize,
	}
}

func deliveryOptions(c *config.VirtualServer, fqdn string) delivery.Options {
	return delivery.Options{
		FQDN:                  fqdn,
		Drop:                  delivery.Drop{Dir: c.Folders.Drop, Mode: 0o640},
		MessagesPerConnection: c.Messages.MaxPerConnection,
		OutboundTimeout:       c.Connections.OutboundTimeout,
		BlockPrivateMX:        c.Protocol.BlockPrivateMX,
		AllowLoopbackMX:       c.Protocol.AllowLoopbackMX,
		CompleteHeader:        c.Delivery.CompleteHeader,
		Masquerade:            normalDomain(c.Delivery.MasqueradeDomain),
	}
}

// normalDomain returns a name as it can stand in any address: in lower case, with A-labels.
func normalDomain(name string) string {
	if norm, err := route.NormalizeDomain(name); err == nil {
		return norm
	}
	return name // "", or a name that the schema let pass all the same
}

// stamped tells which alias domains are rewritten in header addresses; nil: none is.
func stamped(c *config.VirtualServer) func(domain string) bool {
	names := make(map[string]bool)
	for _, d := range c.Domains {
		if d.Kind == config.KindAlias && d.StampHeader {
			names[normalDomain(d.Name)] = true
		}
	}
	if len(names) == 0 {
		return nil
	}
	return func(domain string) bool { return names[normalDomain(domain)] }
}

func listenLimits(c *config.VirtualServer, f files) listen.Limits {
	return listen.Limits{
		Total:      f.inbound,
		PerAddress: c.Connections.InboundPerAddress,
		PerNetwork: c.Connections.InboundPerNetwork,
	}
}

func listenBindings(c *config.VirtualServer) []listen.Binding {
	out := make([]listen.Binding, len(c.Bindings))
	for i, b := range c.Bindings {
		out[i] = listen.Binding{Addr: b.Address}
	}
	return out
}
