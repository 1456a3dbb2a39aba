package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/service"
)

// testTimeout bounds a test message or a look-up of a route.
const testTimeout = 30 * time.Second

// parseAddress reads an address as a person types it; a domain alone is taken for a route.
func parseAddress(text string) (mail.Address, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' }) {
		return mail.Address{}, fmt.Errorf("%w: %q is not an address", ErrInvalid, text)
	}
	i := strings.LastIndexByte(text, '@')
	if i == 0 || i == len(text)-1 || text == "" {
		return mail.Address{}, fmt.Errorf("%w: %q is not an address", ErrInvalid, text)
	}
	if i < 0 {
		return mail.Address{Local: text}, nil
	}
	return mail.Address{Local: text[:i], Domain: text[i+1:]}, nil
}

// routeTarget reads an address, or a domain alone: @name, or a name with a dot. The domain is "" for a
// local-part alone.
func routeTarget(text string) (addr mail.Address, domain string, err error) {
	if name, ok := strings.CutPrefix(text, "@"); ok && !strings.Contains(name, "@") {
		if addr, err = parseAddress("postmaster@" + name); err != nil {
			return addr, "", fmt.Errorf("%w: %q is not a domain", ErrInvalid, text)
		}
		return mail.Address{}, name, nil
	}
	if addr, err = parseAddress(text); err != nil {
		return addr, "", err
	}
	if addr.IsBare() && strings.Contains(addr.Local, ".") {
		return mail.Address{}, addr.Local, nil
	}
	return addr, addr.Domain, nil
}

// TestRoute explains where mail for an address, or a domain, would go, look-ups in DNS included. Nothing
// is sent and no connection is made to a mail server.
func (c *Control) TestRoute(ctx context.Context, a Actor, text string) (RouteAnswer, error) {
	if err := a.allow("test route", RoleViewer); err != nil {
		return RouteAnswer{}, err
	}
	addr, domain, err := routeTarget(text)
	if err != nil {
		return RouteAnswer{}, err
	}
	v := c.server()
	answer := RouteAnswer{Address: text}
	if domain == "" {
		answer.Steps = []string{fmt.Sprintf("%s is taken for a local-part; a domain without a dot is written @%s", text, text)}
	}
	answer.Steps = append(answer.Steps, v.Routes().Explain(domain)...)
	answer.Steps = append(answer.Steps, whoMaySend(v, domain))
	if addr.Domain != "" && v.Routes().Local(domain) {
		if d := v.Recipient(addr); !d.Allow {
			answer.Steps = append(answer.Steps, "but this recipient is refused now: "+d.Reply.String()+" ("+d.Reason+")")
		}
	}
	if domain == "" {
		domain = v.DefaultDomain()
	}
	hop, err := v.Routes().Hop(domain)
	if err != nil {
		answer.Error, answer.Outcome = err.Error(), outcome(err)
		return answer, nil
	}
	answer.NextHop = hop.Key
	if hop.Local() {
		answer.Steps = append(answer.Steps, "the file is written to "+v.Config().Folders.Drop)
		return answer, nil
	}
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	steps, err := v.Deliverer().Explain(ctx, hop)
	answer.Steps = append(answer.Steps, steps...)
	if err != nil {
		answer.Error, answer.Outcome = err.Error(), outcome(err)
	}
	return answer, nil
}

// outcome says what becomes of mail that has no way at present.
func outcome(err error) string {
	var e *mail.Error
	if errors.As(err, &e) && e.Permanent() {
		return "a message would be returned to its sender at once"
	}
	return "a message would wait in the queue and be tried again"
}

// whoMaySend says which clients may send to a domain (product order of the relay decision).
func whoMaySend(v *service.Server, domain string) string {
	if domain == "" || v.Routes().Local(domain) {
		return "who may send there: everybody who may connect, for it is a local domain"
	}
	if v.Routes().AllowsRelay(domain) {
		return "who may send there: everybody who may connect, for the domain allows relay"
	}
	relay := v.Config().Access.Relay
	if relay.Mode == config.ListAllExcept {
		return fmt.Sprintf("who may send there: everybody who may connect, except the %d entries of the relay list", len(relay.List))
	}
	if len(relay.List) == 0 {
		return "who may send there: nobody, for the relay list is empty"
	}
	return fmt.Sprintf("who may send there: clients on the relay list (%d entries); others get 550 5.7.1", len(relay.List))
}

// TestSend sends a test message by SMTP to a binding of the service, as a client would, and returns the
// dialog. The recipient is subject to the relay rules like any other.
func (c *Control) TestSend(ctx context.Context, a Actor, m TestMessage) (TestSent, error) {
	if err := a.allow("test send", RoleOperator); err != nil {
		return TestSent{}, err
	}
	v := c.server()
	to, err := parseAddress(m.To)
	if err != nil {
		return TestSent{}, err
	}
	from := mail.Address{Local: "postmaster", Domain: v.DefaultDomain()}
	switch m.From {
	case "":
	case "<>":
		from = mail.Address{}
	default:
		if from, err = parseAddress(m.From); err != nil {
			return TestSent{}, err
		}
	}
	if strings.ContainsFunc(m.Subject, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return TestSent{}, fmt.Errorf("%w: the subject must not hold control characters", ErrInvalid)
	}
	if m.Subject == "" {
		m.Subject = "Test message from Mailroot"
	}
	test, err := ownBinding(v)
	if err != nil {
		return TestSent{}, err
	}
	test.From, test.To, test.Subject = from, to, m.Subject
	test.Text = fmt.Sprintf("This is a test message of the Mailroot relay at %s.\r\nIt was sent by %s on %s.\r\n", v.FQDN(), a, time.Now().Format(time.RFC1123Z))
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	sent, err := v.SendTest(ctx, test)
	if err != nil {
		return TestSent{}, err
	}
	c.audit(a, "test send", "to", m.To, "accepted", sent.Accepted)
	out := TestSent{MessageID: sent.MessageID, Dialog: sent.Dialog, OK: sent.Accepted, Result: "Not accepted: " + sent.Reply}
	if sent.Accepted {
		out.Result = "Accepted: it is in the queue, or has left it already."
	}
	return out, nil
}

// ownBinding returns where and how a test message is sent: the first binding, at an address that this
// host can reach, in plain text where that is allowed.
func ownBinding(v *service.Server) (service.TestMessage, error) {
	cfg := v.Config()
	for _, live := range v.Bindings() {
		for i := range cfg.Bindings {
			b := &cfg.Bindings[i]
			if b.Address != live.Address || !live.Offered && (b.TLS == config.TLSImplicit || cfg.Access.RequireTLS) {
				continue
			}
			ip := b.IP
			switch {
			case !ip.IsValid() || ip == netip.IPv4Unspecified():
				ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
			case ip.IsUnspecified():
				ip = netip.IPv6Loopback()
			}
			return service.TestMessage{
				Addr:     net.JoinHostPort(ip.String(), fmt.Sprint(b.Port)),
				Implicit: b.TLS == config.TLSImplicit,
				StartTLS: b.TLS == config.TLSStartTLS && cfg.Access.RequireTLS,
			}, nil
		}
	}
	return service.TestMessage{}, fmt.Errorf("%w: no binding can be used, for want of a certificate", ErrInvalid)
}
