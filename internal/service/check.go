package service

import (
	"errors"
	"fmt"
	"os/user"
	"path/filepath"
	"runtime"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/keyring"
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
// starting with it: certificates, keys, the group of the control socket. It changes nothing and opens no
// socket. A draft of a file in error will do, as will nil.
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
