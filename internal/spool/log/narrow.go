package log

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/columns"
	"github.com/mailroot/mailroot/internal/spool/log/format"
)

const (
	// maxExamined is how many envelopes one Search or one step of Change reads at most.
	maxExamined = 4096
	// maxCandidates is how many ids are kept while indexes are searched.
	maxCandidates = 1 << 15
	// maxLooked is how many messages that no index describes are looked at in one call.
	maxLooked = 1 << 14
)

// candidates returns the ids below before of messages that may match, the largest first, at least n of them if
// there are as many. All that match and are not below rest are among them; with rest 0 that is all.
func (s *Store) candidates(ctx context.Context, q *spool.Query, before mail.QueueID, n int) (ids []mail.QueueID, rest mail.QueueID, err error) {
	switch {
	case len(q.IDs) > 0:
		ids = slices.Clone(q.IDs)
		slices.SortFunc(ids, descending)
		ids = slices.Compact(ids)
		ids, err = s.matching(ctx, q, before, ids)
		return ids, 0, err
	case !q.NeedsEnvelope() && q.Reply == "":
		t := top{keep: n}
		f := filter{q: q, before: before}
		err = s.eachMessage(ctx, func() { f.begin(&s.x) }, func(m *message) {
			if m.id >= t.least && f.match(&s.x, m) {
				t.add(m.id)
			}
		})
		t.cut()
		return t.ids, t.least, err
	}
	conds := columns.Conditions(q)
	if len(conds) == 0 && q.Reply == "" { // patterns that are true of anything
		in := *q
		in.Sender, in.Recipient, in.Client, in.Account, in.Subject, in.MessageID = "", "", "", "", "", ""
		return s.candidates(ctx, &in, before, max(n, maxExamined))
	}
	if len(conds) > 0 {
		if ids, rest, err = s.described(ctx, q, before, conds); err == nil {
			ids, err = s.matching(ctx, q, before, ids)
		}
		if err != nil || q.Reply == "" || len(ids) <= maxExamined { // that few replies are soon read
			return ids, rest, err
		}
	}
	replied, from, err := s.replied(ctx, q, before)
	if len(conds) > 0 {
		replied = intersect(ids, replied)
	}
	rest = max(rest, from)
	return replied[:lowerEnd(replied, rest)], rest, err
}

func descending(a, b mail.QueueID) int { return cmp.Compare(b, a) }

// lowerEnd returns how many of the ids, the largest first, are not below rest.
func lowerEnd(ids []mail.QueueID, rest mail.QueueID) int {
	n, _ := slices.BinarySearchFunc(ids, rest, func(id, rest mail.QueueID) int {
		if id >= rest {
			return -1
		}
		return 1
	})
	return n
}

// intersect returns what is in both lists, the largest first.
func intersect(a, b []mail.QueueID) (out []mail.QueueID) {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] > b[0]:
			a = a[1:]
		case a[0] < b[0]:
			b = b[1:]
		default:
			out = append(out, a[0])
			a, b = a[1:], b[1:]
		}
	}
	return out
}

// described returns the messages for which conds may be true, by the indexes, and by the envelopes of
// those that no index describes yet.
func (s *Store) described(ctx context.Context, q *spool.Query, before mail.QueueID, conds []columns.Condition) (ids []mail.QueueID, rest mail.QueueID, err error) {
	for {
		n := narrowing{Store: s, q: q, before: before, conds: conds, found: top{keep: maxCandidates}}
		n.snapshot()
		if err = n.look(ctx); err == nil {
			err = n.search(ctx)
		}
		for _, p := range n.parts {
			s.unpin(p.g)
		}
		var bad *badIndex
		if !errors.As(err, &bad) {
			n.found.cut()
			return n.found.ids[:lowerEnd(n.found.ids, n.rest())], n.rest(), err
		}
		// What was listed in its stead is of a later moment than the rest: once more.
		s.indexDamaged(bad.part.g, bad.part.index.file)
	}
}

// narrowing is one search of the indexes.
type narrowing struct {
	*Store
	q      *spool.Query
	before mail.QueueID
	conds  []columns.Condition
	parts  []indexed
	found  top
	looked top
	buf    []byte
}

// indexed is a segment with its index at the moment of the snapshot.
type indexed struct {
	g     *segment
	index segIndex
}

// badIndex says that the file of an index cannot be used.
type badIndex struct {
	part *indexed
	err  error
}

func (b *badIndex) Error() string { return b.err.Error() }

// rest is the id below which nothing was kept.
func (n *narrowing) rest() mail.QueueID { return max(n.found.least, n.looked.least) }

// snapshot takes the indexes of one moment, since messages move from one to another, and pins the segments, so that
// the files stay.
func (n *narrowing) snapshot() {
	for known := false; !known; {
		n.knowIndexes()
		n.mu.Lock()
		known = true
		for _, g := range n.segs {
			known = known && g.index.listed
		}
		for _, g := range n.segs {
			if known {
				g.pins++
				n.parts = append(n.parts, indexed{g, g.index})
			}
		}
		n.mu.Unlock()
	}
}

// look reads the envelopes of messages that no index describes.
func (n *narrowing) look(ctx context.Context) error {
	n.looked = top{keep: maxLooked}
	in := map[*segment][]mail.QueueID{}
	for i := range n.parts {
		ids, err := n.matching(ctx, n.q, n.before, n.parts[i].index.ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			n.looked.add(id)
		}
	}
	n.looked.cut()
	wanted := make(map[mail.QueueID]bool, len(n.looked.ids))
	for _, id := range n.looked.ids {
		wanted[id] = true
	}
	for i := range n.parts {
		p := &n.parts[i]
		for _, id := range p.index.ids {
			if wanted[id] {
				in[p.g] = append(in[p.g], id)
			}
		}
	}
	q := *n.q
	q.States = []spool.State{spool.Waiting} // that was looked at
	for g, ids := range in {
		err := n.readEnvelopes(ctx, g, ids, func(id mail.QueueID, env *mail.Envelope) {
			if env == nil || q.MatchMessage(env) && slices.ContainsFunc(env.Recipients, func(r mail.Recipient) bool { return q.MatchRecipient(&r, spool.Waiting) }) {
				n.found.add(id)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// search searches the batches, those with the largest ids first.
func (n *narrowing) search(ctx context.Context) error {
	type source struct {
		*columns.Batch
		p    *indexed
		file bool
	}
	var list []source
	for i := range n.parts {
		p := &n.parts[i]
		for _, b := range p.index.memory {
			list = append(list, source{b, p, false})
		}
		if f := p.index.file; f != nil {
			for k := range f.Batches {
				list = append(list, source{&f.Batches[k], p, true})
			}
		}
	}
	slices.SortFunc(list, func(a, b source) int { return descending(a.Max, b.Max) })
	for _, b := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if b.Max < n.rest() || n.before != 0 && b.Min >= n.before {
			continue
		}
		if err := n.searchBatch(b.Batch, b.p, b.file); err != nil {
			return &badIndex{b.p, err}
		}
		if len(n.found.ids) > n.found.keep {
			n.found.cut()
		}
	}
	return nil
}

// searchBatch searches one batch, in the file of its segment or in memory.
func (n *narrowing) searchBatch(b *columns.Batch, p *indexed, file bool) error {
	id := format.IndexID(p.g.id)
	add := func(id mail.QueueID) {
		if (n.before == 0 || id < n.before) && id >= n.looked.least {
			n.found.add(id)
		}
	}
	if !file {
		return b.Search(n.conds, nil, id, &n.buf, add)
	}
	f, err := n.fs.Open(n.path(id.Name()))
	if err != nil {
		return err
	}
	err = b.Search(n.conds, f, id, &n.buf, add)
	return errors.Join(err, f.Close())
}

// matching returns those of ids below before that match as far as the index in memory knows, in their order.
func (s *Store) matching(ctx context.Context, q *spool.Query, before mail.QueueID, ids []mail.QueueID) (out []mail.QueueID, err error) {
	f := filter{q: q, before: before}
	for chunk := range slices.Chunk(ids, 1024) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s.mu.Lock()
		f.begin(&s.x)
		for _, id := range chunk {
			if m := s.x.find(id); m != nil && f.match(&s.x, m) {
				out = append(out, id)
			}
		}
		s.mu.Unlock()
	}
	return out, ctx.Err()
}

// eachMessage calls f with each message of the index, a slab at a time with mu held, and begin before each slab. The
// youngest come first, as far as slots were not used again.
func (s *Store) eachMessage(ctx context.Context, begin func(), f func(*message)) error {
	s.mu.Lock()
	slabs := len(s.x.slabs)
	s.mu.Unlock()
	for i := range slabs {
		s.eachSlab(slabs-1-i, func(slab []message) {
			begin()
			for k := range slab {
				if m := &slab[len(slab)-1-k]; m.id != 0 {
					f(m)
				}
			}
		})
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// filter tells which messages match as far as the index in memory knows.
type filter struct {
	q       *spool.Query
	before  mail.QueueID
	domains []int8 // of those that were compared: 1 matches, -1 does not
	reused  uint64 // numbers of domains that had come to others by then
}

// begin is called when mu was taken.
func (f *filter) begin(x *index) {
	if f.reused != x.domains.reused {
		f.reused = x.domains.reused
		clear(f.domains)
	}
	if n := len(x.domains.names) - len(f.domains); n > 0 && f.q.Domain != "" {
		f.domains = append(f.domains, make([]int8, n)...)
	}
}

func (f *filter) match(x *index, m *message) bool {
	if !f.matchMessage(m) {
		return false
	}
	for _, r := range x.recipients(m) {
		if f.matchRecipient(x, &r) {
			return true
		}
	}
	return false
}

func (f *filter) matchMessage(m *message) bool {
	return (f.before == 0 || m.id < f.before) && f.q.MatchArrived(format.FromMillis(m.arrived)) && f.q.MatchSize(m.size)
}

func (f *filter) matchRecipient(x *index, r *recipient) bool {
	if !f.q.MatchState(r.state()) {
		return false
	}
	if f.q.Domain == "" {
		return true
	}
	known := &f.domains[r.domain]
	if *known == 0 {
		if *known = -1; spool.Match(f.q.Domain, x.domains.names[r.domain]) {
			*known = 1
		}
	}
	return *known > 0
}

// top keeps the largest of many ids.
type top struct {
	keep  int
	ids   []mail.QueueID
	least mail.QueueID // the smallest that is kept, once others were dropped: none below it is wanted
}

// add keeps id if it is among the largest so far.
func (t *top) add(id mail.QueueID) {
	if id < t.least {
		return
	}
	if t.ids = append(t.ids, id); len(t.ids) >= 2*t.keep+64 {
		t.cut()
	}
}

// cut drops what is too much. The ids then stand in order, the largest first, each once.
func (t *top) cut() {
	slices.SortFunc(t.ids, descending)
	if t.ids = slices.Compact(t.ids); len(t.ids) > t.keep {
		t.ids = t.ids[:t.keep]
		t.least = t.ids[t.keep-1]
	}
}
