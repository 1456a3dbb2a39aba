package queue

import "github.com/mailroot/mailroot/internal/mail"

// spareRecords is how many records that nothing refers to are kept, so that a domain or hop that
// is used again and again needs not be routed anew for each message.
const spareRecords = 1024

// domainTable holds the domains of the waiting recipients, each name once.
type domainTable struct {
	byName map[string]uint32
	list   []domain
	free   []uint32
	unused int // records with refs 0
}

// domain is one recipient domain. Hop 0: it could not be routed yet.
type domain struct {
	name string
	hop  uint32
	refs uint32
}

func (t *domainTable) init() {
	*t = domainTable{byName: make(map[string]uint32), list: make([]domain, 1)}
}

func (t *domainTable) at(i uint32) *domain { return &t.list[i] }

// find returns the record of a name in lower case.
func (t *domainTable) find(name string) (uint32, bool) {
	i, ok := t.byName[name]
	return i, ok
}

// add makes a record that nothing refers to yet.
func (t *domainTable) add(name string, hop uint32) uint32 {
	var i uint32
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		i = uint32(len(t.list))
		t.list = append(t.list, domain{})
	}
	t.list[i] = domain{name: name, hop: hop}
	t.byName[name] = i
	t.unused++
	return i
}

func (t *domainTable) hold(i uint32) {
	d := &t.list[i]
	if d.refs == 0 {
		t.unused--
	}
	d.refs++
}

func (t *domainTable) drop(i uint32) {
	d := &t.list[i]
	d.refs--
	if d.refs == 0 {
		t.unused++
	}
}

// crowded reports whether a sweep of unused records is worth its work, which is then at most
// twice the number of records that were added since the last.
func (t *domainTable) crowded() bool { return t.unused > spareRecords && t.unused > len(t.byName)/2 }

// sweepDomains frees all domains that nothing refers to, and the hops that only they used.
func (q *Queue) sweepDomains() {
	t := &q.domains
	left := len(t.byName) - t.unused
	fresh := make(map[string]uint32, left)
	for i := uint32(1); i < uint32(len(t.list)); i++ {
		d := &t.list[i]
		switch {
		case d.refs > 0:
			fresh[d.name] = i
		case d.name != "":
			q.unlead(d.hop)
			*d = domain{}
			t.free = append(t.free, i)
		}
	}
	t.byName, t.unused = fresh, 0
	if left == 0 {
		t.init()
	}
}

// replyTable holds the last replies of waiting recipients, equal ones once. A hop that is down
// gives all its recipients the same; replies beyond the limit, each one different, are only kept by the spool.
type replyTable struct {
	index map[lastReply]uint32
	list  []countedReply
	free  []uint32
}

// lastReply is what the last attempt said, and who; of a recipient that was given up, that it was, and why
// (mail.Result.Cause).
type lastReply struct {
	reply mail.Reply
	host  string
	cause mail.Reply
}

type countedReply struct {
	lastReply
	refs uint32
}

const (
	maxReplies   = 4096
	maxReplyText = 512
)

func (t *replyTable) init() {
	*t = replyTable{index: make(map[lastReply]uint32), list: make([]countedReply, 1)}
}

// hold returns the number of a reply, which is to be dropped once; 0 when the table is full
// and force is not set.
func (t *replyTable) hold(key lastReply, force bool) uint32 {
	if key.reply.IsZero() {
		return 0
	}
	for _, r := range []*mail.Reply{&key.reply, &key.cause} {
		if len(r.Text) > maxReplyText {
			r.Text = r.Text[:maxReplyText]
		}
	}
	if i, ok := t.index[key]; ok {
		t.list[i].refs++
		return i
	}
	if len(t.index) >= maxReplies && !force {
		return 0
	}
	var i uint32
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
	} else {
		i = uint32(len(t.list))
		t.list = append(t.list, countedReply{})
	}
	t.list[i] = countedReply{key, 1}
	t.index[key] = i
	return i
}

// get returns the reply with a number; the zero value for 0.
func (t *replyTable) get(i uint32) lastReply { return t.list[i].lastReply }

func (t *replyTable) drop(i uint32) {
	if i == 0 {
		return
	}
	c := &t.list[i]
	c.refs--
	if c.refs > 0 {
		return
	}
	delete(t.index, c.lastReply)
	*c = countedReply{}
	t.free = append(t.free, i)
	if len(t.index) == 0 && len(t.list) > maxReplies {
		t.init()
	}
}
