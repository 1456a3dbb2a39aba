package interop

import (
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// Sendmail, in both directions. Debian builds it without SMTPUTF8.
func TestSendmail(t *testing.T) {
	mta{
		start: harness.StartSendmail, tls: true, inTLS: "version=TLSv1.3", dsn: true,
		refusal: "550 5.1.1 <nobody@dest.test>... No mailbox here by that name",
	}.stories(t)
}
