//go:build unix

package cli

import (
	"os"
	"syscall"
)

// reloadSignals make a running service read its configuration again.
var reloadSignals = []os.Signal{syscall.SIGHUP}
