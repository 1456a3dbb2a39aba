package interop

import (
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// Exim, in both directions.
func TestExim(t *testing.T) {
	mta{
		start: harness.StartExim, tls: true, inTLS: "with esmtps", dsn: true, utf8: true,
		refusal: "5.1.1 No mailbox here by that name",
	}.stories(t)
}
