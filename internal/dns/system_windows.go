package dns

import (
	"cmp"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// adapterCheck is how often the network adapters are asked for their servers.
const adapterCheck = 30 * time.Second

// system is what the network adapters say, asked for again from time to time.
type system struct {
	mu   sync.Mutex
	next time.Time
	last settings
}

func newSystem(string) *system { return new(system) }

func (s *system) settings() settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.After(s.next) {
		if servers := adapterServers(); len(servers) > 0 {
			s.last, s.next = settings{servers: servers}, now.Add(adapterCheck)
		} else {
			s.next = now.Add(fileCheck) // at start the network may not be up yet
		}
	}
	return s.last
}

// siteLocal is the range of the addresses that Windows shows where no IPv6 server is set.
var siteLocal = netip.MustParsePrefix("fec0::/10")

// adapterServers lists the DNS servers of the adapters that are up: those with a gateway
// first, then by metric.
func adapterServers() []string {
	type candidate struct {
		addr    string
		gateway bool
		metric  uint32
	}
	var all []candidate
	for a := adapters(); a != nil; a = a.Next {
		if a.OperStatus != windows.IfOperStatusUp || a.IfType == windows.IF_TYPE_SOFTWARE_LOOPBACK {
			continue
		}
		for d := a.FirstDnsServerAddress; d != nil; d = d.Next {
			ip, ok := netip.AddrFromSlice(d.Address.IP())
			if ip = ip.Unmap(); !ok || ip.IsUnspecified() || siteLocal.Contains(ip) {
				continue
			}
			metric := a.Ipv4Metric
			if ip.Is6() {
				metric = a.Ipv6Metric
			}
			if ip.IsLinkLocalUnicast() && ip.Is6() {
				ip = ip.WithZone(strconv.FormatUint(uint64(a.Ipv6IfIndex), 10))
			}
			all = append(all, candidate{ip.String(), a.FirstGatewayAddress != nil, metric})
		}
	}
	slices.SortStableFunc(all, func(x, y candidate) int {
		if x.gateway != y.gateway {
			if x.gateway {
				return -1
			}
			return 1
		}
		return cmp.Compare(x.metric, y.metric)
	})
	var servers []string
	for _, c := range all {
		if len(servers) < maxServers && !slices.Contains(servers, c.addr) {
			servers = append(servers, c.addr)
		}
	}
	return servers
}

// adapters returns the first of a linked list, or nil.
func adapters() *windows.IpAdapterAddresses {
	const flags = windows.GAA_FLAG_INCLUDE_GATEWAYS | windows.GAA_FLAG_SKIP_ANYCAST | windows.GAA_FLAG_SKIP_MULTICAST
	size := uint32(16 << 10) // what Microsoft's documentation advises to begin with
	for range 4 {
		buf := make([]uint64, size/8+1) // of uint64, for the alignment
		first := (*windows.IpAdapterAddresses)(unsafe.Pointer(&buf[0]))
		err := windows.GetAdaptersAddresses(windows.AF_UNSPEC, flags, 0, first, &size)
		if err == nil {
			if size == 0 {
				return nil
			}
			return first
		}
		if err != windows.ERROR_BUFFER_OVERFLOW {
			return nil
		}
	}
	return nil
}

func systemHostsFile() string {
	dir, err := windows.GetSystemDirectory()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "drivers", "etc", "hosts")
}
