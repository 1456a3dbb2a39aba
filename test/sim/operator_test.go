package sim

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/control"
)

var operator = control.Actor{Name: "olga", Via: "sim", Role: control.RoleOperator}

// verbs are the administrative verbs of the relay as it runs now.
func (w *world) verbs() *control.Control {
	return control.New(control.Options{Service: w.svc, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
}

// act does something to the queue and checks how many recipients it touched.
func (w *world) act(act control.QueueAction, want int) {
	w.t.Helper()
	n, err := w.verbs().QueueAct(w.t.Context(), operator, act, nil)
	if err != nil || n.Recipients != want {
		w.t.Errorf("%s %s: %+v, %v; want %d recipients", act.Verb, act.Selection.String(), n, err, want)
	}
}

// An operator sends the mail of a dead smart host by another server. It goes there, once, over a restart too, and
// what was not chosen stays.
func TestRerouted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		for k := range 3 {
			w.send("a@corp.test", fmt.Sprintf("c%d@elsewhere.test", k), fmt.Sprint("number ", k))
		}
		pass(time.Second)
		w.act(control.QueueAction{Verb: "reroute", To: "192.0.2.60:25", Selection: control.Selection{Subject: "number 1", NextHop: "[192.0.2.50]:25"}}, 1)
		w.act(control.QueueAction{Verb: "hold", Selection: control.Selection{Subject: "number 2"}}, 1)
		w.act(control.QueueAction{Verb: "reroute", To: "192.0.2.60:25", Selection: control.Selection{Status: "held"}}, 1)
		pass(time.Second)
		w.stop()
		w.start("")
		other := w.serve("192.0.2.60:25", "")
		pass(time.Minute)
		w.act(control.QueueAction{Verb: "release", Selection: control.Selection{All: true}}, 1)
		pass(time.Hour)
		got := strings.Join(other.got(), "\n")
		if n := len(other.got()); n != 2 || !strings.Contains(got, "number 1") || !strings.Contains(got, "number 2") {
			t.Errorf("the other server got %q", got)
		}
		if n := w.waiting(); n != 1 {
			t.Errorf("%d recipients wait, want the one that was not rerouted", n)
		}
		w.stop()
		other.close()
	})
}

// An operator gives a message up: the sender is told who did it and why; without a sender it is in Badmail.
func TestReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.send("a@corp.test", "c@elsewhere.test", "hopeless")
		w.send("", "d@elsewhere.test", "from nobody")
		w.send("b@corp.test", "e@elsewhere.test", "unwanted")
		pass(2 * time.Second)
		w.act(control.QueueAction{Verb: "return", WithoutReport: true, Selection: control.Selection{Sender: "b@corp.test"}}, 1)
		w.act(control.QueueAction{Verb: "return", Reason: "they have moved", Selection: control.Selection{OlderThan: "1s"}}, 2)
		pass(time.Minute)
		drop := w.files("Drop", ".eml")
		if len(drop) != 1 || !strings.Contains(drop[0], "x-receiver: a@corp.test\r\n") || !strings.Contains(drop[0], "Status: 5.3.0") ||
			!strings.Contains(drop[0], "An administrator of this mail server has returned the message.") ||
			!strings.Contains(drop[0], "server: they have moved\r\n") {
			t.Errorf("Drop has %q", drop)
		}
		if bad := w.files("Badmail", ".BAD"); len(bad) != 1 || !strings.Contains(bad[0], "The text of from nobody.") {
			t.Errorf("Badmail has %q", bad)
		}
		if n := w.waiting(); n != 0 {
			t.Errorf("%d recipients wait", n)
		}
		w.stop()
	})
}

// A frozen destination is not tried once, for as long as the freeze lasts, though the relay is started anew.
func TestFrozenForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		hub := w.serve(smart, "")
		z, err := w.verbs().QueueFreeze(t.Context(), operator, control.FreezeRequest{Name: "192.0.2.50", For: "1d", Reason: "their move"})
		if err != nil || z.Name != smart2 {
			t.Fatalf("%+v, %v", z, err)
		}
		w.send("a@corp.test", "c@elsewhere.test", "patience")
		w.send("a@corp.test", "b@corp.test", "inside")
		pass(12 * time.Hour)
		w.stop()
		w.start("")
		pass(12*time.Hour - time.Minute)
		// The other message, and the notice that this one is delayed.
		drop := strings.Join(w.files("Drop", ".eml"), "")
		if n := w.net.attempts(smart); n != 0 || strings.Count(drop, "x-receiver: ") != 2 || strings.Count(drop, "Action: delayed\r\n") != 1 {
			t.Errorf("%d attempts in a day; Drop has %q", n, drop)
		}
		s, err := w.verbs().Status(t.Context(), operator)
		if err != nil || len(s.VirtualServers[0].Frozen) != 1 || s.VirtualServers[0].Frozen[0].Waiting != 1 || s.VirtualServers[0].Queue.Frozen != 1 {
			t.Errorf("status %+v, %v", s.VirtualServers[0].Frozen, err)
		}
		pass(2 * time.Minute)
		if got := hub.got(); len(got) != 1 {
			t.Errorf("delivered %d times", len(got))
		}
		if list, err := w.verbs().QueueFrozen(t.Context(), operator); len(list) != 0 || err != nil {
			t.Errorf("frozen: %+v, %v", list, err)
		}
		w.stop()
		hub.close()
	})
}

const smart2 = "[192.0.2.50]:25" // smart as a next hop

// A verb for many messages tells how far it is, and what it has told when it is interrupted is done.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		const n = 600 // more than two steps
		for k := range n {
			w.send("a@corp.test", fmt.Sprintf("c%d@elsewhere.test", k), "many")
		}
		ctx, cancel := context.WithCancel(t.Context())
		told := 0
		acted, err := w.verbs().QueueAct(ctx, operator, control.QueueAction{Verb: "hold", Selection: control.Selection{Domain: "elsewhere.test"}}, func(so control.Acted) {
			told = so.Recipients
			cancel()
		})
		pass(time.Second)
		held := w.svc.Servers()[0].Queue().Stats().Held
		if err == nil || told == 0 || told == n || acted.Recipients != held || held != told {
			t.Errorf("told %d, held %d, %+v, %v", told, held, acted, err)
		}
		w.act(control.QueueAction{Verb: "hold", Selection: control.Selection{Domain: "elsewhere.test"}}, n-held)
		w.stop()
	})
}
