package metabase

import (
	"fmt"
	"strings"
	"testing"
)

// The report for people has the first lines of each kind and the number of the others, the JSON form all; a line unlike the others stands in both.
func TestReportOfManyDomains(t *testing.T) {
	const n = 3000
	var domains strings.Builder
	for i := range n {
		domains.WriteString(keyElement("IIsSmtpDomain", fmt.Sprintf("/LM/SmtpSvc/1/Domain/d%d.example", i), attrs{"RouteAction": "4098", "RouteActionString": "[192.0.2.7]"}))
		domains.WriteString(keyElement("IIsSmtpDomain", fmt.Sprintf("/LM/SmtpSvc/1/Domain/*.w%d.example", i), attrs{"RouteAction": "2"}))
	}
	domains.WriteString(keyElement("IIsSmtpDomain", "/LM/SmtpSvc/1/Domain/last.example", attrs{"RouteAction": "4194306", "RouteActionString": "mx.example."}))
	_, r := imports(t, attrs{"DefaultDomain": "corp.example"}, domains.String())
	var text strings.Builder
	if err := r.Report.Write(&text); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(text.String(), "\n"); lines > 400 {
		t.Errorf("the report has %d lines", lines)
	}
	if all := len(r.Report.Taken) + len(r.Report.Changed) + len(r.Report.NotTaken); all < 3*n || r.Report.Left != 0 {
		t.Errorf("the JSON form has %d lines, and %d are left out", all, r.Report.Left)
	}
	for _, want := range []string{
		"d19.example\n", fmt.Sprintf("  and %d more like RouteAction  ->  domain remote, domain.allow_relay; --json has all\n", n-maxAlike),
		fmt.Sprintf("  and %d more like RouteActionString  ->  domain.route; --json has all\n", n-maxAlike),
		"at /LM/SmtpSvc/1/Domain/last.example\n", `domain["last.example"].send_helo = true`, `domain["last.example"].route = ["mx.example"]`,
		"it holds for all names below, not for … itself",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report has no %q", want)
		}
	}
	if strings.Contains(text.String(), "d20.example") {
		t.Error("the report has more lines of a kind than it may")
	}
	if t.Failed() {
		t.Log(text.String())
	}
}
