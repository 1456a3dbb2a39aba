package route

import (
	"strconv"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// Explain tells in words, a step a line, how Hop comes to its answer for a domain. The last
// line is the answer or the reason for having none.
func (t *Table) Explain(domain string) []string {
	var steps []string
	say := func(parts ...string) { steps = append(steps, strings.Join(parts, "")) }
	if domain == "" {
		say("no domain: the default domain ", t.deflt, " is added")
		domain = t.deflt
	}
	norm, err := t.normalize(domain)
	if err != nil {
		say("no next hop: ", err.Error())
		return steps
	}
	if norm != domain {
		say(strconv.Quote(domain), " is looked for as ", norm)
	}
	switch t.local[norm] {
	case Default:
		say(norm, " is the default domain, which is local")
		say("next hop: the drop directory")
		return steps
	case Alias:
		say(norm, " is an alias domain, which is local: recipients are rewritten to @", t.deflt)
		say("next hop: the drop directory")
		return steps
	}
	say(norm, " is not a local domain")
	e := t.find(norm)
	t.explainEntry(norm, e, say)
	hop := e.hop
	if hop == nil {
		hop = t.mx(norm, e)
	}
	say("next hop: ", describe(hop))
	if hop.Fallback != nil {
		say("if it cannot be reached, in the same attempt: ", describe(hop.Fallback))
	}
	return steps
}

func (t *Table) explainEntry(norm string, e *entry, say func(...string)) {
	smart := len(t.opts.SmartHost) > 0
	switch {
	case e == &t.site:
		say("no remote domain in the list covers it")
	case e.Name == norm:
		say("the remote domain ", e.Name, " in the list is it")
	default:
		say("the remote domain ", e.Name, " in the list covers it, as the longest match")
	}
	if e.AllowRelay {
		say("any client may relay to it")
	}
	switch {
	case e != &t.site && len(e.Route) > 0:
		say("its route domain beats smart host and MX")
		return
	case e != &t.site:
		say("it has no route domain")
	}
	switch {
	case !smart:
		say("no smart host is set: delivery is by MX")
	case t.opts.DirectFirst:
		say("direct delivery is attempted first, then the smart host")
	default:
		say("a smart host is set")
	}
}

// describe says what a hop is and under which terms.
func describe(h *mail.Hop) string {
	var b strings.Builder
	switch h.Kind {
	case mail.HopDrop:
		return "the drop directory"
	case mail.HopMX:
		if _, ok := literalAddr(h.Domain); ok {
			b.WriteString("the address " + h.Domain)
		} else {
			b.WriteString("the MX hosts of " + h.Domain + " (without MX records its addresses)")
		}
		b.WriteString(", port " + strconv.Itoa(int(h.Port)))
	case mail.HopHosts:
		for i, host := range h.Hosts {
			if i > 0 {
				b.WriteString(", then ")
			}
			if host.Port == 0 {
				host.Port = h.Port
			}
			b.WriteString(host.String())
			if !host.Addr.IsValid() {
				b.WriteString(" (MX, then addresses)")
			}
		}
	}
	b.WriteString("; TLS " + tlsName(h.TLS))
	if h.UseHELO {
		b.WriteString("; HELO")
	}
	if h.MaxConnections > 0 {
		b.WriteString("; at most " + strconv.Itoa(h.MaxConnections) + " connections")
	}
	return b.String()
}
