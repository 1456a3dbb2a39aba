package log

import (
	"encoding/binary"
	"math"

	"github.com/mailroot/mailroot/internal/mail"
)

// replyPos says where a note (the last reply to a recipient) is to be found: number of the state file,
// whether that is a checkpoint, and the offset in it. 0 is none.
type replyPos uint64

const replyOffBits = 40

func replyAt(kind fileKind, num uint32, off int64) replyPos {
	p := replyPos(num)<<(replyOffBits+1) | replyPos(off)
	if kind == kindCheckpoint {
		p |= 1 << replyOffBits
	}
	return p
}

func (p replyPos) file() (fileKind, uint32) {
	kind := kindJournal
	if p>>replyOffBits&1 != 0 {
		kind = kindCheckpoint
	}
	return kind, uint32(p >> (replyOffBits + 1))
}

func (p replyPos) off() int64 { return int64(p & (1<<replyOffBits - 1)) }

// Limits of what is kept of a reply.
const (
	maxReplyText = 2048
	maxReplyHost = 255
	maxNote      = 4 + 2 + 4*binary.MaxVarintLen64 + 2*binary.MaxVarintLen64 + maxReplyText + maxReplyHost
)

// appendNote appends: length 2, CRC of id, recipient and the rest 4; then code, the three parts of the
// enhanced code, text, host. It can be read without what stands around it.
func appendNote(dst []byte, id mail.QueueID, rcpt int, r mail.Reply, host string) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0)
	for _, n := range [...]int{r.Code, int(r.Enhanced.Class), int(r.Enhanced.Subject), int(r.Enhanced.Detail)} {
		dst = binary.AppendUvarint(dst, uint64(uint(n)))
	}
	for _, s := range [...]string{clip(r.Text, maxReplyText), clip(host, maxReplyHost)} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	body := dst[start+6:]
	le.PutUint16(dst[start:], uint16(len(body)))
	le.PutUint32(dst[start+2:], noteSum(id, rcpt, body))
	return dst
}

func noteSum(id mail.QueueID, rcpt int, body []byte) uint32 {
	var key [12]byte
	le.PutUint64(key[:], uint64(id))
	le.PutUint32(key[8:], uint32(rcpt))
	return sum(key[:]) ^ sum(body)
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// parseNote reads a note at the beginning of b and returns its length, 0 if it is none or not of this
// recipient.
func parseNote(b []byte, id mail.QueueID, rcpt int) (r mail.Reply, host string, n int) {
	if len(b) < 6 {
		return r, "", 0
	}
	n = 6 + int(le.Uint16(b))
	if n > len(b) || le.Uint32(b[2:]) != noteSum(id, rcpt, b[6:n]) {
		return r, "", 0
	}
	d := decoder{b: b[6:n]}
	r.Code = int(d.uvarint())
	r.Enhanced = mail.Enhanced(uint16(d.uvarint()), uint16(d.uvarint()), uint16(d.uvarint()))
	r.Text, host = string(d.bytes()), string(d.bytes())
	if d.bad || len(d.b) > 0 {
		return mail.Reply{}, "", 0
	}
	return r, host, n
}

// Kinds of entries beside those of mail.Change: up to which id ids may be given out; a segment was made
// (and its name is durable); a segment is about to be removed; how far a segment is durable. Their id is the id or the segmentFact.
const (
	entryIDs = 0x40 + iota
	entryMade
	entryGone
	entryExtent
)

// hasNote is added to the kind of an entry that ends with a note.
const hasNote = 0x80

// knownKind reports whether a change of that kind can stand in a journal.
func knownKind(kind mail.ChangeKind) bool {
	return kind >= mail.ChangeDone && kind <= mail.ChangeNoticed || kind == mail.ChangeRoute
}

// entry is one change as it stands in a journal: kind 1, id 8, and if it is a mail.Change the
// recipient, for ChangeDefer due and attempts, for ChangeRoute the length of the route and the route, and a note;
// for an entryExtent the size and how many messages lived there.
type entry struct {
	kind     byte // without hasNote
	id       mail.QueueID
	rcpt     int
	due      int64
	attempts uint16
	route    string
	note     int // offset in the payload, 0: none
	size     int64
	live     int64
}

// appendChange appends c. noteAt is where in dst its note begins, 0 if it has none.
func appendChange(dst []byte, c *mail.Change) (_ []byte, noteAt int) {
	kind := byte(c.Kind)
	if c.Kind == mail.ChangeDefer && !c.Reply.IsZero() {
		kind |= hasNote
	}
	dst = append(dst, kind)
	dst = le.AppendUint64(dst, uint64(c.ID))
	dst = binary.AppendUvarint(dst, uint64(uint32(c.Rcpt)))
	if c.Kind == mail.ChangeDefer {
		dst = binary.AppendVarint(dst, toMillis(c.Due))
		dst = binary.AppendUvarint(dst, uint64(clampAttempts(c.Attempts)))
	}
	if c.Kind == mail.ChangeRoute {
		dst = binary.AppendUvarint(dst, uint64(len(c.Route)))
		dst = append(dst, c.Route...)
	}
	if kind&hasNote != 0 {
		noteAt = len(dst)
		dst = appendNote(dst, c.ID, c.Rcpt, c.Reply, c.Host)
	}
	return dst, noteAt
}

// appendFact appends an entry that is no change.
func appendFact(dst []byte, kind byte, n uint64) []byte {
	return le.AppendUint64(append(dst, kind), n)
}

// appendExtent appends that a segment is durable up to size, and how many messages live in it.
func appendExtent(dst []byte, g *segment) []byte {
	dst = appendFact(dst, entryExtent, segmentFact(g.id))
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(g.size)), uint64(g.live))
}

// segmentFact names a segment in a fact: its number, and as much of its salt as fits.
func segmentFact(id fileID) uint64 { return uint64(id.num) | id.salt<<32 }

func clampAttempts(n int) uint16 { return uint16(min(max(n, 0), 1<<16-1)) }

// parseEntries calls f with each entry of the payload of a blockChanges; false if the payload is not
// in order, from which on nothing was called.
func parseEntries(payload []byte, f func(entry)) bool {
	d := decoder{b: payload}
	for len(d.b) > 0 {
		e := entry{kind: d.byte()}
		note := e.kind&hasNote != 0
		e.kind &^= hasNote
		e.id = mail.QueueID(d.uint64())
		switch {
		case e.kind == entryIDs, e.kind == entryMade, e.kind == entryGone:
		case e.kind == entryExtent:
			e.size, e.live = int64(d.uvarint()&math.MaxInt64), int64(d.uvarint()&math.MaxInt64)
		case knownKind(mail.ChangeKind(e.kind)):
			e.rcpt = int(uint32(d.uvarint()))
			switch mail.ChangeKind(e.kind) {
			case mail.ChangeDefer:
				e.due, e.attempts = d.varint(), uint16(d.uvarint())
			case mail.ChangeRoute:
				e.route = string(d.bytes())
				d.bad = d.bad || len(e.route) > mail.MaxRoute
			}
		default:
			return false
		}
		if note {
			e.note = len(payload) - len(d.b)
			_, _, n := parseNote(d.b, e.id, e.rcpt)
			d.skip(n)
			d.bad = d.bad || n == 0
		}
		if d.bad {
			return false
		}
		f(e)
	}
	return true
}

// decoder takes fields off b. After the first that is not there it is bad and yields zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) skip(n int) []byte {
	if d.bad || n < 0 || n > len(d.b) {
		d.bad = true
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) byte() byte {
	if s := d.skip(1); s != nil {
		return s[0]
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if s := d.skip(8); s != nil {
		return le.Uint64(s)
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.skip(n)
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.skip(n)
	return v
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	return d.skip(int(n))
}
