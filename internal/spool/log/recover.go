package log

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// recovery makes the index from the files; see the state table in docs/decisions/0002-spool.md. Nobody else
// uses the store yet, so that locks do not matter.
type recovery struct {
	*Store
	l       listing
	head    chkHead // of the checkpoint; covered is nil if there is none
	chk     uint32  // its number
	maxID   mail.QueueID
	damaged bool // something was found wrong: what seems superfluous may belong to it
	missing map[string]int
	made    map[uint32]bool // segments that must be there
	aside   map[uint32]bool // segments that were put into quarantine
}

func (s *Store) recover() error {
	r := &recovery{Store: s, missing: map[string]int{}, made: map[uint32]bool{}, aside: map[uint32]bool{}}
	var err error
	if r.l, err = s.list(); err != nil {
		return err
	}
	if err := r.loadCheckpoint(); err != nil {
		return err
	}
	if err := r.scanSegments(); err != nil {
		return err
	}
	if err := r.replay(); err != nil {
		return err
	}
	have := maps.Clone(r.segs)
	r.settle()
	for num := range r.made {
		text := fmt.Sprintf("segment %d is missing", num)
		if have[num] == nil && !r.aside[num] && r.missing[text] == 0 {
			r.damaged = true
			r.stats.Lost++
			r.note(text + ": what it held is lost")
		}
	}
	if err := r.checkBodies(); err != nil {
		return err
	}
	for text, n := range r.missing {
		s.note(fmt.Sprintf("%d messages lost: %s", n, text))
	}
	s.ids.last = max(r.maxID, r.head.ids)
	s.opened = s.ids.last
	s.ids.limit = s.ids.last
	for _, id := range slices.Concat(r.l.journals, r.l.chks) {
		s.nextState = max(s.nextState, id.num+1)
	}
	s.must++ // marks that were read may not be durable, torn ends must be covered
	s.jmu.Lock()
	defer s.jmu.Unlock()
	if err := s.ensureJournal(); err != nil {
		s.stats.LastError = err.Error() // a full disk is no reason not to deliver what is there
	}
	return nil
}

// loadCheckpoint reads the newest checkpoint that is whole. The others are put aside, since removing
// anything by them would be wrong.
func (r *recovery) loadCheckpoint() error {
	var readErr error
	for i, id := range slices.Backward(r.l.chks) {
		err := r.tryCheckpoint(id)
		switch {
		case err == nil:
			r.chk, r.lastChk, r.prevChk = id.num, id.num, id.num
			r.chkSize = r.stateFiles[id]
			if i > 0 {
				r.prevChk = r.l.chks[i-1].num
			}
			return nil
		case !errors.Is(err, errCheckpoint):
			readErr = err
			continue
		}
		r.x, r.head = index{}, chkHead{}
		r.badFile(id, err.Error())
	}
	return readErr
}

func (r *recovery) tryCheckpoint(id fileID) error {
	r.x = index{}
	f, size, _, err := r.openFile(id)
	if err != nil {
		return err
	}
	defer f.Close()
	r.head, err = readCheckpoint(f, size, id, &r.x)
	return err
}

// openFile opens a file with a header. A damaged header does not matter, the name tells the same.
func (r *recovery) openFile(id fileID) (f vfs.File, size int64, reused bool, err error) {
	f, err = r.fs.Open(r.path(id.name()))
	if err != nil {
		return nil, 0, false, err
	}
	size, err = f.Size()
	var b [headerSize]byte
	if err == nil {
		if _, err = f.ReadAt(b[:], 0); errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		f.Close()
		return nil, 0, false, err
	}
	whole, verr := id.checkHeader(b[:])
	// A spare that got its new name, and no more before the power failed, has the header of its former life.
	former := !whole && id.kind == kindSegment && isHeader(b[:])
	reused = !whole || b[11]&headerReused != 0
	if verr != nil {
		f.Close()
		return nil, 0, false, &versionError{verr}
	}
	switch {
	case whole || former:
	case size < headerSize && id.kind == kindSegment:
		r.stats.Torn++
		r.note(id.name() + ": the file ends before its header does")
	case size > headerSize:
		r.note(id.name() + ": the header is damaged; the name was used instead")
	}
	return f, size, reused, nil
}

// versionError says that a file is of a later version.
type versionError struct{ err error }

func (e *versionError) Error() string { return e.err.Error() }

// Is makes it also an errCheckpoint.
func (e *versionError) Is(target error) bool { return target == errCheckpoint }

// badFile puts a whole file into quarantine.
func (r *recovery) badFile(id fileID, reason string) {
	r.damaged = true
	r.stats.Quarantined++
	r.note(id.name() + ": " + reason)
	if err := r.moveAside(id.name(), reason); err != nil {
		r.stats.LastError = err.Error()
		return
	}
	delete(r.stateFiles, id)
}

// scanSegments enters what the checkpoint does not cover.
func (r *recovery) scanSegments() error {
	r.nextSeg = max(1, r.head.nextSeg)
	for _, id := range r.l.segs {
		r.nextSeg = max(r.nextSeg, id.num+1)
	}
	for num, off := range r.head.covered {
		if off >= headerSize {
			r.made[num] = true
		}
	}
	for _, id := range r.l.segs {
		g := &segment{id: id, made: true}
		from, listed := r.head.covered[id.num]
		if r.segs[id.num] != nil {
			r.badFile(id, "another segment has this number")
			continue
		}
		r.segs[id.num] = g
		if !listed {
			from = headerSize
			if id.num < r.head.nextSeg { // it was to be removed
				from = math.MaxInt64
			}
		}
		f, size, reused, err := r.openFile(id)
		var version *versionError
		if errors.As(err, &version) {
			delete(r.segs, id.num)
			r.aside[id.num] = true
			r.badFile(id, err.Error())
			continue
		}
		if err != nil {
			return err
		}
		g.f, g.size, g.reused = f, size, reused
		r.openFiles++
		if from < size {
			err = r.scan(g, max(from, headerSize))
		}
		if r.openFiles > r.o.MaxOpenFiles {
			f.Close()
			g.f = nil
			r.openFiles--
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// replay does what the journals say since the checkpoint.
func (r *recovery) replay() error {
	next := r.chk
	if len(r.l.journals) > 0 && r.chk == 0 && r.l.journals[0].num > 1 {
		r.journalMissing(1, r.l.journals[0].num)
	}
	for _, id := range r.l.journals {
		if id.num < r.chk {
			continue
		}
		if next != 0 && id.num > next {
			r.journalMissing(next, id.num)
		}
		next = id.num + 1
		f, size, _, err := r.openFile(id)
		var version *versionError
		if errors.As(err, &version) {
			r.badFile(id, err.Error())
			continue
		}
		if err != nil {
			return err
		}
		err = r.replayJournal(f, size, id)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", id.name(), err)
		}
	}
	if r.chk != 0 && next == r.chk { // it was made before the checkpoint
		r.journalMissing(r.chk, r.chk+1)
	}
	return nil
}

func (r *recovery) replayJournal(f vfs.File, size int64, id fileID) error {
	in := readBlocks(f, size, id.salt)
	for {
		b, err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if b.kind != blockChanges || b.version != blockVersion || !parseEntries(b.payload, func(e entry) { r.apply(&b, e, id.num) }) {
			in.gaps = append(in.gaps, gap{off: b.off - blockHeader, length: blockHeader + int64(len(b.payload)), whole: true})
		}
	}
	for _, g := range in.gaps {
		reason := fmt.Sprintf("%s: %d octets at %d cannot be read", id.name(), g.length, g.off)
		r.note(reason)
		if !g.whole && (g.tail || g.off >= in.durable) { // it was not synced when the power failed
			r.stats.Torn++
			continue
		}
		r.damaged = true
		r.stats.Quarantined++
		if err := r.putAside(f, g.off, g.length, fmt.Sprintf("%s-%d.blk", strings.TrimSuffix(id.name(), ".log"), g.off), reason); err != nil {
			r.stats.LastError = err.Error()
		}
	}
	return nil
}

func (r *recovery) apply(b *block, e entry, num uint32) {
	switch e.kind {
	case entryMade:
		r.made[uint32(e.id)] = true
		return
	case entryGone:
		delete(r.made, uint32(e.id))
		return
	}
	r.maxID = max(r.maxID, e.id)
	m := r.x.find(e.id)
	if m == nil || e.rcpt >= int(m.n) || r.x.recipients(m)[e.rcpt].flags&rcptDone != 0 {
		return
	}
	if e.kind == byte(mail.ChangeRoute) {
		r.x.route(m, e.rcpt, e.route)
		return
	}
	var pos replyPos
	if e.note != 0 {
		pos = replyAt(kindJournal, num, b.off+int64(e.note))
	}
	r.x.apply(m, &r.x.recipients(m)[e.rcpt], mail.ChangeKind(e.kind), e.due, e.attempts, pos)
}

func (r *recovery) journalMissing(from, to uint32) {
	r.damaged = true
	r.note(fmt.Sprintf("journals %d to %d are missing: what they said is forgotten, some mail may be sent twice", from, to-1))
}

// settle drops what is done and counts what the segments hold.
func (r *recovery) settle() {
	ids := make([]mail.QueueID, 0, len(r.x.byID))
	for id, slot := range r.x.byID {
		ids = append(ids, id)
		r.x.at(slot).refs = 0
	}
	slices.Sort(ids)
	for _, g := range r.segs {
		g.live, g.octets = 0, 0
	}
	r.bodyOctets = 0
	for _, id := range slices.Backward(ids) { // a report comes before its original
		m := r.x.find(id)
		r.maxID = max(r.maxID, id)
		if m.live > 0 && !r.present(m) {
			r.stats.Lost++
			r.x.remove(m)
			continue
		}
		if m.live == 0 && m.refs == 0 {
			r.x.remove(m)
			continue
		}
		if g := r.segs[m.seg]; g != nil {
			g.place(m.length)
		}
		if m.file {
			r.bodyOctets += m.size
		}
		if o := r.x.find(m.original); o != nil {
			o.refs++
		}
		if m.live > 0 {
			r.loading = append(r.loading, id)
		}
	}
	slices.Reverse(r.loading)
	for _, g := range r.segs {
		r.seal(g)
	}
}

// present checks that the record of a message is where the checkpoint says, as far as that can be told
// without reading it.
func (r *recovery) present(m *message) bool {
	g := r.segs[m.seg]
	if g == nil {
		r.damaged = true
		r.missing[fmt.Sprintf("segment %d is missing", m.seg)]++
		return false
	}
	if end := int64(m.off) + int64(m.length); end > g.size {
		r.damaged = true
		r.missing[g.id.name()+" is cut short"]++
		if rest := g.size - int64(m.off); rest > 0 {
			r.stats.Lost-- // putRecord counts it as well
			r.putRecord(g, int64(m.off), rest, m.id, "the file is cut short", false)
		}
		return false
	}
	if _, ok := r.l.bodies[m.id]; m.file && !ok {
		r.stats.Lost--
		r.putRecord(g, int64(m.off), int64(m.length), m.id, bodyName(m.id)+" is missing", false)
		return false
	}
	return true
}

// checkBodies removes message files that no record names, or puts them aside if their records may be
// among what was damaged.
func (r *recovery) checkBodies() error {
	for id, size := range r.l.bodies {
		if m := r.x.find(id); m != nil && m.file {
			continue
		}
		if !r.damaged {
			r.trashBodies = append(r.trashBodies, bodyFile{id, size})
			r.bodyOctets += size
			continue
		}
		reason := fmt.Sprintf("%s: no record names it, and records are missing", bodyName(id))
		r.note(reason)
		r.stats.Quarantined++
		if err := r.moveAside(bodyName(id), reason); err != nil {
			r.stats.LastError = err.Error()
		}
	}
	return nil
}
