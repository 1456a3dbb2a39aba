package metabase

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/mailroot/mailroot/internal/config"
)

func (c *converter) general() {
	c.text(c.vs, "description", "ServerComment")
	c.fqdn()
	c.bindings()
	auto := c.value("ServerAutoStart")
	if on, err := boolean(auto.text); auto.set() {
		c.leave(auto, "%s", auto.row.Why)
		if err == nil && !on && c.vs.off == "" {
			c.report.attend("virtual server %d did not start by itself on the old machine (ServerAutoStart is FALSE)", c.n)
		}
	}
}

// fqdn converts the name of the server.
func (c *converter) fqdn() {
	v := c.value("FullyQualifiedDomainName")
	if strings.TrimSpace(v.text) == "" {
		return
	}
	name, why := clean(v.text), ""
	if short, ok := strings.CutSuffix(name, "."); ok {
		name, why = short, "without the dot at its end, which means the same"
	}
	e := c.vs.set("fqdn", config.Quote(name), v.note())
	c.record(v, e, why)
	if e.off != "" {
		c.report.attend("the name %s of %s cannot be taken (%s): the server has that of this computer, until fqdn is set", quoted(v.text), c.path, e.off)
	}
}

// bindings converts the rows "IP:port:host" of the listeners.
func (c *converter) bindings() {
	v := c.value("ServerBindings")
	all, found := make(map[string]bool), 0
	rows := slices.Compact(lines(v.text))
	if v.doubt != "" {
		c.leave(v, "%s", v.doubt)
		rows = nil
	}
	if len(rows) > maxBindings {
		c.leave(v, "it has %d rows, of which the first %d were read", len(rows), maxBindings)
		rows = rows[:maxBindings]
	}
	for _, row := range rows { // those on all addresses first: they hold the others of their port
		if ip, port, err := splitBinding(row, 25); err == nil && !ip.IsValid() {
			all[port] = true
		}
	}
	for _, row := range rows {
		ip, port, err := splitBinding(row, 25)
		one := v
		one.text = row
		switch {
		case err != nil:
			c.leave(one, "%v", err)
		case ip.IsValid() && all[port]:
			c.change(one, "binding", "*:"+port, "all addresses of that port are listened on anyway")
		default:
			found++
			c.binding(one, ip, port)
		}
	}
	if v.set() && found == 0 {
		b := c.vs.block("binding", "127.0.0.1:25")
		b.notes = []string{v.note(), "No address to listen on could be read, so that it is this computer alone."}
		why := cmp.Or(v.doubt, "none of its rows has one")
		c.report.attend("no address to listen on could be read in ServerBindings of %s (%s); the service listens on 127.0.0.1:25 alone", c.path, why)
	}
	c.secureBindings(all)
}

func (c *converter) binding(v value, ip netip.Addr, port string) {
	label := "*:" + port
	if ip.IsValid() {
		label = joinPort(ip, port)
	}
	b := c.vs.block("binding", label)
	b.notes = append(b.notes, v.note())
	l := v.line()
	l.Setting, l.Result, l.block = "binding", config.Quote(label), b
	if why := b.labelRefused(); why != "" {
		b.off, l.Inactive, l.Why = why, true, why
		c.add(&c.report.Changed, l)
		return
	}
	if _, _, host := cutBinding(v.text); host != "" {
		l.Why = "the host name in it has no effect on mail"
		c.add(&c.report.Changed, l)
		return
	}
	c.add(&c.report.Taken, l)
}

func joinPort(ip netip.Addr, port string) string {
	if ip.Is6() {
		return "[" + ip.String() + "]:" + port
	}
	return ip.String() + ":" + port
}

// secureBindings are written commented out: TLS from the start needs a certificate, which no metabase holds.
func (c *converter) secureBindings(all map[string]bool) {
	v := c.value("SecureBindings")
	for _, row := range lines(v.text) {
		one := v
		one.text = row
		ip, port, err := splitBinding(row, 465)
		if err != nil {
			c.leave(one, "%v", err)
			continue
		}
		label := "*:" + port
		if ip.IsValid() {
			label = joinPort(ip, port)
		}
		if all[port] || c.vs.has("binding", label) {
			c.leave(one, "port %s is a binding without TLS from its start", port)
			continue
		}
		b := c.vs.block("binding", label)
		b.notes, b.off = []string{one.note()}, "it needs access.certificate and access.private_key"
		b.set("tls", `"implicit"`)
		c.change(one, "binding", config.Quote(label), "commented out: TLS from its start needs access.certificate and access.private_key")
	}
}

// cutBinding takes a row apart: IP:port:host, of which IP may be IPv6 in brackets.
func cutBinding(row string) (ip, port, host string) {
	if rest, ok := strings.CutPrefix(row, "["); ok {
		ip, rest, _ = strings.Cut(rest, "]")
		row = strings.TrimPrefix(rest, ":")
	} else {
		ip, row, _ = strings.Cut(row, ":")
	}
	port, host, _ = strings.Cut(row, ":")
	return strings.TrimSpace(ip), strings.TrimSpace(port), strings.TrimSpace(host)
}

// splitBinding reads a row. No address stands for all.
func splitBinding(row string, def int) (ip netip.Addr, port string, err error) {
	address, port, host := cutBinding(row)
	if strings.ContainsAny(host, ": \t") {
		return ip, "", fmt.Errorf("%s cannot be read for certain: an IPv6 address stands in brackets, and each binding in a line of its own", quoted(row))
	}
	if port == "" {
		port = strconv.Itoa(def)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return ip, "", fmt.Errorf("%s has no port that can be", quoted(row))
	}
	port = strconv.FormatUint(n, 10)
	if address == "" || address == "*" || address == "0.0.0.0" {
		return ip, port, nil
	}
	ip, err = netip.ParseAddr(address)
	if err != nil || ip.Zone() != "" || ip.IsMulticast() {
		return netip.Addr{}, "", fmt.Errorf("%s has no address that can be listened on", quoted(row))
	}
	return ip.Unmap(), port, nil
}

func (c *converter) connections() {
	b := c.vs.block("connections", "")
	c.count(b, "inbound_limit", "MaxConnections")
	c.seconds(b, "inbound_timeout", "ConnectionTimeout")
	c.outboundLimits(b)
	c.seconds(b, "outbound_timeout", "RemoteTimeout")
	c.outboundPort(b)
}

// outboundPort sets the port of next hops, which is not made to fit: another one than that of the old service would be a stranger's.
func (c *converter) outboundPort(b *block) {
	v := c.value("RemoteSmtpPort")
	n, err := number(v.text)
	if err == nil && (n == 0 || n > 65535) {
		err = fmt.Errorf("%s is no port", quoted(v.text))
	}
	if err != nil {
		c.leave(v, "%v; %s holds, the default of the original", err, v.row.Default)
		c.report.attend("RemoteSmtpPort of %s: %v; mail goes out to port %s", c.path, err, v.row.Default)
		b.set("outbound_port", v.row.Default, "RemoteSmtpPort is no port; the default of the original is "+v.row.Default+".")
		return
	}
	c.record(v, b.set("outbound_port", strconv.FormatUint(uint64(n), 10), v.note()), "")
}

// outboundLimits converts the two limits, of which the one of a domain cannot be above the other.
func (c *converter) outboundLimits(b *block) {
	total, per, used := c.value("MaxOutConnections"), c.value("MaxOutConnectionsPerDomain"), c.value("LimitRemoteConnections")
	s := b.setting("outbound_limit")
	plain := func(n int64) string { return strconv.FormatInt(n, 10) }
	n, err := number(total.text)
	if err != nil {
		c.leave(total, "%v; no limit holds", err)
		n = 0
	}
	unused := ""
	if on, odd := boolean(used.text); odd == nil && !on && err == nil && n != 0 && n != noLimit {
		unused = strings.TrimSuffix(used.note(), ".") + ": MaxOutConnections was no limit"
		c.change(used, "connections.outbound_limit", `"unlimited"`, "MaxOutConnections was no limit, as this says")
		n = 0
	} else if odd != nil {
		c.leave(used, "%v; MaxOutConnections is taken for a limit", odd)
	} else if used.set() {
		c.record(used, &entry{path: b.path + ".outbound_limit"}, "")
	}
	literal, why := fit(s, n, 1, plain)
	e := b.set("outbound_limit", literal, total.note())
	if unused != "" {
		e.notes, why = append(e.notes, unused+"."), unused
	}
	if err == nil {
		c.record(total, e, why)
	}
	m, err := number(per.text)
	if err != nil {
		c.leave(per, "%v; the limit of all connections holds", err)
		m = 0
	}
	literal, why = fit(b.setting("outbound_per_domain"), m, 1, plain)
	top, notNumber := strconv.Atoi(e.value)
	if notNumber == nil && (m == 0 || m == noLimit || int64(m) > int64(top)) {
		literal = e.value
		if m != 0 && m != noLimit {
			why = "it cannot be above outbound_limit"
		}
	}
	if e := b.set("outbound_per_domain", literal, per.note()); err == nil {
		c.record(per, e, why)
	}
}

func (c *converter) messages() {
	b := c.vs.block("messages", "")
	size := c.size(b, "max_size", "MaxMessageSize")
	session := c.size(b, "max_session_size", "MaxSessionSize")
	if size != nil && session != nil {
		c.agree(b, size, session)
	}
	if c.later && size != nil && octetsIn(size.value) > 0 {
		b.set("strict_size", "true", "The service of Windows 2000 and later refuses what is larger than max_size.")
	}
	if c.later {
		b.set("session_size_counts", `"connection"`, "It counts over all messages of a connection.")
	}
	c.count(b, "max_per_connection", "MaxBatchedMessages")
	c.count(b, "max_recipients", "MaxRecipients")
	c.text(b, "ndr_copy_to", "SendNdrTo")
}

// agree sees to it that the session size is not below the size of one message, and strict_size has a size to be strict about.
func (c *converter) agree(b *block, size, session *entry) {
	m, s := octetsIn(size.value), octetsIn(session.value)
	if s == 0 || m <= s {
		return
	}
	session.value = size.value
	session.notes = append(session.notes, "It cannot be below max_size.")
	c.change(c.value("MaxSessionSize"), "messages.max_session_size", session.value, "it was below MaxMessageSize, which cannot be: both are "+size.value)
}

// octetsIn reads back what the size of an entry is; 0 stands for no limit.
func octetsIn(literal string) int64 {
	n, err := config.ParseSize(strings.Trim(literal, `"`))
	if err != nil {
		return 0
	}
	return n
}

// folders keeps the folders on Windows; elsewhere they lie below the data directory, and a comment says which was which.
func (c *converter) folders() {
	b := c.vs.block("folders", "")
	for _, f := range []struct{ setting, sub, property string }{
		{"pickup", "Pickup", "PickupDirectory"}, {"queue", "Queue", "QueueDirectory"},
		{"drop", "Drop", "DropDirectory"}, {"badmail", "Badmail", "BadMailDirectory"},
		{"logs", "Logs", "LogFileDirectory"},
	} {
		v := c.value(f.property)
		if strings.TrimSpace(v.text) == "" {
			continue
		}
		c.folder(b, v, f.setting, f.sub)
	}
}

func (c *converter) folder(b *block, v value, setting, sub string) {
	below := c.below(sub)
	path, unknown := expand(clean(v.text), c.o.Env)
	why := ""
	switch {
	case !c.o.Windows:
		b.notes = append(b.notes, v.note()+": here "+below)
		c.change(v, "folders."+setting, config.Quote(below), "re-rooted")
		return
	case unknown != "":
		why = "nobody knows what %" + shown(unknown) + "% stands for here"
	case !onDrive(path):
		why = "it is no folder on a drive of this computer"
	}
	if setting == "logs" && why == "" {
		path += fmt.Sprintf(`\SmtpSvc%d`, c.n)
	}
	if why == "" {
		c.record(v, b.set(setting, config.Quote(path), v.note()), "")
		return
	}
	b.notes = append(b.notes, v.note()+": "+why+"; it is "+below)
	c.change(v, "folders."+setting, config.Quote(below), why)
	c.report.attend("%s of %s is not kept (%s): it is %s now", v.row.Name, c.path, why, below)
}

// below is a folder of the virtual server where the file does not say otherwise.
func (c *converter) below(sub string) string {
	separator := "/"
	if c.o.Windows {
		separator = `\`
	}
	return strings.Join([]string{cmp.Or(c.o.DataDirectory, config.DefaultDataDirectory()), c.vs.label, sub}, separator)
}

// onDrive reports whether a path is absolute and on a drive with a letter.
func onDrive(path string) bool {
	if len(path) < 3 || path[1] != ':' || path[2] != '\\' && path[2] != '/' {
		return false
	}
	letter := path[0] | 0x20
	return letter >= 'a' && letter <= 'z'
}

func (c *converter) protocol() {
	b := c.vs.block("protocol", "")
	c.text(b, "banner", "ConnectResponse")
	c.verbs(c.value("SmtpInboundCommandSupportOptions"))
	c.verbs(c.value("SmtpOutboundCommandSupportOptions"))
	c.yes(c.vs.block("pickup", ""), "dot_stuffed", "SmtpDotStuffPickupDirFiles")
}

// verbBits are the extensions of the words SmtpInboundCommandSupportOptions and SmtpOutboundCommandSupportOptions.
func verbBits() []struct {
	bit  uint32
	name string
} {
	return []struct {
		bit  uint32
		name string
	}{
		{0x40, "DSN"}, {0x80, "ETRN"}, {0x400, "TURN"}, {0x1000, "ENHANCEDSTATUSCODES"}, {0x100000, "CHUNKING"},
		{0x200000, "BINARYMIME"}, {0x400000, "8BITMIME"},
	}
}

// verbs tells which extensions were off, as there is no setting for them.
func (c *converter) verbs(v value) {
	if !v.set() {
		return
	}
	word, err := number(v.text)
	if err != nil {
		c.leave(v, "%v; %s", err, whyVerbs)
		return
	}
	var off []string
	for _, b := range verbBits() {
		if word&b.bit == 0 {
			off = append(off, b.name)
		}
	}
	if len(off) == 0 {
		c.leave(v, "%s (TURN and ETRN are not in this version)", whyVerbs)
		return
	}
	c.leave(v, "%s; these were off: %s", whyVerbs, strings.Join(off, ", "))
}
