package service

import (
	"errors"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/vfs"
)

// TestPickupFolderIsOnes: a second service with a spool of its own is refused the Pickup folder of the first,
// and gets it when that has stopped.
func TestPickupFolderIsOnes(t *testing.T) {
	const shared = `folders { pickup = "/shared/Pickup" }`
	o := options(newPipes(), &logged{})
	first := startWith(t, shared, o)
	cfg := parse(t, shared)
	cfg.VirtualServers[0].Folders.Queue = "/other/Queue"
	o.Listen = options(newPipes(), &logged{}).Listen
	if _, err := Open(t.Context(), cfg, o); !errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), "/shared/Pickup") {
		t.Errorf("the second service: %v", err)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, err := Open(t.Context(), cfg, o) // which shows too that what was refused let go of its spool
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(second.Start(t.Context()), second.Stop(t.Context())); err != nil {
		t.Error(err)
	}
}
