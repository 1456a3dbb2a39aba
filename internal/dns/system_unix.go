//go:build unix

package dns

import "sync"

// system is resolv.conf, read again when it changes.
type system struct {
	mu   sync.Mutex
	file watched
	last settings
}

func newSystem(path string) *system {
	if path == "" {
		path = "/etc/resolv.conf"
	}
	return &system{file: watched{path: path, limit: 64 << 10}}
}

func (s *system) settings() settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	if data, changed := s.file.read(); changed {
		s.last = parseResolvConf(data)
	}
	return s.last
}

func systemHostsFile() string { return "/etc/hosts" }
