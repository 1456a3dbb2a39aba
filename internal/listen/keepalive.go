package listen

import (
	"net"
	"time"
)

// KeepAlive is how TCP finds out that the other end of an idle connection has gone without a word: asked after two minutes and then
// each half minute, given up after four without an answer, which is before the five minutes of RFC 5321 §4.5.3.2.
//
// It is less often than the 15 s that Go asks: ten thousand connections at rest would exchange 670 probes a second. How
// long a session may be idle is for its own time-out to say.
func KeepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 2 * time.Minute, Interval: 30 * time.Second, Count: 4}
}
