package harness

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Options is what a test wants of a server. The zero value is a relay on 127.0.0.1 with one
// plain binding that has the local domain local.test, relays for loopback clients, asks no DNS
// and tries again after a second.
type Options struct {
	FQDN          string   // "": relay.test
	DefaultDomain string   // "": local.test
	Domains       []Domain // besides the default domain
	Bindings      []Binding
	Relay         []string // the relay list; nil: 127.0.0.0/8
	SmartHost     []string
	DirectFirst   bool
	DNS           string // host:port of the resolver; "": one that never answers
	OutboundPort  int
	OutboundTLS   string // "": the default

	ForbidLoopbackMX bool // as the product's default is; tests mostly need the contrary
	PerConnection    int  // messages per outbound connection; 0: the default

	Attempts  int    // local and remote; 0: 48
	Intervals string // retry intervals as a list; "": `"1s"`
	MaxSize   string // preferred and absolute limit of a message; "": 32 MB
	Cert      *Certificate

	// Protocol, Delivery, Connections, Messages and Server are further lines for these blocks.
	Protocol, Delivery, Connections, Messages, Server string
	Top                                               string // further lines of the file itself
}

// Domain is a domain block.
type Domain struct {
	Name, Kind string
	Route      []string
	AllowRelay bool
	TLS        string
}

// Binding is a binding block on 127.0.0.1. Port 0 stands for a free one.
type Binding struct {
	Port         int
	TLS, Profile string // "": the defaults
}

// render writes the configuration file of a server that keeps everything below dir.
func (o *Options) render(dir string) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("version = 1")
	p("data_directory = %q\n%s", dir, o.Top)
	p("dns {\n  servers = [%q]\n  timeout = \"1s\"\n}", o.DNS)
	p("control {\n  socket = %q\n}", filepath.Join(dir, "control"))
	p(`virtual_server "default" {`)
	p("  fqdn = %q", o.FQDN)
	for _, l := range o.Bindings {
		p("  binding %q {", Loopback(l.Port))
		p("    tls = %q", or(l.TLS, "starttls"))
		p("    profile = %q\n  }", or(l.Profile, "internal"))
	}
	o.renderConnections(p)
	o.renderDelivery(p)
	p("  domain %q {\n    kind = \"default\"\n  }", o.DefaultDomain)
	for _, d := range o.Domains {
		d.render(p)
	}
	p("  access {")
	if o.Cert != nil {
		p("    certificate = %q\n    private_key = %q", o.Cert.CertFile, o.Cert.KeyFile)
	}
	p("    relay {\n      mode = \"only\"\n      list = %s\n    }\n  }", list(o.Relay))
	p("  protocol {\n    allow_loopback_mx = %v\n%s\n  }", !o.ForbidLoopbackMX, o.Protocol)
	p("%s\n}", o.Server)
	return b.String()
}

func (o *Options) renderConnections(p func(string, ...any)) {
	p("  connections {")
	if o.OutboundPort != 0 {
		p("    outbound_port = %d", o.OutboundPort)
	}
	p("%s\n  }", o.Connections)
	p("  messages {")
	p("    max_size = %q\n    max_session_size = %q", o.MaxSize, o.MaxSize)
	if o.PerConnection != 0 {
		p("    max_per_connection = %d", o.PerConnection)
	}
	p("%s\n  }", o.Messages)
}

func (o *Options) renderDelivery(p func(string, ...any)) {
	p("  delivery {")
	if len(o.SmartHost) > 0 {
		p("    smart_host = %s", list(o.SmartHost))
	}
	p("    direct_first = %v", o.DirectFirst)
	for _, kind := range []string{"local", "remote"} {
		p("    %s {\n      max_retries = %d\n      retry_intervals = [%s]\n    }", kind, o.Attempts, o.Intervals)
	}
	if o.OutboundTLS != "" {
		p("    outbound_security {\n      tls = %q\n    }", o.OutboundTLS)
	}
	p("%s\n  }", o.Delivery)
}

func (d *Domain) render(p func(string, ...any)) {
	p("  domain %q {\n    kind = %q", d.Name, d.Kind)
	if len(d.Route) > 0 {
		p("    route = %s", list(d.Route))
	}
	if d.AllowRelay {
		p("    allow_relay = true")
	}
	if d.TLS != "" {
		p("    tls = %q", d.TLS)
	}
	p("  }")
}

// list writes strings as an HCL list. The strings hold no "${", so Go's quotes are HCL's.
func list(ss []string) string {
	quoted := make([]string, len(ss))
	for i, s := range ss {
		quoted[i] = strconv.Quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
