package metabase

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/mail"
)

func (c *converter) delivery() {
	b := c.vs.block("delivery", "")
	c.smartHost(b)
	c.count(b, "max_hops", "HopCount")
	c.masquerade(b)
	c.yes(b, "reverse_dns", "EnableReverseDnsLookup")
	if c.oldRetries() {
		c.oldRetry(b)
	} else {
		c.laterRetry(b)
	}
	c.siteSecurity(b)
}

// smartHost converts where mail for remote domains goes.
func (c *converter) smartHost(b *block) {
	host, kind := c.value("SmartHost"), c.value("SmartHostType")
	if strings.TrimSpace(host.text) == "" {
		if n, err := number(kind.text); kind.set() && (err != nil || n != 0) {
			c.leave(kind, "there is no SmartHost")
		}
		return
	}
	next, why := hosts(host.text)
	e := b.set("smart_host", list(next), host.note())
	defer func() { c.record(host, e, why) }()
	n, err := number(kind.text)
	switch {
	case e.off != "":
		c.report.attend("the smart host %s of %s cannot be taken (%s): mail goes by DNS until delivery.smart_host is set", quoted(host.text), c.path, e.off)
		if kind.set() {
			c.leave(kind, "the smart host is not taken")
		}
		return
	case err != nil || n > 2:
		c.leave(kind, "%s is no kind that is known; the smart host is always used", quoted(kind.text))
	case n == 0:
		e.off = "SmartHostType is 0, so that the old service did not use it"
		c.change(kind, "delivery.smart_host", e.value, "commented out: 0 is that the old service did not use it")
		if !kind.set() {
			e.off = "SmartHostType is absent, and 0 by default, so that the old service did not use it"
			c.report.attend("the smart host %s of %s is commented out: SmartHostType is absent, and 0 by default, so that the old service did not use it. Mail goes by DNS; if it went to the smart host, take the # away", quoted(host.text), c.path)
		}
		return
	default:
		c.record(kind, b.set("direct_first", strconv.FormatBool(n == 1), kind.note()), "")
	}
}

// hosts takes a text apart that may name several next hops, and says what is written otherwise here.
func hosts(s string) (out []string, why string) {
	for _, text := range strings.FieldsFunc(clean(s), func(r rune) bool { return r == ';' || r == ',' || r == ' ' }) {
		name := nextHop(text)
		if name != text {
			why = "a name is written without brackets and without a dot at its end, and means the same"
		}
		out = append(out, name)
	}
	return out, why
}

// nextHop takes the brackets round a name away, which kept the old service from asking whether it is an address, and the dot at its end.
func nextHop(text string) string {
	name, port := text, ""
	if inner, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "]"); ok && text[0] == '[' {
		if _, err := netip.ParseAddr(inner); err == nil {
			return text
		}
		name, port = inner, rest
	} else if i := strings.IndexByte(text, ':'); i >= 0 && strings.Count(text, ":") == 1 {
		name, port = text[:i], text[i:]
	}
	if name = strings.TrimSuffix(name, "."); name == "" {
		return text
	}
	return name + port
}

// loops warns of next hops that are a server itself: its name or an address that it listens on, with its port.
func (c *converter) loops(v *config.VirtualServer) {
	look := func(setting string, hosts []mail.Host) {
		for _, h := range hosts {
			if h.Port == 0 {
				h.Port = uint16(v.Connections.OutboundPort)
			}
			if listensOn(v, h) {
				c.report.attend("%s is this server itself (%s): mail would go round in a circle", setting, shown(h.String()))
			}
		}
	}
	look("delivery.smart_host", v.Delivery.SmartHost)
	for i := range v.Domains {
		look("domain["+config.Quote(v.Domains[i].Name)+"].route", v.Domains[i].Route)
	}
}

// listensOn reports whether a next hop is one of the bindings. One on all addresses has those of loopback for certain; its others are the
// new machine's, which "mailroot config check" knows there.
func listensOn(v *config.VirtualServer, h mail.Host) bool {
	return slices.ContainsFunc(v.Bindings, func(b config.Binding) bool {
		switch {
		case int(b.Port) != int(h.Port):
			return false
		case !h.Addr.IsValid():
			return strings.EqualFold(h.Name, v.FQDN) || strings.EqualFold(h.Name, "localhost")
		}
		return h.Addr == b.IP || h.Addr.IsLoopback() && (!b.IP.IsValid() || b.IP.IsUnspecified())
	})
}

func (c *converter) masquerade(b *block) {
	v, do := c.value("MasqueradeDomain"), c.value("DoMasquerade")
	if strings.TrimSpace(v.text) == "" {
		if do.set() {
			c.leave(do, "there is no MasqueradeDomain")
		}
		return
	}
	e := b.set("masquerade_domain", config.Quote(clean(v.text)), v.note())
	on, err := boolean(do.text)
	switch {
	case e.off != "":
		if do.set() {
			c.leave(do, "the masquerade domain is not taken")
		}
	case err == nil && on:
		c.change(do, "delivery.masquerade_domain", "", "the masquerade domain is in force")
	default:
		e.off = "DoMasquerade is FALSE, so that the old service did not use it"
		if err != nil || !do.set() {
			e.off = strings.TrimSuffix(do.note(), ".") + ": the old service did not use it"
			c.report.attend("the masquerade domain %s of %s is commented out (%s). If senders were rewritten to it, take the # away", quoted(v.text), c.path, e.off)
		}
		c.change(do, "delivery.masquerade_domain", e.value, "commented out: FALSE is that the old service did not use it")
	}
	c.record(v, e, "")
}

// oldRetries reports whether the retries are those of IIS 4: the file has some of them, and none of the later ones.
// LocalRetryInterval is of both.
func (c *converter) oldRetries() bool {
	return c.hasAny("RemoteRetryAttempts", "RemoteRetryInterval", "LocalRetryAttempts") &&
		!c.hasAny("SmtpRemoteProgressiveRetry", "SmtpRemoteNDRExpireMinutes", "SmtpRemoteDelayExpireMinutes", "SmtpLocalNDRExpireMinutes", "SmtpLocalDelayExpireMinutes")
}

// hasAny reports whether the file has one of the properties for the virtual server.
func (c *converter) hasAny(names ...string) bool {
	for _, name := range names {
		for i, k := range c.chain {
			if p := k.get(name); p != nil && (i == 0 || !p.Alone) {
				return true
			}
		}
	}
	return false
}

// What the service of Windows 2000 and later does where the schema names no default, in minutes.
const (
	ownDelay  = 720
	ownExpire = 2880
)

// laterRetry converts the retries of Windows 2000 and later: intervals, and an age at which a message is returned.
func (c *converter) laterRetry(b *block) {
	remote, local := b.block("remote", ""), b.block("local", "")
	v := c.value("SmtpRemoteProgressiveRetry")
	intervals, err := minutes(v.text)
	if err != nil {
		c.leave(v, "%v; the default of the original holds", err)
		intervals, _ = minutes(v.row.Default)
	}
	expire := c.expiry(remote, "SmtpRemoteNDRExpireMinutes", "SmtpRemoteDelayExpireMinutes")
	e := c.retries(remote, intervals, expire, v.note())
	if err == nil {
		c.record(v, e, "with a jitter of 10 %; expire_after ends the attempts")
	}
	expire = c.expiry(local, "SmtpLocalNDRExpireMinutes", "SmtpLocalDelayExpireMinutes")
	lv := c.value("LocalRetryInterval")
	n, err := number(lv.text)
	if err != nil || n == 0 || n > maxMinutes {
		c.leave(lv, "%s is no interval; 60 minutes hold", quoted(lv.text))
		n = 60
	}
	e = c.retries(local, []uint32{n}, expire, lv.note())
	c.record(lv, e, "")
	for _, name := range []string{"RemoteRetryAttempts", "RemoteRetryInterval", "LocalRetryAttempts"} {
		if old := c.value(name); old.set() {
			c.leave(old, "superseded: the service of Windows 2000 and later ends the attempts by their age")
		}
	}
}

const maxMinutes = 30 * 24 * 60 // the longest interval of the schema

// minutes reads a list of intervals.
func minutes(s string) ([]uint32, error) {
	var out []uint32
	for _, field := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' || r == ' ' }) {
		n, err := number(field)
		if err != nil || n == 0 || n > maxMinutes || len(out) == 100 {
			return nil, fmt.Errorf("%s is no list of minutes", quoted(s))
		}
		out = append(out, n)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s is no list of minutes", quoted(s))
	}
	return out, nil
}

// retries sets the intervals, and so many attempts that only the age of a message ends them.
func (c *converter) retries(b *block, intervals []uint32, expire int64, note string) *entry {
	var texts []string
	for _, n := range intervals {
		texts = append(texts, strings.Trim(timeText(60*int64(n)), `"`))
	}
	e := b.set("retry_intervals", list(texts), note)
	b.set("max_retries", strconv.Itoa(attempts(intervals, expire)), "So many that expire_after ends the attempts.")
	return e
}

// attempts is how many there can be until a message is so many minutes old, with some to spare for shorter intervals.
func attempts(intervals []uint32, expire int64) int {
	const least, most = 48, 10_000
	n, age := 1, int64(0)
	for age < expire && n < most {
		age += int64(intervals[min(n-1, len(intervals)-1)])
		n++
	}
	return min(max(n+n/4+1, least), most)
}

// expiry sets when a message is returned, and when its sender is told that it waits; it returns the former in minutes.
func (c *converter) expiry(b *block, expire, delay string) int64 {
	set := func(name, property string, own int64) int64 {
		v := c.value(property)
		n, err := number(cmp.Or(v.text, strconv.FormatInt(own, 10)))
		why := ""
		switch {
		case v.text == "":
			v.text, v.from = strconv.FormatInt(own, 10), "schema"
		case err != nil || n == 0:
			why, n = fmt.Sprintf("%s is no time; %d minutes hold", quoted(v.text), own), uint32(own)
		}
		s := b.setting(name)
		most := s.Max / 60
		if int64(n) > most {
			n, why = uint32(most), "the most that can be is "+timeText(s.Max)
		}
		c.record(v, b.set(name, timeText(60*int64(n)), v.note()), why)
		return int64(n)
	}
	set("delay_notice_after", delay, ownDelay)
	return set("expire_after", expire, ownExpire)
}

// oldRetry converts the retries of IIS 4: attempts at a fixed interval, no notice of delay, no age.
func (c *converter) oldRetry(b *block) {
	for _, side := range []struct{ name, attempts, interval string }{
		{"remote", "RemoteRetryAttempts", "RemoteRetryInterval"}, {"local", "LocalRetryAttempts", "LocalRetryInterval"},
	} {
		r := b.block(side.name, "")
		v := c.value(side.interval)
		n, err := number(v.text)
		if err != nil || n == 0 || n > maxMinutes {
			c.leave(v, "%s is no interval; 60 minutes hold", quoted(v.text))
			n = 60
		}
		e := r.set("retry_intervals", list([]string{strings.Trim(timeText(60*int64(n)), `"`)}), v.note())
		c.record(v, e, c.whyOf(v.row))
		c.count(r, "max_retries", side.attempts)
		r.set("delay_notice_after", `"off"`, "The service of IIS 4 sends no notice of delay, and does not return messages by their age.")
		r.set("expire_after", `"off"`)
	}
}

// The bits of RouteAction that mean something here.
const (
	routeDrop        = 0x1
	routeSmartHost   = 0x2
	routeSSL         = 0x4
	routeSASL        = 0x8
	routeAlias       = 0x10
	routeDeliver     = 0x20
	routeDefault     = 0x40
	routeNTLM        = 0x80
	routeClear       = 0x100
	routeETRN        = 0x200
	routeDomainRelay = 0x1000
	routeKerberos    = 0x200000
	routeHELO        = 0x400000

	routeLocal = routeDrop | routeAlias | routeDefault
	routeAuth  = routeNTLM | routeClear | routeKerberos
	routeUsed  = routeLocal | routeSmartHost | routeSSL | routeSASL | routeDeliver | routeAuth | routeETRN | routeDomainRelay | routeHELO
)

// routeNames are the bits by name, for words that are written so and for those that are not taken.
func routeNames() map[string]uint32 {
	return map[string]uint32{
		"drop": routeDrop, "smarthost": routeSmartHost, "ssl": routeSSL, "sasl": routeSASL, "alias": routeAlias, "deliver": routeDeliver,
		"default": routeDefault, "auth_ntlm": routeNTLM, "auth_cleartext": routeClear, "etrn_cmd": routeETRN, "ip_relay": 0x400, "auth_relay": 0x800,
		"domain_relay": routeDomainRelay, "cside_turn": 0x2000, "cside_etrn": 0x4000, "disable_etrn": 0x8000, "chunking": 0x10000,
		"disable_chunk": 0x20000, "disable_bmime": 0x40000, "disable_dsn": 0x80000, "disable_pipeline": 0x100000,
		"auth_kerberos": routeKerberos, "use_helo": routeHELO,
	}
}

// bitNames names the bits of a word.
func bitNames(word uint32) string {
	names := make(map[uint32]string)
	for name, bit := range routeNames() {
		names[bit] = strings.ToUpper(name)
	}
	var out []string
	for i := range 32 {
		bit := uint32(1) << i
		if word&bit != 0 {
			out = append(out, fmt.Sprintf("%s (0x%x)", cmp.Or(names[bit], "unknown"), bit))
		}
	}
	return strings.Join(out, ", ")
}

// routeAction reads the word that holds for the key in hand. In doubt nobody may relay by it, and its mail goes inside TLS; where it is not
// even known which word counts, it makes no domain local either.
func (c *converter) routeAction() (value, uint32) {
	v := c.value("RouteAction")
	word, err := flags(v.text, routeNames())
	switch {
	case v.doubt != "":
		word &^= routeLocal
	case err != nil:
		v.doubt = err.Error()
	default:
		return v, word
	}
	if c.ofKey(v) {
		c.report.attend("RouteAction of %s cannot be read for certain (%s): nobody may relay by it, and mail goes out inside TLS alone", c.path, v.doubt)
	}
	return v, word&^routeDomainRelay | routeSSL
}

// inDoubt says in the report what became of a RouteAction that cannot be read for certain.
func (v *value) inDoubt() string {
	if v.doubt == "" {
		return ""
	}
	return "in doubt (" + v.doubt + "): nobody may relay by it, and mail goes out inside TLS alone"
}

// ofKey reports whether a value is told where the key in hand is told of: at a domain of what stands there, at the server of all.
func (c *converter) ofKey(v value) bool { return v.from == "key" || c.path == c.serverPath() }

// alwaysTLS reports whether all mail goes out inside TLS, whatever RouteAction says. In doubt it does.
func (c *converter) alwaysTLS() (value, bool) {
	v := c.value("AlwaysUseSsl")
	on, err := v.truth()
	if err != nil && c.ofKey(v) {
		c.report.attend("AlwaysUseSsl of %s cannot be read for certain (%v): mail goes out inside TLS alone", c.path, err)
	}
	return v, on || err != nil
}

// siteSecurity converts how the server appears before next hops.
func (c *converter) siteSecurity(b *block) {
	s := b.block("outbound_security", "")
	v, word := c.routeAction()
	ssl, always := c.alwaysTLS()
	switch {
	case always:
		c.record(ssl, s.set("tls", `"required"`, ssl.note()), "")
	case word&routeSSL != 0:
		c.record(v, s.set("tls", `"required"`, v.note()), cmp.Or(v.inDoubt(), "the bit SSL"))
	case v.set():
		c.change(v, "delivery.outbound_security.tls", `"opportunistic"`, "the old service used no TLS; Mailroot uses it where it is offered, which is its default")
	}
	if c.credentials(s, v, word) {
		c.report.attend("%s authenticates to its next hops, which is not in this version: a next hop that asks for it refuses the mail, and it is returned. To keep it waiting instead: mailroot queue freeze --all", c.path)
	}
	if names := bitNames(word &^ (routeSSL | routeSASL | routeAuth)); names != "" {
		c.leave(v, "bits that are not taken: %s", names)
	}
}

// credentials writes how to authenticate, and reports whether that is in use. Passwords are for people to enter.
func (c *converter) credentials(s *block, v value, word uint32) bool {
	if word&routeSASL == 0 {
		if word&routeAuth != 0 {
			c.leave(v, "it names a way to authenticate, but not the bit SASL: there is no authentication")
		}
		return false
	}
	auth := "integrated"
	if word&routeClear != 0 {
		auth = "basic"
	}
	e := s.set("auth", config.Quote(auth), v.note())
	c.record(v, e, "the bit SASL")
	c.text(s, "user", "RouteUserName")
	p := c.value("RoutePassword")
	s.set("password", `"…"`, "RoutePassword "+whyEncrypted+".")
	if p.set() {
		c.leave(p, "%s", whyEncrypted)
	}
	return e.off != ""
}
