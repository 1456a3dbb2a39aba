//go:build unix

package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// dial connects to the control socket at path.
func dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w (nothing listens at %s)", ErrNotRunning, path)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%w (%s)", ErrNoAccess, path)
	}
	return nil, err
}
