package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// blockNote is a kind of block in checkpoints: the last replies.
const blockNote format.BlockKind = 'n'

// chkHead is what the first block of a checkpoint says.
type chkHead struct {
	ids     mail.QueueID // up to this one ids may have been given out
	nextSeg uint32       // segments from this number on are younger than the checkpoint
	covered map[uint32]int64
	files   map[format.ID]uint32 // the files of the segments, with the keys in covered
	gone    map[format.ID]bool   // segments that were to be removed
	later   map[format.ID]bool   // older journals to be read once more
}

func (h *chkHead) append(dst []byte) []byte {
	dst = le.AppendUint64(dst, uint64(h.ids))
	dst = binary.AppendUvarint(dst, uint64(h.nextSeg))
	dst = binary.AppendUvarint(dst, uint64(len(h.covered)))
	for num, off := range h.covered {
		dst = binary.AppendUvarint(dst, uint64(num))
		dst = binary.AppendUvarint(dst, uint64(off))
	}
	dst = binary.AppendUvarint(dst, uint64(len(h.files)))
	for id, key := range h.files {
		dst = binary.AppendUvarint(format.AppendFile(dst, id), uint64(key))
	}
	dst = format.AppendFiles(dst, h.gone)
	return format.AppendFiles(dst, h.later)
}

func (h *chkHead) parse(b []byte) bool {
	d := format.Decoder{B: b}
	h.ids, h.nextSeg = mail.QueueID(d.Uint64()), uint32(d.Uvarint())
	h.covered = map[uint32]int64{}
	for n := d.Uvarint(); n > 0 && !d.Bad; n-- {
		num := uint32(d.Uvarint())
		h.covered[num] = int64(d.Uvarint() & math.MaxInt64)
	}
	if !d.Bad && len(d.B) == 0 { // of the first builds, which went by the number alone
		return true
	}
	h.files = map[format.ID]uint32{}
	for n := d.Uvarint(); n > 0 && !d.Bad; n-- {
		id := d.File(format.KindSegment)
		h.files[id] = uint32(d.Uvarint())
	}
	h.gone, h.later = d.Files(format.KindSegment), d.Files(format.KindJournal)
	return !d.Bad && len(d.B) == 0
}

// quietFraction: when nothing happens a journal is worth a checkpoint at this part of CheckpointSize.
const quietFraction = 64

// checkpointDue reports whether a checkpoint must be taken or is worth while: the journals have grown as large
// as the last checkpoint, or there is much to scan that it does not cover, or there is time to put things
// in order. later says that there is something to put in order once nothing happens.
func (s *Store) checkpointDue(quiet bool) (due, later bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.chkRetry) {
		return false, s.must != s.mustDone
	}
	var journals, old int64
	for id, n := range s.stateFiles {
		switch {
		case id.Kind != format.KindJournal:
		case id.Num >= s.lastChk:
			journals += n
		default: // kept until there is one checkpoint more
			old += n
		}
	}
	next := s.nextCheckpoint()
	due = s.must != s.mustDone || journals > max(s.o.CheckpointSize, next) || s.sinceChk > 16*s.o.SegmentSize
	later = journals+old > max(s.o.CheckpointSize/quietFraction, next)
	return due || quiet && later, later
}

// nextCheckpoint is about how large a checkpoint would be, at most as large as the last one: of a long queue that has
// been delivered it would be short, and frees what the last one takes. mu is held.
func (s *Store) nextCheckpoint() int64 {
	if s.x.live >= s.chkLive {
		return s.chkSize
	}
	return int64(float64(s.chkSize) * float64(s.x.live) / float64(s.chkLive))
}

// movedNote is a note that the checkpoint has copied.
type movedNote struct {
	slot, rcpt uint32
	from, to   format.ReplyPos
}

// checkpoint begins a new journal and writes down all that was so when it began, or has become so since.
// The decision document says why that is enough.
func (s *Store) checkpoint() error {
	err := s.takeCheckpoint()
	if err != nil { // each attempt begins a journal: not too many of them
		s.chkPause = min(max(2*s.chkPause, s.o.SyncInterval), time.Minute)
		s.chkRetry = time.Now().Add(s.chkPause)
		return fmt.Errorf("checkpoint: %w", err)
	}
	s.chkPause = 0
	return s.removeOldState()
}

func (s *Store) takeCheckpoint() error {
	must := !s.recorded() // else the journals say the same, and the reserve is for them
	head, b, err := s.beginCheckpoint(must)
	if err != nil {
		return err
	}
	id := format.ID{Kind: format.KindCheckpoint, Num: b.num, Salt: format.NewSalt()}
	w, moved, err := s.checkpointFile(id, head, s.createBlockFile)
	if must && vfs.IsNoSpace(err) {
		if err := s.dropSpares(); err != nil {
			s.failed(err)
		}
		w, moved, err = s.checkpointFile(id, head, s.reserveFile)
	}
	if err != nil {
		return err
	}
	if err = s.fs.Rename(s.path(id.Name()+tmpSuffix), s.path(id.Name())); err == nil {
		err = s.fs.SyncDir(s.o.Dir)
	}
	if err != nil {
		_ = s.fs.Remove(s.path(id.Name() + tmpSuffix))
		_ = s.fs.Remove(s.path(id.Name())) // renamed, but perhaps not for good
		return err
	}
	s.endCheckpoint(w, moved, b)
	return nil
}

// syncMarks makes durable that what the checkpoint leaves out is done: it became so before it began, or journal num says
// it. Without that an opening would take for lost what was deferred meanwhile, and then done.
func (s *Store) syncMarks(num uint32) error {
	if err := s.syncJournal(true); err != nil {
		return err
	}
	s.jmu.Lock()
	defer s.jmu.Unlock()
	if s.journal == nil || s.journal.ID.Num != num {
		return errors.New("its journal has failed meanwhile")
	}
	return nil
}

// checkpointFile writes the checkpoint, under its name for the time being, into a file that create makes.
func (s *Store) checkpointFile(id format.ID, head chkHead, create func(format.ID, string) (*format.Writer, error)) (w *format.Writer, moved []movedNote, err error) {
	w, err = create(id, tmpSuffix)
	if err != nil {
		return nil, nil, err
	}
	if moved, err = s.writeCheckpoint(w, head); err == nil {
		err = s.syncMarks(id.Num)
	}
	if err == nil {
		err = errors.Join(w.Shed(), w.F.Sync())
	}
	if err = errors.Join(err, w.F.Close()); err == nil {
		return w, moved, nil
	}
	if w.Reserved == 0 || !s.toReserve(id.Name()+tmpSuffix, w.Reserved) {
		_ = s.fs.Remove(s.path(id.Name() + tmpSuffix))
	}
	return nil, nil, err
}

// begun is what was so when a checkpoint began.
type begun struct {
	num         uint32 // of its journal
	must, marks uint64
}

// beginCheckpoint starts a journal, of the reserve if it must, and returns what the checkpoint of its number begins with.
func (s *Store) beginCheckpoint(must bool) (head chkHead, b begun, err error) {
	s.ids.mu.Lock() // ids are reserved in the old journal or the new one, and known here
	defer s.ids.mu.Unlock()
	s.jmu.Lock()
	old := s.journal
	j, err := s.openJournal(must)
	if err != nil {
		s.jmu.Unlock()
		return head, b, err
	}
	s.journal = j
	s.mu.Lock()
	dirty := !s.dirtySince.IsZero()
	s.dirtySince = time.Time{}
	head = s.head()
	s.sinceChk = 0
	b = begun{j.ID.Num, s.must, s.marks}
	s.mu.Unlock()
	s.jmu.Unlock()
	if old == nil {
		return head, b, nil
	}
	if dirty {
		err = old.F.Sync()
	}
	if err == nil {
		err = old.Shed()
	}
	if err = errors.Join(err, old.F.Close()); err != nil {
		// Memory had all of it before the checkpoint began: it will do, if it succeeds.
		s.mu.Lock()
		s.must++
		s.marks++
		b.must, b.marks = s.must, s.marks
		s.mu.Unlock()
		s.failed(err)
	}
	return head, b, nil
}

// head returns the head of a checkpoint that begins now. mu is held.
func (s *Store) head() chkHead {
	head := chkHead{
		ids: s.ids.limit, nextSeg: s.nextSeg, covered: make(map[uint32]int64, len(s.segs)),
		files: make(map[format.ID]uint32, len(s.segs)), gone: map[format.ID]bool{}, later: map[format.ID]bool{},
	}
	for _, g := range s.segs {
		head.covered[g.key], head.files[g.id] = g.covered(), g.key
	}
	for _, g := range slices.Concat(s.trash, s.going) {
		head.gone[g.id] = true
	}
	for id := range s.unread {
		if id.Kind == format.KindJournal {
			head.later[id] = true
		}
	}
	return head
}

// writeCheckpoint writes the blocks, a slab of the index at a time.
func (s *Store) writeCheckpoint(w *format.Writer, head chkHead) (moved []movedNote, err error) {
	buf := head.append(format.BeginBlock(nil))
	if err := w.Write(buf, format.BlockHead); err != nil {
		return nil, err
	}
	n := notes{s: s}
	defer n.close()
	var list []movedNote
	var count uint64
	for i := 0; ; i++ {
		buf, list = format.BeginBlock(buf[:0]), list[:0]
		if !s.eachSlab(i, func(slab []message) {
			for k := range slab {
				if m := &slab[k]; m.id != 0 {
					count++
					buf, list = s.appendMessage(buf, list, m, uint32(i*slabSize+k))
				}
			}
		}) {
			break
		}
		if len(buf) > format.BlockHeader {
			if err := w.Write(buf, format.BlockMessage); err != nil {
				return nil, err
			}
		}
		if buf, list, err = s.writeNotes(w, &n, buf, list); err != nil {
			return nil, err
		}
		moved = append(moved, list...)
	}
	buf = binary.AppendUvarint(format.BeginBlock(buf[:0]), count)
	return moved, w.Write(buf, format.BlockEnd)
}

// Flags of a message and bits of a recipient in a checkpoint.
const (
	chkFile = 1
	chkNull = 2

	chkDue = 1 << 4 // beside the flags of a recipient: due and attempts follow
)

// appendMessage appends m and its recipients, and to list where their notes are. mu is held.
func (s *Store) appendMessage(dst []byte, list []movedNote, m *message, slot uint32) ([]byte, []movedNote) {
	dst = le.AppendUint64(dst, uint64(m.id))
	var flags byte
	if m.file {
		flags |= chkFile
	}
	if m.null {
		flags |= chkNull
	}
	dst = append(dst, flags)
	for _, n := range [...]uint64{uint64(m.original), uint64(m.size), uint64(m.seg), uint64(m.off), uint64(m.length), uint64(m.n)} {
		dst = binary.AppendUvarint(dst, n)
	}
	dst = binary.AppendVarint(dst, m.arrived)
	for i := range s.x.recipients(m) {
		r := &s.x.recipients(m)[i]
		flags := r.flags
		if r.due != 0 || r.attempts != 0 {
			flags |= chkDue
		}
		dst = append(dst, flags)
		name := s.x.domains.names[r.domain]
		dst = binary.AppendUvarint(dst, uint64(len(name)))
		dst = append(dst, name...)
		if flags&chkDue != 0 {
			dst = binary.AppendVarint(dst, r.due)
			dst = binary.AppendUvarint(dst, uint64(r.attempts))
		}
		if flags&rcptRouted != 0 {
			to := s.x.routeOf(m, i)
			dst = binary.AppendUvarint(dst, uint64(len(to)))
			dst = append(dst, to...)
		}
		if r.reply != 0 && r.flags&rcptDone == 0 {
			list = append(list, movedNote{slot: slot, rcpt: uint32(i), from: r.reply})
		}
	}
	return dst, list
}

// noteKey is id 8 and recipient 4 before a note in a blockNote.
const noteKey = 12

// writeNotes copies the notes of the list into blocks of their own and fills in where they are.
func (s *Store) writeNotes(w *format.Writer, n *notes, buf []byte, list []movedNote) ([]byte, []movedNote, error) {
	kept := list[:0]
	buf = format.BeginBlock(buf[:0])
	for _, l := range list {
		s.mu.Lock()
		id := s.x.at(l.slot).id
		s.mu.Unlock()
		raw, _, _, ok := n.read(l.from, id, int(l.rcpt))
		if !ok { // the message has gone, or the note is damaged
			continue
		}
		buf = le.AppendUint64(buf, uint64(id))
		buf = le.AppendUint32(buf, l.rcpt)
		l.to = format.ReplyAt(format.KindCheckpoint, w.ID.Num, w.Size+int64(len(buf)))
		buf = append(buf, raw...)
		kept = append(kept, l)
		if len(buf) >= format.BlockTarget {
			if err := w.Write(buf, blockNote); err != nil {
				return buf, nil, err
			}
			buf = format.BeginBlock(buf[:0])
		}
	}
	if len(buf) > format.BlockHeader {
		if err := w.Write(buf, blockNote); err != nil {
			return buf, nil, err
		}
	}
	return buf, kept, nil
}

// endCheckpoint makes the new checkpoint the one that counts.
func (s *Store) endCheckpoint(w *format.Writer, moved []movedNote, b begun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stateFiles[w.ID] = w.Size
	for _, l := range moved {
		if int(l.slot) >= len(s.x.slabs)*slabSize { // the index was emptied
			continue
		}
		if m := s.x.at(l.slot); m.id != 0 && l.rcpt < m.n {
			if r := &s.x.recipients(m)[l.rcpt]; r.reply == l.from {
				r.reply = l.to
			}
		}
	}
	s.mustDone, s.marksDone = max(s.mustDone, b.must), max(s.marksDone, b.marks)
	s.prevChk, s.lastChk, s.chkSize, s.chkLive = s.lastChk, w.ID.Num, w.Size, s.x.live
	s.stats.Checkpoints++
}

// removeOldState removes what is older than the checkpoint before the last one.
func (s *Store) removeOldState() (err error) {
	s.mu.Lock()
	old := map[format.ID]int64{}
	for id, size := range s.stateFiles {
		if id.Num < s.prevChk && !s.unread[id] {
			old[id] = size
		}
	}
	s.mu.Unlock()
	for id, size := range old {
		if e := s.discard(id.Name(), size); e != nil {
			err = errors.Join(err, e)
			continue
		}
		s.mu.Lock()
		delete(s.stateFiles, id)
		s.mu.Unlock()
	}
	return err
}

// errCheckpoint says that a checkpoint is not whole.
var errCheckpoint = errors.New("not a whole checkpoint")

// readCheckpoint reads a checkpoint into x and returns its head. An error that is not errCheckpoint is
// one of reading. x is of no use after an error.
func readCheckpoint(f io.ReaderAt, size int64, id format.ID, x *index) (head chkHead, err error) {
	r := format.Read(f, size, id.Salt)
	var count, want uint64
	ended := false
	for next := uint32(0); ; next++ {
		b, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return head, err
		}
		ok := !ended && b.Num == next && b.Version == format.BlockVersion && (next == 0) == (b.Kind == format.BlockHead)
		switch {
		case !ok:
		case b.Kind == format.BlockHead:
			ok = head.parse(b.Payload)
		case b.Kind == format.BlockMessage:
			var n uint64
			n, ok = parseMessages(b.Payload, x)
			count += n
		case b.Kind == blockNote:
			ok = parseNotes(&b, id.Num, x)
		case b.Kind == format.BlockEnd:
			d := format.Decoder{B: b.Payload}
			want, ended = d.Uvarint(), true
		default:
			ok = false
		}
		if !ok {
			return head, fmt.Errorf("%w: block %d", errCheckpoint, next)
		}
	}
	if !ended || count != want || len(r.Gaps) > 0 {
		return head, fmt.Errorf("%w: it ends at %d", errCheckpoint, r.Off)
	}
	return head, nil
}

func parseMessages(payload []byte, x *index) (count uint64, ok bool) {
	d := format.Decoder{B: payload}
	for len(d.B) > 0 {
		m := message{id: mail.QueueID(d.Uint64())}
		flags := d.Byte()
		m.file, m.null = flags&chkFile != 0, flags&chkNull != 0
		m.original, m.size = mail.QueueID(d.Uvarint()), int64(d.Uvarint())
		m.seg, m.off, m.length = uint32(d.Uvarint()), uint32(d.Uvarint()), uint32(d.Uvarint())
		n := d.Uvarint()
		m.arrived = d.Varint()
		if d.Bad || m.id == 0 || n > uint64(len(d.B)/2) || x.find(m.id) != nil {
			return count, false
		}
		p := x.add(m, int(n))
		for i := range x.recipients(p) {
			r := &x.recipients(p)[i]
			flags := d.Byte()
			r.domain = x.domains.take(string(d.Bytes()))
			if flags&chkDue != 0 {
				r.due, r.attempts = d.Varint(), uint16(d.Uvarint())
			}
			if flags&rcptRouted != 0 {
				to := string(d.Bytes())
				if to == "" || len(to) > mail.MaxRoute {
					return count, false
				}
				x.route(p, i, to)
			}
			x.resume(p, r, flags)
		}
		if d.Bad {
			return count, false
		}
		count++
	}
	return count, true
}

func parseNotes(b *format.Block, num uint32, x *index) bool {
	d := format.Decoder{B: b.Payload}
	for len(d.B) > 0 {
		key := d.Skip(noteKey)
		if key == nil {
			return false
		}
		id, rcpt := mail.QueueID(le.Uint64(key)), le.Uint32(key[8:])
		off := b.Off + int64(len(b.Payload)-len(d.B))
		_, _, n := format.ParseNote(d.B, id, int(rcpt))
		if n == 0 {
			return false
		}
		d.Skip(n)
		if m := x.find(id); m != nil && rcpt < m.n {
			x.recipients(m)[rcpt].reply = format.ReplyAt(format.KindCheckpoint, num, off)
		}
	}
	return true
}
