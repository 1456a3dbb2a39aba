package control

import (
	"testing"

	"github.com/mailroot/mailroot/internal/badmail"
)

// Behind the sender a report has who gets a copy of it; what failed is called that all the same.
func TestCopyOfAReportIsCalledThat(t *testing.T) {
	for source, want := range map[string][3]bool{"report": {false, true, true}, "smtp": {}} {
		e := badmailEntry(&badmail.Stored{Properties: badmail.Properties{
			Version: 1, Source: source, Recipients: []badmail.Recipient{{Address: "a@b.test", Failed: true}, {Address: "copy@b.test"}, {Address: "lost@b.test", Failed: true}},
		}})
		for i, r := range e.Recipients {
			if r.Copy != want[i] || r.Failed != (i != 1) {
				t.Errorf("%s, recipient %d: %+v", source, i, r)
			}
		}
	}
}
