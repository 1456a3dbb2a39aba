package pressure

import (
	"runtime/debug"
	"testing"
)

func TestPercentFor(t *testing.T) {
	for _, c := range []struct {
		used int64
		want int
	}{{0, 75}, {64 << 20, 75}, {100 << 20, 64}, {128 << 20, 50}, {160 << 20, 40}, {256 << 20, 25}, {10 << 30, 25}} {
		if got := percentFor(c.used); got != c.want {
			t.Errorf("%d octets in use: %d %%, want %d", c.used, got, c.want)
		}
	}
}

// TestPace checks that the collector is told, and goes back.
func TestPace(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	var p pace
	for _, c := range []struct {
		used int64
		want int
	}{{1 << 20, 75}, {256 << 20, 25}, {160 << 20, 40}, {165 << 20, 40}, {1 << 20, 75}} {
		p.set(c.used)
		got := debug.SetGCPercent(100)
		debug.SetGCPercent(got)
		if got != c.want {
			t.Errorf("%d octets in use: %d %%, want %d", c.used, got, c.want)
		}
	}
	t.Setenv("GOGC", "80")
	if p.set(256 << 20); p.percent != usualPercent {
		t.Errorf("GOGC is set, and the pace is %d %%", p.percent)
	}
}
