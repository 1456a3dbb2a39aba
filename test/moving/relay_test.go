//go:build linux

package moving

import (
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

const (
	taken   = "250 2.1.5 "
	refused = "550 5.7.1 Unable to relay for "
)

// Who may relay is who might before, in both modes, by single addresses and groups; in doubt nobody is. Local mail is taken from
// everybody.
func TestRelay(t *testing.T) {
	const abroad = "x@far.test"
	for name, tc := range map[string]struct {
		list string // "-": there is none
		may  []string
		not  []string
		told string // in the report
	}{
		"only single addresses": {list: ipList(false, "127.0.0.5", "127.0.0.9"), may: []string{"127.0.0.5", "127.0.0.9"}, not: []string{"127.0.0.1", "127.0.0.6", "127.0.0.4"}},
		"only groups": {list: ipList(false, "127.0.1.0/255.255.255.0", "127.2.0.0/255.255.0.0", "127.0.0.128/255.255.255.128"),
			may: []string{"127.0.1.1", "127.0.1.254", "127.2.200.1", "127.0.0.129"}, not: []string{"127.0.2.1", "127.3.0.1", "127.0.0.127"}},
		"only both": {list: ipList(false, "127.0.0.5", "127.2.0.0/255.255.0.0"), may: []string{"127.0.0.5", "127.2.0.5"}, not: []string{"127.0.0.1", "127.1.0.5"}},
		"all except": {list: ipList(true, "127.0.0.6", "127.3.0.0/255.255.0.0"), may: []string{"127.0.0.1", "127.0.0.5", "127.4.0.1"}, not: []string{"127.0.0.6", "127.3.3.3"},
			told: "open relay"},
		"an empty list is nobody":            {list: "", not: []string{"127.0.0.1", "127.0.0.5"}},
		"no list, as Server 2022 leaves it":  {list: "-", not: []string{"127.0.0.1", "127.0.0.5"}},
		"a list that nobody can read":        {list: "18000080ffff", not: []string{"127.0.0.1", "127.0.0.5"}, told: "nobody may relay"},
		"only, with a name":                  {list: ipList(false, "127.0.0.5", "printers.corp.test"), may: []string{"127.0.0.5"}, not: []string{"127.0.0.1"}, told: "printers.corp.test"},
		"all except a name: in doubt nobody": {list: ipList(true, "evil.test"), not: []string{"127.0.0.1", "127.0.0.5"}, told: "evil.test"},
	} {
		t.Run(name, func(t *testing.T) {
			o := old{server: attrs{}, domains: map[string]attrs{"far.test": {"RouteAction": routeAction(toSmartHost), "RouteActionString": "[127.0.0.77]"}}}
			if tc.list != "-" {
				o.server["RelayIpList"] = tc.list
			}
			w := o.start(t, "")
			for _, ip := range tc.may {
				w.ask(rcpt{ip, abroad, taken}, rcpt{ip, "x@corp.test", taken})
			}
			for _, ip := range tc.not {
				w.ask(rcpt{ip, abroad, refused + abroad}, rcpt{ip, "x@corp.test", taken})
			}
			if tc.told != "" && !strings.Contains(w.Report, tc.told) {
				t.Errorf("the report does not tell of %q:\n%s", tc.told, w.Report)
			}
		})
	}
}

// Who may connect is who might before.
func TestConnectionControl(t *testing.T) {
	for name, tc := range map[string]struct {
		list string
		may  []string
		not  []string
	}{
		"only":            {ipList(false, "127.0.0.5", "127.2.0.0/255.255.0.0"), []string{"127.0.0.5", "127.2.9.9"}, []string{"127.0.0.1", "127.0.0.6", "127.3.0.1"}},
		"all except":      {ipList(true, "127.0.0.6", "127.3.0.0/255.255.0.0"), []string{"127.0.0.1", "127.0.0.5"}, []string{"127.0.0.6", "127.3.0.9"}},
		"in doubt nobody": {"0102", nil, []string{"127.0.0.1", "127.0.0.5"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := old{server: attrs{"IPSecurity": tc.list, "RelayIpList": ""}}
			w := o.start(t, "")
			for _, ip := range tc.may {
				w.from(ip).Close()
			}
			for _, ip := range tc.not {
				c, err := harness.ConnectFrom(ip, w.Addr())
				if err != nil {
					t.Fatal(err)
				}
				if text, err := c.Expect("banner", 554); err != nil || !strings.HasPrefix(text, "554 5.7.1 ") {
					t.Errorf("%s: %q, %v", ip, text, err)
				}
				if _, _, err := c.Reply(); err == nil {
					t.Errorf("%s: the connection stays open", ip)
				}
				c.Close()
			}
		})
	}
}
