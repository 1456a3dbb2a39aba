package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/Microsoft/go-winio"
)

// dial connects to the named pipe at path.
func dial(ctx context.Context, path string) (net.Conn, error) {
	c, err := winio.DialPipeContext(ctx, path)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%w (nothing listens at %s)", ErrNotRunning, path)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%w (%s)", ErrNoAccess, path)
	}
	return nil, err
}
