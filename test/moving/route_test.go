//go:build linux

package moving

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// everybody may relay, as from this host.
var everybody = ipList(false, "127.0.0.0/255.0.0.0")

// Local domains: the default and its aliases share the Drop folder, and an alias is rewritten; whatever is left of the @ is taken.
func TestLocalDomains(t *testing.T) {
	o := old{server: attrs{"RelayIpList": ""}, domains: map[string]attrs{
		"alias.test": {"RouteAction": routeAction(alias)}, "ALIAS2.test": {"RouteAction": routeAction(alias), "RouteActionString": "corp.test"},
	}}
	w := o.start(t, "")
	w.ask(rcpt{"127.0.0.5", "who.ever@corp.test", taken + "who.ever@corp.test"}, rcpt{"127.0.0.5", "x@alias.test", taken}, rcpt{"127.0.0.5", "x@alias2.test", taken},
		rcpt{"127.0.0.5", "bare", taken}, rcpt{"127.0.0.5", "x@sub.corp.test", refused}, rcpt{"127.0.0.5", "x@sub.alias.test", refused})
	w.send("a@corp.test", "b@alias.test", "c@ALIAS2.TEST", "bare")
	files := w.WaitDrop(1)
	if got := strings.Join(files[0].Receivers, " "); got != "a@corp.test b@corp.test c@corp.test bare@corp.test" {
		t.Errorf("x-receiver: %s", got)
	}
}

// Remote domains: each has its route, which beats the smart host; an exact name beats a wildcard, a longer wildcard a shorter one, and a wildcard
// does not cover the name itself. "Allow incoming mail to be relayed" lets anybody send there, and nowhere else.
func TestRemoteDomains(t *testing.T) {
	port, hop := sinks(t, "127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14", "127.0.0.15")
	route := func(bits int, ip string) attrs {
		return attrs{"RouteAction": routeAction(bits | toSmartHost), "RouteActionString": "[" + ip + "]"}
	}
	o := old{
		server: attrs{"RelayIpList": everybody, "RemoteSmtpPort": fmt.Sprint(port), "SmartHost": "[127.0.0.15]", "SmartHostType": "2"},
		domains: map[string]attrs{
			"exact.test": route(0, "127.0.0.11"), "*.wild.test": route(relayDomain, "127.0.0.12"), "*.deep.wild.test": route(0, "127.0.0.13"),
			"one.deep.wild.test": route(0, "127.0.0.14"), "open.test": route(relayDomain, "127.0.0.11"),
			"plain.test": {"RouteAction": "0"},
		},
	}
	w := o.start(t, "")
	for _, to := range []string{"a@exact.test", "b@x.wild.test", "c@x.y.wild.test", "d@two.deep.wild.test", "e@one.deep.wild.test", "f@deep.wild.test", "g@open.test",
		"h@wild.test", "i@plain.test", "j@other.test", "k@sub.exact.test"} {
		w.send(to)
	}
	got(t, hop["127.0.0.11"], "a@exact.test", "g@open.test")
	got(t, hop["127.0.0.12"], "b@x.wild.test", "c@x.y.wild.test", "f@deep.wild.test")
	got(t, hop["127.0.0.13"], "d@two.deep.wild.test")
	got(t, hop["127.0.0.14"], "e@one.deep.wild.test")
	got(t, hop["127.0.0.15"], "h@wild.test", "i@plain.test", "j@other.test", "k@sub.exact.test")
	if files := w.DropFiles(); len(files) > 0 {
		t.Errorf("%d messages in Drop", len(files))
	}
}

// Who is not on the relay list sends to the domains that allow it, and to no other.
func TestRelayDomains(t *testing.T) {
	o := old{
		server: attrs{"RelayIpList": ipList(false, "127.0.0.5")},
		domains: map[string]attrs{
			"open.test": {"RouteAction": routeAction(relayDomain)}, "*.wild.test": {"RouteAction": routeAction(relayDomain)},
			"shut.test": {"RouteAction": routeAction(toSmartHost), "RouteActionString": "[127.0.0.77]"},
		},
	}
	w := o.start(t, "")
	w.ask(rcpt{"127.0.0.1", "x@open.test", taken}, rcpt{"127.0.0.1", "x@OPEN.test", taken}, rcpt{"127.0.0.1", "x@a.wild.test", taken},
		rcpt{"127.0.0.1", "x@shut.test", refused}, rcpt{"127.0.0.1", "x@wild.test", refused}, rcpt{"127.0.0.1", "x@sub.open.test", refused},
		rcpt{"127.0.0.1", "x@other.test", refused}, rcpt{"127.0.0.5", "x@shut.test", taken}, rcpt{"127.0.0.5", "x@other.test", taken})
}

// SmartHostType: 0 none, 1 direct first, 2 always.
func TestSmartHost(t *testing.T) {
	for name, tc := range map[string]struct {
		kind          string
		direct, smart []string // what comes where
	}{
		"always":       {"2", nil, []string{"a@has-mx.test", "b@no-answer.test", "c@no-such.test"}},
		"direct first": {"1", []string{"a@has-mx.test"}, []string{"b@no-answer.test", "c@no-such.test"}},
	} {
		t.Run(name, func(t *testing.T) {
			port, hop := sinks(t, "127.0.0.11", "127.0.0.12")
			o := old{server: attrs{"RelayIpList": everybody, "RemoteSmtpPort": fmt.Sprint(port), "SmartHost": "smart.test", "SmartHostType": tc.kind}}
			w := o.start(t, "smart.test. A 127.0.0.12\nhas-mx.test. MX 10 mx.has-mx.test.\nmx.has-mx.test. A 127.0.0.11\n"+
				"no-answer.test. MX 10 mx.no-answer.test.\nmx.no-answer.test. A 127.0.0.99\n")
			for _, to := range []string{"a@has-mx.test", "b@no-answer.test", "c@no-such.test"} {
				w.send(to)
			}
			got(t, hop["127.0.0.11"], tc.direct...)
			got(t, hop["127.0.0.12"], tc.smart...)
		})
	}
	t.Run("not used", func(t *testing.T) {
		port, hop := sinks(t, "127.0.0.11", "127.0.0.12")
		o := old{server: attrs{"RelayIpList": everybody, "RemoteSmtpPort": fmt.Sprint(port), "SmartHost": "[127.0.0.12]", "SmartHostType": "0"}}
		w := o.start(t, "has-mx.test. MX 10 mx.has-mx.test.\nmx.has-mx.test. A 127.0.0.11\n")
		w.send("a@has-mx.test")
		got(t, hop["127.0.0.11"], "a@has-mx.test")
		got(t, hop["127.0.0.12"])
	})
}

// Mail for others goes out under the masquerade domain; Send HELO instead of EHLO holds for its domain.
func TestMasqueradeAndHELO(t *testing.T) {
	port, hop := sinks(t, "127.0.0.11", "127.0.0.12")
	const useHELO = 0x400000
	o := old{
		server: attrs{"RelayIpList": everybody, "RemoteSmtpPort": fmt.Sprint(port), "SmartHost": "[127.0.0.11]", "SmartHostType": "2", "MasqueradeDomain": "shown.test", "DoMasquerade": "TRUE"},
		domains: map[string]attrs{
			"helo.test": {"RouteAction": routeAction(toSmartHost | useHELO), "RouteActionString": "[127.0.0.12]"},
		},
	}
	w := o.start(t, "")
	w.send("a@far.test")
	w.send("b@helo.test")
	got(t, hop["127.0.0.11"], "a@far.test")
	got(t, hop["127.0.0.12"], "b@helo.test")
	for ip, helo := range map[string]string{"127.0.0.11": "EHLO relay.corp.test", "127.0.0.12": "HELO relay.corp.test"} {
		m := hop[ip].Messages()[0]
		if m.From != "app@shown.test" || !strings.Contains(string(m.Data), "\r\nFrom: app@shown.test\r\n") || m.Helo != helo {
			t.Errorf("%s: %s, MAIL FROM:<%s>\n%s", ip, m.Helo, m.From, m.Data)
		}
	}
	w.Send("app@corp.test", []string{"c@corp.test"}, harness.Message("app@corp.test", "c@corp.test", "at home", "text"))
	if f := w.WaitDrop(1)[0]; f.Sender != "app@corp.test" || !strings.Contains(string(f.Message), "From: app@corp.test\r\n") {
		t.Errorf("local mail was masqueraded: %s\n%s", f.Sender, f.Message)
	}
}
