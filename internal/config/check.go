package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// finish works out what follows from other values and checks what no single setting can tell. A check
// tells nothing of values that could not be read.
func (d *decoder) finish() {
	c := d.cfg
	if c.Version != SchemaVersion && d.known("version") {
		d.at(SeverityError, "version", fmt.Sprintf("this program reads files of version %d; a later program wrote this one, or the number is wrong", SchemaVersion))
		return
	}
	if !d.versioned && !d.broken && !d.full() {
		d.add(Problem{Severity: SeverityWarning, Path: "version",
			Message: fmt.Sprintf("is missing; add version = %d at the top of the file, so that a later program knows how to read it", SchemaVersion)})
	}
	c.derive()
	d.checkSocket()
	d.checkBindings()
	var folders []folder
	for i := range c.VirtualServers {
		v := &c.VirtualServers[i]
		d.checkLimits(v)
		folders = d.checkFolders(v, folders)
		d.checkDelivery(v)
		d.checkDomains(v)
		d.checkTLS(v)
		d.checkAccess(v)
		d.checkProtocol(v)
		d.checkDrop(v)
	}
}

// at adds a problem of a setting, with its place and value.
func (d *decoder) at(severity Severity, path, message string) {
	if d.full() {
		d.more++
		return
	}
	p := d.cfg.Problem(path, message)
	p.Severity = severity
	d.add(p)
}

// both names another setting with its value and place, for messages about two settings.
func (d *decoder) both(path string) string {
	text := path + " = " + shorten(d.cfg.valueAt(path))
	if o := d.cfg.origins[path]; o.Line > 0 {
		text += fmt.Sprintf(" (line %d)", o.Line)
	}
	return text
}

// maxSocketPath is what all operating systems allow for the path of a Unix socket.
const maxSocketPath = 103

func (d *decoder) checkSocket() {
	if s := d.cfg.Control.Socket; d.known("control.socket") && runtime.GOOS != "windows" && len(s) > maxSocketPath {
		d.at(SeverityError, "control.socket", fmt.Sprintf("is longer than %d octets, which the operating system does not allow; set a shorter one", maxSocketPath))
	}
}

// checkBindings sees to it that no two bindings want the same address and port.
func (d *decoder) checkBindings() {
	type used struct {
		b    *Binding
		path string
	}
	type same struct {
		port uint16
		ip   netip.Addr
	}
	byPort, wide, byAddress := make(map[uint16][]used), make(map[uint16][]used), make(map[same][]used)
	for i := range d.cfg.VirtualServers {
		v := &d.cfg.VirtualServers[i]
		for j := range v.Bindings {
			u := used{&v.Bindings[j], strings.TrimSuffix(bindingPath(v.Name, v.Bindings[j].Address, ""), ".")}
			if u.b.Port == 0 {
				d.at(SeverityWarning, u.path, "port 0 is any free port, another one at each start")
				continue
			}
			here := same{u.b.Port, u.b.IP}
			others := slices.Concat(wide[u.b.Port], byAddress[here])
			if everywhere(u.b) {
				others = byPort[u.b.Port]
			}
			for _, other := range others {
				if !overlap(other.b, u.b) {
					continue
				}
				line := ""
				if o := d.cfg.origins[other.path]; o.Line > 0 {
					line = fmt.Sprintf(" (line %d)", o.Line)
				}
				message := "is used already by " + other.path + line
				switch {
				case other.b.Address == u.b.Address:
				case wider(u.b, other.b):
					message = fmt.Sprintf("%s listens on %s too, which is %s%s", u.b.Address, other.b.Address, other.path, line)
				default:
					message = fmt.Sprintf("%s listens on %s too: %s%s", other.b.Address, u.b.Address, other.path, line)
				}
				d.at(SeverityError, u.path, message)
			}
			byPort[u.b.Port] = append(byPort[u.b.Port], u)
			if everywhere(u.b) {
				wide[u.b.Port] = append(wide[u.b.Port], u)
			} else {
				byAddress[here] = append(byAddress[here], u)
			}
		}
	}
}

// everywhere reports whether a binding is for all addresses, of one kind or of both.
func everywhere(b *Binding) bool { return !b.IP.IsValid() || b.IP.IsUnspecified() }

// overlap reports whether two bindings of the same port cannot both be listened on.
func overlap(a, b *Binding) bool {
	if a.IP == b.IP || !a.IP.IsValid() || !b.IP.IsValid() {
		return true
	}
	return a.IP.Is4() == b.IP.Is4() && (a.IP.IsUnspecified() || b.IP.IsUnspecified())
}

// wider reports whether the addresses of a binding include those of another.
func wider(a, b *Binding) bool {
	return !a.IP.IsValid() || b.IP.IsValid() && a.IP.IsUnspecified()
}

func (d *decoder) checkLimits(v *VirtualServer) {
	at := func(path string) string { return serverPath(v.Name, path) }
	c, m := &v.Connections, &v.Messages
	perDomain, total := at("connections.outbound_per_domain"), at("connections.outbound_limit")
	above := c.OutboundPerDomain == 0 || c.OutboundPerDomain > c.OutboundLimit
	switch {
	case !d.known(perDomain, total) || c.OutboundLimit == 0 || !above:
	case d.cfg.isSet(total):
		d.at(SeverityError, perDomain, "contradicts "+d.both(total)+": it cannot be above it")
	case c.OutboundPerDomain > 0:
		d.at(SeverityWarning, perDomain, "has no effect above "+d.both(total)+", the default")
	}
	session, size := at("messages.max_session_size"), at("messages.max_size")
	if d.known(session, size) && m.MaxSessionSize > 0 && m.MaxSize > m.MaxSessionSize {
		d.at(SeverityError, session, "contradicts "+d.both(size)+": it cannot be below it")
	}
	if m.StrictSize && m.MaxSize == 0 && d.known(size) {
		d.at(SeverityWarning, at("messages.strict_size"), "has no effect while messages.max_size is unlimited")
	}
}

// folder is a folder of a virtual server, with the path of its setting.
type folder struct{ dir, path string }

// checkFolders sees to it that no folder is another one or within another one: what is written
// to one would be read, or cleaned away, as if it were of the other.
func (d *decoder) checkFolders(v *VirtualServer, seen []folder) []folder {
	for _, f := range []struct{ name, dir string }{
		{"pickup", v.Folders.Pickup}, {"queue", v.Folders.Queue}, {"drop", v.Folders.Drop}, {"badmail", v.Folders.Badmail}, {"logs", v.Folders.Logs},
	} {
		this := folder{dir: f.dir, path: serverPath(v.Name, "folders."+f.name)}
		if runtime.GOOS == "windows" {
			this.dir = strings.ToLower(this.dir)
		}
		for _, other := range seen {
			message := ""
			switch {
			case !d.knownFolder(this.path) || !d.knownFolder(other.path):
				continue
			case other.dir == this.dir:
				message = "the same is "
			case within(this.dir, other.dir):
				message = "this is within "
			case within(other.dir, this.dir):
				message = "in this is "
			default:
				continue
			}
			// The problem is told of the one that the file sets.
			at := this.path
			if !d.cfg.isSet(at) && d.cfg.isSet(other.path) {
				at, other.path = other.path, at
				message = map[string]string{"this is within ": "in this is ", "in this is ": "this is within "}[message]
			}
			d.at(SeverityError, at, "each folder needs a place of its own; "+message+d.both(other.path))
		}
		seen = append(seen, this)
	}
	return seen
}

// knownFolder is known for a folder, which is below the data directory when the file does not set it.
func (d *decoder) knownFolder(path string) bool {
	return d.known(path) && (d.cfg.isSet(path) || d.known("data_directory"))
}

// within reports whether a folder is somewhere below another one. Both paths are clean.
func within(dir, other string) bool {
	separator := string(filepath.Separator)
	return strings.HasPrefix(dir, strings.TrimSuffix(other, separator)+separator)
}

func (d *decoder) checkDelivery(v *VirtualServer) {
	host := serverPath(v.Name, "delivery.smart_host")
	if v.Delivery.DirectFirst && len(v.Delivery.SmartHost) == 0 && d.known(host) {
		d.at(SeverityWarning, serverPath(v.Name, "delivery.direct_first"), "has no effect without delivery.smart_host")
	}
}

func (d *decoder) checkDomains(v *VirtualServer) {
	schema := d.root.block(serverBlock).block("domain")
	defaultAt := ""
	seen := make(map[string]string)
	for i := range v.Domains {
		dom := &v.Domains[i]
		path := strings.TrimSuffix(domainPath(v.Name, dom.Name, ""), ".")
		if other, ok := seen[domainKey(dom.Name)]; ok {
			d.at(SeverityError, path, fmt.Sprintf("is the same domain as %s (line %d); both are %s in DNS", other, d.cfg.origins[other].Line, domainKey(dom.Name)))
		}
		seen[domainKey(dom.Name)] = path
		kindAt := domainPath(v.Name, dom.Name, "kind")
		if dom.Kind != KindRemote && dom.Kind != "" && strings.HasPrefix(dom.Name, "*") {
			d.at(SeverityError, kindAt, "a local domain is one name; *. is for remote domains")
		}
		if dom.Kind == KindDefault {
			if defaultAt != "" {
				d.at(SeverityError, kindAt, "there is one default domain; the other is "+d.both(defaultAt))
			}
			defaultAt = kindAt
		}
		for j := range schema.Settings {
			s := &schema.Settings[j]
			path := domainPath(v.Name, dom.Name, s.Name)
			if s.ForKind != "" && dom.Kind != "" && s.ForKind != string(dom.Kind) && d.cfg.isSet(path) {
				d.at(SeverityError, path, "is only for domains with kind = "+quote(s.ForKind)+"; here "+d.both(kindAt))
			}
		}
		limit := serverPath(v.Name, "connections.outbound_limit")
		if n := v.Connections.OutboundLimit; d.known(limit) && n > 0 && dom.MaxConnections > n {
			d.at(SeverityWarning, domainPath(v.Name, dom.Name, "max_connections"), "has no effect above "+d.both(limit))
		}
	}
}

func (d *decoder) checkTLS(v *VirtualServer) {
	cert, key := serverPath(v.Name, "access.certificate"), serverPath(v.Name, "access.private_key")
	require := serverPath(v.Name, "access.require_tls")
	a := &v.Access
	both := d.known(cert, key)
	without := both && a.Certificate == ""
	switch {
	case !both:
	case a.Certificate != "" && a.PrivateKey == "":
		d.at(SeverityError, cert, "needs access.private_key")
	case without && a.PrivateKey != "":
		d.at(SeverityError, key, "needs access.certificate")
	}
	if a.RequireTLS && without {
		d.at(SeverityError, require, "needs access.certificate and access.private_key")
	}
	for i := range v.Bindings {
		b := &v.Bindings[i]
		path := bindingPath(v.Name, b.Address, "tls")
		switch {
		case b.TLS == TLSImplicit && without:
			d.at(SeverityError, path, "needs access.certificate and access.private_key")
		case b.TLS == TLSNone && a.RequireTLS:
			d.at(SeverityError, path, "contradicts "+d.both(require)+": no client could send mail")
		case b.TLS == TLSStartTLS && without && d.cfg.isSet(path):
			d.at(SeverityWarning, path, NoSTARTTLS)
		}
	}
}

func (d *decoder) checkAccess(v *VirtualServer) {
	relay, control := serverPath(v.Name, "access.relay"), serverPath(v.Name, "access.connection_control")
	const open = "anybody in it can send mail to anywhere through this server (open relay)"
	switch a := &v.Access; {
	case !d.known(relay + ".mode"):
	case a.Relay.Mode == ListAllExcept:
		d.at(SeverityWarning, relay+".mode", "everybody but those on the list can send mail to anywhere through this server (open relay)")
	default:
		d.warnWide(relay+".list", a.Relay.List, open)
	}
	if c := &v.Access.ConnectionControl; !d.known(control + ".mode") {
		return
	} else if c.Mode == ListOnly && len(c.List) == 0 && d.known(control+".list") {
		d.at(SeverityWarning, control+".mode", "nobody can connect while access.connection_control.list is empty")
	} else if c.Mode == ListAllExcept {
		d.warnWide(control+".list", c.List, "nobody of that family can connect")
	}
}

// warnWide warns of a list that stands for all addresses of a family, by one entry or by several
// together.
func (d *decoder) warnWide(path string, list []netip.Prefix, message string) {
	whole := make(map[bool]bool) // by Is4
	for _, p := range list {
		if p.Bits() == 0 {
			whole[p.Addr().Is4()] = true
			o := d.cfg.origins[entryPath(path, p)]
			d.add(Problem{Severity: SeverityWarning, Line: o.Line, Column: o.Column, Path: path, Value: quote(p.String()), Message: message})
		}
	}
	for _, all := range families {
		if pieces := covering(list, all.first, all.last); len(pieces) > 0 && !whole[all.first.Is4()] {
			o := d.cfg.origins[entryPath(path, pieces[0])]
			d.add(Problem{Severity: SeverityWarning, Line: o.Line, Column: o.Column, Path: path,
				Value:   shorten(formatList(pieces, func(p netip.Prefix) string { return quote(p.String()) })),
				Message: "together all public " + all.name + " addresses: " + message})
		}
	}
}

// families are the addresses by which hosts are reached from anywhere.
var families = []struct {
	name        string
	first, last netip.Addr
}{
	{"IPv4", netip.MustParseAddr("1.0.0.0"), netip.MustParseAddr("223.255.255.255")},                        // but for "this network", multicast and reserved ones
	{"IPv6", netip.MustParseAddr("2000::"), netip.MustParseAddr("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")}, // global unicast (RFC 4291 §2.4)
}

// HoldsAll returns the networks of a list that alone or together hold all public addresses of a family, or nil when there are
// none. A relay list with them is an open relay.
func HoldsAll(list []netip.Prefix) []netip.Prefix {
	for _, all := range families {
		if pieces := covering(list, all.first, all.last); len(pieces) > 0 {
			return pieces
		}
	}
	return nil
}

// covering returns the networks of a list that together hold all addresses from first to last,
// or nil when some address is in none.
func covering(list []netip.Prefix, first, last netip.Addr) []netip.Prefix {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var pieces []netip.Prefix
	next := first // the first address that no piece holds
	for _, p := range sorted {
		if p.Addr().Is4() != first.Is4() || lastOf(p).Less(next) {
			continue
		}
		if next.Less(p.Addr()) {
			return nil
		}
		pieces = append(pieces, p)
		if !lastOf(p).Less(last) {
			return pieces
		}
		next = lastOf(p).Next()
	}
	return nil
}

// lastOf returns the last address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	octets := p.Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(octets); bit++ {
		octets[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(octets)
	return a
}

func (d *decoder) checkProtocol(v *VirtualServer) {
	if b := v.Protocol.Banner; b != "" && !strings.Contains(b, "ESMTP") {
		d.at(SeverityWarning, serverPath(v.Name, "protocol.banner"), "without the word ESMTP some clients use no extensions")
	}
	if b := v.Protocol.Banner; strings.IndexFunc(b, func(r rune) bool { return r > '~' }) >= 0 {
		d.at(SeverityError, serverPath(v.Name, "protocol.banner"), "a banner is ASCII")
	}
}

// checkDrop sees to it that each entry of the recipient list can be one. Aliases are rewritten before
// the list is asked, so that a local domain in it stands for all of them.
func (d *decoder) checkDrop(v *VirtualServer) {
	path := serverPath(v.Name, "drop.recipients")
	for _, text := range v.Drop.Recipients {
		local, domain, full := text, "", false
		if i := strings.LastIndexByte(text, '@'); i >= 0 && !strings.HasSuffix(text, `"`) {
			local, domain, full = text[:i], text[i+1:], true
		}
		message := ""
		switch {
		case strings.Contains(local, "*"):
			message = "takes no *: it names each recipient that exists"
		case full && !d.broken && !v.localDomain(domain) && v.DefaultDomain() != "": // else it may be the host's name
			message = shorten(domain) + " is no local domain of the list; the local-part alone will do"
		case mail.Unquote(local) != local:
			// A quoted string may hold anything.
		default:
			_, message, _ = parseMailbox(local + "@example.com")
		}
		if message != "" {
			o := d.cfg.origins[path]
			d.add(Problem{Severity: SeverityError, Line: o.Line, Column: o.Column, Path: path, Value: quote(text), Message: message})
		}
	}
}

// localDomain reports whether an entry makes the domain a local one.
func (v *VirtualServer) localDomain(name string) bool {
	return slices.ContainsFunc(v.Domains, func(d Domain) bool {
		return d.Kind != KindRemote && domainKey(d.Name) == domainKey(name)
	})
}
