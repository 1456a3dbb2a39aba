package pressure

import (
	"os"
	"runtime/debug"
)

// pace lets the collector run more often while much is in use. As it is delivered with Go it waits until garbage takes as much
// memory as all that is alive. For a small process that is right; one that holds a million queued messages would
// take hundreds of megabytes for nothing, and what it holds are tables without pointers, which cost the collector
// next to nothing. GOGC in the environment ends this.
type pace struct {
	percent int // in force; 0: Go's own
}

const (
	usualPercent = 100
	leastPercent = 25
	// spare is how much garbage there may be in any case, in octets.
	spare = 64 << 20
)

// set chooses the pace for what is in use.
func (p *pace) set(used int64) {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := percentFor(used)
	now := p.percent
	if now == 0 {
		now = usualPercent
	}
	// Each change stops the world for a moment: small ones are not worth it.
	if percent == now || percent > now*9/10 && percent < now*10/9 && percent != usualPercent && percent != leastPercent {
		return
	}
	p.percent = percent
	debug.SetGCPercent(percent)
}

func percentFor(used int64) int {
	if used <= spare {
		return usualPercent
	}
	return int(max(spare*usualPercent/used, leastPercent))
}
