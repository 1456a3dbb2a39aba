// Package load measures the relay as a whole, on loopback, beside other relays that do the same work in turn with
// it: `make bench`. Each figure that has a bar is held against it. In `make test` it only asserts that a
// small load arrives. mailroot.sh starts the relay for other load tools.
//
// Start with TestCells. bars_test.go has medians, bars and the tables, relay_test.go the servers and smtp-source,
// client_test.go and server_test.go a source and a sink of our own that know TLS and can be slow on purpose.
package load

import (
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m, printBoard) }

// TestLoad runs one small cell for both relays.
func TestLoad(t *testing.T) {
	for _, start := range []func() *relay{
		func() *relay { return mailroot(t, "mailroot", lifted(harness.Options{})) },
		func() *relay { return postfix(t, "postfix", tuned) },
	} {
		r := start()
		s := r.run(t, cell{10, true, 4 * kb, 200}, 1)
		if s.cost <= 0 {
			t.Errorf("%s: no processor time was counted", r.name)
		}
		t.Logf("%s: %.0f messages/s accepted, %.0f relayed, %.3f CPU-ms each", r.name, s.accepted, s.relayed, s.cost)
	}
}
