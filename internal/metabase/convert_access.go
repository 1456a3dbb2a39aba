package metabase

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mailroot/mailroot/internal/config"
)

func (c *converter) access() {
	b := c.vs.block("access", "")
	closed := c.authentication(b)
	c.connectionControl(b, cmp.Or(closed, c.certificate(b)))
	c.relay(b)
	c.operators(b)
}

// The bits of AuthFlags and AccessSSLFlags.
const (
	authAnonymous = 1
	authBasic     = 2
	authNTLM      = 4

	accessSSL       = 0x8
	accessNegotiate = 0x20
	accessRequire   = 0x40
	accessMap       = 0x80
	accessSSL128    = 0x100
)

func authNames() map[string]uint32 {
	return map[string]uint32{"authanonymous": authAnonymous, "authbasic": authBasic, "authntlm": authNTLM, "authmd5": 16, "authpassport": 64}
}

func accessNames() map[string]uint32 {
	return map[string]uint32{"accessssl": accessSSL, "accesssslnegotiatecert": accessNegotiate, "accesssslrequirecert": accessRequire,
		"accesssslmapcert": accessMap, "accessssl128": accessSSL128}
}

// word reads a word of flags, or the flags one by one as adsutil shows them. It reports whether the file says anything.
func (c *converter) word(name string, names map[string]uint32, members ...string) (v value, word uint32, ok bool) {
	v = c.value(name)
	if strings.TrimSpace(v.text) != "" && v.set() {
		word, err := flags(v.text, names)
		if err != nil {
			c.leave(v, "%v", err)
		}
		return v, word, true
	}
	for _, member := range members {
		m := c.value(member)
		if on, err := boolean(m.text); m.set() && err == nil {
			if !ok {
				v, ok = m, true
			}
			if on {
				word |= names[strings.ToLower(member)]
			}
		}
	}
	return v, word, ok
}

// authentication says who may come without authentication. Where nobody may, and this version cannot authenticate, nobody can
// send mail: it returns why.
func (c *converter) authentication(b *block) (closed string) {
	v, word, ok := c.word("AuthFlags", authNames(), "AuthAnonymous", "AuthBasic", "AuthNTLM")
	if !ok {
		b.set("authentication", `["anonymous"]`, "AuthFlags is absent; the original's set-up allows anonymous alone.")
		return ""
	}
	var methods []string
	for _, m := range []struct {
		bit  uint32
		name string
	}{{authAnonymous, "anonymous"}, {authBasic, "basic"}, {authNTLM, "integrated"}} {
		if word&m.bit != 0 {
			methods = append(methods, m.name)
		}
	}
	if len(methods) == 0 || v.doubtful() {
		why := "no method is in it"
		if v.doubtful() {
			why = "it stands twice with different values"
		}
		c.report.attend("who may send mail without authentication through %s cannot be told from AuthFlags (%s): nobody may connect", c.path, why)
		c.leave(v, "%s: nobody may connect", why)
		return "AuthFlags does not tell who may send mail without authentication"
	}
	e := b.set("authentication", list(methods), v.note())
	c.record(v, e, "")
	c.basicDomain(b)
	later := b.setting("authentication").Later
	usable := slices.DeleteFunc(methods, func(m string) bool { return slices.Contains(later, m) })
	if e.off == "" {
		return ""
	}
	if len(usable) > 0 {
		b.set("authentication", list(usable), "Until then.")
		c.report.attend("clients of %s could authenticate, which is not in this version: those that did are anonymous now, and relay only if they are on the relay list", c.path)
		return ""
	}
	c.report.attend("%s took mail from authenticated clients alone, which is not in this version: nobody may connect, as access.connection_control says. To let networks in without authentication, set its list", c.path)
	return "the old server took mail from authenticated clients alone, which is not in this version"
}

func (c *converter) basicDomain(b *block) {
	sasl, logon := c.value("SaslLogonDomain"), c.value("DefaultLogonDomain")
	v := sasl
	if strings.TrimSpace(sasl.text) == "" {
		v = logon
	} else if logon.set() {
		c.leave(logon, "SaslLogonDomain goes before it")
	}
	if strings.TrimSpace(v.text) != "" {
		c.record(v, b.set("basic_domain", config.Quote(clean(v.text)), v.note()), "")
	}
}

// certificate converts what asks for TLS. The certificate itself is not in the file. Where clients had to have one, and this version
// cannot ask for it, nobody can send mail: it returns why.
func (c *converter) certificate(b *block) (closed string) {
	v, word, ok := c.word("AccessSSLFlags", accessNames(), "AccessSSL", "AccessSSL128")
	hash := c.value("SSLCertHash")
	if strings.TrimSpace(hash.text) != "" {
		c.leave(hash, "%s", hash.row.Why)
	}
	if !ok || word == 0 {
		return ""
	}
	if word&accessSSL != 0 {
		e := b.set("require_tls", "true", v.note())
		e.off = "it needs access.certificate and access.private_key"
		c.record(v, e, "")
		c.report.attend("%s took mail inside TLS alone; that is commented out until there is a certificate: set access.certificate, access.private_key and access.require_tls", c.path)
	}
	if word&accessSSL128 != 0 {
		c.record(v, b.set("strong_only", "true", v.note()), "128 bits became TLS with forward secrecy and AEAD ciphers")
	}
	if word&(accessNegotiate|accessRequire|accessMap) != 0 {
		e := b.set("client_certificates", "true", v.note())
		c.record(v, e, "client certificates authenticate")
		if word&accessRequire != 0 && e.off != "" {
			closed = "the old server asked clients for certificates, which is not in this version"
			c.report.attend("%s took mail from clients with certificates alone, which is not in this version: nobody may connect, as access.connection_control says", c.path)
		}
	}
	return closed
}

// connectionControl converts who may connect.
func (c *converter) connectionControl(b *block, closed string) {
	sub := b.block("connection_control", "")
	v, l, err := c.control()
	switch {
	case closed != "":
		c.close(sub, "Nobody may connect: "+closed+".")
		if v.set() {
			c.leave(v, "nobody may connect: %s", closed)
		}
	case err != nil:
		c.doubt(sub, v, err, "nobody may connect")
	case !v.set() || l.Empty:
		sub.set("mode", `"all_except"`, v.note())
		if v.set() {
			c.change(v, "access.connection_control.mode", `"all_except"`, "there is nothing on the list: all may connect")
			c.report.attend("%s of %s has nothing on it, which is taken as: all may connect. If the old dialog said \"Only the list below\", nobody could: set access.connection_control.mode to \"only\"", v.row.Name, c.path)
		}
	default:
		c.list(sub, v, l)
	}
}

// control reads IPSecurity, or the lists of it as ADSI, WMI and adsutil show them.
func (c *converter) control() (value, AddressList, error) {
	v := c.value("IPSecurity")
	lists := []value{c.value("IPGrant"), c.value("IPDeny"), c.value("DomainGrant"), c.value("DomainDeny"), c.value("GrantByDefault")}
	if v.set() || !slices.ContainsFunc(lists, func(v value) bool { return v.set() }) {
		l, err := c.addressList(v)
		if i := slices.IndexFunc(lists, func(v value) bool { return strings.TrimSpace(v.text) != "" }); err == nil && l.Empty && i >= 0 {
			err = fmt.Errorf("it is empty, and %s says something else", lists[i].row.Name)
		}
		return v, l, err
	}
	at := slices.IndexFunc(lists, func(v value) bool { return strings.TrimSpace(v.text) != "" })
	if at < 0 {
		at = slices.IndexFunc(lists, func(v value) bool { return v.set() })
	}
	l, err := textLists(lists)
	return lists[at], l, err
}

// textLists reads the lists in words: those that are let in, those that are kept out, names of either, and which of both counts.
func textLists(lists []value) (AddressList, error) {
	read := func(v value) (out []netip.Prefix, err error) {
		for _, row := range lines(v.text) {
			p, err := ParseAddress(row)
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
		if v.doubtful() {
			return nil, fmt.Errorf("%s stands twice", v.row.Name)
		}
		return out, nil
	}
	grant, err := read(lists[0])
	if err != nil {
		return AddressList{}, err
	}
	deny, err := read(lists[1])
	if err != nil {
		return AddressList{}, err
	}
	grantNames, denyNames := lines(lists[2].text), lines(lists[3].text)
	granted, denied := len(grant)+len(grantNames) > 0, len(deny)+len(denyNames) > 0
	byDefault := lists[4]
	on, err := boolean(byDefault.text)
	switch {
	case byDefault.set() && err != nil:
		return AddressList{}, err
	case !byDefault.set() && granted && denied:
		return AddressList{}, fmt.Errorf("it grants and denies at the same time, and GrantByDefault is absent")
	case !byDefault.set():
		on = !granted
	}
	if on {
		return AddressList{AllExcept: true, Networks: deny, Names: denyNames, Empty: !denied}, nil
	}
	return AddressList{Networks: grant, Names: grantNames}, nil
}

// addressList reads a binary list that holds for the key in hand.
func (c *converter) addressList(v value) (AddressList, error) {
	if v.doubtful() {
		return AddressList{}, fmt.Errorf("it stands twice with different values")
	}
	b, err := octetsOf(v.text)
	if err != nil {
		return AddressList{}, fmt.Errorf("it %w", err)
	}
	return ParseAddressList(b)
}

// relay converts who may relay. In doubt nobody may.
func (c *converter) relay(b *block) {
	sub := b.block("relay", "")
	v := c.value("RelayIpList")
	l, err := c.addressList(v)
	switch {
	case err != nil:
		c.doubt(sub, v, err, "nobody may relay")
	case l.Empty:
		c.close(sub, v.note(), "Nobody may relay.")
		if v.set() {
			c.record(v, &entry{path: sub.path + ".mode", value: `"only"`}, "")
		}
	default:
		c.list(sub, v, l)
		if l.AllExcept {
			c.report.attend("everybody but the %d on the list may relay through %s, as before: an open relay. To close it set access.relay.mode to \"only\", and access.relay.list to those alone that may", len(l.Networks), c.path)
		}
	}
	auth := c.value("RelayForAuth")
	if on, err := boolean(auth.text); err == nil && !auth.doubtful() {
		c.record(auth, sub.set("authenticated", fmt.Sprint(on), auth.note()), "")
	} else {
		c.record(auth, sub.set("authenticated", "false", auth.note()), "in doubt authenticated clients may not relay")
	}
}

// close makes a list one of nobody.
func (c *converter) close(b *block, notes ...string) {
	b.set("mode", `"only"`, notes...)
	b.set("list", "[]")
}

// doubt closes a list that cannot be read for certain, and says so aloud.
func (c *converter) doubt(b *block, v value, err error, closed string) {
	c.close(b, v.row.Name+" cannot be read for certain ("+err.Error()+"), so that "+closed+".")
	l := v.line()
	l.Setting, l.Result, l.Why = c.within(b.path), `"only", []`, "it cannot be read for certain: "+err.Error()+"; so "+closed
	c.add(&c.report.Changed, l)
	c.report.attend("%s of %s cannot be read for certain (%v): %s. Look at the old dialog, and set %s.list", v.row.Name, c.path, err, closed, c.within(b.path))
}

// list writes a list with its mode. Names have no place in it yet: where they are let in they are left out, where they are kept out
// nobody is let in.
func (c *converter) list(b *block, v value, l AddressList) {
	names := strings.Join(shownAll(l.Names), ", ")
	entries := networks(l.Networks)
	if refused := b.setting("list").Refuses(list(entries)); refused != "" {
		c.doubt(b, v, fmt.Errorf("a configuration cannot have it: %s", refused), "nobody is let in")
		return
	}
	if l.AllExcept && len(l.Names) > 0 {
		c.doubt(b, v, fmt.Errorf("domain names are kept out (%s), which is not in this version", names), "nobody is let in")
		return
	}
	mode := "only"
	if l.AllExcept {
		mode = "all_except"
	}
	b.set("mode", config.Quote(mode), shortened(v.note()))
	var notes []string
	why := ""
	if len(l.Names) > 0 {
		why = "domain names on a list are not in this version: " + names
	}
	if len(l.Dropped) > 0 {
		why = strings.TrimPrefix(why+"; left out, as no network says it: "+strings.Join(l.Dropped[:min(len(l.Dropped), 20)], ", "), "; ")
	}
	if why != "" {
		notes = append(notes, "Not taken: "+why+".")
		c.report.attend("%s of %s: not all of the list is taken: %s", v.row.Name, c.path, why)
	}
	b.set("list", list(entries), notes...)
	for _, p := range l.Networks {
		if p.Bits() == 0 && b.name == "relay" && !l.AllExcept {
			c.report.attend("the relay list of %s has all addresses on it (%s), as before: an open relay", c.path, p)
		}
	}
	line := v.line()
	line.Setting, line.Result, line.Why = c.within(b.path), fmt.Sprintf("%s, %s", mode, strings.Join(entries[:min(len(entries), 8)], ", ")), why
	if n := len(entries) - 8; n > 0 {
		line.Result += fmt.Sprintf(" and %d more", n)
	}
	if why != "" {
		c.add(&c.report.Changed, line)
		return
	}
	c.add(&c.report.Taken, line)
}

func shownAll(texts []string) []string {
	var out []string
	for _, t := range texts[:min(len(texts), 20)] {
		out = append(out, shown(t))
	}
	return out
}

// shortened cuts a comment to what fits a line.
func shortened(s string) string {
	if len(s) > width-8 {
		return s[:width-8] + "…"
	}
	return s
}

// networks writes addresses and networks as the file has them, each once, in order.
func networks(all []netip.Prefix) []string {
	out := []string{}
	seen := make(map[netip.Prefix]bool)
	for _, p := range all {
		if seen[p] {
			continue
		}
		seen[p] = true
		if p.IsSingleIP() {
			out = append(out, p.Addr().String())
		} else {
			out = append(out, p.String())
		}
	}
	return out
}

// operators names the accounts of an AdminACL, where it can be read.
func (c *converter) operators(b *block) {
	v := c.value("AdminACL")
	if !v.set() {
		return
	}
	var sids []string
	raw, err := octetsOf(v.text)
	if err == nil {
		sids, err = accounts(raw)
	}
	if err != nil || len(sids) == 0 {
		c.leave(v, "the rights of accounts; they are encrypted for the old machine, or name nobody. Set access.operators when it is there")
		return
	}
	var names []string
	for _, sid := range sids {
		names = append(names, accountName(sid))
	}
	c.record(v, b.set("operators", list(names), "AdminACL gives rights to these accounts."), "their rights are not taken, only who they are")
}
