package service

import (
	"context"
	"net"
	"os"
	"strings"
	"time"
)

// hostNameTimeout bounds the look-up of the host's own name.
const hostNameTimeout = 2 * time.Second

// HostName returns what a service that starts now would take for its name and its default domain, where
// neither is set.
func HostName(ctx context.Context) string { return hostName(ctx) }

// hostName returns the host's DNS name: its name, completed by the system's resolver when it has no
// dot. "localhost" when even the name is unknown. It is asked at each start.
func hostName(ctx context.Context) string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	if strings.Contains(name, ".") {
		return strings.TrimSuffix(name, ".")
	}
	ctx, cancel := context.WithTimeout(ctx, hostNameTimeout)
	defer cancel()
	full, err := net.DefaultResolver.LookupCNAME(ctx, name)
	if err != nil || full == "" {
		return name
	}
	return strings.TrimSuffix(full, ".")
}
