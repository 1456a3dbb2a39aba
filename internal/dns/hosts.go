package dns

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// hosts is the hosts file, read again when it changes.
type hosts struct {
	file watched

	mu     sync.Mutex
	byName map[string][]netip.Addr
	byAddr map[netip.Addr][]string
}

func newHosts(path string) *hosts {
	switch path {
	case "":
		path = systemHostsFile()
	case "-":
		path = ""
	}
	return &hosts{file: watched{path: path, limit: 16 << 20}}
}

// addrs returns the addresses of a clean name, IPv4 first; nil if the file has none.
func (h *hosts) addrs(name string) []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refresh()
	return slices.Clone(h.byName[name])
}

// names returns the names of an address in the order of the file; nil if the file has none.
func (h *hosts) names(addr netip.Addr) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refresh()
	return slices.Clone(h.byAddr[addr.Unmap().WithZone("")])
}

func (h *hosts) refresh() {
	if data, changed := h.file.read(); changed {
		h.byName, h.byAddr = parseHosts(data)
	}
}

// parseHosts reads lines of an address and its names; "#" begins a comment. Lines that make no
// sense are passed over, as everywhere.
func parseHosts(data []byte) (map[string][]netip.Addr, map[netip.Addr][]string) {
	byName := make(map[string][]netip.Addr)
	byAddr := make(map[netip.Addr][]string)
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(fields[0])
		if err != nil {
			continue
		}
		addr = addr.Unmap()
		for _, f := range fields[1:] {
			name, ok := cleanName(f)
			if !ok || len(byName[name]) >= MaxRecords || slices.Contains(byName[name], addr) {
				continue
			}
			byName[name] = append(byName[name], addr)
			if isHostName(name) {
				plain := addr.WithZone("")
				byAddr[plain] = append(byAddr[plain], name)
			}
		}
	}
	for _, addrs := range byName {
		slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	}
	return byName, byAddr
}
