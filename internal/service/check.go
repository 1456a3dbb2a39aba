package service

import (
	"errors"
	"fmt"
	"net/netip"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/keyring"
	"github.com/mailroot/mailroot/internal/mail"
)

// Load reads the configuration file at path and returns all that is wrong in it, and with what it names
// outside of itself, at once. With an error among the problems the configuration is nil. The error is of
// reading the file.
func Load(path string) (*config.Config, config.Problems, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration file: %w", err)
	}
	src, err := config.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	cfg, problems := config.Draft(src, path)
	problems = append(problems, Check(cfg)...).InOrder()
	if problems.HasErrors() {
		return nil, problems, nil
	}
	return cfg, problems, nil
}

// Check looks at what a configuration names outside of itself and says what would keep a service from
// starting with it: certificates, keys, the group of the control socket; and warns of routes that lead back here, and
// of more connections than the process can have. It changes nothing and opens no socket. A draft of a file in error will do, as will nil.
func Check(cfg *config.Config) (problems config.Problems) {
	if cfg == nil {
		return nil
	}
	if g := cfg.Control.Group; g != "" && runtime.GOOS != "windows" {
		if _, err := user.LookupGroup(g); err != nil {
			problems = append(problems, cfg.Problem("control.group", fmt.Sprintf("there is no such group on this computer (%v); make it, or take the line out", err)))
		}
	}
	for i := range cfg.VirtualServers {
		v := &cfg.VirtualServers[i]
		problems = append(problems, selfRoutes(cfg, v)...)
		if w, short := filesProblem(cfg, v, openFiles()); short {
			problems = append(problems, w)
		}
		if v.Access.Certificate == "" || v.Access.PrivateKey == "" {
			continue
		}
		err := keyring.New().Load(v.Access.Certificate, v.Access.PrivateKey)
		if err == nil {
			continue
		}
		path := v.Path("access.certificate")
		var ofKey *keyring.KeyFileError
		if errors.As(err, &ofKey) {
			path = v.Path("access.private_key")
		}
		problems = append(problems, cfg.Problem(path, err.Error()))
	}
	return problems
}

// selfRoutes warns of next hops that are addresses of this service, whose mail would go back to its senders (5.4.6). A
// name is looked up when the mail goes.
func selfRoutes(cfg *config.Config, v *config.VirtualServer) (problems config.Problems) {
	p := plan{own: ownAddresses(v), ports: listenPorts(v)}
	look := func(path string, hosts []mail.Host) {
		for _, h := range hosts {
			if h.Port == 0 {
				h.Port = uint16(v.Connections.OutboundPort)
			}
			if h.Addr.IsValid() && p.isSelf(netip.AddrPortFrom(h.Addr, h.Port)) {
				w := cfg.Problem(path, h.String()+" is this service: mail would be returned to its sender at once")
				w.Severity = config.SeverityWarning
				problems = append(problems, w)
			}
		}
	}
	look(v.Path("delivery.smart_host"), v.Delivery.SmartHost)
	for _, d := range v.Domains {
		look(v.Path("domain["+strconv.Quote(d.Name)+"].route"), d.Route)
	}
	return problems
}
