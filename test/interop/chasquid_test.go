package interop

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/mailroot/mailroot/internal/dns/dnstest"
	"github.com/mailroot/mailroot/test/harness"
)

// chasquid, in both directions. It finds us by MX.
func TestChasquid(t *testing.T) {
	mta{
		start: func(tb testing.TB, o harness.MTAOptions) *harness.MTA {
			// Linux has all of 127/8, and other tests may run at the same time.
			o.DNS = fmt.Sprintf("127.%d.%d.53", 1+rand.IntN(250), rand.IntN(250))
			dnstest.StartAt(tb, o.DNS+":53", `
$TTL 60
local.test.     MX 10 relay.test.
elsewhere.test. MX 10 relay.test.
relay.test.     A  127.0.0.1
mx.dest.test.   A  127.0.0.1
`)
			return harness.StartChasquid(tb, o)
		},
		tls: true, inTLS: "with ESMTPS", utf8: true, single: true, refusal: "550 5.1.1",
	}.stories(t)
}
