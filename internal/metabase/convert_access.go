package metabase

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mailroot/mailroot/internal/config"
)

func (c *converter) access() {
	b := c.vs.block("access", "")
	closed := slices.DeleteFunc([]string{c.authentication(b), c.certificate(b), c.belowServer()}, func(why string) bool { return why == "" })
	c.connectionControl(b, strings.Join(closed, "; "))
	c.relay(b)
	c.operators(b)
}

// belowServer says that a key below the server, other than one of its list of domains, restricts who is let in. The old service asked that of
// servers, as far as is known, so that nobody knows what it did.
func (c *converter) belowServer() (closed string) {
	for _, k := range c.tree.below(c.path) {
		if k.Path == c.path || strings.EqualFold(k.Path, c.path+"/Domain") || domainOf(k) != "" {
			continue
		}
		for _, p := range k.Props {
			if row := c.tree.names.find(p.Name, p.ID); row != nil && restricts(row, p) {
				c.report.alarm("%s stands at %s, where the old service asked nobody of it, as far as is known: in case it did, nobody may connect to the virtual server, as access.connection_control says", row.Name, k.Path)
				closed = row.Name + " stands at " + k.Path
			}
		}
	}
	return closed
}

// restricts reports whether a property may keep anybody out. Set-up writes some that do not.
func restricts(row *Property, p *Prop) bool {
	if strings.TrimSpace(p.Value) == "" && p.Doubt == "" {
		return false
	}
	on, err := boolean(p.Value)
	switch row.Name {
	case "AuthFlags":
		w := authWord()
		word, err := w.read(value{text: p.Value, doubt: p.Doubt})
		return err != nil || word&authAnonymous == 0
	case "AccessSSLFlags", "AccessFlags":
		word, _ := flags(p.Value, accessWord().names) // AccessFlags has names of its own
		return p.Doubt != "" || word&accessInside != 0
	case "AllowAnonymous", "AuthAnonymous":
		return err != nil || !on
	case "RelayForAuth", "AuthBasic", "AuthNTLM":
		return false
	case "AccessSSL", "AccessSSL128", "AccessSSLNegotiateCert", "AccessSSLRequireCert", "AccessSSLMapCert":
		return err != nil || on
	}
	return row.ofAccess()
}

// connectionControl converts who may connect. Where nobody may, the list stands commented out above that.
func (c *converter) connectionControl(b *block, closed string) {
	sub := b.block("connection_control", "")
	v, l, err := c.control()
	switch {
	case err != nil:
		c.doubt(sub, v, err, "nobody may connect")
	case closed != "" && v.set() && !l.Empty:
		if c.list(sub, v, l, "nobody may connect: "+closed) {
			for _, e := range sub.entries {
				e.off = "waits, see below"
			}
			c.close(sub, "Until then nobody may connect: "+closed+".")
		}
	case closed != "":
		c.close(sub, "Nobody may connect: "+closed+".")
		if v.set() {
			c.leave(v, "nobody may connect: %s", closed)
		}
	case !v.set() || l.Empty:
		sub.set("mode", `"all_except"`, v.note())
		if v.set() {
			c.change(v, "access.connection_control.mode", `"all_except"`, "there is nothing on the list: all may connect")
			c.report.alarm("%s of %s has nothing on it, which is taken as: all may connect. If the old dialog said \"Only the list below\", nobody could: set access.connection_control.mode to \"only\"", v.row.Name, c.path)
		}
	default:
		c.list(sub, v, l, "")
	}
}

// control reads IPSecurity, or the lists of it as ADSI, WMI and adsutil show them; where both are there they must agree.
func (c *converter) control() (value, AddressList, error) {
	v := c.value("IPSecurity")
	lists := []value{c.value("IPGrant"), c.value("IPDeny"), c.value("DomainGrant"), c.value("DomainDeny"), c.value("GrantByDefault")}
	at := slices.IndexFunc(lists, func(v value) bool { return strings.TrimSpace(v.text) != "" })
	if at < 0 {
		at = slices.IndexFunc(lists, func(v value) bool { return v.set() })
	}
	if !v.set() && at >= 0 {
		l, err := textLists(lists)
		return lists[at], l, err
	}
	l, err := c.addressList(v)
	for i, list := range lists {
		if list.above > v.above { // IPSecurity of a key below goes before it
			lists[i] = value{row: list.row}
		}
	}
	if at = slices.IndexFunc(lists, func(v value) bool { return v.set() }); err == nil && at >= 0 {
		words, wordsErr := textLists(lists)
		if wordsErr != nil || !l.same(words) {
			err = fmt.Errorf("%s says something else", lists[at].row.Name)
		}
	}
	return v, l, err
}

// same reports whether two lists let the same in. One that is empty lets all in.
func (l *AddressList) same(other AddressList) bool {
	sorted := func(l *AddressList) string {
		texts := append(networks(l.Networks), l.Names...)
		slices.Sort(texts)
		return fmt.Sprint(l.AllExcept || l.Empty, slices.Compact(texts))
	}
	return sorted(l) == sorted(&other)
}

// textLists reads the lists in words: those that are let in, those that are kept out, names of either, and which of both counts.
func textLists(lists []value) (AddressList, error) {
	for _, v := range lists {
		if v.doubt != "" {
			return AddressList{}, fmt.Errorf("%s: %s", v.row.Name, v.doubt)
		}
	}
	grant, err := prefixesOf(lists[0].text)
	if err != nil {
		return AddressList{}, err
	}
	deny, err := prefixesOf(lists[1].text)
	if err != nil {
		return AddressList{}, err
	}
	grantNames, denyNames := lines(lists[2].text), lines(lists[3].text)
	granted, denied := len(grant)+len(grantNames) > 0, len(deny)+len(denyNames) > 0
	on, byDefault := !granted, lists[4]
	if byDefault.set() {
		if on, err = boolean(byDefault.text); err != nil {
			return AddressList{}, fmt.Errorf("GrantByDefault: %w", err)
		}
	}
	switch {
	case granted && denied:
		return AddressList{}, errors.New("it grants and denies at the same time")
	case on && granted:
		return AddressList{}, errors.New("GrantByDefault is TRUE, and there is a list of those that are let in")
	case !on && denied:
		return AddressList{}, errors.New("GrantByDefault is FALSE, and there is a list of those that are kept out")
	}
	return AddressList{AllExcept: on, Networks: append(grant, deny...), Names: append(grantNames, denyNames...), Empty: on && !denied}, nil
}

// prefixesOf reads a list of addresses in words.
func prefixesOf(text string) (out []netip.Prefix, err error) {
	for _, row := range lines(text) {
		p, err := ParseAddress(row)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// addressList reads a binary list that holds for the key in hand.
func (c *converter) addressList(v value) (AddressList, error) {
	if v.doubt != "" {
		return AddressList{}, errors.New(v.doubt)
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
		if c.list(sub, v, l, "") && l.AllExcept {
			c.report.alarm("everybody but the %d on the list may relay through %s, as before: an open relay. To close it set access.relay.mode to \"only\", and access.relay.list to those alone that may", len(l.Networks), c.path)
		}
	}
	auth := c.value("RelayForAuth")
	if on, err := auth.truth(); err == nil {
		c.record(auth, sub.set("authenticated", fmt.Sprint(on), auth.note()), "")
	} else {
		c.record(auth, sub.set("authenticated", "false", auth.note()), "in doubt authenticated clients may not relay")
		c.report.alarm("RelayForAuth of %s cannot be read for certain (%v): authenticated clients may not relay by it", c.path, err)
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
	c.report.alarm("%s of %s cannot be read for certain (%v): %s. Look at the old dialog, and set %s.list", v.row.Name, c.path, err, closed, c.within(b.path))
}

// list writes a list with its mode. Names have no place in it yet: where they are let in they are left out, where they are kept out
// nobody is let in, and it returns false. With a reason in off the list stands commented out.
func (c *converter) list(b *block, v value, l AddressList, off string) bool {
	names := strings.Join(shownAll(l.Names), ", ")
	entries := networks(l.Networks)
	if refused := b.setting("list").Refuses(list(entries)); refused != "" {
		c.doubt(b, v, fmt.Errorf("a configuration cannot have it: %s", refused), "nobody is let in")
		return false
	}
	if l.AllExcept && len(l.Names) > 0 {
		c.doubt(b, v, fmt.Errorf("domain names are kept out (%s), which is not in this version", names), "nobody is let in")
		return false
	}
	mode := "only"
	if l.AllExcept {
		mode = "all_except"
	}
	b.set("mode", config.Quote(mode), shortened(v.note())).off = off
	var notes []string
	why := ""
	if len(l.Names) > 0 {
		why = "domain names on a list are not in this version: " + names
	}
	if len(l.Dropped) > 0 {
		why = strings.TrimPrefix(why+"; left out, as a configuration cannot have it: "+strings.Join(l.Dropped[:min(len(l.Dropped), 20)], ", "), "; ")
	}
	if why != "" {
		notes = append(notes, "Not taken: "+why+".")
		c.report.alarm("%s of %s: not all of the list is taken: %s", v.row.Name, c.path, why)
	}
	b.set("list", list(entries), notes...).off = off
	if all := config.HoldsAll(l.Networks); len(all) > 0 && b.name == "relay" && !l.AllExcept {
		c.report.alarm("the relay list of %s has all addresses on it (%s), as before: an open relay", c.path, shown(strings.Join(networks(all), ", ")))
	}
	line := v.line()
	line.Setting, line.Result, line.Why = c.within(b.path), fmt.Sprintf("%s, %s", mode, strings.Join(entries[:min(len(entries), 8)], ", ")), why
	if n := len(entries) - 8; n > 0 {
		line.Result += fmt.Sprintf(" and %d more", n)
	}
	if off != "" {
		line.Inactive, line.Why = true, strings.TrimPrefix(why+"; "+off, "; ")
	}
	if line.Why != "" {
		c.add(&c.report.Changed, line)
	} else {
		c.add(&c.report.Taken, line)
	}
	return true
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
