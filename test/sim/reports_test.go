package sim

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/service"
)

// withHub tells a story with a relay and its smart host, which refuses recipients in a domain.
func withHub(t *testing.T, blocks, refuses string, story func(t *testing.T, w *world, hub *server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOf(t, blocks)
		hub := w.serve(smart, refuses)
		story(t, w, hub)
		w.stop()
		hub.close()
	})
}

// has checks that a text has all of these parts.
func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in\n%s", p, text)
		}
	}
}

// drop returns the messages in Drop whose subject says that they are reports of a kind.
func (w *world) reports(kind string) (out []string) {
	for _, m := range w.files("Drop", ".eml") {
		if strings.Contains(m, "\r\nSubject: Delivery Status Notification ("+kind+")\r\n") {
			out = append(out, m)
		}
	}
	return out
}

func (w *world) counted(want service.Reports) {
	w.t.Helper()
	if got := w.svc.Servers()[0].Reports(); got != want {
		w.t.Errorf("counted %+v, want %+v", got, want)
	}
}

// A next hop is down: after twelve hours the sender is told so, once, whatever restarts and cuts of power come; who asked not to
// be told is not, and nobody is told of mail without a sender. In the end all of it fails.
func TestDelayNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.ask("MAIL FROM:<a@corp.test> ENVID=QQ1", []string{"RCPT TO:<c@elsewhere.test>", "RCPT TO:<d@elsewhere.test> NOTIFY=FAILURE"}, "Subject: slow\r\n\r\nbody\r\n")
		w.send("", "e@elsewhere.test", "nobody's")
		pass(12*time.Hour - time.Second)
		if n := len(w.files("Drop", ".eml")); n != 0 {
			t.Fatalf("%d reports before the time", n)
		}
		pass(3 * time.Second)
		told := w.reports("Delay")
		if len(told) != 1 {
			t.Fatalf("%d notices", len(told))
		}
		has(t, told[0], "x-receiver: a@corp.test\r\n", "Final-Recipient: rfc822; c@elsewhere.test\r\n", "Action: delayed\r\n", "Status: 4.4.1\r\n",
			"connection refused", "Will-Retry-Until: ", "Original-Envelope-Id: QQ1\r\n", "Content-Type: text/rfc822-headers\r\n", "Subject: slow\r\n")
		if strings.Contains(told[0], "d@elsewhere.test") {
			t.Errorf("the notice speaks of a recipient that nobody wants to hear of:\n%s", told[0])
		}
		w.counted(service.Reports{Delay: 1})
		pass(2 * time.Second) // until the mark is synced
		w.powerCut(rand.New(rand.NewPCG(1, 2)))
		w.mustStart()
		for range 3 {
			w.stop()
			w.mustStart()
			pass(6 * time.Hour)
		}
		if n := len(w.files("Drop", ".eml")); n != 1 || w.waiting() != 3 {
			t.Errorf("%d reports, %d wait", n, w.waiting())
		}
		pass(30 * time.Hour)
		if n, m, bad := len(w.reports("Delay")), len(w.reports("Failure")), len(w.files("Badmail", ".BAD")); n != 1 || m == 0 || bad != 1 || w.waiting() != 0 {
			t.Errorf("in the end: %d notices, %d failures, %d in Badmail, %d wait", n, m, bad, w.waiting())
		}
		w.stop()
	})
}

// A notice that comes due right after a restart has the reply of the last attempt, which only the spool knows; and a
// new setting holds for what waits.
func TestDelayNoticeAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settings := func(after string) string {
			return "remote {\n retry_intervals = [\"60m\"]\n delay_notice_after = \"" + after + "\"\n}"
		}
		w := newWorld(t, settings("off"))
		w.send("a@corp.test", "c@elsewhere.test", "slow")
		pass(80 * time.Minute)
		w.stop()
		w.start(settings("90m"))
		pass(11 * time.Minute)
		told := w.reports("Delay")
		if n := w.net.attempts(smart); len(told) != 1 || n != 2 {
			t.Fatalf("%d notices after %d attempts", len(told), n)
		}
		has(t, told[0], "451 4.4.1 No connection to", "connection refused", "Status: 4.4.1\r\n")
		w.stop()
	})
}

// NOTIFY=SUCCESS: "delivered" from Drop, with the address that the sender used; "relayed" where the next hop knows
// no DSN; nothing of ours where it does, but all that the sender asked for is passed on.
func TestSuccessAndRelayed(t *testing.T) {
	for _, dsn := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "")
			hub := w.serve(smart, "")
			hub.dsn = dsn
			w.ask("MAIL FROM:<a@corp.test> RET=HDRS ENVID=env+2B1",
				[]string{"RCPT TO:<b@alias.test> NOTIFY=SUCCESS", "RCPT TO:<c@elsewhere.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;old+2Bc@example.test", "RCPT TO:<d@elsewhere.test>"},
				"Subject: asked\r\n\r\nbody\r\n")
			pass(time.Second)
			done, relayed := w.reports("Success"), w.reports("Relay")
			if len(done) != 1 || dsn && len(relayed) != 0 || !dsn && len(relayed) != 1 || len(hub.got()) != 1 || w.waiting() != 0 {
				t.Fatalf("%d of success, %d relayed, %d at the next hop, %d wait", len(done), len(relayed), len(hub.got()), w.waiting())
			}
			has(t, done[0], "Action: delivered\r\n", "Original-Recipient: rfc822; b@alias.test\r\nFinal-Recipient: rfc822; b@corp.test\r\n", "Original-Envelope-Id: env+1\r\n", "Status: 2.0.0\r\n")
			commands := hub.asked()
			if dsn {
				want := []string{"MAIL FROM:<a@corp.test> RET=HDRS ENVID=env+2B1",
					"RCPT TO:<c@elsewhere.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;old+2Bc@example.test", "RCPT TO:<d@elsewhere.test>"}
				if !slices.Equal(commands, want) {
					t.Errorf("passed on: %q", commands)
				}
				w.counted(service.Reports{Success: 1})
			} else {
				has(t, relayed[0], "Action: relayed\r\n", "Original-Recipient: rfc822; old+c@example.test\r\nFinal-Recipient: rfc822; c@elsewhere.test\r\n", "250 2.0.0 taken")
				if strings.Contains(relayed[0], "d@elsewhere.test") || strings.Contains(strings.Join(commands, ""), "NOTIFY") {
					t.Errorf("relayed %s with %q", relayed[0], commands)
				}
				w.counted(service.Reports{Success: 1, Relayed: 1})
			}
			w.stop()
			hub.close()
		})
	}
}

// The copy of an NDR arrives though the NDR itself does not; that goes to Badmail with the original.
func TestCopyOfNDR(t *testing.T) {
	withHub(t, "messages {\n ndr_copy_to = \"reports@corp.test\"\n}", "nowhere.test", func(t *testing.T, w *world, hub *server) {
		w.send("x@nowhere.test", "y@nowhere.test", "lost")
		w.ask("MAIL FROM:<x@nowhere.test>", []string{"RCPT TO:<y@nowhere.test> NOTIFY=NEVER"}, "Subject: quiet\r\n\r\nbody\r\n")
		w.send("", "y@nowhere.test", "nobody's") // R10: no NDR, so no copy
		pass(10 * time.Second)
		copies, bad := w.files("Drop", ".eml"), w.files("Badmail", ".BAD")
		if len(copies) != 1 || len(bad) != 3 || w.waiting() != 0 {
			t.Fatalf("%d copies, %d in Badmail, %d wait", len(copies), len(bad), w.waiting())
		}
		has(t, copies[0], "x-sender: ", "x-receiver: reports@corp.test\r\n", "To: <x@nowhere.test>\r\n", "Final-Recipient: rfc822; y@nowhere.test\r\n", "The text of lost.")
		w.counted(service.Reports{Failure: 1, Badmail: 2})
	})
}

// A copy that cannot be delivered makes no report: it goes to Badmail by itself, since the sender has the NDR. And a
// sender who is also the one who gets copies has one.
func TestCopyOfNDRFails(t *testing.T) {
	withHub(t, "messages {\n ndr_copy_to = \"reports@nowhere.test\"\n}", "nowhere.test", func(t *testing.T, w *world, hub *server) {
		w.send("a@corp.test", "y@nowhere.test", "lost")
		pass(10 * time.Second)
		ndrs, bad, why := w.files("Drop", ".eml"), w.files("Badmail", ".BAD"), w.files("Badmail", ".BDR")
		if len(ndrs) != 1 || len(bad) != 1 || w.waiting() != 0 {
			t.Fatalf("%d NDRs, %d in Badmail, %d wait", len(ndrs), len(bad), w.waiting())
		}
		has(t, ndrs[0], "x-receiver: a@corp.test\r\n")
		has(t, bad[0], "report-type=delivery-status", "To: <a@corp.test>\r\n")
		has(t, why[0], "The copy of a report could not be delivered: 550 5.1.1")
		w.send("reports@nowhere.test", "y@nowhere.test", "twice")
		pass(10 * time.Second)
		if n, m := len(w.files("Drop", ".eml")), len(w.files("Badmail", ".BAD")); n != 1 || m != 3 {
			t.Errorf("%d NDRs and %d in Badmail, want no further one and one with its original", n, m)
		}
		w.counted(service.Reports{Failure: 2, Badmail: 2})
	})
}

// Too many Received fields: accepted, then an NDR (R8); without a sender Badmail (R10).
func TestHopCountNDRR8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		text := func(n int) string {
			return strings.Repeat("Received: from a.test by b.test; Thu, 6 Jun 2013 12:16:54 +0000\r\n", n) + "Subject: round\r\n\r\nbody\r\n"
		}
		w.ask("MAIL FROM:<a@corp.test>", []string{"RCPT TO:<b@corp.test>"}, text(15))
		w.ask("MAIL FROM:<a@corp.test>", []string{"RCPT TO:<b@corp.test>"}, text(16))
		w.ask("MAIL FROM:<>", []string{"RCPT TO:<b@corp.test>"}, text(16))
		pass(time.Second)
		ndrs := w.reports("Failure")
		if n, bad := len(w.files("Drop", ".eml")), len(w.files("Badmail", ".BAD")); len(ndrs) != 1 || n != 2 || bad != 1 || w.waiting() != 0 {
			t.Fatalf("%d in Drop, %d of them NDRs, %d in Badmail, %d wait", n, len(ndrs), bad, w.waiting())
		}
		has(t, ndrs[0], "x-receiver: a@corp.test\r\n", "Status: 5.4.6\r\n", "went round in a loop", "16 Received fields, the limit is 15")
		w.stop()
	})
}

// A next hop that gives everything back: the message, and then our own report on it, go round until their hops are
// counted, and the report ends in Badmail (R10). No report is made on a report.
func TestOwnReportReturnsR10(t *testing.T) {
	withHub(t, "", "", func(t *testing.T, w *world, hub *server) {
		hub.took = func(from string, to []string, message string) {
			go func() {
				if _, _, err := w.offer(from, to, strings.ReplaceAll(message, "\r\n.", "\r\n..")); err != nil {
					t.Error(err)
				}
			}()
		}
		w.send("x@elsewhere.test", "y@elsewhere.test", "round and round")
		pass(time.Hour)
		bad := w.files("Badmail", ".BAD")
		if len(bad) != 1 || w.waiting() != 0 || len(w.files("Drop", ".eml")) != 0 {
			t.Fatalf("%d in Badmail, %d wait", len(bad), w.waiting())
		}
		has(t, bad[0], "report-type=delivery-status", "Status: 5.4.6\r\n", "The text of round and round.")
		// Each goes out 16 times: as it came, and with up to 15 Received fields of former rounds.
		if n := len(hub.got()); n != 32 {
			t.Errorf("%d messages at the next hop, want 32", n)
		}
		w.counted(service.Reports{Failure: 1, Badmail: 1})
	})
}

// The original comes back as the settings and the sender want it.
func TestOriginalInNDR(t *testing.T) {
	for settings, whole := range map[string]bool{
		"": true, "messages {\n ndr_original_size = 0\n}": false, "messages {\n ndr_original_size = \"1KB\"\n}": false,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorldOf(t, settings)
			hub := w.serve(smart, "nowhere.test")
			body := "Subject: large\r\n\r\n" + strings.Repeat("a line of the text\r\n", 100)
			w.ask("MAIL FROM:<a@corp.test> RET=FULL", []string{"RCPT TO:<y@nowhere.test>"}, body)
			w.ask("MAIL FROM:<hdrs@corp.test> RET=HDRS", []string{"RCPT TO:<y@nowhere.test>"}, body)
			pass(time.Second)
			ndrs := w.reports("Failure")
			if len(ndrs) != 2 {
				t.Fatalf("%d NDRs", len(ndrs))
			}
			for _, m := range ndrs {
				want := whole && strings.Contains(m, "x-receiver: a@corp.test")
				if got := strings.Contains(m, "a line of the text"); got != want || !strings.Contains(m, "Subject: large") {
					t.Errorf("with %q the text comes back: %v, want %v\n%.500s", settings, got, want, m)
				}
			}
			w.stop()
			hub.close()
		})
	}
}

// A message whose time runs out after a restart is returned with what its last attempt said.
func TestExpiredAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settings := "remote {\n retry_intervals = [\"60m\"]\n expire_after = \"90m\"\n}"
		w := newWorld(t, settings)
		w.send("a@corp.test", "c@elsewhere.test", "late")
		pass(80 * time.Minute)
		w.stop()
		w.start(settings)
		pass(11 * time.Minute)
		ndrs := w.reports("Failure")
		if len(ndrs) != 1 {
			t.Fatalf("%d NDRs", len(ndrs))
		}
		has(t, ndrs[0], "Status: 4.4.7\r\n", "could not be reached")
		w.stop()
	})
}

// A notice of success that cannot be delivered goes to Badmail alone: nothing is wrong with its message.
func TestNoticeThatFails(t *testing.T) {
	withHub(t, "", "nowhere.test", func(t *testing.T, w *world, hub *server) {
		w.ask("MAIL FROM:<x@nowhere.test>", []string{"RCPT TO:<b@corp.test> NOTIFY=SUCCESS"}, "Subject: asked\r\n\r\nbody\r\n")
		pass(10 * time.Second)
		bad, why := w.files("Badmail", ".BAD"), w.files("Badmail", ".BDR")
		if len(bad) != 1 || len(w.files("Drop", ".eml")) != 1 || w.waiting() != 0 {
			t.Fatalf("%d in Badmail, %d in Drop, %d wait", len(bad), len(w.files("Drop", ".eml")), w.waiting())
		}
		has(t, bad[0], "Action: delivered\r\n")
		has(t, why[0], "notice of delay or success could not be delivered")
		w.counted(service.Reports{Success: 1, Badmail: 1})
	})
}

// An address that needs SMTPUTF8, and a next hop without it: returned with 5.6.7, in a report of RFC 6533, nothing mangled.
func TestSMTPUTF8NotOfferedE17(t *testing.T) {
	withHub(t, "", "", func(t *testing.T, w *world, hub *server) {
		w.ask("MAIL FROM:<a@corp.test> SMTPUTF8", []string{"RCPT TO:<jürgen@elsewhere.test>"}, "Subject: Grüße\r\n\r\nbody\r\n")
		pass(time.Second)
		ndrs := w.reports("Failure")
		if len(ndrs) != 1 || len(hub.got()) != 0 || w.waiting() != 0 {
			t.Fatalf("%d NDRs, %d sent, %d wait", len(ndrs), len(hub.got()), w.waiting())
		}
		has(t, ndrs[0], "Final-Recipient: utf-8; jürgen@elsewhere.test\r\n", "Status: 5.6.7\r\n", "international characters", "Content-Type: message/global\r\n", "Subject: Grüße\r\n")
	})
}
