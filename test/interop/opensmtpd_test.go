package interop

import (
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// OpenSMTPD, in both directions. Debian 12's answers STARTTLS with 220 and breaks off in the handshake: then we go on
// without TLS, as nothing demands it.
func TestOpenSMTPD(t *testing.T) {
	mta{
		start: harness.StartOpenSMTPD, tls: true, dsn: true, forgets: true,
		refusal: "550 5.1.1 No mailbox here by that name",
	}.stories(t)
}
