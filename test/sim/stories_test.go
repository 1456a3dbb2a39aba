package sim

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A message for a local domain is in Drop a moment later; one for elsewhere at the smart host.
func TestFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		hub := w.serve(smart, "")
		w.send("a@corp.test", "b@corp.test", "inside")
		w.send("a@corp.test", "c@elsewhere.test", "outside")
		pass(time.Second)
		if drop := w.files("Drop", ".eml"); len(drop) != 1 || !strings.Contains(drop[0], "x-receiver: b@corp.test\r\n") || !strings.Contains(drop[0], "The text of inside.") {
			t.Errorf("Drop has %q", drop)
		}
		if got := hub.got(); len(got) != 1 || !strings.Contains(got[0], "The text of outside.") {
			t.Errorf("the smart host got %q", got)
		}
		if n := w.waiting(); n != 0 {
			t.Errorf("%d recipients wait, want none", n)
		}
		w.stop()
		hub.close()
	})
}

// A next hop is down for three hours: the message waits by its schedule, is delivered once, and a restart in
// between changes neither.
func TestNextHopIsDownForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.send("a@corp.test", "c@elsewhere.test", "patience")
		pass(90 * time.Minute)
		// The first attempt, then after 5, 15, 30 minutes (10 % more or less); the next comes an hour later.
		if n := w.net.attempts(smart); n != 4 {
			t.Errorf("%d attempts in 90 minutes, want 4", n)
		}
		w.stop()
		w.start("")
		pass(30 * time.Minute)
		hub := w.serve(smart, "")
		pass(2 * time.Hour)
		if got := hub.got(); len(got) != 1 {
			t.Errorf("delivered %d times, want once", len(got))
		}
		if n := w.waiting(); n != 0 {
			t.Errorf("%d recipients wait, want none", n)
		}
		pass(48 * time.Hour)
		if got := hub.got(); len(got) != 1 {
			t.Errorf("two days later it had been delivered %d times", len(got))
		}
		w.stop()
		hub.close()
	})
}

// The whole schedule by default: 48 attempts, after 5, 15, 30 and then 60 minutes, each 10 % more or less, with
// a notice of delay on the way, then the report; and an attempt on the way is not lost in a restart.
func TestWholeSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.send("a@corp.test", "c@elsewhere.test", "patience")
		pass(10 * time.Hour)
		w.stop()
		w.start("")
		pass(60 * time.Hour)
		times := w.net.dialed(smart)
		if len(times) != 48 {
			t.Fatalf("%d attempts, want 48", len(times))
		}
		minutes := []float64{5, 15, 30}
		for i := range len(times) - 1 {
			want := 60.0
			if i < len(minutes) {
				want = minutes[i]
			}
			if got := times[i+1].Sub(times[i]).Minutes(); got < 0.89*want || got > 1.11*want {
				t.Errorf("attempt %d came %.1f minutes after the one before, want %v", i+2, got, want)
			}
		}
		drop, told := w.reports("Failure"), w.reports("Delay")
		if len(drop) != 1 || len(told) != 1 || !strings.Contains(drop[0], "Status: 4.4.7") || !strings.Contains(drop[0], "not delivered in 48 attempts") {
			t.Errorf("Drop has %q and %q, want the report, and before it one notice of delay", drop, told)
		}
		w.stop()
	})
}

// After the last attempt the sender gets a report, in Drop because it is one of ours.
func TestGivenUpAfterTheLastAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `remote {
      max_retries     = 5
      retry_intervals = ["60m"]
    }`)
		w.send("a@corp.test", "c@elsewhere.test", "in vain")
		pass(4*time.Hour - time.Minute)
		if n, drop := w.net.attempts(smart), w.files("Drop", ".eml"); n != 4 || len(drop) != 0 {
			t.Errorf("just before the last attempt: %d attempts and %d reports, want 4 and none", n, len(drop))
		}
		pass(2 * time.Minute)
		drop := w.files("Drop", ".eml")
		if n := w.net.attempts(smart); n != 5 || len(drop) != 1 {
			t.Fatalf("after it: %d attempts and %d reports, want 5 and 1", n, len(drop))
		}
		for _, want := range []string{
			"x-receiver: a@corp.test\r\n", "From: ", "postmaster@corp.test", "report-type=delivery-status",
			"Final-Recipient: rfc822; c@elsewhere.test", "Action: failed", "The text of in vain.",
		} {
			if !strings.Contains(drop[0], want) {
				t.Errorf("the report has no %q:\n%s", want, drop[0])
			}
		}
		pass(48 * time.Hour)
		if n := w.net.attempts(smart); n != 5 || w.waiting() != 0 {
			t.Errorf("two days later: %d attempts, %d recipients wait", n, w.waiting())
		}
		w.stop()
	})
}

// A report that is refused too goes to Badmail, with the message that it reports on, and no further.
func TestReportThatFailsGoesToBadmail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		hub := w.serve(smart, "nowhere.test")
		w.send("x@nowhere.test", "y@nowhere.test", "lost")
		pass(10 * time.Second)
		bad, reasons := w.files("Badmail", ".BAD"), w.files("Badmail", ".BDR")
		if len(bad) != 2 || len(reasons) != 2 {
			t.Fatalf("Badmail has %d messages and %d reasons, want the report and the original", len(bad), len(reasons))
		}
		all := strings.Join(bad, "\x00")
		if strings.Count(all, "report-type=delivery-status") != 1 {
			t.Errorf("Badmail must hold one report:\n%s", all)
		}
		if strings.Count(all, "The text of lost.") != 2 { // in the original, and within the report
			t.Errorf("the original must be there whole, by itself and in the report:\n%s", all)
		}
		if len(hub.got()) != 0 || w.waiting() != 0 || len(w.files("Drop", ".eml")) != 0 {
			t.Errorf("nothing may be delivered or wait: %d, %d", len(hub.got()), w.waiting())
		}
		w.stop()
		hub.close()
	})
}

// Without a sender there is nobody to report to (bad inputs R10, R11: no report to whoever did not write).
func TestNullSenderThatFailsGoesToBadmailR10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		hub := w.serve(smart, "nowhere.test")
		w.send("", "y@nowhere.test", "nobody's")
		pass(10 * time.Second)
		if bad := w.files("Badmail", ".BAD"); len(bad) != 1 || strings.Contains(bad[0], "delivery-status") {
			t.Errorf("Badmail has %q, want the message alone", bad)
		}
		w.stop()
		hub.close()
	})
}

// A connection over the limit is told so before the banner, counted and logged (bad input F24).
func TestConnectionsOverTheLimitF24(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldWith(t, "inbound_limit = 1", "")
		first, err := w.net.Dial(t.Context(), "tcp", relay)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		second, err := w.net.Dial(t.Context(), "tcp", relay)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(second)
		if err != nil || !strings.HasPrefix(string(answer), "421 4.3.2 ") || strings.Count(string(answer), "\r\n") != 1 {
			t.Errorf("the second connection got %q, %v", answer, err)
		}
		if in := w.svc.Servers()[0].Inbound(); in.Connections != 1 || in.Refused != 1 {
			t.Errorf("counted %+v, want 1 open and 1 refused", in)
		}
		first.Close()
		second.Close()
		w.stop()
		if log := strings.Join(w.files("Logs", ".log"), ""); strings.Count(log, " CONNECT - - 421 ") != 1 {
			t.Errorf("the log has no row of the refusal:\n%s", log)
		}
	})
}
