package pressure

import (
	"os"
	"runtime/debug"
)

// pace lets the collector run more often than Go has it, which waits until garbage takes as much memory as all that is alive, where
// much is in use: a long queue is tables without pointers, which cost it next to nothing, and a million queued messages take
// hundreds of megabytes less. With little in use Go's own pace stays: TLS handshakes leave much garbage, and cost a tenth more at
// half the wait. GOGC in the environment ends this.
type pace struct {
	percent int // in force; 0: Go's own
}

const (
	goPercent    = 100
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
	if percent == now || percent > now*9/10 && percent < now*10/9 && percent != goPercent && percent != leastPercent {
		return
	}
	p.percent = percent
	debug.SetGCPercent(percent)
}

func percentFor(used int64) int {
	return int(min(max(spare*100/max(used, 1), leastPercent), goPercent))
}
