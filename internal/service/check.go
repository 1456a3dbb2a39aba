package service

import (
	"fmt"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/keyring"
)

// Check looks at what a configuration names outside of itself and says what would keep a service from
// starting with it: certificates. It changes nothing and opens no socket.
func Check(cfg *config.Config) (errs []error) {
	for i := range cfg.VirtualServers {
		a := &cfg.VirtualServers[i].Access
		if a.Certificate == "" {
			continue
		}
		if err := keyring.New().Load(a.Certificate, a.PrivateKey); err != nil {
			errs = append(errs, fmt.Errorf("virtual_server.%s.access.certificate, private_key: %w", cfg.VirtualServers[i].Name, err))
		}
	}
	return errs
}
