package log

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// fates are what the newest whole checkpoint and the journals since say of segments: which must be there, and which have gone.
//
// A segment becomes a spare (F3, F10 in docs/decisions/0002-spool.md) only when format.EntryGone stands in a journal that is
// synced, or a checkpoint is durable that leaves it out. So where all that was written since can be read, no segment
// that must be there is the former life of a spare, and where not, nothing is said to be there.
type fates struct {
	head       chkHead
	made, gone map[uint64]bool // by format.SegmentFact, in the journals
	sure       bool            // nothing is damaged or missing
}

// fate is what became of a segment.
type fate int

const (
	fateUntold fate = iota
	fateThere
	fateGone
)

// of returns the fate of the segment with that name.
func (f *fates) of(name string) fate {
	id, _ := format.ParseName(name)
	key, listed := f.head.files[id]
	if f.head.files == nil { // a checkpoint of the first builds, or none
		key = id.Num
		_, listed = f.head.covered[key]
	}
	fact := format.SegmentFact(id)
	switch {
	case f.gone[fact], f.head.gone[id]:
		return fateGone
	case f.made[fact], listed && f.head.covered[key] >= format.HeaderSize:
		if f.sure {
			return fateThere
		}
		return fateUntold
	case !listed && id.Num < f.head.nextSeg:
		return fateGone
	}
	return fateUntold
}

// readFates reads the newest whole checkpoint and the journals since. What is wrong with them recovery will say.
func (s *Store) readFates(m *misnamed) *fates {
	f := &fates{made: map[uint64]bool{}, gone: map[uint64]bool{}, sure: true}
	var journals, chks []format.ID
	for _, name := range slices.Sorted(maps.Keys(m.present)) {
		switch id, _ := format.ParseName(name); {
		case !m.present[name]:
		case id.Kind == format.KindJournal:
			journals = append(journals, id)
		case id.Kind == format.KindCheckpoint:
			chks = append(chks, id)
		}
	}
	from := uint32(1)
	for _, id := range slices.Backward(chks) {
		head, err := s.readHead(id)
		if err == nil {
			f.head, from = head, id.Num
			break
		}
		f.sure = false // the last checkpoint of a process alone says what has gone at its end
	}
	next := from
	for _, id := range journals {
		if id.Num < from {
			continue
		}
		whole, err := s.readFacts(id, f)
		f.sure = f.sure && whole && err == nil && id.Num <= next
		next = id.Num + 1
	}
	f.sure = f.sure && next > from
	return f
}

// openAs opens a file, unless its header says that it is another one, or of a later version.
func (s *Store) openAs(id format.ID) (f vfs.File, size int64, err error) {
	f, size, b, err := s.openHead(id)
	if err != nil {
		return nil, 0, err
	}
	_, err = id.CheckHeader(b[:])
	if own, ok := format.HeaderID(b[:]); err == nil && ok && own != id {
		err = fmt.Errorf("%s: the header says that it is %s", id.Name(), own.Name())
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, size, nil
}

// readHead returns the head of a checkpoint that is whole.
func (s *Store) readHead(id format.ID) (chkHead, error) {
	f, size, err := s.openAs(id)
	if err != nil {
		return chkHead{}, err
	}
	defer f.Close()
	return readCheckpoint(f, size, id, new(index))
}

// readFacts notes which segments a journal says were made and have gone; whole is false if something of it is damaged. An end that
// was not written to its end, as a crash leaves it, is not.
func (s *Store) readFacts(id format.ID, f *fates) (whole bool, err error) {
	file, size, err := s.openAs(id)
	if err != nil {
		return false, err
	}
	defer file.Close()
	in := format.Read(file, size, id.Salt)
	whole = true
	for {
		b, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return false, err
		}
		ok := b.Kind == format.BlockChanges && b.Version == format.BlockVersion && format.ParseEntries(b.Payload, func(e format.Entry) {
			switch e.Kind {
			case format.EntryMade:
				f.made[uint64(e.ID)] = true
			case format.EntryGone: // for good
				f.gone[uint64(e.ID)] = true
			}
		})
		whole = whole && ok
	}
	for _, g := range in.Gaps {
		whole = whole && (g.Tail || g.Off >= in.Durable)
	}
	return whole, nil
}
