package pressure

import "runtime/metrics"

// meter reads what the process has in use from the runtime.
type meter struct {
	samples [len(meterNames)]metrics.Sample
}

// meterNames are, in this order: all memory; what of it is objects, dead ones too, or free in one way or another; what
// the last collection has found alive; the number of collections.
var meterNames = [...]string{
	"/memory/classes/total:bytes",
	"/memory/classes/heap/objects:bytes",
	"/memory/classes/heap/unused:bytes",
	"/memory/classes/heap/free:bytes",
	"/memory/classes/heap/released:bytes",
	"/gc/heap/live:bytes",
	"/gc/cycles/total:gc-cycles",
}

func newMeter() *meter {
	m := &meter{}
	for i, name := range meterNames {
		m.samples[i].Name = name
	}
	return m
}

// used returns the octets that the process cannot do without: what the last collection has found alive, stacks, and what
// the runtime has for itself. Garbage does not count: with a limit the collector lets it grow up to that limit before
// it runs, which says nothing. It is called by one goroutine at a time.
func (m *meter) used() (octets int64, collections uint64) {
	metrics.Read(m.samples[:])
	v := func(i int) int64 { return int64(m.samples[i].Value.Uint64()) }
	return v(0) - v(1) - v(2) - v(3) - v(4) + v(5), m.samples[6].Value.Uint64()
}
