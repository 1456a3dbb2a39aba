package metabase

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/mailroot/mailroot/internal/config"
)

// domains converts the default domain and the list of domains.
func (c *converter) domains() {
	v := c.value("DefaultDomain")
	name, keys, why := domainName(v.text), c.domainKeys(), ""
	if name == "" {
		name, v = c.defaultByBit(keys)
	}
	if name == "" { // it follows the name of the server until it is set
		v = c.value("FullyQualifiedDomainName")
		name, why = domainName(v.text), "there is no DefaultDomain, so that the default domain was the name of the server"
	}
	switch {
	case why != "" && goElsewhere(keys, name):
		c.report.attend("no default domain of %s is named, and %s, which is the name of the server, stands in the list as another: the default domain is the name of this computer. To change it: mailroot domain set-default NAME", c.path, shown(name))
	case name != "":
		c.defaultDomain(name, v, why)
	case c.vs.off == "":
		c.report.attend("the default domain of %s was the name of the old computer, which is not in the file: here it is that of this computer, and mail for the old one is not local. To take it: mailroot domain set-default NAME", c.path)
	}
	site := c.siteTLS()
	server := c.value("RouteAction")
	_, err := flags(server.text, routeNames())
	c.siteDoubt = server.set() && (server.doubt != "" || err != nil)
	for _, k := range keys {
		c.inDomain(k, func() { c.domain(k, site) })
	}
}

// defaultDomain makes a domain the default one; why says so where it is not DefaultDomain that names it.
func (c *converter) defaultDomain(name string, v value, why string) {
	b := c.vs.block("domain", name)
	b.set("kind", `"default"`)
	b.notes = []string{v.note()}
	if v.key != c.path {
		b.notes = []string{v.note() + " at " + v.key}
	}
	if why != "" {
		b.notes = append(b.notes, upper(why)+".")
	}
	if refused := b.labelRefused(); refused != "" {
		b.off = refused
		c.leave(v, "%s", refused)
		c.report.attend("the default domain %s of %s cannot be taken (%s): it is the host's DNS name, until there is a domain of the kind default", quoted(name), c.path, refused)
		return
	}
	c.local = name
	l := lineTo(v, "domain", config.Quote(name)+" default")
	l.block, l.Why = b, why
	c.add(&c.report.Taken, l)
}

func lineTo(v value, setting, result string) Line {
	l := v.line()
	l.Setting, l.Result = setting, result
	return l
}

// domainKeys returns the keys of the domain list, in the order of the file.
func (c *converter) domainKeys() []*Key {
	return slices.DeleteFunc(c.tree.below(c.path+"/Domain"), func(k *Key) bool { return domainOf(k) == "" })
}

// domainOf returns the domain that a key is for, "" when it is for none.
func domainOf(k *Key) string {
	parts := strings.SplitN(strings.TrimPrefix(k.Path, "/"), "/", 5)
	if len(parts) < 5 || !strings.EqualFold(parts[3], "Domain") {
		return ""
	}
	return domainName(parts[4])
}

func domainName(s string) string {
	return strings.TrimSuffix(strings.ToLower(clean(s)), ".")
}

// inDomain does something with a key of the domain list in hand, which has what it does not say itself from the server.
func (c *converter) inDomain(k *Key, do func()) {
	chain, path := c.chain, c.path
	c.chain, c.path = append([]*Key{k, c.tree.at(path + "/Domain")}, chain...), k.Path
	do()
	c.leftovers(k)
	c.chain, c.path = chain, path
}

// defaultByBit finds the domain that is the default one by its RouteAction.
func (c *converter) defaultByBit(keys []*Key) (string, value) {
	for _, k := range keys {
		p := k.get("RouteAction")
		if p == nil {
			continue
		}
		if word, err := flags(p.Value, routeNames()); err == nil && p.Doubt == "" && word&routeDefault != 0 && !strings.HasPrefix(domainOf(k), "*") {
			row := c.tree.names.find("RouteAction", 0)
			return domainOf(k), value{row: row, prop: p, text: p.Value, key: k.Path, from: "key"}
		}
	}
	return "", value{}
}

// goElsewhere reports whether a domain stands in the list as one whose mail goes to another server.
func goElsewhere(keys []*Key, name string) bool {
	return slices.ContainsFunc(keys, func(k *Key) bool {
		p := k.get("RouteAction")
		if domainOf(k) != name || p == nil {
			return false
		}
		word, err := flags(p.Value, routeNames())
		return err != nil || word&routeLocal == 0
	})
}

// siteTLS reports whether all next hops need TLS.
func (c *converter) siteTLS() bool {
	for _, e := range c.vs.block("delivery", "").block("outbound_security", "").entries {
		if e.name == "tls" {
			return true
		}
	}
	return false
}

// domain converts one entry of the list.
func (c *converter) domain(k *Key, site bool) {
	name := domainOf(k)
	v, word := c.routeAction()
	if v.from != "key" { // what a server says of itself makes no domain local, nor open
		word &^= routeLocal | routeDomainRelay | routeETRN
	}
	switch {
	case c.tree.text && len(k.Props) == 0:
		c.leave(v, "the text only names it; add what adsutil ENUM prints for it")
		c.report.attend("the text only names the domain %s: add what adsutil ENUM prints for %s, or it is as any other", shown(name), shown(k.Path))
		return
	case name == c.local:
		if target := c.value("RouteActionString"); target.from == "key" && word&routeLocal != 0 {
			c.leave(target, "the Drop folder is folders.drop, one for all local domains")
			c.ownDrop(name, target)
		}
		if word&routeLocal == 0 && word != 0 {
			c.leave(v, "it is the default domain, which is local whatever else it says")
			return
		}
		c.change(v, "domain", config.Quote(name), "it is the default domain, which stands in the list already")
		return
	case c.vs.has("domain", name):
		c.leave(v, "%s stands in the list already", quoted(name))
		return
	case name == "*":
		target := c.value("RouteActionString")
		c.leave(v, "\"*\" stands for all domains; what holds for all is delivery.smart_host")
		if word&(routeSmartHost|routeDomainRelay) != 0 {
			c.report.attend("the entry \"*\" of %s, for all domains, is not taken (RouteAction %s, next hop %s): mail for domains that are not named goes as delivery.smart_host and DNS say", c.serverPath(), shown(v.text), cmp.Or(shown(target.text), "none"))
		}
		return
	case word&routeLocal != 0:
		c.localDomain(name, v, word)
		return
	}
	c.remoteDomain(name, v, word, site)
}

// localDomain makes an alias of a domain whose mail is dropped here: the one Drop folder is that of the default domain.
func (c *converter) localDomain(name string, v value, word uint32) {
	if strings.HasPrefix(name, "*") {
		c.leave(v, "a local domain is one name; %s cannot be local, and its mail is not taken", quoted(name))
		c.report.attend("%s of %s was a local domain for all names below it; this version takes mail for single local domains only", shown(name), c.serverPath())
		return
	}
	b := c.vs.block("domain", name)
	b.set("kind", `"alias"`, v.note())
	why := v.inDoubt()
	if word&routeAlias == 0 && why == "" {
		why = "it was a local domain of its own; as an alias its recipients are rewritten to the default domain"
	}
	if target := c.value("RouteActionString"); strings.TrimSpace(target.text) != "" {
		if word&routeAlias == 0 || domainName(target.text) != c.local {
			c.leave(target, "each local domain goes to the Drop folder of the default domain")
			if word&routeAlias == 0 && b.labelRefused() == "" {
				c.ownDrop(name, target)
			}
		} else {
			c.change(target, "domain", config.Quote(name), "an alias is one of the default domain")
		}
	}
	c.entry(b, v, why)
}

// ownDrop says aloud that the mail of a local domain came to lie in a folder of its own.
func (c *converter) ownDrop(name string, target value) {
	folder := func(text string) string {
		return strings.ToLower(strings.TrimRight(strings.ReplaceAll(strings.TrimSpace(text), "/", `\`), `\`))
	}
	server := *c
	server.chain = []*Key{c.tree.at(c.serverPath()), c.tree.at(serviceRoot)}
	if drop := server.value("DropDirectory"); folder(target.text) == "" || folder(drop.text) == folder(target.text) {
		return
	}
	c.report.attend("mail for the local domain %s of %s was put into a folder of its own (%s): it comes to lie in folders.drop with that of all local domains, and a program that watches the old folder waits for ever", shown(name), c.serverPath(), shown(target.text))
}

// entry tells of a domain as a whole.
func (c *converter) entry(b *block, v value, why string) {
	if refused := b.labelRefused(); refused != "" {
		b.off = refused
		l := lineTo(v, "domain", config.Quote(b.label))
		l.Why, l.Inactive = "commented out: "+refused, true
		c.add(&c.report.Changed, l)
		if c.vs.off == "" {
			c.report.attend("the entry %s of the list of domains cannot be taken (%s): its mail goes as that of all others", shown(b.label), refused)
		}
		return
	}
	l := lineTo(v, "domain", config.Quote(b.label)+" "+strings.Trim(b.entries[0].value, `"`))
	l.block = b
	if l.Why = why; why != "" {
		c.add(&c.report.Changed, l)
		return
	}
	c.add(&c.report.Taken, l)
}

func (c *converter) remoteDomain(name string, v value, word uint32, site bool) {
	b := c.vs.block("domain", name)
	b.set("kind", `"remote"`, v.note())
	why := v.inDoubt()
	if word&routeDeliver != 0 && why == "" {
		why = "the bit DELIVER (mailboxes here) is not taken: it is a remote domain"
	}
	c.entry(b, v, why)
	if b.off != "" {
		if target := c.value("RouteActionString"); strings.TrimSpace(target.text) != "" {
			next, why := hosts(target.text)
			c.record(target, b.set("route", list(next), target.note()), why)
		}
		return
	}
	c.route(b, v, word)
	switch relay := word&routeDomainRelay != 0; {
	case relay && c.guarded():
		c.change(v, "", "", "who is let in is said at the domain itself, so that anonymous relay to it is not taken")
	case relay:
		c.record(v, b.set("allow_relay", "true", "The bit DOMAIN_RELAY: anybody may send mail for it."), "")
	}
	if word&routeHELO != 0 {
		c.record(v, b.set("send_helo", "true"), "")
	}
	c.domainTLS(b, v, word, site)
	c.fetched(b, v, word)
	if c.domainCredentials(b, v, word) {
		c.report.attend("%s authenticates to its next hop, which is not in this version: a next hop that asks for it refuses the mail, and it is returned%s", c.path, freezing(b.label))
	}
	if names := bitNames(word &^ routeUsed); names != "" && v.from == "key" {
		c.leave(v, "bits that are not taken: %s", names)
	}
	c.wildcard(b, v)
}

// domainTLS says that mail for a domain goes inside TLS where that of others does not, and the other way round. AlwaysUseSsl of the
// server holds for all.
func (c *converter) domainTLS(b *block, v value, word uint32, site bool) {
	ssl, always := c.alwaysTLS()
	switch {
	case word&routeSSL == 0 && !always && site && !c.siteDoubt && v.from == "key":
		e := b.set("tls", `"opportunistic"`, "Its RouteAction has not the bit SSL, which that of the server has.")
		c.change(v, c.within(e.path), e.value, "that of the server has the bit SSL, this one has not: the old service sent its mail without TLS; Mailroot uses it where it is offered")
	case !site && always:
		c.record(ssl, b.set("tls", `"required"`, ssl.note()), "")
	case !site && word&routeSSL != 0:
		c.record(v, b.set("tls", `"required"`), "")
	}
}

// guarded reports whether something at the domain in hand, or at the list of domains, says who is let in. The old service asked that of virtual servers, so that it is
// not known what it was to do: nobody may relay to the domain. What is left over tells of it.
func (c *converter) guarded() bool {
	return slices.ContainsFunc(c.chain[:2], func(k *Key) bool {
		return k != nil && slices.ContainsFunc(k.Props, func(p *Prop) bool {
			row := c.tree.names.find(p.Name, p.ID)
			return row != nil && row.ofAccess()
		})
	})
}

// route sets the next hop of a domain.
func (c *converter) route(b *block, v value, word uint32) {
	target := c.value("RouteActionString")
	next, why := hosts(target.text)
	switch {
	case strings.TrimSpace(target.text) == "" || target.from != "key":
		if word&routeSmartHost != 0 && v.from == "key" {
			c.leave(v, "it has the bit SMARTHOST, but no RouteActionString: there is no next hop of its own")
		}
	case word&routeSmartHost == 0:
		e := b.set("route", list(next), target.note())
		e.off = "the bit SMARTHOST is not set, so that the old service did not use it"
		c.record(target, e, "")
	default:
		e := b.set("route", list(next), target.note())
		c.record(target, e, why)
		if e.off != "" {
			c.report.attend("the next hop %s of %s cannot be taken (%s): its mail goes as that of all others", quoted(target.text), shown(b.label), e.off)
		}
	}
}

// fetched converts a domain whose mail waits until it is fetched.
func (c *converter) fetched(b *block, v value, word uint32) {
	accounts := c.value("AuthTurnList")
	if word&routeETRN == 0 {
		if strings.TrimSpace(accounts.text) != "" && accounts.from == "key" {
			c.leave(accounts, "the bit ETRN_CMD is not set, so that no mail waits to be fetched")
		}
		return
	}
	e := b.set("etrn", "true", "The bit ETRN_CMD: mail waits until it is fetched.")
	c.record(v, e, "")
	if e.off != "" {
		c.report.attend("mail for %s waited until it was fetched by ETRN or TURN, which is not in this version: it is sent to its next hop%s", shown(b.label), freezing(b.label))
	}
	if names := lines(accounts.text); len(names) > 0 {
		c.record(accounts, b.set("etrn_accounts", list(cleaned(names)), accounts.note()), "")
	}
}

// freezing says how the mail of a domain can wait. Of all names below one there is no freeze.
func freezing(label string) string {
	if strings.HasPrefix(label, "*.") {
		return ""
	}
	return ". To keep it waiting instead: mailroot queue freeze " + shown(label)
}

func cleaned(texts []string) []string {
	var out []string
	for _, t := range texts {
		if t = clean(t); t != "" {
			out = append(out, t)
		}
	}
	return out
}

// domainCredentials writes how to authenticate where that is other than for all.
func (c *converter) domainCredentials(b *block, v value, word uint32) bool {
	if v.from != "key" {
		return false
	}
	if word&routeSASL != 0 {
		return c.credentials(b.block("outbound_security", ""), v, word)
	}
	for _, e := range c.vs.block("delivery", "").block("outbound_security", "").entries {
		if e.name == "auth" {
			c.record(v, b.block("outbound_security", "").set("auth", `"none"`), "")
		}
	}
	return false
}

// wildcard tells of an entry for all names below a domain that it is not one for the domain itself any more.
func (c *converter) wildcard(b *block, v value) {
	base, ok := strings.CutPrefix(b.label, "*.")
	if !ok || b.off != "" || c.vs.has("domain", base) || c.tree.at(c.serverPath()+"/Domain/"+base) != nil {
		return
	}
	own := c.vs.block("domain", base)
	own.notes = []string{b.label + " does not cover " + base + " itself. Where it is to hold for it too, take the # away."}
	own.off = "not an entry of the old server"
	for _, e := range b.entries {
		own.entries = append(own.entries, &entry{name: e.name, value: e.value, path: own.path + "." + e.name, off: e.off})
	}
	c.change(v, "", "", fmt.Sprintf("it holds for all names below, not for %s itself; an entry for that stands commented out behind it", shown(base)))
}

// serverPath is the key of the virtual server in hand.
func (c *converter) serverPath() string { return fmt.Sprintf("%s/%d", serviceRoot, c.n) }
