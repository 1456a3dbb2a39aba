package format

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// ReplyPos says where a note (the last reply to a recipient) is to be found: number of the state file,
// whether that is a checkpoint, and the offset in it. 0 is none.
type ReplyPos uint64

const replyOffBits = 40

// ReplyAt is the place of a note in a journal or checkpoint.
func ReplyAt(kind Kind, num uint32, off int64) ReplyPos {
	p := ReplyPos(num)<<(replyOffBits+1) | ReplyPos(off)
	if kind == KindCheckpoint {
		p |= 1 << replyOffBits
	}
	return p
}

// File returns the kind and number of the file.
func (p ReplyPos) File() (Kind, uint32) {
	kind := KindJournal
	if p>>replyOffBits&1 != 0 {
		kind = KindCheckpoint
	}
	return kind, uint32(p >> (replyOffBits + 1))
}

// Off returns the offset in the file.
func (p ReplyPos) Off() int64 { return int64(p & (1<<replyOffBits - 1)) }

func (p ReplyPos) FileKey() ReplyPos { return p &^ (1<<replyOffBits - 1) }

// Limits of what is kept of a reply.
const (
	maxReplyText = 2048
	maxReplyHost = 255
	// MaxNote is the length of the longest note.
	MaxNote = 4 + 2 + 4*binary.MaxVarintLen64 + 2*binary.MaxVarintLen64 + maxReplyText + maxReplyHost
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
	return Sum(key[:]) ^ Sum(body)
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// ParseNote reads a note at the beginning of b and returns its length, 0 if it is none or not of this
// recipient.
func ParseNote(b []byte, id mail.QueueID, rcpt int) (r mail.Reply, host string, n int) {
	if len(b) < 6 {
		return r, "", 0
	}
	n = 6 + int(le.Uint16(b))
	if n > len(b) || le.Uint32(b[2:]) != noteSum(id, rcpt, b[6:n]) {
		return r, "", 0
	}
	d := Decoder{B: b[6:n]}
	r.Code = int(d.Uvarint())
	r.Enhanced = mail.Enhanced(uint16(d.Uvarint()), uint16(d.Uvarint()), uint16(d.Uvarint()))
	r.Text, host = string(d.Bytes()), string(d.Bytes())
	if d.Bad || len(d.B) > 0 {
		return mail.Reply{}, "", 0
	}
	return r, host, n
}

// Kinds of entries beside those of mail.Change: up to which id ids may be given out; a segment was made
// (and its name is durable); a segment is about to be removed; how far a segment is durable. Their id is the id or the SegmentFact.
const (
	EntryIDs = 0x40 + iota
	EntryMade
	EntryGone
	EntryExtent
)

// hasNote is added to the kind of an entry that ends with a note.
const hasNote = 0x80

// KnownKind reports whether a change of that kind can stand in a journal.
func KnownKind(kind mail.ChangeKind) bool {
	return kind >= mail.ChangeDone && kind <= mail.ChangeNoticed || kind == mail.ChangeRoute
}

// Entry is one change as it stands in a journal: kind 1, id 8, and if it is a mail.Change the
// recipient, for ChangeDefer due and attempts, for ChangeRoute the length of the route and the route, and a note;
// for an EntryExtent the size and how many messages lived there.
type Entry struct {
	Kind     byte // without hasNote
	ID       mail.QueueID
	Rcpt     int
	Due      int64
	Attempts uint16
	Route    string
	Note     int // offset in the payload, 0: none
	Size     int64
	Live     int64
}

// AppendChange appends c. noteAt is where in dst its note begins, 0 if it has none.
func AppendChange(dst []byte, c *mail.Change) (_ []byte, noteAt int) {
	kind := byte(c.Kind)
	if c.Kind == mail.ChangeDefer && !c.Reply.IsZero() {
		kind |= hasNote
	}
	dst = append(dst, kind)
	dst = le.AppendUint64(dst, uint64(c.ID))
	dst = binary.AppendUvarint(dst, uint64(uint32(c.Rcpt)))
	if c.Kind == mail.ChangeDefer {
		dst = binary.AppendVarint(dst, Millis(c.Due))
		dst = binary.AppendUvarint(dst, uint64(ClampAttempts(c.Attempts)))
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

// AppendFact appends an entry that is no change.
func AppendFact(dst []byte, kind byte, n uint64) []byte {
	return le.AppendUint64(append(dst, kind), n)
}

// AppendExtent appends up to where a segment is durable, and how many messages live in it.
func AppendExtent(dst []byte, id ID, size int64, live int) []byte {
	dst = AppendFact(dst, EntryExtent, SegmentFact(id))
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(size)), uint64(live))
}

// SegmentFact names a segment in a fact: its number, and as much of its salt as fits.
func SegmentFact(id ID) uint64 { return uint64(id.Num) | id.Salt<<32 }

// ClampAttempts is n as far as an entry can hold it.
func ClampAttempts(n int) uint16 { return uint16(min(max(n, 0), 1<<16-1)) }

// ParseEntries calls f with each entry of the payload of a BlockChanges; false if the payload is not
// in order, from which on nothing was called.
func ParseEntries(payload []byte, f func(Entry)) bool {
	d := Decoder{B: payload}
	for len(d.B) > 0 {
		e := Entry{Kind: d.Byte()}
		note := e.Kind&hasNote != 0
		e.Kind &^= hasNote
		e.ID = mail.QueueID(d.Uint64())
		switch {
		case e.Kind == EntryIDs, e.Kind == EntryMade, e.Kind == EntryGone:
		case e.Kind == EntryExtent:
			e.Size, e.Live = int64(d.Uvarint()&math.MaxInt64), int64(d.Uvarint()&math.MaxInt64)
		case KnownKind(mail.ChangeKind(e.Kind)):
			e.Rcpt = int(uint32(d.Uvarint()))
			switch mail.ChangeKind(e.Kind) {
			case mail.ChangeDefer:
				e.Due, e.Attempts = d.Varint(), uint16(d.Uvarint())
			case mail.ChangeRoute:
				e.Route = string(d.Bytes())
				d.Bad = d.Bad || len(e.Route) > mail.MaxRoute
			}
		default:
			return false
		}
		if note {
			e.Note = len(payload) - len(d.B)
			_, _, n := ParseNote(d.B, e.ID, e.Rcpt)
			d.Skip(n)
			d.Bad = d.Bad || n == 0
		}
		if d.Bad {
			return false
		}
		f(e)
	}
	return true
}

// Millis is t in Unix milliseconds, as times stand in files; 0 is no time.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// FromMillis is the inverse of Millis.
func FromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
