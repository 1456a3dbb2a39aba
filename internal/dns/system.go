package dns

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// settings is what the operating system says about DNS.
type settings struct {
	servers  []string // addresses, without port
	trustAD  bool
	timeout  time.Duration // 0: not said
	attempts int           // 0: not said
}

const maxServers = 8

// parseResolvConf reads resolv.conf(5): nameserver lines and the options that matter here.
// The search list is not used: see the package comment. Without a server the one on this host
// is meant.
func parseResolvConf(data []byte) settings {
	var s settings
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		fields := strings.Fields(line)
		switch fields[0] {
		case "nameserver":
			if len(fields) > 1 && len(s.servers) < maxServers {
				if addr, err := netip.ParseAddr(fields[1]); err == nil {
					s.servers = append(s.servers, addr.String())
				}
			}
		case "options":
			for _, o := range fields[1:] {
				s.option(o)
			}
		}
	}
	if len(s.servers) == 0 {
		s.servers = []string{"127.0.0.1"}
	}
	return s
}

func (s *settings) option(o string) {
	name, value, _ := strings.Cut(o, ":")
	n, err := strconv.Atoi(value)
	switch {
	case name == "trust-ad":
		s.trustAD = true
	case err != nil || n < 1:
	case name == "timeout":
		s.timeout = time.Duration(min(n, 30)) * time.Second // the bounds of resolv.conf(5)
	case name == "attempts":
		s.attempts = min(n, 5)
	}
}
