package pressure

import (
	"os"
	"runtime/debug"
)

// pace lets the collector run more often than Go has it, which waits until garbage takes as much memory as all that is alive.
// A long queue is tables without pointers, which cost the collector next to nothing: a million queued messages take hundreds of
// megabytes less. With little in use the wait is a little shorter than Go's: a thousand idle sessions with TLS take a
// third less memory so, and a handshake, which leaves much garbage, costs hardly more; at half the wait it costs a tenth more.
// GOGC in the environment ends this.
type pace struct {
	percent int // in force; 0: Go's own
}

const (
	goPercent    = 100
	usualPercent = 75
	leastPercent = 25
	// spare is how much garbage there may be while much is in use, in octets.
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
		now = goPercent
	}
	// Each change stops the world for a moment: small ones are not worth it.
	if percent == now || percent > now*9/10 && percent < now*10/9 && percent != usualPercent && percent != leastPercent {
		return
	}
	p.percent = percent
	debug.SetGCPercent(percent)
}

func percentFor(used int64) int {
	return int(min(max(spare*100/max(used, 1), leastPercent), usualPercent))
}
