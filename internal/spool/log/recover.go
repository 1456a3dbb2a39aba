package log

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
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
	made    map[uint64]bool   // segments that must be there, by format.SegmentFact
	foreign map[uint32]bool   // keys of segments that another spool has made
	since   map[uint32]uint32 // keys of segments of which journals tell more that are older than the checkpoint → from which on

	broken  map[uint32]int64  // keys of segments → records that were put aside as lost
	keys    map[uint64]uint32 // format.SegmentFact → key, also of segments that are not there
	extents extents
	alive   alive

	vanished vanished
	counted  map[mail.QueueID]bool // damaged messages, which are counted as lost
	nameless int64                 // what was counted as lost and cannot be named
	cut      bool                  // the end of a segment was not written, or is gone
	finished map[mail.QueueID]bool // messages with a file of their own that are done
}

func (s *Store) recover() error {
	r := &recovery{
		Store: s, missing: map[string]int{}, made: map[uint64]bool{}, foreign: map[uint32]bool{}, since: map[uint32]uint32{},
		broken: map[uint32]int64{}, extents: extents{},
		vanished: vanished{}, counted: map[mail.QueueID]bool{}, finished: map[mail.QueueID]bool{},
		damaged: s.stats.Quarantined > 0, // a misnamed segment was put aside
	}
	var err error
	if r.l, err = s.list(); err != nil {
		return err
	}
	r.loadCheckpoint()
	r.scanSegments()
	r.replay()
	r.settle()
	r.dropIndexes()
	r.missMade()
	r.missEnds()
	r.countVanished()
	r.checkBodies()
	for text, n := range r.missing {
		s.note(fmt.Sprintf("%d messages lost: %s", n, text))
	}
	s.ids.last = max(r.maxID, r.head.ids)
	if s.stats.Unread > 0 { // what was reserved may stand in what could not be read
		s.ids.last = max(s.ids.last, mail.QueueID(time.Now().Add(idsAhead).UnixMilli())<<20)
	}
	s.opened = s.ids.last
	s.ids.limit = s.ids.last
	for _, id := range slices.Concat(r.l.journals, r.l.chks) {
		s.nextState = max(s.nextState, id.Num+1)
	}
	s.must++ // torn ends must be covered
	s.jmu.Lock()
	defer s.jmu.Unlock()
	if r.marksDurable() {
		s.journal = r.resumeJournal()
	} else {
		s.marks++
	}
	if err := s.ensureJournal(); err != nil {
		s.fault(err) // a full disk is no reason not to deliver what is there
	}
	return nil
}

// loadCheckpoint reads the newest checkpoint that is whole. The others are put aside, since removing
// anything by them would be wrong; one that cannot be read stays.
func (r *recovery) loadCheckpoint() {
	for i, id := range slices.Backward(r.l.chks) {
		err := r.tryCheckpoint(id)
		switch {
		case err == nil:
			r.chk, r.lastChk, r.prevChk = id.Num, id.Num, id.Num
			r.chkSize, r.chkLive = r.stateFiles[id], r.x.live
			if i > 0 {
				r.prevChk = r.l.chks[i-1].Num
			}
			return
		case errors.Is(err, errCheckpoint):
			r.badFile(id, err.Error())
		default:
			r.cannotRead(id, err, "an older one, or the messages themselves, must do, and some mail may be sent twice")
		}
		r.x, r.head = index{}, chkHead{}
	}
}

func (r *recovery) tryCheckpoint(id format.ID) error {
	r.x = index{}
	f, size, _, err := r.openFile(id)
	if err != nil {
		return err
	}
	defer f.Close()
	r.head, err = readCheckpoint(f, size, id, &r.x)
	return err
}

// openHead opens a file and reads its header, of one that is shorter what there is.
func (s *Store) openHead(id format.ID) (f vfs.File, size int64, head [format.HeaderSize]byte, err error) {
	if f, err = s.fs.Open(s.path(id.Name())); err != nil {
		return nil, 0, head, err
	}
	if size, err = f.Size(); err == nil {
		if _, err = f.ReadAt(head[:], 0); errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		f.Close()
		return nil, 0, head, err
	}
	return f, size, head, nil
}

// openFile opens a file with a header. A damaged header does not matter, the name tells the same.
func (r *recovery) openFile(id format.ID) (f vfs.File, size int64, reused bool, err error) {
	f, size, b, err := r.openHead(id)
	if err != nil {
		return nil, 0, false, err
	}
	whole, verr := id.CheckHeader(b[:])
	own, other := format.HeaderID(b[:])
	// A spare that got its new name, and no more before the power failed, has the header of its former life.
	former := !whole && id.Kind == format.KindSegment && other
	reused = !whole || b[11]&format.Reused != 0
	if verr != nil {
		f.Close()
		return nil, 0, false, &versionError{verr}
	}
	switch {
	case whole || former:
	case size < format.HeaderSize && id.Kind == format.KindSegment:
		r.stats.Torn++
		r.noteUnfinished(id.Name() + ": the file ends before its header does")
	case other: // not of a segment: a header stands before the name does
		if r.damaged = true; id.Kind == format.KindJournal {
			r.doubt()
		}
		r.note(fmt.Sprintf("%s: the header says that it is %s, so that nothing of it counts under this name", id.Name(), own.Name()))
	case size > format.HeaderSize:
		r.note(id.Name() + ": the header is damaged; the name was used instead")
	}
	return f, size, reused, nil
}

// versionError says that a file is of a later version.
type versionError struct{ err error }

func (e *versionError) Error() string { return e.err.Error() }

// Is makes it also an errCheckpoint.
func (e *versionError) Is(target error) bool { return target == errCheckpoint }

// badFile puts a whole file into quarantine.
func (r *recovery) badFile(id format.ID, reason string) {
	r.damaged = true
	r.stats.Quarantined++
	r.note(id.Name() + ": " + reason)
	if err := r.moveAside(id.Name(), reason); err != nil {
		r.fault(err)
		return
	}
	delete(r.stateFiles, id)
}

// replay does what the journals say since the checkpoint.
func (r *recovery) replay() {
	r.beginExtents()
	next := r.chk
	if len(r.l.journals) > 0 && r.chk == 0 && r.l.journals[0].Num > 1 {
		r.journalMissing(1, r.l.journals[0].Num)
	}
	for _, id := range r.l.journals {
		if id.Num < r.chk {
			r.replayOlder(id)
			continue
		}
		if next != 0 && id.Num > next {
			r.journalMissing(next, id.Num)
		}
		next = id.Num + 1
		var version *versionError
		switch err := r.replayJournal(id, nil); {
		case errors.As(err, &version):
			r.badFile(id, err.Error())
			r.doubt()
		case err != nil:
			r.cannotRead(id, err, "what it says is not known, and some mail may be sent twice")
		}
	}
	if r.chk != 0 && next == r.chk { // it was made before the checkpoint
		r.journalMissing(r.chk, r.chk+1)
	}
}

// replayJournal does what a journal says; of one that only may tell more, what only allows.
func (r *recovery) replayJournal(id format.ID, only func(*format.Entry) bool) error {
	f, size, reused, err := r.openFile(id)
	if err != nil {
		return err
	}
	defer f.Close()
	in := format.Read(f, size, id.Salt)
	for {
		b, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		ok := b.Kind == format.BlockChanges && b.Version == format.BlockVersion && format.ParseEntries(b.Payload, func(e format.Entry) {
			if only == nil || only(&e) {
				r.apply(&b, e, id.Num)
			}
		})
		if !ok {
			in.Gaps = append(in.Gaps, format.Gap{Off: b.Off - format.BlockHeader, Length: format.BlockHeader + int64(len(b.Payload)), Whole: true})
		}
	}
	if only != nil {
		return nil
	}
	for _, g := range in.Gaps {
		if reused && g.Tail && !format.Begins(f, size, g.Off, id.Salt) {
			continue // the file's former life
		}
		reason := fmt.Sprintf("%s: %d octets at %d cannot be read", id.Name(), g.Length, g.Off)
		if !g.Whole && (g.Tail || g.Off >= in.Durable) { // it was not synced when the power failed
			r.stats.Torn++
			r.noteUnfinished(reason)
			continue
		}
		r.note(reason)
		r.damaged = true
		r.doubt()
		r.stats.Quarantined++
		if _, err := r.putAside(f, g.Off, g.Length, fmt.Sprintf("%s-%d.blk", strings.TrimSuffix(id.Name(), ".log"), g.Off), reason); err != nil {
			r.fault(err)
		}
	}
	return nil
}

func (r *recovery) apply(b *format.Block, e format.Entry, num uint32) {
	if e.Kind == format.EntryMade || e.Kind == format.EntryGone { // its number is not used again, though no file has it; see fates
		r.nextSeg = max(r.nextSeg, uint32(e.ID)+1)
	}
	switch e.Kind {
	case format.EntryMade:
		r.made[uint64(e.ID)] = true
		return
	case format.EntryGone:
		delete(r.made, uint64(e.ID))
		delete(r.made, uint64(uint32(e.ID))) // the checkpoint of a first build
		delete(r.extents, uint64(e.ID))
		return
	case format.EntryExtent:
		r.noteExtent(&e)
		return
	}
	r.maxID = max(r.maxID, e.ID)
	if e.Kind == format.EntryIDs {
		return
	}
	m := r.x.find(e.ID)
	if m == nil {
		r.vanished.says(&e)
		r.extents.says(&e)
		return
	}
	if e.Rcpt >= int(m.n) || r.x.recipients(m)[e.Rcpt].flags&rcptDone != 0 {
		return
	}
	if e.Kind == byte(mail.ChangeRoute) {
		r.x.route(m, e.Rcpt, e.Route)
		return
	}
	var pos format.ReplyPos
	if e.Note != 0 {
		pos = format.ReplyAt(format.KindJournal, num, b.Off+int64(e.Note))
	}
	r.x.apply(m, &r.x.recipients(m)[e.Rcpt], mail.ChangeKind(e.Kind), e.Due, e.Attempts, pos)
	if m.live == 0 {
		r.alive.leave(m)
	}
}

// doubt is called where a part of the journals is missing: what it said may take back what was said before.
func (r *recovery) doubt() {
	r.vanished.doubt()
	r.extents.doubt()
}

func (r *recovery) journalMissing(from, to uint32) {
	r.damaged = true
	r.doubt()
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
			if m.file {
				r.finished[id] = true
			}
			r.x.remove(m)
			continue
		}
		if g := r.segs[m.seg]; g != nil {
			g.place(m.id, m.length)
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
		r.missing[missingSegment(m.seg)]++
		return false
	}
	if end := int64(m.off) + int64(m.length); end > g.size {
		r.damaged = true
		r.missing[g.id.Name()+" is cut short"]++
		if rest := g.size - int64(m.off); rest > 0 {
			r.stats.Lost-- // putRecord counts it as well
			r.putRecord(g, int64(m.off), rest, m.id, "the file is cut short", false)
		}
		return false
	}
	if _, ok := r.l.bodies[m.id]; m.file && !ok {
		r.stats.Lost--
		r.putRecord(g, int64(m.off), int64(m.length), m.id, format.BodyName(m.id)+" is missing", false)
		return false
	}
	return true
}

// checkBodies removes message files that no record names, or puts them aside if their records may be
// among what was damaged or cut off. Where something could not be read they stay.
func (r *recovery) checkBodies() {
	if r.cut && !r.damaged {
		r.findFinished()
	}
	for id, size := range r.l.bodies {
		if m := r.x.find(id); m != nil && m.file {
			continue
		}
		if r.stats.Unread > 0 {
			r.bodyOctets += size
			continue
		}
		if r.finished[id] || !r.damaged && !r.cut {
			r.trashBodies = append(r.trashBodies, bodyFile{id, size})
			r.bodyOctets += size
			continue
		}
		reason := format.BodyName(id) + ": no record names it, and records are missing"
		if r.damaged {
			r.stats.Quarantined++
			r.noteDamaged(reason)
		} else {
			reason = format.BodyName(id) + ": no record names it, and the end of a segment is missing or was never written; after a crash it was never acknowledged, after damage it may have been"
			r.noteUnfinished(reason)
		}
		if err := r.moveAside(format.BodyName(id), reason); err != nil {
			r.fault(err)
		}
	}
}

// findFinished looks in all journals, also those older than the checkpoint, for the messages that are done and whose file was about
// to go. One mark must do for a message: how many recipients it had stood in its record.
func (r *recovery) findFinished() {
	for _, id := range r.l.journals {
		err := r.replayJournal(id, func(e *format.Entry) bool {
			if _, ok := r.l.bodies[e.ID]; ok && e.Kind == byte(mail.ChangeDone) {
				r.finished[e.ID] = true
			}
			return false
		})
		if err != nil {
			r.fault(err) // its messages go to quarantine
		}
	}
}
