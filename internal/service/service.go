package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/dns"
	"github.com/mailroot/mailroot/internal/listen"
	"github.com/mailroot/mailroot/internal/vfs"
)

// Options are what a Service needs besides its configuration.
type Options struct {
	// Log takes what an administrator should know: start, stop, trouble. Required.
	Log *slog.Logger
	// Dial and Listen replace the network, FS the files of mail and logs, and Resolver the domain name
	// system, for tests; nil stands for the real ones.
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	Listen   func(ctx context.Context, network, address string) (net.Listener, error)
	FS       vfs.FS
	Resolver dns.Resolver
	// Memory replaces what is looked at of the memory of the process, for tests: the octets in use and the number of
	// garbage collections; nil stands for the real figures.
	Memory func() (octets int64, collections uint64)
	// OpenFiles replaces, for tests, the number of files that the process may have open; 0 stands for what the system says.
	OpenFiles int
	// JitterSeed makes the times of retries repeatable; 0 stands for chance.
	JitterSeed uint64
}

// dialer returns what makes the connections of a server.
func (o *Options) dialer() func(ctx context.Context, network, address string) (net.Conn, error) {
	if o.Dial != nil {
		return o.Dial
	}
	return (&net.Dialer{KeepAliveConfig: listen.KeepAlive()}).DialContext
}

// Service is a running relay: all virtual servers of one configuration file.
type Service struct {
	o     Options
	since time.Time
	shed  shed

	mu      sync.Mutex     // serialises Start, Stop and Apply
	started *config.Config // what settings that need a restart still come from
	cfg     *config.Config
	servers []*Server
}

// Open makes the parts, opens the bindings and the spool. Nobody is answered before Start.
func Open(ctx context.Context, cfg *config.Config, o Options) (*Service, error) {
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.OpenFiles == 0 {
		o.OpenFiles = openFiles()
	}
	s := &Service{o: o, started: cfg, cfg: cfg, since: time.Now()}
	s.openShed(cfg)
	for i := range cfg.VirtualServers {
		v, err := openServer(ctx, &s.o, cfg, &cfg.VirtualServers[i], &s.shed)
		if err != nil {
			s.shed.gauge.Stop()
			return nil, errors.Join(fmt.Errorf("virtual server %q: %w", cfg.VirtualServers[i].Name, err), s.closeStores())
		}
		s.servers = append(s.servers, v)
	}
	return s, nil
}

// closeStores undoes Open.
func (s *Service) closeStores() error {
	var errs []error
	for _, v := range s.servers {
		errs = append(errs, v.discard())
	}
	return errors.Join(errs...)
}

// Start begins to deliver and to listen. When it fails everything is stopped again.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, v := range s.servers {
		if err := v.start(ctx); err != nil {
			errs := []error{fmt.Errorf("virtual server %q: %w", v.name, err)}
			for j, other := range s.servers {
				if j < i {
					errs = append(errs, other.stop(ctx))
				} else if j > i {
					errs = append(errs, other.discard())
				}
			}
			s.shed.gauge.Stop()
			return errors.Join(errs...)
		}
	}
	return nil
}

// Stop ends the service. What is under way may finish until ctx ends; the rest stays queued.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, v := range s.servers {
		errs = append(errs, v.stop(ctx))
	}
	s.shed.gauge.Stop()
	return errors.Join(errs...)
}

// Pending returns what cfg would change in the running service. Of settings that need a restart those
// count that differ from what the service was started with.
func (s *Service) Pending(cfg *config.Config) []config.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending(cfg)
}

func (s *Service) pending(cfg *config.Config) []config.Change {
	var out []config.Change
	for _, c := range config.Diff(s.cfg, cfg) {
		if !c.Restart {
			out = append(out, c)
		}
	}
	for _, c := range config.Diff(s.started, cfg) {
		if c.Restart {
			out = append(out, c)
		}
	}
	return out
}

// Apply puts a new configuration into force without dropping a connection and returns what changed,
// and whether certificates were replaced. Settings that need a restart keep their old value in the
// running service. After an error the configuration before is still in force.
func (s *Service) Apply(cfg *config.Config) (changes []config.Change, certificates bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.fingerprints()
	if changes, err = s.apply(cfg); err != nil {
		return nil, false, err
	}
	return changes, !slices.Equal(before, s.fingerprints()), nil
}

// fingerprints tells the certificates in use apart.
func (s *Service) fingerprints() []string {
	out := make([]string, len(s.servers))
	for i, v := range s.servers {
		out[i] = v.keys.Status().Fingerprint
	}
	return out
}

func (s *Service) apply(cfg *config.Config) ([]config.Change, error) {
	changes := s.pending(cfg)
	s.shed.gauge.SetLimit(cfg.MemoryLimit)
	if err := s.applyServers(cfg); err != nil {
		s.shed.gauge.SetLimit(s.cfg.MemoryLimit)
		return nil, err
	}
	s.cfg = cfg
	return changes, nil
}

func (s *Service) applyServers(cfg *config.Config) error {
	for _, v := range s.servers {
		c := cfg.Server(v.name)
		if c == nil {
			return fmt.Errorf("virtual server %q is no longer in the file: a restart is needed to remove it", v.name)
		}
		if err := v.apply(cfg, keepFixed(v.plan.Load().cfg, c)); err != nil {
			return fmt.Errorf("virtual server %q: %w", v.name, err)
		}
	}
	return nil
}

// keepFixed returns the new configuration with the folders of the old one, which only a restart
// changes.
func keepFixed(old, new *config.VirtualServer) *config.VirtualServer {
	c := *new
	c.Folders = old.Folders
	return &c
}

// Config returns the configuration in force.
func (s *Service) Config() *config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg
}

// Since returns when the service was made.
func (s *Service) Since() time.Time { return s.since }

// Servers returns the virtual servers, the default one first.
func (s *Service) Servers() []*Server { return s.servers }
