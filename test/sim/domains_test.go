package sim

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The recipient list and the quota of the drop folder, as clients see them.
func TestDropTakesWhatItIsSetTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOff(t)
		w.blocks = "drop {\n quota = \"20KB\"\n recipients = [\"sales\", \"info@alias.test\"]\n}"
		w.start("")
		hub := w.serve(smart, "")
		// Quotes make no other name (RFC 5321 §4.1.2).
		w.talk(say{"MAIL FROM:<a@far.test>", "250"}, say{`RCPT TO:<"sales"@corp.test>`, "250"}, say{`RCPT TO:<"nobody"@corp.test>`, "550 5.1.1"}, say{`RCPT TO:<"Postmaster">`, "250"}, say{"QUIT", "221"})
		// Who is on the list is taken under each local name, and by no other (E12: postmaster always is).
		w.talk(say{"MAIL FROM:<a@far.test>", "250"}, say{"RCPT TO:<Sales@alias.test>", "250 2.1.5 Sales@corp.test"},
			say{"RCPT TO:<info@corp.test>", "250"}, say{"RCPT TO:<postmaster>", "250"}, say{"RCPT TO:<nobody@corp.test>", "550 5.1.1"},
			say{"RCPT TO:<nobody@alias.test>", "550 5.1.1"}, say{"RCPT TO:<x@far.test>", "250"}, say{"RCPT TO:<nobody>", "550 5.1.1"},
			say{"DATA", "354"}, say{"Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 98)+"\r\n", 220) + ".", "250"}, say{"QUIT", "221"})
		pass(time.Second)
		names, err := w.disk.ReadDir(dataDir + "/default/Drop")
		if err != nil {
			t.Fatal(err)
		}
		files := w.files("Drop", ".eml")
		if len(files) != 1 || strings.Count(files[0], "x-receiver: ") != 3 || len(hub.got()) != 1 {
			t.Fatalf("Drop has %q, the smart host got %d", files, len(hub.got()))
		}
		// Drop is over its quota: local recipients wait outside, others and postmaster do not.
		w.talk(say{"MAIL FROM:<a@far.test>", "250"}, say{"RCPT TO:<sales@corp.test>", "452 4.2.2"}, say{"RCPT TO:<nobody@corp.test>", "550 5.1.1"},
			say{"RCPT TO:<x@far.test>", "250"}, say{"RCPT TO:<postmaster@corp.test>", "250"}, say{"QUIT", "221"})
		// A program fetches the mail: a second later there is room.
		for _, n := range names {
			if strings.HasSuffix(n, ".eml") {
				if err := w.disk.Remove(dataDir + "/default/Drop/" + n); err != nil {
					t.Fatal(err)
				}
			}
		}
		pass(2 * time.Second)
		w.talk(say{"MAIL FROM:<a@far.test>", "250"}, say{"RCPT TO:<sales@corp.test>", "250"}, say{"QUIT", "221"})
		// Another program fills it: that is found within a minute.
		f, err := w.disk.Create(dataDir + "/default/Drop/other.txt")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(make([]byte, 30_000), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		pass(61 * time.Second)
		w.talk(say{"MAIL FROM:<a@far.test>", "250"}, say{"RCPT TO:<sales@corp.test>", "452 4.2.2"}, say{"QUIT", "221"})
		w.stop()
		hub.close()
	})
}

// The quota counts what is on its way to Drop, and what the client says that it is going to send.
func TestQuotaCountsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOff(t)
		w.blocks = "drop {\n quota = \"20KB\"\n}"
		w.start("")
		q := w.svc.Servers()[0].Queue()
		q.Pause()
		send := func(size, rcpt string) {
			w.talk(say{"MAIL FROM:<a@far.test>" + size, "250"}, say{"RCPT TO:<u@corp.test>", rcpt}, say{"QUIT", "221"})
		}
		text := strings.Repeat(strings.Repeat("x", 98)+"\r\n", 80) + "."
		post := func() {
			w.talk(say{"MAIL FROM:<a@far.test> SIZE=8100", "250"}, say{"RCPT TO:<u@corp.test>", "250"}, say{"RCPT TO:<v@corp.test>", "250"},
				say{"DATA", "354"}, say{"Subject: x\r\n\r\n" + text, "250"}, say{"QUIT", "221"})
		}
		post()
		post()
		if n := len(w.files("Drop", ".eml")); n != 0 {
			t.Errorf("%d files are in Drop already", n)
		}
		send("", "250")                 // there is room, as far as is known
		send(" SIZE=2000", "250")       // and for this one
		send(" SIZE=8100", "452 4.2.2") // but not for this one
		send(" SIZE=30000", "552 5.2.3")
		w.talk(say{"MAIL FROM:<a@far.test> SIZE=30000", "250"}, say{"RCPT TO:<postmaster>", "250"}, say{"QUIT", "221"})
		q.Continue()
		pass(time.Second)
		if n := len(w.files("Drop", ".eml")); n != 2 {
			t.Errorf("%d files are in Drop, want 2", n)
		}
		send(" SIZE=2000", "250") // each message is counted once, before and after
		send(" SIZE=8100", "452 4.2.2")
		w.stop()
	})
}

// Somebody who tries names is refused, and put off after ten (E15, R11): no report goes to a forged sender.
func TestDictionaryE15(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOff(t)
		w.blocks = "drop {\n recipients = [\"sales\"]\n}"
		w.start("")
		lines := []say{{"MAIL FROM:<forged@far.test>", "250"}}
		for i := range 10 {
			lines = append(lines, say{fmt.Sprintf("RCPT TO:<guess%d@corp.test>", i), "550 5.1.1"})
		}
		w.talk(append(lines, say{"RCPT TO:<guess10@corp.test>", "421 4.7.0"})...)
		pass(time.Hour)
		if w.waiting() != 0 || len(w.files("Badmail", "")) != 0 {
			t.Error("a refusal must leave nothing behind")
		}
		w.stop()
	})
}

// Mail to next hops bears the masquerade domain, mail into Drop does not; a report of ours goes to the
// sender's own address, and one that comes back finds its way through the masquerade domain, an alias here.
func TestMasquerade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOff(t)
		w.blocks = "domain \"company.test\" {\n kind = \"alias\"\n}\ndomain \"inside.test\" {\n kind = \"alias\"\n stamp_header = true\n}"
		w.start(`masquerade_domain = "company.test"`)
		hub := w.serve(smart, "nowhere.test")
		post := func(from, head, to, code string) {
			w.talk(say{"MAIL FROM:<" + from + ">", "250"}, say{"RCPT TO:<" + to + ">", code}, say{"DATA", "354"}, say{head + "\r\n\r\nx\r\n.", "250"}, say{"QUIT", "221"})
		}
		post("ann@corp.test", "From: Ann <ann@corp.test>\r\nTo: x@far.test, bob@corp.test", "x@far.test", "250")
		post("eve@far.test", "From: eve@far.test", "y@far.test", "250")
		post("ann@inside.test", "From: ann@inside.test\r\nCc: bob@inside.test", "bob@inside.test", "250")
		pass(time.Second)
		got := strings.Join(hub.got(), "\x00")
		for _, want := range []string{"From: Ann <ann@company.test>\r\nTo: x@far.test, bob@corp.test\r\n", "From: eve@far.test\r\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("the smart host did not get %q:\n%s", want, got)
			}
		}
		if from := fmt.Sprint(hub.from); !strings.Contains(from, "<ann@company.test>") || !strings.Contains(from, "<eve@far.test>") || strings.Contains(from, "corp.test") {
			t.Errorf("MAIL FROM: %s", from)
		}
		if drop := w.files("Drop", ".eml"); len(drop) != 1 || !strings.HasPrefix(drop[0], "x-sender: ann@inside.test\r\n") ||
			!strings.Contains(drop[0], "From: ann@corp.test\r\nCc: bob@corp.test\r\n") {
			t.Errorf("Drop has %q", drop)
		}
		post("ann@corp.test", "From: ann@corp.test", "z@nowhere.test", "250")                                         // our report
		post("", "From: mailer-daemon@far.test\r\nSubject: your mail", "ann@company.test", "250 2.1.5 ann@corp.test") // theirs
		pass(5 * time.Second)
		n := 0
		for _, m := range w.files("Drop", ".eml") {
			if strings.HasPrefix(m, "x-sender: <>\r\nx-receiver: ann@corp.test\r\n") {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%d reports are in Drop for Ann, want ours and theirs", n)
		}
		w.stop()
		hub.close()
	})
}

// A reload reaches connections that are never idle for long: each message goes out by the settings in force.
func TestMasqueradeOfAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldOff(t)
		w.start("")
		hub := w.serve(smart, "")
		for i, masquerade := range []string{"", "one.test", "two.test", ""} {
			if i > 0 {
				w.reload(map[bool]string{true: `masquerade_domain = "` + masquerade + `"`}[masquerade != ""])
			}
			w.talk(say{"MAIL FROM:<ann@corp.test>", "250"}, say{"RCPT TO:<x@far.test>", "250"}, say{"DATA", "354"}, say{"From: ann@corp.test\r\n\r\nx\r\n.", "250"}, say{"QUIT", "221"})
			pass(time.Second) // the connection waits for more
			want := "ann@" + cmp.Or(masquerade, "corp.test")
			if got := hub.got(); len(got) != i+1 || !strings.Contains(got[i], "From: "+want+"\r\n") || !strings.Contains(hub.from[i], want) {
				t.Errorf("want %s; MAIL FROM %s, got %q", want, hub.from, got)
			}
		}
		w.stop()
		hub.close()
	})
}
