package sim

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/badmail"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/service"
	"github.com/mailroot/mailroot/internal/vfs"
)

func (w *world) server() *service.Server { return w.svc.Servers()[0] }

// inBadmail returns the entries, newest first.
func (w *world) inBadmail(q badmail.Query) []badmail.Stored {
	w.t.Helper()
	list, _, err := w.server().Badmail().List(w.t.Context(), q, "", 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// message returns the .BAD of an entry.
func (w *world) message(name string) string {
	return w.read(dataDir + "/default/Badmail/" + name + badmail.ExtMessage)
}

// A report that fails brings itself and the whole original, octet for octet, small or large, though the
// report has only its header because the sender asked for no more.
func TestFailedReportBringsTheWholeOriginal(t *testing.T) {
	for name, params := range map[string]string{"RET=HDRS": " RET=HDRS", "5 MB": " RET=HDRS SIZE=5242880"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "")
			hub := w.serve(smart, "nowhere.test")
			text := "From: x\r\nSubject: whole\r\n\r\n..dots\r\n\xff\xfe\r\n"
			if name == "5 MB" {
				text += strings.Repeat(strings.Repeat("5", 1022)+"\r\n", 5<<10)
			}
			w.talk(say{"MAIL FROM:<x@nowhere.test>" + params, "250"}, say{"RCPT TO:<y@nowhere.test>", "250"}, say{"RCPT TO:<z@fine.test>", "250"}, say{"DATA", "354"},
				say{strings.Replace(text, "\r\n..dots", "\r\n...dots", 1) + ".", "250"}, say{"QUIT", "221"})
			pass(10 * time.Second)
			report, original := w.inBadmail(badmail.Query{Cause: badmail.CauseReport}), w.inBadmail(badmail.Query{Cause: badmail.CauseOriginal})
			if len(report) != 1 || len(original) != 1 || report[0].Linked != original[0].Name {
				t.Fatalf("%s: reports %+v, originals %+v", name, report, original)
			}
			if got := w.message(original[0].Name); !strings.HasPrefix(got, "Received: ") || !strings.HasSuffix(got, "\r\n"+text) {
				t.Errorf("%s: the original has %d octets and not those that came", name, len(got))
			}
			// z has it already: only y is tried again.
			if _, to, err := original[0].Envelope(); err != nil || len(to) != 1 || to[0].Addr.Local != "y" {
				t.Errorf("%s: for another try: %+v, %v", name, to, err)
			}
			if got := w.message(report[0].Name); strings.Contains(got, "..dots") || !strings.Contains(got, "Subject: whole") {
				t.Errorf("%s: the report must have the header alone", name)
			}
			s := w.server().Badmail().Stats()
			if s.Messages != 2 || s.Written[badmail.CauseReport] != 1 || s.Written[badmail.CauseOriginal] != 1 {
				t.Errorf("%s: %+v", name, s)
			}
			w.stop()
			hub.close()
		})
	}
}

// The power goes when the original is in badmail and the report is not: afterwards both are there.
func TestPowerCutBetweenOriginalAndReport(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorldOff(t)
			var entries atomic.Int32
			var dead atomic.Bool
			w.fault = func(op vfs.Op, path string, _ int) error {
				if op == vfs.OpRename && strings.HasSuffix(path, badmail.ExtProperties+".tmp") {
					if entries.Add(1) == 2 {
						dead.Store(true)
					}
				}
				if dead.Load() {
					return errors.New("the power is off")
				}
				return nil
			}
			w.start("")
			hub := w.serve(smart, "nowhere.test")
			w.send("x@nowhere.test", "y@nowhere.test", "twice unlucky")
			pass(10 * time.Second)
			if !dead.Load() || len(w.inBadmailFiles()) != 1 {
				t.Fatalf("the cut did not come between the two: %v", w.inBadmailFiles())
			}
			w.powerCut(rand.New(rand.NewPCG(seed, 7)))
			w.fault = nil
			w.mustStart()
			pass(2 * time.Hour)
			// The cut may also take the mark that the first report was made: then there is a second one.
			reports, originals := w.inBadmail(badmail.Query{Cause: badmail.CauseReport}), w.inBadmail(badmail.Query{Cause: badmail.CauseOriginal})
			if len(reports) < 1 || len(reports) > 2 || len(originals) > len(reports)+1 || w.waiting() != 0 {
				t.Errorf("%d reports, %d originals, %d wait", len(reports), len(originals), w.waiting())
			}
			for _, r := range reports {
				e, err := w.server().Badmail().Read(r.Linked)
				if err != nil || e.Linked != r.Name || !strings.Contains(w.message(e.Name), "The text of twice unlucky.") {
					t.Errorf("the report %s belongs to %+v, %v", r.Name, e, err)
				}
			}
			w.stop()
			hub.close()
		})
	}
}

// inBadmailFiles returns the envelopes that are on the disk.
func (w *world) inBadmailFiles() []string { return w.files("Badmail", badmail.ExtProperties) }

// While the disk of badmail is full the message stays in the queue; a folder that is missing is made anew.
func TestBadmailDiskIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOff(t)
		var full atomic.Bool
		full.Store(true)
		w.fault = func(op vfs.Op, path string, _ int) error {
			if full.Load() && op == vfs.OpWrite && strings.Contains(path, "/Badmail/") {
				return vfs.ErrNoSpace
			}
			return nil
		}
		w.start("")
		hub := w.serve(smart, "nowhere.test")
		w.send("", "y@nowhere.test", "patient")
		pass(3 * time.Hour)
		if w.waiting() != 1 || len(w.files("Badmail", "")) != 0 {
			t.Fatalf("%d wait, badmail has %q", w.waiting(), w.files("Badmail", ""))
		}
		full.Store(false)
		if err := w.disk.Remove(dataDir + "/default/Badmail"); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Hour)
		if got := w.inBadmail(badmail.Query{}); w.waiting() != 0 || len(got) != 1 || got[0].Cause() != badmail.CauseNoSender {
			t.Errorf("%d wait, badmail has %+v", w.waiting(), got)
		}
		w.stop()
		hub.close()
	})
}

// Warnings, and cleaning by age, a report and its original together.
func TestBadmailIsWatchedAndCleaned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOff(t)
		w.blocks = "badmail {\n warn_messages = 3\n max_age = \"7d\"\n}"
		w.start("")
		hub := w.serve(smart, "nowhere.test")
		w.send("x@nowhere.test", "y@nowhere.test", "a pair")
		pass(10 * time.Second)
		if v := w.server(); v.BadmailWarning() != "" {
			t.Errorf("a warning at two messages: %s", v.BadmailWarning())
		}
		pass(4 * 24 * time.Hour)
		w.send("", "y@nowhere.test", "alone")
		pass(10 * time.Second)
		if v := w.server(); !strings.Contains(v.BadmailWarning(), "holds 3 messages (badmail.warn_messages = 3)") {
			t.Errorf("no warning at three messages: %q", v.BadmailWarning())
		}
		pass(3*24*time.Hour + 20*time.Minute)
		if got := w.inBadmail(badmail.Query{}); len(got) != 1 || got[0].Cause() != badmail.CauseNoSender {
			t.Errorf("after seven days badmail has %+v", got)
		}
		v := w.server()
		if s := v.Badmail().Stats(); s.Messages != 1 || s.Cleaned != 2 || v.BadmailWarning() != "" {
			t.Errorf("%+v, %q", s, v.BadmailWarning())
		}
		w.stop()
		hub.close()
	})
}

// An entry goes when its message is in the queue for good, not before; what is sent has attempts of its own.
func TestResubmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOff(t)
		var full atomic.Bool
		w.fault = func(op vfs.Op, path string, _ int) error {
			if full.Load() && op == vfs.OpSync && strings.Contains(path, "/Queue/") {
				return vfs.ErrNoSpace
			}
			return nil
		}
		w.start(`remote {
      max_retries     = 2
      retry_intervals = ["10m"]
    }`)
		hub := w.serve(smart, "nowhere.test")
		w.send("", "y@nowhere.test", "again")
		pass(10 * time.Second)
		e := w.inBadmail(badmail.Query{})[0]
		before := w.message(e.Name)
		full.Store(true)
		if id, err := w.server().Resubmit(t.Context(), e.Name, service.Resubmission{}); err == nil || id != 0 {
			t.Fatalf("with a disk that fails: %s, %v", id, err)
		}
		full.Store(false)
		if got := w.inBadmail(badmail.Query{}); len(got) != 1 || w.message(e.Name) != before {
			t.Fatalf("the entry must stay as it was: %+v", got)
		}
		hub.close() // now nobody answers: there are two attempts, ten minutes apart
		id, err := w.server().Resubmit(t.Context(), e.Name, service.Resubmission{To: []mail.Address{{Local: "z", Domain: "else.test"}}})
		if err != nil || id == 0 || len(w.inBadmail(badmail.Query{})) != 0 {
			t.Fatalf("%s, %v, left %+v", id, err, w.inBadmail(badmail.Query{}))
		}
		pass(5 * time.Minute)
		if st := w.server().Queue().State(id); len(st) != 1 || st[0].Attempts != 1 {
			t.Errorf("after five minutes: %+v", st)
		}
		hub = w.serve(smart, "")
		pass(10 * time.Minute)
		if got := hub.got(); len(got) != 1 || !strings.HasPrefix(got[0], "Received: ") || !strings.HasSuffix(got[0], "\r\n"+before) {
			t.Errorf("what arrived is not the message with one Received more: %q", got)
		}
		w.stop()
		hub.close()
	})
}

// Over the hop count: a report with 5.4.6, or badmail for mail without a sender; for local and remote
// recipients alike (bad input R8).
func TestHopCountR8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		hub := w.serve(smart, "")
		loop := strings.Repeat("Received: from a by b; Thu, 6 Jun 2013 13:16:54 -0400\r\n", 16)
		post := func(from, to string) {
			w.talk(say{"MAIL FROM:<" + from + ">", "250"}, say{"RCPT TO:<" + to + ">", "250"}, say{"DATA", "354"},
				say{loop + "Subject: " + to + "\r\n\r\nx\r\n.", "250"}, say{"QUIT", "221"})
		}
		post("a@corp.test", "local@corp.test")
		post("a@corp.test", "remote@far.test")
		post("", "nobody@corp.test")
		post("", "nobody@far.test")
		pass(10 * time.Second)
		drop := strings.Join(w.files("Drop", ".eml"), "\x00")
		for _, want := range []string{"Final-Recipient: rfc822; local@corp.test", "Final-Recipient: rfc822; remote@far.test"} {
			if !strings.Contains(drop, want) {
				t.Errorf("no report has %q", want)
			}
		}
		if n := strings.Count(drop, "Status: 5.4.6"); n != 2 {
			t.Errorf("%d reports with 5.4.6, want 2", n)
		}
		bad := w.inBadmail(badmail.Query{Cause: badmail.CauseNoSender})
		if len(bad) != 2 || !strings.Contains(bad[0].Reason, "5.4.6") || !strings.Contains(bad[1].Reason, "5.4.6") {
			t.Errorf("badmail has %+v", bad)
		}
		if len(hub.got()) != 0 || w.waiting() != 0 {
			t.Errorf("%d were sent on, %d wait", len(hub.got()), w.waiting())
		}
		w.stop()
		hub.close()
	})
}
