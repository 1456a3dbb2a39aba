package service

import (
	"fmt"

	"github.com/mailroot/mailroot/internal/config"
)

// files is how the files that the process may have open are shared out. Each connection is one. What the queue needs
// stays free: a client that is told 421 comes again, a queue without files loses time, or takes no mail.
type files struct {
	most      int // that the process may have open; 0: no limit is known
	inbound   int // connections; 0: no limit
	outbound  int // connections; 0: no limit
	segments  int // of the queue that stay open for reading; 0: as the spool has it
	needed    int // open files for the limits as they are set
	shortened bool
}

// Open files beside connections: those of the process itself, those of the queue that are kept open, and a reserve
// for those that come and go (messages of their own file, checkpoints, the log, name servers). The latter two
// shrink to a quarter of the files together where there are few.
const (
	ownFiles     = 24
	mostSegments = 256
	reserveFiles = 64
	fewest       = 4 // of either
)

// Where there is no limit of connections these stand in for what is needed.
const (
	usualInbound  = 1000
	usualOutbound = 500
)

// shareFiles shares out what a process may have open between the connections of a virtual server. Where it is not
// enough for both limits, both get less, in proportion.
func shareFiles(c *config.VirtualServer, most int) files {
	f := files{most: most, inbound: c.Connections.InboundLimit, outbound: c.Connections.OutboundLimit}
	if most <= 0 {
		return f
	}
	in, out := f.inbound, f.outbound
	if in == 0 {
		in = usualInbound
	}
	if out == 0 {
		out = usualOutbound
	}
	f.segments = min(max(most/8, fewest), mostSegments)
	other := ownFiles + f.segments + min(max(most/8, fewest), reserveFiles)
	f.needed = in + out + other
	rest := max(most-other, 2)
	switch {
	case f.needed > most:
		f.shortened = true
		f.outbound = max(rest*out/(in+out), 1)
		f.inbound = rest - f.outbound
	case f.inbound == 0 && f.outbound == 0:
		f.outbound = rest / 3
		f.inbound = rest - f.outbound
	case f.inbound == 0:
		f.inbound = rest - f.outbound
	case f.outbound == 0:
		f.outbound = rest - f.inbound
	}
	return f
}

// filesProblem warns of limits of connections that the process has too few files for.
func filesProblem(cfg *config.Config, c *config.VirtualServer, most int) (w config.Problem, short bool) {
	f := shareFiles(c, most)
	if !f.shortened {
		return w, false
	}
	w = cfg.Problem(c.Path("connections.inbound_limit"), fmt.Sprintf(
		"with outbound_limit and the files of the queue this takes %d open files, and a process started here may have %d: at most %d connections of clients are taken and %d made at the same time; raise the limit (ulimit -n, LimitNOFILE of systemd) or lower the settings",
		f.needed, f.most, f.inbound, f.outbound))
	w.Severity = config.SeverityWarning
	return w, true
}
