package load

import (
	"runtime"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// bar is what a cell is held against, beside Postfix without a mail log.
type bar struct {
	cell
	cost  float64 // part of Postfix's processor time, at most
	power float64 // times that of Postfix, at least; 0: reported only
	rate  float64 // accepted and relayed: times Postfix's, at least; 0: reported only
	// direct is the part of what smtp-source and smtp-sink do without a server between them that is
	// enough for rate.
	direct float64
}

const kb = 1 << 10

var bars = []bar{
	{cell{1, false, 4 * kb, 1000}, 1. / 4, 0, 2, 1},
	{cell{1, true, 4 * kb, 1000}, 1. / 4, 0, 2, 1},
	{cell{20, false, 4 * kb, 3000}, 1. / 6, 4, 5, 0.4},
	{cell{20, true, 4 * kb, 3000}, 1. / 6, 4, 5, 0.4},
	{cell{100, false, 4 * kb, 3000}, 1. / 6, 4, 5, 0.4},
	{cell{100, true, 4 * kb, 3000}, 1. / 6, 4, 5, 0.4},
	{cell{400, false, 4 * kb, 3000}, 1. / 6, 4, 5, 0.4},
	{cell{400, true, 4 * kb, 3000}, 1. / 6, 4, 5, 0.4},
	{cell{20, false, 64 * kb, 1000}, 1. / 4, 2.5, 0, 0},
	{cell{20, true, 64 * kb, 1000}, 1. / 4, 2.5, 0, 0},
	{cell{100, true, 64 * kb, 1000}, 1. / 4, 2.5, 0, 0},
	{cell{20, true, 1024 * kb, 100}, 1. / 5, 0, 0, 0},
}

// TestCells measures each kind of load: Mailroot, Mailroot with its defaults, Postfix tuned, with and
// without a mail log, and no server at all, in turns.
func TestCells(t *testing.T) {
	benchmark(t)
	o := lifted(harness.Options{})
	relays := []*relay{
		mailroot(t, "Mailroot", o),
		postfix(t, "Postfix", tuned),
		postfix(t, "Postfix, mail log", logging),
		mailroot(t, "Mailroot, defaults", harness.Options{MaxSize: "50MB"}),
	}
	bare := harness.StartCountingSink(t)
	t.Logf("Mailroot with %s", settings(o))
	tab := newTable(t, "A, B: accepted and relayed, messages/s. E: processor time of the server, ms a message. P: messages/s of all processors",
		"cell", "server", "A", "B", "E", "P")
	for _, b := range bars {
		t.Run(b.String(), func(t *testing.T) {
			samples := make([][]sample, len(relays))
			var direct []float64
			for round := range *rounds {
				for i := range relays {
					k := (i + round) % len(relays)
					samples[k] = append(samples[k], relays[k].run(t, b.cell, runtime.NumCPU()))
				}
				wall, _ := source(t, b.cell, harness.Loopback(bare.Port))
				direct = append(direct, float64(b.messages)/wall.Seconds())
			}
			for i, r := range relays {
				s := samples[i]
				tab.row(b, r.name, median(of(s, accepted)), median(of(s, relayed)), median(of(s, cost)), median(of(s, power)))
			}
			tab.row(b, "no server", median(direct), "", "", "")
			b.judge(t, samples[0], samples[1], direct)
		})
	}
}

// judge holds Mailroot against Postfix and against the direct way.
func (b bar) judge(t *testing.T, ours, theirs []sample, direct []float64) {
	t.Helper()
	name := b.String()
	atMost(t, name+" E, part of Postfix's", median(ratios(of(ours, cost), of(theirs, cost))), b.cost)
	if b.power > 0 {
		atLeast(t, name+" P, times Postfix's", median(ratios(of(ours, power), of(theirs, power))), b.power)
	}
	if b.rate == 0 {
		return
	}
	for _, k := range []struct {
		what string
		get  func(sample) float64
	}{{" A", accepted}, {" B", relayed}} {
		part := median(ratios(of(ours, k.get), direct))
		if b.direct < 1 && part >= b.direct {
			atLeast(t, name+k.what+", part of no server's", part, b.direct)
			continue
		}
		atLeast(t, name+k.what+", times Postfix's", median(ratios(of(ours, k.get), of(theirs, k.get))), b.rate)
	}
}
