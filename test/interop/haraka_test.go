package interop

import (
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// Haraka, in both directions.
func TestHaraka(t *testing.T) {
	mta{
		start: harness.StartHaraka, tls: true, inTLS: "with ESMTPS", utf8: true,
		refusal: "550 5.1.1 No mailbox here by that name",
	}.stories(t)
}
