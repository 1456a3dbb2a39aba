package listen

import (
	"errors"

	"golang.org/x/sys/windows"
)

const deniedAdvice = "the port may be reserved by Windows (\"netsh int ipv4 show excludedportrange tcp\" lists those) or held by a program with exclusive use"

const errAccess = windows.WSAEACCES

func inUse(err error) bool { return errors.Is(err, windows.WSAEADDRINUSE) }

func noSuchAddress(err error) bool { return errors.Is(err, windows.WSAEADDRNOTAVAIL) }

// findCommand is how to find out who listens on a port.
func findCommand(port string) string { return `"netstat -ano | findstr :` + port + `"` }
