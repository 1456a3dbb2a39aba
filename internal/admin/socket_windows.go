package admin

import (
	"fmt"
	"net"

	"github.com/Microsoft/go-winio"
)

// pipeSecurity lets the system, administrators and the account of the service use the pipe.
const pipeSecurity = "D:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;OW)"

// Listen opens the named pipe of the control API. The pipe's own access list decides who may
// connect: the system, administrators and the owner. Group is not used on Windows.
func Listen(path, _ string) (net.Listener, error) {
	l, err := winio.ListenPipe(path, &winio.PipeConfig{SecurityDescriptor: pipeSecurity})
	if err != nil {
		return nil, fmt.Errorf("control pipe %s: %w", path, err)
	}
	return l, nil
}
