package queue

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// walk is a queue in which one recipient goes along one edge of the table of states.
type walk struct {
	*world
	t    *testing.T
	id   mail.QueueID
	slow time.Duration // that a report takes, or reading an envelope that is gone
	path []string      // the states that were seen
}

func newWalk(t *testing.T) *walk {
	k := &walk{t: t}
	k.world = newWorld(t, func(o *Options) {
		o.PerDomain = 1
		report := o.Report
		o.Report = func(ctx context.Context, env *mail.Envelope, failed []mail.Result) error {
			time.Sleep(k.slow)
			return report(ctx, env, failed)
		}
		success := o.Success
		o.Success = func(ctx context.Context, env *mail.Envelope, delivered []mail.Result) error {
			time.Sleep(k.slow)
			return success(ctx, env, delivered)
		}
	})
	return k
}

// see notes where the recipient is.
func (k *walk) see() {
	k.t.Helper()
	synctest.Wait()
	st := k.store.get(k.id, 0)
	here := "waiting"
	switch s := k.State(k.id); {
	case len(s) > 0 && s[0].Rcpt == 0:
		here = s[0].State.String()
	case !st.done:
	case k.peer.got(key{k.id, 0}) > 0:
		here = "delivered"
	case len(k.returnedOf(k.id, 0)) > 0 && k.store.envs[k.id].Sender.Addr.IsNull():
		here = "badmail" // that a report for nobody goes there is the business of the service
	case len(k.returnedOf(k.id, 0)) > 0:
		here = "returned"
	case slices.Contains(k.noted(), "lost"):
		here = "quarantined"
	default:
		here = "deleted"
	}
	k.path = append(k.path, here)
}

// The ways to a state.

// paused starts a queue that begins no transaction, with one message.
func (k *walk) paused(domains ...string) {
	k.Pause()
	k.start(k.t)
	synctest.Wait()
	k.id = k.send("a", domains...)
}

// flying has the recipient in flight for a minute, with that outcome; the second of the message is delivered.
func (k *walk) flying(sender string, outcome mail.Outcome) {
	k.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result {
		time.Sleep(time.Minute)
		r := all(b, outcome, mail.NewReply(450, mail.Enhanced(4, 2, 0), "An answer"))
		r[len(r)-1].Outcome = mail.Delivered
		if len(r) == 1 {
			r[0].Outcome = outcome
		}
		return r
	}
	k.start(k.t)
	k.id = k.send(sender, "one.test", "one.test")
	synctest.Wait()
}

// deferred has it wait for its second attempt.
func (k *walk) deferred() {
	k.peer.answer = down
	k.start(k.t)
	k.id = k.send("a", "one.test")
	synctest.Wait()
}

// held holds it, in a queue that begins no transaction.
func (k *walk) heldFor(domain string) {
	k.Pause()
	k.start(k.t)
	synctest.Wait()
	env := k.message("a", domain)
	k.store.commit(env)
	k.id = env.ID
	hold := []mail.Change{{ID: k.id, Kind: mail.ChangeHold}}
	k.store.record(hold)
	k.Changed(hold)
	k.Add(env)
}

// frozenUp freezes its domain.
func (k *walk) frozenUp() {
	k.SetFrozen([]Freeze{{Name: "one.test"}})
	k.paused("one.test")
}

// failing has its report take a minute.
func (k *walk) failing(sender string) {
	k.slow = time.Minute
	k.start(k.t)
	k.id = k.send(sender, "none.test")
	synctest.Wait()
}

// stored commits a message that a queue which has not started is to load.
func (k *walk) stored(domain string) {
	env := k.message("a", domain)
	k.store.commit(env)
	k.id = env.ID
	k.restart()
	k.Pause()
}

// giveBack returns it, with a report that takes a minute, so that it can be seen failing.
func (k *walk) giveBack() {
	k.slow = time.Minute
	go func() { _, _, _ = k.Return(context.Background(), k.id, []int{0}, operatorSays) }() // what came of it is seen
}

// gone makes its envelope unreadable: it takes a minute to find out.
func (k *walk) gone() {
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	k.store.failRead = func(mail.QueueID) error {
		k.store.mu.Unlock()
		defer k.store.mu.Lock()
		time.Sleep(time.Minute)
		return errGone
	}
}

func (k *walk) all() pick { return pick{All: true} }

// noRoute takes the routes of all domains away for now.
func (k *walk) noRoute() {
	s := k.opts.Settings
	s.Route = func(string) (*mail.Hop, error) { return nil, errors.New("the route is not known now") }
	k.Apply(s)
}

// edges are the ways from state to state: what is done before and after the first state is seen.
var edges = []struct {
	edge          string
	before, after func(k *walk)
}{
	{"waiting > ready", func(k *walk) { k.stored("one.test") }, func(k *walk) { k.start(k.t) }},
	{"waiting > deferred", func(k *walk) { k.stored("later.test") }, func(k *walk) { k.start(k.t) }},
	{"waiting > held", func(k *walk) {
		k.stored("one.test")
		k.store.record([]mail.Change{{ID: k.id, Kind: mail.ChangeHold}})
	}, func(k *walk) { k.start(k.t) }},
	{"waiting > frozen", func(k *walk) { k.stored("one.test"); k.SetFrozen([]Freeze{{Name: "*"}}) }, func(k *walk) { k.start(k.t) }},
	{"waiting > failing", func(k *walk) { k.slow = time.Minute; k.stored("none.test") }, func(k *walk) { k.start(k.t) }},
	{"waiting > deleted", func(k *walk) { k.stored("one.test") }, func(k *walk) {
		done := []mail.Change{{ID: k.id, Kind: mail.ChangeDone}}
		k.store.record(done)
		k.Changed(done)
		k.start(k.t)
	}},

	{"ready > in flight", func(k *walk) { k.peer.pause = time.Minute; k.paused("one.test") }, func(k *walk) { k.Continue() }},
	{"ready > deferred", func(k *walk) {
		k.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result { time.Sleep(time.Minute); return noConnection(b) }
		k.start(k.t)
		k.send("a", "one.test")
		synctest.Wait()
		k.id = k.send("a", "one.test") // behind the only connection
	}, func(*walk) { rest(time.Minute) }},
	{"ready > held", func(k *walk) { k.paused("one.test") }, func(k *walk) { k.Hold(k.all()) }},
	{"ready > frozen", func(k *walk) { k.paused("one.test") }, func(k *walk) { k.SetFrozen([]Freeze{{Name: "one.test"}}) }},
	{"ready > failing", func(k *walk) { k.paused("one.test") }, (*walk).giveBack},
	{"ready > deleted", func(k *walk) { k.paused("one.test") }, func(k *walk) { k.Delete(k.all()) }},

	{"in flight > delivered", func(k *walk) { k.flying("a", mail.Delivered) }, func(*walk) { rest(time.Minute) }},
	{"in flight > deferred", func(k *walk) { k.flying("a", mail.Deferred) }, func(*walk) { rest(time.Minute) }},
	{"in flight > ready", func(k *walk) { k.flying("a", mail.Overflow) }, func(k *walk) { k.Pause(); rest(time.Minute) }},
	{"in flight > frozen", func(k *walk) { k.flying("a", mail.Overflow) }, func(k *walk) { k.SetFrozen([]Freeze{{Name: "*"}}); rest(time.Minute) }},
	{"in flight > held", func(k *walk) { k.flying("a", mail.Deferred) }, func(k *walk) { k.Hold(k.all()); rest(time.Minute) }},
	{"in flight > deleted", func(k *walk) { k.flying("a", mail.Overflow) }, func(k *walk) { k.Delete(k.all()); rest(time.Minute) }},
	{"in flight > failing", func(k *walk) { k.flying("a", mail.Deferred) }, func(k *walk) { k.giveBack(); rest(time.Minute) }},
	{"in flight > returned", func(k *walk) { k.flying("a", mail.Failed) }, func(*walk) { rest(time.Minute) }},
	{"in flight > badmail", func(k *walk) { k.flying("", mail.Failed) }, func(*walk) { rest(time.Minute) }},
	{"in flight > quarantined", func(k *walk) { k.stored("one.test"); k.Continue(); k.gone(); k.start(k.t) }, func(*walk) { rest(time.Minute) }},

	{"deferred > ready", (*walk).deferred, func(k *walk) { k.Pause(); rest(time.Hour) }},
	{"deferred > frozen", (*walk).deferred, func(k *walk) { k.SetFrozen([]Freeze{{Name: "one.test"}}); rest(time.Hour) }},
	{"deferred > held", (*walk).deferred, func(k *walk) { k.Hold(k.all()) }},
	{"deferred > failing", (*walk).deferred, (*walk).giveBack},
	{"deferred > deleted", (*walk).deferred, func(k *walk) { k.Delete(k.all()) }},

	{"held > ready", func(k *walk) { k.heldFor("one.test") }, func(k *walk) { k.Release(k.all()) }},
	{"held > frozen", func(k *walk) { k.heldFor("one.test") }, func(k *walk) { k.SetFrozen([]Freeze{{Name: "one.test"}}); k.RetryNow(k.all()) }},
	{"held > deferred", func(k *walk) { k.heldFor("one.test"); k.noRoute() }, func(k *walk) { k.Release(k.all()) }},
	{"held > failing", func(k *walk) { k.heldFor("one.test") }, (*walk).giveBack},
	{"held > deleted", func(k *walk) { k.heldFor("one.test") }, func(k *walk) { k.Delete(k.all()) }},

	{"frozen > ready", (*walk).frozenUp, func(k *walk) { k.SetFrozen(nil) }},
	{"frozen > deferred", (*walk).frozenUp, func(k *walk) { k.noRoute() }},
	{"frozen > held", (*walk).frozenUp, func(k *walk) { k.Hold(k.all()) }},
	{"frozen > failing", (*walk).frozenUp, (*walk).giveBack},
	{"frozen > deleted", (*walk).frozenUp, func(k *walk) { k.Delete(k.all()) }},

	{"failing > returned", func(k *walk) { k.failing("a") }, func(*walk) { rest(time.Minute) }},
	{"failing > badmail", func(k *walk) { k.failing("") }, func(*walk) { rest(time.Minute) }},
	{"failing > delivered", func(k *walk) {
		k.slow = time.Minute
		k.peer.answer = byDSN
		k.breakReports(errors.New("disk full"))
		k.start(k.t)
		k.id = k.asking("a", "drop.test").ID
		rest(61 * time.Second)
		k.breakReports(nil)
		rest(time.Minute) // it is tried again after a minute
	}, func(*walk) { rest(time.Minute) }},
	{"failing > deferred", func(k *walk) { k.failReport = errors.New("no"); k.failing("a") }, func(*walk) { rest(time.Minute) }},
	{"failing > ready", func(k *walk) { k.failReport = errors.New("no"); k.paused("one.test"); k.giveBack() }, func(*walk) { rest(time.Minute) }},
	{"failing > frozen", func(k *walk) { k.failReport = errors.New("no"); k.frozenUp(); k.giveBack() }, func(*walk) { rest(time.Minute) }},
	{"failing > held", func(k *walk) { k.failReport = errors.New("no"); k.failing("a") }, func(k *walk) { k.Hold(k.all()); rest(time.Minute) }},
	{"failing > deleted", func(k *walk) { k.failReport = errors.New("no"); k.failing("a") }, func(k *walk) { k.Delete(k.all()); rest(time.Minute) }},
	{"failing > quarantined", func(k *walk) { k.stored("none.test"); k.gone(); k.start(k.t) }, func(*walk) { rest(time.Minute) }},
}

// TestEdges walks each edge of the table of states in docs/manual/queue.md, and checks that the table has these
// edges and no others.
func TestEdges(t *testing.T) {
	walked := map[string]bool{}
	for _, e := range edges {
		t.Run(e.edge, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newWalk(t)
				e.before(k)
				k.see()
				e.after(k)
				k.see()
				got := strings.Join(k.path, " > ")
				if got != e.edge {
					t.Errorf("walked %s: %+v", got, k.State(k.id))
				}
				walked[got] = true
				k.Continue()
				rest(2 * time.Minute)
				k.stop(t)
			})
		})
	}
	table := edgesOf(t, "../../docs/manual/queue.md")
	if want := slices.Sorted(maps.Keys(walked)); !slices.Equal(table, want) {
		t.Errorf("the table of the manual has\n%s\nwalked were\n%s", strings.Join(table, "\n"), strings.Join(want, "\n"))
	}
}

// edgesOf reads the edges from the table of a document that begins with from, to and when, in order.
func edgesOf(t *testing.T, file string) (list []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(b), "| from | to | when |\n|---|---|---|\n")
	if !found {
		t.Fatalf("%s has no table of edges", file)
	}
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			break
		}
		list = append(list, strings.TrimSpace(cells[1])+" > "+strings.TrimSpace(cells[2]))
	}
	slices.Sort(list)
	return list
}
