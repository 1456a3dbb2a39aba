package load

import (
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// TestSlowSync makes the disk slow: each sync of both servers takes 5 ms longer. A server that syncs for each message
// and session waits; one that shares its syncs hardly does.
func TestSlowSync(t *testing.T) {
	benchmark(t)
	const delay = 5000
	slow := harness.SlowSync(t, delay)
	relays := []*relay{
		mailroot(t, "Mailroot", lifted(harness.Options{}), slow...),
		postfix(t, "Postfix", tuned, slow...),
		mailroot(t, "Mailroot, not slowed", lifted(harness.Options{})),
	}
	tab := newTable(t, "Each sync slowed to 5 ms. A: messages/s accepted", "cell", "server", "A")
	for _, c := range []cell{{1, true, 4 * kb, 150}, {100, true, 4 * kb, 3000}, {400, true, 4 * kb, 6000}} {
		t.Run(c.String(), func(t *testing.T) {
			a := make([][]float64, len(relays))
			for round := range *rounds {
				for i := range relays {
					k := (i + round) % len(relays)
					a[k] = append(a[k], relays[k].run(t, c, 1).accepted)
				}
			}
			for i, r := range relays {
				tab.row(c, r.name, median(a[i]))
			}
			what := c.String() + ", syncs of 5 ms: A, "
			switch c.sessions {
			case 1:
				atLeast(t, what+"times Postfix's", median(ratios(a[0], a[1])), 1)
			case 100:
				atLeast(t, what+"times Postfix's", median(ratios(a[0], a[1])), 4)
			case 400:
				atLeast(t, what+"part of what it is undelayed", median(ratios(a[0], a[2])), 0.8)
			}
		})
	}
}
