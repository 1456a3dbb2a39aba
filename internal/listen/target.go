package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// target is what a binding means to the network. It compares: the same target is the same
// socket.
type target struct {
	binding Binding
	network string // "tcp4" or "tcp6" for one family only
	address string
	port    uint16
	ip      netip.Addr // zero: all
}

// targets reads the bindings.
func targets(bindings []Binding) ([]target, error) {
	if len(bindings) == 0 {
		return nil, errors.New("no binding: there must be at least one address and port to listen on")
	}
	var list []target
	four := make(map[uint16]bool) // ports with an IPv4 address
	seen := make(map[string]bool)
	for _, b := range bindings {
		t, err := parseBinding(b)
		if err != nil {
			return nil, err
		}
		if seen[b.Addr] {
			return nil, fmt.Errorf("the binding %q stands twice in the list", b.Addr)
		}
		seen[b.Addr] = true
		four[t.port] = four[t.port] || t.ip.Is4()
		list = append(list, t)
	}
	for i := range list {
		if t := &list[i]; t.ip == netip.IPv6Unspecified() && four[t.port] {
			t.network = "tcp6" // else the system would count IPv4 as taken
		}
	}
	return list, nil
}

func parseBinding(b Binding) (target, error) {
	host, port, err := net.SplitHostPort(b.Addr)
	n, err2 := strconv.ParseUint(port, 10, 16)
	if err != nil || err2 != nil {
		return target{}, fmt.Errorf("the binding %q is not of the form address:port, [IPv6 address]:port, or *:port", b.Addr)
	}
	t := target{binding: b, network: "tcp", port: uint16(n)}
	if host == "*" || host == "" {
		t.address = ":" + port
		return t, nil
	}
	if t.ip, err = netip.ParseAddr(host); err != nil {
		return target{}, fmt.Errorf("the binding %q: %q is not an IP address", b.Addr, host)
	}
	t.ip = t.ip.Unmap()
	t.address = net.JoinHostPort(t.ip.String(), port)
	if t.ip.Is4() {
		t.network = "tcp4" // Go would take 0.0.0.0 for all addresses
	}
	return t, nil
}

// listenError is a socket that cannot be opened: what, why, and what can be done.
type listenError struct {
	target target
	err    error
}

func explain(t target, err error) error { return &listenError{t, err} }

func (e *listenError) Unwrap() error { return e.err }

// Error names the binding and what can be done about it.
func (e *listenError) Error() string {
	what := "cannot listen on " + e.target.binding.Addr + ": "
	port := strconv.Itoa(int(e.target.port))
	switch {
	case inUse(e.err):
		return what + "the port is in use by another program; stop that program (" + findCommand(port) + " names it) or choose another port"
	case denied(e.err) && e.target.port < 1024 && e.target.port != 0:
		return what + "permission denied; " + deniedAdvice
	case denied(e.err):
		return what + "permission denied by the system"
	case noSuchAddress(e.err):
		return what + "no interface of this host has the address " + e.target.ip.String() + " (at present)"
	}
	text := e.err.Error()
	var op *net.OpError
	if errors.As(e.err, &op) {
		text = op.Err.Error()
	}
	return what + strings.TrimPrefix(text, "listen ")
}

func denied(err error) bool { return errors.Is(err, os.ErrPermission) || errors.Is(err, errAccess) }
