package config

import (
	"path/filepath"
	"runtime"
	"strings"
)

// Where things are when nothing says otherwise.
const (
	windowsPipe = `\\.\pipe\mailroot`
	windowsData = `C:\ProgramData\Mailroot`
	unixData    = "/var/lib/mailroot"
)

// DefaultDataDirectory is the data directory when the file names none.
func DefaultDataDirectory() string {
	if runtime.GOOS == "windows" {
		return windowsData
	}
	return unixData
}

// Defaults that follow other settings.
const (
	perDomainDefault   = 100
	sessionSizeDefault = 10240 * kib
	defaultBinding     = "*:25"
)

// derive works out the values that follow others, where the file does not set them.
func (c *Config) derive() {
	if c.Server(defaultServer) == nil {
		root := Schema()
		v := VirtualServer{Name: defaultServer}
		applyDefaults(root.block(serverBlock), reflectOf(&v))
		c.VirtualServers = append([]VirtualServer{v}, c.VirtualServers...)
	}
	c.deriveString(&c.Control.Socket, "control.socket", defaultSocket(c.DataDirectory))
	for i := range c.VirtualServers {
		c.VirtualServers[i].derive(c)
	}
}

func defaultSocket(dataDirectory string) string {
	if runtime.GOOS == "windows" {
		return windowsPipe
	}
	return filepath.Join(dataDirectory, "control.sock")
}

// serverPath is the path of a virtual server, or of something in it.
func serverPath(name, rest string) string {
	path := labelPath("", &Block{Name: serverBlock, Label: "name"}, name)
	if rest == "" {
		return path
	}
	return path + "." + rest
}

func domainPath(server, domain, setting string) string {
	return serverPath(server, "domain["+quote(domain)+"]."+setting)
}

func bindingPath(server, binding, setting string) string {
	return serverPath(server, "binding["+quote(binding)+"]."+setting)
}

func (v *VirtualServer) derive(c *Config) {
	at := func(path string) string { return serverPath(v.Name, path) }
	for _, f := range []struct {
		field *string
		name  string
	}{
		{&v.Folders.Pickup, "Pickup"}, {&v.Folders.Queue, "Queue"}, {&v.Folders.Drop, "Drop"}, {&v.Folders.Badmail, "Badmail"}, {&v.Folders.Logs, "Logs"},
	} {
		c.deriveString(f.field, at("folders."+strings.ToLower(f.name)), filepath.Join(c.DataDirectory, v.Name, f.name))
	}
	if len(v.Bindings) == 0 {
		b, _, _ := parseBinding(defaultBinding)
		root := Schema()
		applyDefaults(root.block(serverBlock).block("binding"), reflectOf(&b))
		v.Bindings = []Binding{b}
	}

	conn := &v.Connections
	if !c.isSet(at("connections.outbound_per_domain")) {
		conn.OutboundPerDomain = perDomainDefault
		if conn.OutboundLimit > 0 {
			conn.OutboundPerDomain = min(perDomainDefault, conn.OutboundLimit)
		}
		c.derived(at("connections.outbound_per_domain"))
	}
	m := &v.Messages
	if !c.isSet(at("messages.max_session_size")) {
		m.MaxSessionSize = max(sessionSizeDefault, m.MaxSize)
		if m.MaxSize == 0 {
			m.MaxSessionSize = 0
		}
		c.derived(at("messages.max_session_size"))
	} else if !c.isSet(at("messages.max_size")) && m.MaxSessionSize > 0 && m.MaxSessionSize < m.MaxSize {
		m.MaxSize = m.MaxSessionSize
		c.derived(at("messages.max_size"))
	}
	for i := range v.Domains {
		d := &v.Domains[i]
		if d.Kind != KindRemote {
			continue
		}
		if path := domainPath(v.Name, d.Name, "tls"); !c.isSet(path) {
			d.TLS = v.Delivery.OutboundSecurity.TLS
			c.derived(path)
		}
		if path := domainPath(v.Name, d.Name, "max_connections"); !c.isSet(path) {
			d.MaxConnections = conn.OutboundPerDomain
			c.derived(path)
		}
	}
}

// isSet reports whether the file sets a path.
func (c *Config) isSet(path string) bool { return c.origins[path].From == FromFile }

func (c *Config) derived(path string) { c.origins[path] = Origin{From: FromOther} }

func (c *Config) deriveString(field *string, path, value string) {
	if !c.isSet(path) {
		*field = value
		c.derived(path)
	}
}
