package log

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/columns"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// The last replies stand in the newest checkpoint and in the journals since. A search for one reads these from end
// to end: that is as fast as an index of texts which are all different, and needs none.

// replied returns the messages with a recipient for which q is true as far as the index in memory and its last reply
// tell.
func (s *Store) replied(ctx context.Context, q *spool.Query, before mail.QueueID) (ids []mail.QueueID, rest mail.QueueID, err error) {
	for try := 0; ; try++ {
		r := replyScan{
			Store: s, filter: filter{q: q, before: before}, needle: replyNeedle(q.Reply),
			found: top{keep: maxCandidates}, known: map[string]bool{},
		}
		// A checkpoint may move replies and remove a file in between; one that is missing for good stays away.
		err = r.open(ctx, try > 2)
		if err == nil {
			err = r.scan(ctx)
		}
		for _, f := range r.files {
			f.f.Close()
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		r.found.cut()
		return r.found.ids, r.found.least, err
	}
}

// replyScan is one search for a reply.
type replyScan struct {
	*Store
	filter
	needle []byte // a part of each text that matches, in lower case; nil: there is none
	files  map[format.ReplyPos]*replyFile
	found  top
	known  map[string]bool // what replies were compared
	lower  []byte
	notes  []noteRef
}

// replyFile is a state file that the last replies of recipients stand in.
type replyFile struct {
	id   format.ID
	f    vfs.File
	size int64
	gaps []format.Gap
}

// noteRef is a note in a block.
type noteRef struct {
	id   mail.QueueID
	rcpt uint32
	at   int // in the payload
}

// open opens the files that last replies stand in. With lenient set those that are missing are left out.
func (r *replyScan) open(ctx context.Context, lenient bool) error {
	r.files = map[format.ReplyPos]*replyFile{}
	wanted := map[format.ReplyPos]bool{}
	last := format.ReplyPos(0)
	err := r.eachMessage(ctx, func() {}, func(m *message) {
		for _, rcpt := range r.x.recipients(m) {
			if key := rcpt.reply.FileKey(); key != last && rcpt.reply != 0 {
				wanted[key], last = true, key
			}
		}
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	sizes := map[format.ReplyPos]*replyFile{}
	for id, size := range r.stateFiles {
		if key := format.ReplyAt(id.Kind, id.Num, 0); wanted[key] {
			sizes[key] = &replyFile{id: id, size: size}
		}
	}
	r.mu.Unlock()
	for key := range wanted {
		f := sizes[key]
		if f == nil {
			if lenient {
				continue
			}
			return fs.ErrNotExist
		}
		if f.f, err = r.fs.Open(r.path(f.id.Name())); err != nil {
			if lenient && errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return err
		}
		r.files[key] = f
	}
	return nil
}

// scan reads the files.
func (r *replyScan) scan(ctx context.Context) error {
	damaged := false
	for key, f := range r.files {
		in := format.Read(f.f, f.size, f.id.Salt)
		for {
			if err := ctx.Err(); err != nil {
				return err
			}
			b, err := in.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			r.block(&b, key)
		}
		f.gaps = in.Gaps
		damaged = damaged || len(f.gaps) > 0
	}
	if !damaged {
		return nil
	}
	// A note can be whole in a block that is not.
	return r.eachMessage(ctx, func() { r.begin(&r.x) }, func(m *message) {
		for i := range r.x.recipients(m) {
			if rcpt := &r.x.recipients(m)[i]; r.inGap(rcpt.reply) && r.matchMessage(m) && r.matchRecipient(&r.x, rcpt) {
				r.found.add(m.id)
			}
		}
	})
}

func (r *replyScan) inGap(p format.ReplyPos) bool {
	f := r.files[p.FileKey()]
	if f == nil || p == 0 {
		return false
	}
	for _, g := range f.gaps {
		if p.Off() >= g.Off && p.Off() < g.Off+g.Length {
			return true
		}
	}
	return false
}

// block looks for replies in a block of the file key.
func (r *replyScan) block(b *format.Block, key format.ReplyPos) {
	if b.Kind != blockNote && b.Kind != format.BlockChanges {
		return
	}
	r.lower = append(r.lower[:0], b.Payload...)
	lowerASCII(r.lower)
	if !bytes.Contains(r.lower, r.needle) {
		return
	}
	r.notes = r.notes[:0]
	add := func(id mail.QueueID, rcpt uint32, at int) {
		if end := at + 6 + int(le.Uint16(b.Payload[at:])); bytes.Contains(r.lower[at:end], r.needle) {
			r.notes = append(r.notes, noteRef{id, rcpt, at})
		}
	}
	if b.Kind == blockNote {
		eachNote(b.Payload, add)
	} else {
		format.ParseEntries(b.Payload, func(e format.Entry) {
			if e.Note != 0 {
				add(e.ID, uint32(e.Rcpt), e.Note)
			}
		})
	}
	r.dropOld(key | format.ReplyPos(b.Off))
	for _, n := range r.notes {
		if n.id >= r.found.least && r.matchNote(b.Payload[n.at:], n) {
			r.found.add(n.id)
		}
	}
}

// eachNote calls f with each note of a blockNote. What is not in order ends it.
func eachNote(payload []byte, f func(id mail.QueueID, rcpt uint32, at int)) {
	for at := 0; at+noteKey+6 <= len(payload); {
		n := at + noteKey
		end := n + 6 + int(le.Uint16(payload[n:]))
		if end > len(payload) {
			return
		}
		f(mail.QueueID(le.Uint64(payload[at:])), le.Uint32(payload[at+8:]), n)
		at = end
	}
}

// dropOld keeps those of r.notes that are the last replies to recipients that match, or were when the search
// began. base is where the block begins.
func (r *replyScan) dropOld(base format.ReplyPos) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begin(&r.x)
	kept := r.notes[:0]
	for _, n := range r.notes {
		m := r.x.find(n.id)
		if m == nil || n.rcpt >= m.n || !r.matchMessage(m) {
			continue
		}
		rcpt := &r.x.recipients(m)[n.rcpt]
		if f := r.files[rcpt.reply.FileKey()]; rcpt.reply != base+format.ReplyPos(n.at) && f != nil && rcpt.reply.Off() < f.size {
			continue // there is a later one, which was or will be read
		}
		if r.matchRecipient(&r.x, rcpt) {
			kept = append(kept, n)
		}
	}
	r.notes = kept
}

// maxKnownReplies is how many results of comparisons are kept.
const maxKnownReplies = 1 << 12

// matchNote reports whether the note at the beginning of b is of a reply that matches.
func (r *replyScan) matchNote(b []byte, n noteRef) bool {
	text := b[6 : 6+int(le.Uint16(b))] // with the host
	ok, known := r.known[string(text)]
	if known {
		return ok
	}
	reply, _, size := format.ParseNote(b, n.id, int(n.rcpt))
	ok = size > 0 && r.q.MatchReply(&spool.RecipientStatus{Reply: reply})
	if len(r.known) < maxKnownReplies {
		r.known[string(text)] = ok
	}
	return ok
}

func lowerASCII(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}

// replyNeedle returns a part of pattern, in lower case, that must occur as it is in the text of a reply that
// matches. The codes, and what joins the lines of a text when all of the reply is compared, do not stand in it.
func replyNeedle(pattern string) []byte {
	best := ""
	for _, p := range strings.FieldsFunc(mail.LowerASCII(pattern), func(c rune) bool { return c == '*' || c == '/' || c == '?' }) {
		if p = strings.Trim(strings.TrimLeft(p, " .0123456789"), " "); len(p) > len(best) {
			best = p
		}
	}
	return []byte(best[:min(len(best), columns.MaxNeedle)])
}
