package metabase

import (
	"slices"
	"strings"
)

// leftovers tells of the properties of a key that no line tells of yet, so that each of the file stands in the report.
func (c *converter) leftovers(k *Key) {
	if k == nil {
		return
	}
	for _, p := range k.Props {
		if !c.told[p] && p.Name != "KeyType" { // the class of the key, which is no setting
			c.leftover(k, p)
		}
	}
}

func (c *converter) leftover(k *Key, p *Prop) {
	l := Line{Key: k.Path, Property: shown(p.Name), ID: p.ID, Value: shown(p.Value), From: "key", of: p}
	if p.Secure {
		l.Value = ""
	}
	row := c.tree.names.find(p.Name, p.ID)
	if row != nil {
		c.attendLeft(row, k, p)
	}
	switch {
	case row == nil && generic(p.Name) && !p.Secure:
		l.Why = whyOS
	case row == nil:
		if p.Secure {
			l.Why = "nobody knows it here; its value is a secret"
		}
		c.add(&c.report.Unknown, l)
		return
	case c.used[p] && companion(row.Name) != "" && !ofDomain(row, k):
		l.Setting, l.Why = c.setting(row.Setting), companion(row.Name)
		c.add(&c.report.Changed, l)
		return
	default:
		l.Why = c.whyLeft(row, k, p)
	}
	c.add(&c.report.NotTaken, l)
}

// ofDomain reports whether a property that says who is let in stands at a domain, of which nobody asked it.
func ofDomain(row *Property, k *Key) bool { return row.ofAccess() && domainOf(k) != "" }

// attendLeft says aloud that something which says who is let in is not taken.
func (c *converter) attendLeft(row *Property, k *Key, p *Prop) {
	switch {
	case ofDomain(row, k):
		c.report.attend("%s stands at the domain %s, and the old service asked it of virtual servers: nothing but relay to the domain is closed by it", row.Name, shown(domainOf(k)))
	case p.Alone && row.Guards != "" && strings.EqualFold(k.Path, serviceRoot):
		c.report.attend("%s of %s does not hold for the virtual servers, as its attributes lack INHERIT: what it says of who is let in is not taken", row.Name, k.Path)
	}
}

// companion says with what a property is read, the line of which tells what became of both; "" where it stands for itself.
func companion(name string) string {
	switch name {
	case "IPGrant", "IPDeny", "DomainGrant", "DomainDeny", "GrantByDefault":
		return "read with the other lists of this key"
	case "AuthAnonymous", "AuthBasic", "AuthNTLM", "AccessSSL", "AccessSSL128":
		return "read with the other bits of this word"
	}
	return ""
}

// whyLeft says why nothing became of a property of the table.
func (c *converter) whyLeft(row *Property, k *Key, p *Prop) string {
	switch {
	case ofDomain(row, k):
		return "it is a matter of virtual servers, not of domains"
	case p.Alone && strings.EqualFold(k.Path, serviceRoot):
		return "its attributes lack INHERIT: it holds for " + serviceRoot + " itself, not for the virtual servers"
	case row.Fate == NotTaken:
		return row.Why
	case !c.used[p]:
		return "it has no meaning at this key"
	case strings.TrimSpace(p.Value) == "":
		return "it is empty, which is as none"
	case above(k):
		return "each key below that it would hold for has its own"
	}
	switch row.Name {
	case "RouteActionString":
		return "see RouteAction of this key, and what became of it"
	case "AuthTurnList":
		return "it is of use for a domain whose mail waits to be fetched"
	case "SmartHostType":
		return "there is no smart host that it could be for"
	case "LogFileTruncateSize":
		return "it is of use where LogFilePeriod says that a new file begins by size"
	case "AccessSSLFlags":
		return "it asks clients for nothing"
	case "AlwaysUseSsl":
		return "it does not ask for TLS"
	}
	return "what is said of others at this key decides; it adds nothing"
}

// above reports whether a key is there for what keys below have from it.
func above(k *Key) bool {
	return strings.EqualFold(k.Path, serviceRoot) || strings.EqualFold(k.Path[strings.LastIndexByte(k.Path, '/')+1:], "Domain")
}

// generic reports whether a property is one of the web services, of which adsutil shows each bit by itself.
func generic(name string) bool {
	n := strings.ToLower(name)
	return slices.ContainsFunc([]string{"access", "logextfile", "auth", "serverside", "dirbrowse"}, func(prefix string) bool { return strings.HasPrefix(n, prefix) })
}
