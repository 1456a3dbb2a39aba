package queue

import "testing"

// check tests that the queue's structures agree with one another.
func (q *Queue) check(t testing.TB) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	var (
		total    [states]int
		perHop   = map[uint32]*[states]int32{}
		refs     = map[uint32]uint32{}
		replies  = map[uint32]uint32{}
		routes   = map[uint16]uint32{}
		users    = map[uint64]int{}
		messages = map[uint64]int{}
	)
	used := 0
	for c, ch := range q.entries.chunks {
		for k := range ch {
			e := &ch[k]
			if e.id == 0 {
				continue
			}
			used++
			total[e.state]++
			if perHop[e.hop] == nil {
				perHop[e.hop] = new([states]int32)
			}
			perHop[e.hop][e.state]++
			refs[e.domain]++
			if e.reply != 0 {
				replies[e.reply]++
			}
			if e.route != 0 {
				routes[e.route]++
			}
			if e.flags&flagCached != 0 {
				users[uint64(e.id)]++
			}
			messages[uint64(e.id)]++
			if e.state == stateFree {
				t.Errorf("entry %d/%d is lost", c, k)
			}
		}
	}
	if used != q.entries.used {
		t.Errorf("%d entries in use, counted %d", used, q.entries.used)
	}
	for s := stateReady; s < states; s++ {
		if total[s] != q.total[s] {
			t.Errorf("state %d: %d entries, counted %d", s, total[s], q.total[s])
		}
	}
	if total[stateDeferred] != q.wheel.count {
		t.Errorf("%d deferred, %d in the wheel", total[stateDeferred], q.wheel.count)
	}
	if len(messages) != len(q.messages) {
		t.Errorf("%d messages, counted %d", len(messages), len(q.messages))
	}
	for id, i := range q.messages {
		n := 0
		for ; i != 0; i = q.entries.at(i).msgNext {
			n++
		}
		if n != messages[uint64(id)] {
			t.Errorf("message %v: %d entries in its chain, %d exist", id, n, messages[uint64(id)])
		}
	}
	for id, c := range q.cache.m {
		if c.users != users[uint64(id)] {
			t.Errorf("message %v: %d users of the envelope, counted %d", id, users[uint64(id)], c.users)
		}
	}
	if len(users) != len(q.cache.m) {
		t.Errorf("%d envelopes cached, %d in use", len(q.cache.m), len(users))
	}
	for i := range q.domains.list {
		if d := q.domains.list[i]; d.refs != refs[uint32(i)] {
			t.Errorf("domain %q: %d references, counted %d", d.name, refs[uint32(i)], d.refs)
		}
	}
	for i := range q.replies.list {
		if r := q.replies.list[i]; r.refs != replies[uint32(i)] {
			t.Errorf("reply %q: %d references, counted %d", r.reply, replies[uint32(i)], r.refs)
		}
	}
	for i, r := range q.routes.list {
		if r.refs != routes[uint16(i)] {
			t.Errorf("route %q: %d references, counted %d", r.text, routes[uint16(i)], r.refs)
		}
	}
	frozen := 0
	for i, before := q.frozen.head, uint32(0); i != 0; i, before = q.entries.at(i).next, i {
		if e := q.entries.at(i); e.state != stateFrozen || e.prev != before {
			t.Errorf("a wrong entry among the frozen: %+v", e)
		}
		frozen++
	}
	if frozen != total[stateFrozen] {
		t.Errorf("%d frozen, %d in the list", total[stateFrozen], frozen)
	}
	q.checkLocal(t)
	for i, h := range q.hops.list {
		if h != nil {
			q.checkHop(t, uint32(i), h, perHop[uint32(i)])
		}
	}
	for r := q.unheard.first; r != nil; r = q.unheard.next(r) {
		if !r.unheard || r.cut || r.hop.class == classLocal {
			t.Errorf("a run of %q is in the wrong list", r.hop.to.Key)
		}
	}
	if q.runsNow() == 0 && (q.probes != 0 || q.cutting != 0 || q.unheard.first != nil || q.parked.first != nil) {
		t.Errorf("without runs: %d probes, %d cut off", q.probes, q.cutting)
	}
	running := [classes]int{}
	for _, h := range q.hops.list {
		if h != nil {
			running[h.class] += int(h.runs)
		}
	}
	if running != q.running {
		t.Errorf("runs %v, counted %v", running, q.running)
	}
}

// checkLocal counts what waits for the drop directory anew.
func (q *Queue) checkLocal(t testing.TB) {
	t.Helper()
	sum := int64(0)
	for _, i := range q.messages {
		for ; i != 0; i = q.entries.at(i).msgNext {
			if e := q.entries.at(i); q.hops.at(e.hop).class == classLocal && e.state.undelivered() {
				sum += int64(e.size)
				break
			}
		}
	}
	if n := q.local.Load(); n != sum {
		t.Errorf("%d octets wait for the drop directory, counted %d", sum, n)
	}
}

func (q *Queue) runsNow() int { return q.running[classLocal] + q.remoteRuns() }

func (q *Queue) checkHop(t testing.TB, i uint32, h *hop, n *[states]int32) {
	t.Helper()
	if n == nil {
		n = new([states]int32)
	}
	for s := stateReady; s < states; s++ {
		if h.n[s] != n[s] {
			t.Errorf("hop %q state %d: %d entries, counted %d", h.to.Key, s, n[s], h.n[s])
		}
	}
	var messages, ready, domains int32
	for _, g := range h.ring {
		var before *entry
		count := int32(0)
		for i := g.head; i != 0; {
			e := q.entries.at(i)
			if before == nil || before.id != e.id {
				messages++
			}
			if e.group != g.key || e.hop != h.index || e.state != stateReady {
				t.Errorf("hop %q: a wrong entry in group %d", h.to.Key, g.key)
			}
			before, i = e, e.next
			count++
		}
		if count != g.count || count == 0 {
			t.Errorf("hop %q group %d: %d entries, counted %d", h.to.Key, g.key, count, g.count)
		}
		ready += count
	}
	if ready != h.n[stateReady] || messages != h.messages {
		t.Errorf("hop %q: %d ready in %d messages, counted %d in %d", h.to.Key, ready, messages, h.n[stateReady], h.messages)
	}
	for _, d := range q.domains.list {
		if i != 0 && d.name != "" && d.hop == i {
			domains++
		}
	}
	for _, r := range q.routes.list {
		if i != 0 && r.text != "" && r.hop == i {
			domains++
		}
	}
	if uint32(domains) != h.leads {
		t.Errorf("hop %q: %d records, counted %d", h.to.Key, domains, h.leads)
	}
	if h.runs < 0 || h.silent < 0 || h.lost < 0 || h.extra < 0 || h.runs == 0 && (h.left != 0 || h.silent != 0 || h.lost != 0 || len(h.idle) != 0) {
		t.Errorf("hop %q: counters of runs are wrong: %+v", h.to.Key, *h)
	}
}

func repeat(s string, n int) []string {
	list := make([]string, n)
	for k := range list {
		list[k] = s
	}
	return list
}
