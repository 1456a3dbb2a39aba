package log

import (
	"testing"

	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/spooltest"
	"github.com/mailroot/mailroot/internal/vfs"
)

func TestConformance(t *testing.T) {
	t.Run("os", func(t *testing.T) {
		spooltest.Run(t, func(t testing.TB) spooltest.Open {
			dir := t.TempDir()
			return func(t testing.TB) spool.Store { return mustOpen(t, Options{Dir: dir}) }
		})
	})
	t.Run("mem", func(t *testing.T) {
		spooltest.Run(t, func(testing.TB) spooltest.Open {
			m := vfs.NewMem()
			return func(t testing.TB) spool.Store { return mustOpen(t, Options{Dir: "queue", FS: m}) }
		})
	})
	t.Run("small", func(t *testing.T) { // segments of a few messages, files for most of them
		spooltest.Run(t, func(testing.TB) spooltest.Open {
			m := vfs.NewMem()
			return func(t testing.TB) spool.Store {
				return mustOpen(t, Options{Dir: "queue", FS: m, SegmentSize: 16 << 10, SmallMessage: 2000, CheckpointSize: 1000, MaxOpenFiles: 2, SyncInterval: 1})
			}
		})
	})
}

// mustOpen opens a store and checks that the opening has found nothing wrong.
func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Quarantined+st.Lost+st.Torn > 0 || len(st.Notes) > 0 {
		t.Fatalf("the opening found: %+v", st)
	}
	return s
}
