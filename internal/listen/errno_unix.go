//go:build unix

package listen

import (
	"errors"
	"runtime"
	"syscall"
)

const deniedAdvice = "ports below 1024 want root or the capability CAP_NET_BIND_SERVICE: start it as a system service, or choose a port above 1023"

const errAccess = syscall.EACCES

func inUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

func noSuchAddress(err error) bool { return errors.Is(err, syscall.EADDRNOTAVAIL) }

// findCommand is how to find out who listens on a port.
func findCommand(port string) string {
	if runtime.GOOS == "linux" {
		return `"ss -ltnp sport = :` + port + `"`
	}
	return `"lsof -nP -iTCP:` + port + ` -sTCP:LISTEN"`
}
