package route

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// ParseHost reads a smart host or one host of a route: "host", "host:port", "ip", "ip:port"
// (IPv4), "[ip]" or "[ip]:port". An address, bare or in brackets, is never looked up. A final
// dot of a name is dropped; the name is normalised as NormalizeDomain does. Port 0 of the
// result: none was given. Errors say what would be right.
func ParseHost(s string) (mail.Host, error) {
	if s == "" {
		return mail.Host{}, errors.New(`empty: write a name or an address, "smtp.example.com:587" or "[192.0.2.1]:25"`)
	}
	name, port, bracket := s, "", false
	if rest, ok := strings.CutPrefix(s, "["); ok {
		var tail string
		if name, tail, bracket = strings.Cut(rest, "]"); !bracket {
			return mail.Host{}, fmt.Errorf("%.100q: the closing bracket is missing", s)
		}
		if port, ok = strings.CutPrefix(tail, ":"); !ok && tail != "" {
			return mail.Host{}, fmt.Errorf("%.100q: only a colon and the port may follow the bracket", s)
		} else if ok && port == "" {
			return mail.Host{}, fmt.Errorf("%.100q: the port is missing after the colon", s)
		}
		name = strings.TrimPrefix(name, "IPv6:")
	} else if i := strings.IndexByte(s, ':'); i >= 0 && strings.LastIndexByte(s, ':') == i { // two colons: IPv6
		if name, port = s[:i], s[i+1:]; port == "" {
			return mail.Host{}, fmt.Errorf("%.100q: the port is missing after the colon", s)
		}
	}
	var h mail.Host
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || port[0] == '+' {
			return mail.Host{}, fmt.Errorf("%.100q: the port must be a number from 1 to 65535", s)
		}
		h.Port = uint16(n)
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		if strings.ContainsAny(addr.Zone(), "[]%: ") {
			return mail.Host{}, fmt.Errorf("%.100q: the zone after the %% is not the name of an interface", s)
		}
		if h.Addr = addr.Unmap(); h.Addr.IsUnspecified() || h.Addr.IsMulticast() {
			return mail.Host{}, fmt.Errorf("%.100q: %s is not the address of a host", s, addr)
		}
		return h, nil
	}
	if bracket {
		return mail.Host{}, fmt.Errorf("%.100q: only an address may stand in brackets; write a name without them", s)
	}
	if strings.Contains(name, ":") {
		return mail.Host{}, fmt.Errorf("%.100q is neither an IPv6 address nor host:port", s)
	}
	norm, err := NormalizeDomain(strings.TrimSuffix(name, "."))
	if err != nil {
		return mail.Host{}, fmt.Errorf("%.100q: %w", s, err)
	}
	h.Name = norm
	return h, nil
}
