package cli

import (
	"testing"
	"time"
)

func TestUntil(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		-time.Second: "now", 0: "now", time.Millisecond: "in 1s",
		20*time.Second - 30*time.Millisecond: "in 20s", 2*time.Hour - 400*time.Millisecond: "in 2h00m",
		time.Minute - 10*time.Millisecond: "in 1m", 2*time.Hour - 3*time.Second: "in 1h59m",
	} {
		if got := until(now.Add(d), now); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if got := until(time.Time{}, now); got != "now" {
		t.Errorf("no time: %q", got)
	}
}
