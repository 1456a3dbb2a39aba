package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/control"
)

// A day of mixed traffic: a thousand messages by SMTP and from Pickup, to all kinds of domain; an operator
// who holds, releases, freezes, reroutes, returns and retries; a restart. In the end each recipient was delivered
// once, or returned once, or waits and says why.
func TestDay(t *testing.T) {
	messages := 1000
	if testing.Short() {
		messages = 100
	}
	synctest.Test(t, func(t *testing.T) {
		const seed = 4711
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := newEmptyWorld(t, seed)
		h := w.openHubs()
		w.mustStart()
		l := newLedger()
		agenda := w.operatorsDay()
		for i := range messages {
			post := w.post
			if rnd.IntN(3) == 0 {
				post = w.pick
			}
			agenda = append(agenda, deed{anytime(rnd, 23*time.Hour), func() { post(l, rnd, i) }})
		}
		slices.SortStableFunc(agenda, func(a, b deed) int { return cmp.Compare(a.at, b.at) })
		start := time.Now()
		for _, e := range agenda {
			time.Sleep(time.Until(start.Add(e.at)))
			e.do()
		}
		pass(time.Until(start.Add(24 * time.Hour)))
		w.settle(l, h)
		wrong, extra := l.check(faults{})
		for _, s := range wrong {
			t.Error(s)
		}
		sum := map[string]int{}
		for _, a := range l.promised {
			sum["arrived"] += a.arrived
			sum["returned"] += a.returned
			sum["waiting"] += a.waiting
		}
		if sum["waiting"] != w.waiting() {
			t.Errorf("%d recipients wait, the ledger knows of %d", w.waiting(), sum["waiting"])
		}
		for _, what := range []string{"arrived", "returned", "waiting"} {
			if sum[what] == 0 {
				t.Errorf("nothing has %s", what)
			}
		}
		t.Logf("%d messages to %d recipients: %v, %d copies of servers that did not hear our answer", messages, len(l.promised), sum, extra)
		w.stop()
		h.close()
	})
}

// operatorsDay is what an operator does. Nothing of it takes mail away without telling.
func (w *world) operatorsDay() []deed {
	act := func(verb, domain, to string) func() {
		return func() {
			a := control.QueueAction{Verb: verb, To: to, Selection: control.Selection{Domain: domain, All: domain == ""}}
			if _, err := w.verbs().QueueAct(w.t.Context(), operator, a, nil); err != nil {
				w.t.Errorf("%s %s: %v", verb, domain, err)
			}
		}
	}
	freeze := func() {
		if _, err := w.verbs().QueueFreeze(w.t.Context(), operator, control.FreezeRequest{Name: "cold.test", For: "3h"}); err != nil {
			w.t.Error(err)
		}
	}
	return []deed{
		{2 * time.Hour, act("hold", "grey.test", "")},
		{5 * time.Hour, act("release", "grey.test", "")},
		{6 * time.Hour, freeze},
		{7 * time.Hour, func() { w.stop(); w.mustStart() }},
		{8 * time.Hour, act("reroute", "late.test", "[198.51.100.1]")}, // to who takes everything
		{9 * time.Hour, act("return", "dead.test", "")},
		{11 * time.Hour, act("hold", "torn.test", "")},
		{12 * time.Hour, func() { w.stop(); w.mustStart() }},
		{14 * time.Hour, act("retry", "", "")},
		{15 * time.Hour, act("release", "torn.test", "")},
	}
}

// pick puts message i into Pickup.
func (w *world) pick(l *ledger, rnd *rand.Rand, i int) {
	from, to, domains := parties(rnd, i)
	var b strings.Builder
	fmt.Fprintf(&b, "x-sender: <%s>\r\n", from)
	for k, rcpt := range to {
		fmt.Fprintf(&b, "x-receiver: %s\r\n", rcpt)
		l.promise(rcpt, &account{trait: domains[k], sender: from})
	}
	fmt.Fprintf(&b, "From: <x@corp.test>\r\nSubject: number %d\r\n\r\ntext\r\n", i)
	w.drop(fmt.Sprintf("%d.eml", i), b.String())
}
