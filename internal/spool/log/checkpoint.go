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
	"github.com/mailroot/mailroot/internal/vfs"
)

// blockNote is a kind of block in checkpoints: the last replies.
const blockNote blockKind = 'n'

// chkHead is what the first block of a checkpoint says.
type chkHead struct {
	ids     mail.QueueID // up to this one ids may have been given out
	nextSeg uint32       // segments from this number on are younger than the checkpoint
	covered map[uint32]int64
	files   map[fileID]uint32 // the files of the segments, with the keys in covered
	gone    map[fileID]bool   // segments that were to be removed
	later   map[fileID]bool   // older journals to be read once more
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
		dst = binary.AppendUvarint(appendFile(dst, id), uint64(key))
	}
	dst = appendFiles(dst, h.gone)
	return appendFiles(dst, h.later)
}

func appendFiles(dst []byte, list map[fileID]bool) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for id := range list {
		dst = appendFile(dst, id)
	}
	return dst
}

func appendFile(dst []byte, id fileID) []byte {
	return le.AppendUint64(binary.AppendUvarint(dst, uint64(id.num)), id.salt)
}

func (d *decoder) file(kind fileKind) fileID {
	num := uint32(d.uvarint())
	return fileID{kind, num, d.uint64()}
}

func (d *decoder) files(kind fileKind) map[fileID]bool {
	list := map[fileID]bool{}
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		list[d.file(kind)] = true
	}
	return list
}

func (h *chkHead) parse(b []byte) bool {
	d := decoder{b: b}
	h.ids, h.nextSeg = mail.QueueID(d.uint64()), uint32(d.uvarint())
	h.covered = map[uint32]int64{}
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		num := uint32(d.uvarint())
		h.covered[num] = int64(d.uvarint() & math.MaxInt64)
	}
	if !d.bad && len(d.b) == 0 { // of the first builds, which went by the number alone
		return true
	}
	h.files = map[fileID]uint32{}
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		id := d.file(kindSegment)
		h.files[id] = uint32(d.uvarint())
	}
	h.gone, h.later = d.files(kindSegment), d.files(kindJournal)
	return !d.bad && len(d.b) == 0
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
		case id.kind != kindJournal:
		case id.num >= s.lastChk:
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
	from, to   replyPos
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
	id := fileID{kindCheckpoint, b.num, newSalt()}
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
	if err = s.fs.Rename(s.path(id.name()+tmpSuffix), s.path(id.name())); err == nil {
		err = s.fs.SyncDir(s.o.Dir)
	}
	if err != nil {
		_ = s.fs.Remove(s.path(id.name() + tmpSuffix))
		_ = s.fs.Remove(s.path(id.name())) // renamed, but perhaps not for good
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
	if s.journal == nil || s.journal.id.num != num {
		return errors.New("its journal has failed meanwhile")
	}
	return nil
}

// checkpointFile writes the checkpoint, under its name for the time being, into a file that create makes.
func (s *Store) checkpointFile(id fileID, head chkHead, create func(fileID, string) (*blockFile, error)) (w *blockFile, moved []movedNote, err error) {
	w, err = create(id, tmpSuffix)
	if err != nil {
		return nil, nil, err
	}
	if moved, err = s.writeCheckpoint(w, head); err == nil {
		err = s.syncMarks(id.num)
	}
	if err == nil {
		err = errors.Join(w.shed(), w.f.Sync())
	}
	if err = errors.Join(err, w.f.Close()); err == nil {
		return w, moved, nil
	}
	if w.reserved == 0 || !s.toReserve(id.name()+tmpSuffix, w.reserved) {
		_ = s.fs.Remove(s.path(id.name() + tmpSuffix))
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
	b = begun{j.id.num, s.must, s.marks}
	s.mu.Unlock()
	s.jmu.Unlock()
	if old == nil {
		return head, b, nil
	}
	if dirty {
		err = old.f.Sync()
	}
	if err == nil {
		err = old.shed()
	}
	if err = errors.Join(err, old.f.Close()); err != nil {
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
		files: make(map[fileID]uint32, len(s.segs)), gone: map[fileID]bool{}, later: map[fileID]bool{},
	}
	for _, g := range s.segs {
		head.covered[g.key], head.files[g.id] = g.covered(), g.key
	}
	for _, g := range slices.Concat(s.trash, s.going) {
		head.gone[g.id] = true
	}
	for id := range s.unread {
		if id.kind == kindJournal {
			head.later[id] = true
		}
	}
	return head
}

// writeCheckpoint writes the blocks, a slab of the index at a time.
func (s *Store) writeCheckpoint(w *blockFile, head chkHead) (moved []movedNote, err error) {
	buf := head.append(beginBlock(nil))
	if err := w.write(buf, blockHead); err != nil {
		return nil, err
	}
	n := notes{s: s}
	defer n.close()
	var list []movedNote
	var count uint64
	for i := 0; ; i++ {
		buf, list = beginBlock(buf[:0]), list[:0]
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
		if len(buf) > blockHeader {
			if err := w.write(buf, blockMessage); err != nil {
				return nil, err
			}
		}
		if buf, list, err = s.writeNotes(w, &n, buf, list); err != nil {
			return nil, err
		}
		moved = append(moved, list...)
	}
	buf = binary.AppendUvarint(beginBlock(buf[:0]), count)
	return moved, w.write(buf, blockEnd)
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
func (s *Store) writeNotes(w *blockFile, n *notes, buf []byte, list []movedNote) ([]byte, []movedNote, error) {
	kept := list[:0]
	buf = beginBlock(buf[:0])
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
		l.to = replyAt(kindCheckpoint, w.id.num, w.size+int64(len(buf)))
		buf = append(buf, raw...)
		kept = append(kept, l)
		if len(buf) >= blockTarget {
			if err := w.write(buf, blockNote); err != nil {
				return buf, nil, err
			}
			buf = beginBlock(buf[:0])
		}
	}
	if len(buf) > blockHeader {
		if err := w.write(buf, blockNote); err != nil {
			return buf, nil, err
		}
	}
	return buf, kept, nil
}

// endCheckpoint makes the new checkpoint the one that counts.
func (s *Store) endCheckpoint(w *blockFile, moved []movedNote, b begun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stateFiles[w.id] = w.size
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
	s.prevChk, s.lastChk, s.chkSize, s.chkLive = s.lastChk, w.id.num, w.size, s.x.live
	s.stats.Checkpoints++
}

// removeOldState removes what is older than the checkpoint before the last one.
func (s *Store) removeOldState() (err error) {
	s.mu.Lock()
	old := map[fileID]int64{}
	for id, size := range s.stateFiles {
		if id.num < s.prevChk && !s.unread[id] {
			old[id] = size
		}
	}
	s.mu.Unlock()
	for id, size := range old {
		if !s.toReserve(id.name(), size) {
			if e := s.removeFile(id.name()); e != nil {
				err = errors.Join(err, e)
				continue
			}
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
func readCheckpoint(f io.ReaderAt, size int64, id fileID, x *index) (head chkHead, err error) {
	r := readBlocks(f, size, id.salt)
	var count, want uint64
	ended := false
	for next := uint32(0); ; next++ {
		b, err := r.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return head, err
		}
		ok := !ended && b.num == next && b.version == blockVersion && (next == 0) == (b.kind == blockHead)
		switch {
		case !ok:
		case b.kind == blockHead:
			ok = head.parse(b.payload)
		case b.kind == blockMessage:
			var n uint64
			n, ok = parseMessages(b.payload, x)
			count += n
		case b.kind == blockNote:
			ok = parseNotes(&b, id.num, x)
		case b.kind == blockEnd:
			d := decoder{b: b.payload}
			want, ended = d.uvarint(), true
		default:
			ok = false
		}
		if !ok {
			return head, fmt.Errorf("%w: block %d", errCheckpoint, next)
		}
	}
	if !ended || count != want || len(r.gaps) > 0 {
		return head, fmt.Errorf("%w: it ends at %d", errCheckpoint, r.off)
	}
	return head, nil
}

func parseMessages(payload []byte, x *index) (count uint64, ok bool) {
	d := decoder{b: payload}
	for len(d.b) > 0 {
		m := message{id: mail.QueueID(d.uint64())}
		flags := d.byte()
		m.file, m.null = flags&chkFile != 0, flags&chkNull != 0
		m.original, m.size = mail.QueueID(d.uvarint()), int64(d.uvarint())
		m.seg, m.off, m.length = uint32(d.uvarint()), uint32(d.uvarint()), uint32(d.uvarint())
		n := d.uvarint()
		m.arrived = d.varint()
		if d.bad || m.id == 0 || n > uint64(len(d.b)/2) || x.find(m.id) != nil {
			return count, false
		}
		p := x.add(m, int(n))
		for i := range x.recipients(p) {
			r := &x.recipients(p)[i]
			flags := d.byte()
			r.domain = x.domains.take(string(d.bytes()))
			if flags&chkDue != 0 {
				r.due, r.attempts = d.varint(), uint16(d.uvarint())
			}
			if flags&rcptRouted != 0 {
				to := string(d.bytes())
				if to == "" || len(to) > mail.MaxRoute {
					return count, false
				}
				x.route(p, i, to)
			}
			x.resume(p, r, flags)
		}
		if d.bad {
			return count, false
		}
		count++
	}
	return count, true
}

func parseNotes(b *block, num uint32, x *index) bool {
	d := decoder{b: b.payload}
	for len(d.b) > 0 {
		key := d.skip(noteKey)
		if key == nil {
			return false
		}
		id, rcpt := mail.QueueID(le.Uint64(key)), le.Uint32(key[8:])
		off := b.off + int64(len(b.payload)-len(d.b))
		_, _, n := parseNote(d.b, id, int(rcpt))
		if n == 0 {
			return false
		}
		d.skip(n)
		if m := x.find(id); m != nil && rcpt < m.n {
			x.recipients(m)[rcpt].reply = replyAt(kindCheckpoint, num, off)
		}
	}
	return true
}
