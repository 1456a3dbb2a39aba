package log

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/vfs"
)

// TestRefusing: what the store tells of its refusals, when they begin, how many there were and when they are
// over; a fault that comes and goes is one (bad input F28).
func TestRefusing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing error
		fs := vfs.Inject(vfs.NewMem(), func(op vfs.Op, _ string, _ int) error {
			if op == vfs.OpSync {
				return failing
			}
			return nil
		}, nil)
		w := newWorld(t, fs)
		var told []string
		w.o.Refusing = func(why error) {
			if why == nil {
				told = append(told, "over")
				return
			}
			told = append(told, why.Error())
		}
		w.open()
		w.faulty = true
		w.put(1000, 1)
		start := time.Now()
		failing = syscall.EIO
		w.commit(w.begin(500, 1, 0), w.begin(600, 1, 0))
		time.Sleep(time.Second)
		failing = nil
		w.put(1000, 1) // too soon to be sure
		failing = syscall.EIO
		w.put(1000, 1)
		st := w.s.Stats()
		if st.Refused != 3 || !st.RefusingSince.Equal(start) || !strings.Contains(st.Refusing, "451 4.3.0") || !st.LastErrorAt.Equal(time.Now()) || !strings.Contains(st.LastError, "input/output error") {
			t.Errorf("while it fails: %+v", st)
		}
		failing = nil
		time.Sleep(calm)
		if st := w.s.Stats(); st.Refusing == "" {
			t.Error("the fault is over though no message was taken since")
		}
		w.put(1000, 1)
		if st := w.s.Stats(); st.Refusing != "" || !st.RefusingSince.IsZero() || st.Refused != 3 || st.LastError == "" {
			t.Errorf("after it: %+v", st)
		}
		if len(told) != 2 || !strings.HasPrefix(told[0], "451 4.3.0") || told[1] != "over" {
			t.Errorf("told %q", told)
		}
		if err := w.s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestUnreadable: reads that fail are told once, kept for Stats, and over when they succeed again.
func TestUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing error
		fs := vfs.Inject(vfs.NewMem(), func(op vfs.Op, _ string, _ int) error {
			if op == vfs.OpRead {
				return failing
			}
			return nil
		}, nil)
		w := newWorld(t, fs)
		var told []string
		w.o.Unreadable = func(why error) {
			if why == nil {
				told = append(told, "over")
				return
			}
			told = append(told, why.Error())
		}
		w.open()
		id := w.put(1000, 1)
		read := func() error { _, err := w.s.Envelope(t.Context(), id); return err }
		b, err := w.s.Body(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		failing = syscall.EIO
		if _, err := b.ReadAt(make([]byte, 10), 0); !errors.Is(err, syscall.EIO) {
			t.Error(err)
		}
		if _, err := w.s.Body(t.Context(), id); !errors.Is(err, syscall.EIO) {
			t.Error(err)
		}
		if err := read(); !errors.Is(err, syscall.EIO) {
			t.Error(err)
		}
		st := w.s.Stats()
		if st.ReadErrors != 3 || !strings.Contains(st.Unreadable, "input/output error") || !st.UnreadableSince.Equal(start) || !strings.Contains(st.LastError, "input/output error") {
			t.Errorf("while it fails: %+v", st)
		}
		failing = nil
		time.Sleep(calm)
		if st := w.s.Stats(); st.Unreadable == "" {
			t.Error("the trouble is over though nothing was read since")
		}
		if err := errors.Join(read(), b.Close()); err != nil {
			t.Error(err)
		}
		if st := w.s.Stats(); st.Unreadable != "" || !st.UnreadableSince.IsZero() || st.ReadErrors != 3 || st.LastError == "" || st.Quarantined != 0 {
			t.Errorf("after it: %+v", st)
		}
		if len(told) != 2 || !strings.Contains(told[0], "input/output error") || told[1] != "over" {
			t.Errorf("told %q", told)
		}
		if err := w.s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestF28RoomAgain: that there is room again is seen without any client, by who asks how the store is.
func TestF28RoomAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		var told []bool
		s := mustOpen(t, Options{Dir: "queue", FS: mem, Refusing: func(why error) { told = append(told, why != nil) }})
		mem.SetFree(vfs.Space{Bytes: 100 << 20, Inodes: 1 << 20})
		time.Sleep(time.Second)
		if _, err := s.Begin(t.Context()); !errors.Is(err, errLowSpace) {
			t.Fatal(err)
		}
		// Limits that change hold at once.
		s.SetLimits(Limits{MinFree: 50 << 20})
		tx, err := s.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tx.Abort()
		s.SetLimits(Limits{})
		if _, err := s.Begin(t.Context()); !errors.Is(err, errLowSpace) {
			t.Fatal(err)
		}
		mem.SetFree(vfs.Space{Bytes: 1 << 40, Inodes: 1 << 20})
		time.Sleep(calm)
		if st := s.Stats(); st.LowSpace || st.Refusing != "" || st.Refused != 2 {
			t.Errorf("with room: %+v", st)
		}
		if !slices.Equal(told, []bool{true, false}) {
			t.Errorf("told %v", told)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestF27Hysteresis: when memory was short, messages begin again only when half of it is free.
func TestF27Hysteresis(t *testing.T) {
	s := mustOpen(t, Options{Dir: "queue", FS: vfs.NewMem(), Limits: Limits{Memory: 8 << 20}})
	defer s.Close()
	begin := func() bool {
		tx, err := s.Begin(context.Background())
		if err == nil {
			tx.Abort()
		}
		return err == nil
	}
	const mb = 1 << 20
	for i, step := range []struct {
		held int64
		ok   bool
	}{{7 * mb, true}, {7*mb + 1, false}, {7 * mb, false}, {4*mb + 1, false}, {4 * mb, true}, {7 * mb, true}} {
		if err := s.Hold(step.held - s.inFlight.Load()); err != nil {
			t.Fatal(err)
		}
		if got := begin(); got != step.ok || s.Stats().LowMemory == got {
			t.Errorf("step %d, %d octets held: begins %v, low memory %v", i, step.held, got, s.Stats().LowMemory)
		}
	}
}
