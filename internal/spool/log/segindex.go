package log

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/columns"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// segIndex says how the messages of a segment are found by what their envelopes hold. Each message that lives in
// the segment is named by the file, by a batch in memory, or by ids. Store.mu guards it.
//
// Mail that comes in is only listed. What still waits a second later is described by a batch in memory, if
// there is enough of it to matter, and in a file when the segment has been closed: mail that is delivered at once
// costs eight octets for that time.
type segIndex struct {
	file   *columns.File
	memory []*columns.Batch
	ids    []mail.QueueID // in the order of entering; those that are gone among them
	aged   int            // how many of ids were there when maintain last looked
	listed bool           // false after the opening: nothing is known yet
	few    bool           // closed, with too little in it for a file
}

func (x *segIndex) onDisk() int64 {
	if x.file == nil {
		return 0
	}
	return x.file.Size
}

const (
	// indexStep is about how many messages maintain describes at a time.
	indexStep = 1 << 16
	// indexPause is how long no index is written after that has failed.
	indexPause = time.Minute
)

// dropIndexes removes indexes whose segments have gone.
func (r *recovery) dropIndexes() {
	kept := make(map[format.ID]bool, len(r.segs))
	for _, g := range r.segs {
		kept[format.IndexID(g.id)] = true
	}
	for _, id := range r.l.indexes {
		if !kept[id] {
			if err := r.removeFile(id.Name()); err != nil {
				r.fault(err) // it will be tried again at the next opening
			}
		}
	}
}

// tendIndexes describes what has come to stay, and reports whether there is more to do. Only maintain calls it.
func (s *Store) tendIndexes() (again bool) {
	s.knowIndexes()
	left := indexStep
	for _, g := range s.takeSegments() {
		if left > 0 {
			n, more := s.describe(g)
			left -= n
			again = again || more
		} else {
			again = true
		}
		s.unpin(g)
	}
	return again
}

// takeSegments returns the segments, pinned.
func (s *Store) takeSegments() (out []*segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.segs {
		g.pins++
		out = append(out, g)
	}
	return out
}

// describe makes the index of g, or a batch of it, if it is time to. It returns how many messages that was, and
// whether there will be more to do.
func (s *Store) describe(g *segment) (n int, again bool) {
	s.mu.Lock()
	x, sealed := g.index, g.sealed
	g.index.aged = len(x.ids)
	s.mu.Unlock()
	switch {
	case !x.listed || x.few || x.file != nil || !sealed && len(x.ids) <= s.o.indexTail:
		return 0, false
	case x.aged == 0 && len(x.ids) > 0 || sealed && x.aged < len(x.ids): // let it lie for a while
		return 0, true
	case sealed && (s.room.low.Load() || time.Now().Before(s.indexWait)):
		return 0, false
	}
	alive := s.alive(g, x.ids[:x.aged])
	total := len(alive)
	for _, b := range x.memory {
		total += b.N
	}
	if sealed && total < s.o.indexFew || !sealed && len(alive) <= s.o.indexTail {
		s.setIndex(g, x.aged, segIndex{ids: alive, memory: x.memory, few: sealed})
		return 0, false
	}
	made, err := s.makeBatches(g, alive)
	next := segIndex{memory: slices.Concat(x.memory, made)}
	if err == nil && sealed {
		next.file, err = s.writeIndex(g.id, next.memory)
		next.memory = nil
	}
	if err != nil {
		s.indexFailed(g, sealed, err)
	} else {
		s.setIndex(g, x.aged, next)
	}
	return len(alive), false
}

// setIndex says that the first aged of the ids are described by next now, or stand in its ids.
func (s *Store) setIndex(g *segment, aged int, next segIndex) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next.aged, next.listed = len(next.ids)+g.index.aged-aged, true
	next.ids = slices.Concat(next.ids, g.index.ids[aged:]) // not in place: a search may be reading it
	g.index = next
}

// indexFailed gives up the index of g for a while. What batches in memory named is looked up anew.
func (s *Store) indexFailed(g *segment, sealed bool, err error) {
	s.failed(fmt.Errorf("index: %w", err))
	s.indexWait = time.Now().Add(indexPause)
	if sealed {
		s.mu.Lock()
		g.index = segIndex{}
		s.mu.Unlock()
	}
}

// alive returns those of ids that live in g, in their order.
func (s *Store) alive(g *segment, ids []mail.QueueID) (out []mail.QueueID) {
	for chunk := range slices.Chunk(ids, 512) {
		s.mu.Lock()
		for _, id := range chunk {
			if m := s.x.find(id); m != nil && m.seg == g.key {
				out = append(out, id)
			}
		}
		s.mu.Unlock()
	}
	return out
}

// makeBatches describes the messages.
func (s *Store) makeBatches(g *segment, ids []mail.QueueID) (out []*columns.Batch, err error) {
	var b columns.Builder
	err = s.readEnvelopes(context.Background(), g, ids, func(id mail.QueueID, env *mail.Envelope) {
		if b.Add(id, env); b.Full() {
			out = append(out, b.Finish())
			b = columns.Builder{}
		}
	})
	if err == nil && len(b.IDs)+len(b.Odd) > 0 {
		out = append(out, b.Finish())
	}
	return out, err
}

// knowIndexes takes the indexes that were there at the opening, and lists what lives in segments that have
// none, or none that is whole.
func (s *Store) knowIndexes() {
	s.mu.Lock()
	known := true
	for _, g := range s.segs {
		known = known && g.index.listed
	}
	s.mu.Unlock()
	if known {
		return
	}
	s.imu.Lock()
	defer s.imu.Unlock()
	var unlisted []*segment
	for _, g := range s.takeSegments() {
		s.mu.Lock()
		listed := g.index.listed
		s.mu.Unlock()
		if listed || s.readIndex(g) {
			s.unpin(g)
			continue
		}
		unlisted = append(unlisted, g)
	}
	s.listIDs(unlisted)
}

// readIndex takes the file of g if it names every message that lives there: what the file was made from may have
// been forgotten, and messages that were done be back.
func (s *Store) readIndex(g *segment) bool {
	f, sc, err := s.openIndex(g.id)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			_ = s.removeFile(format.IndexID(g.id).Name())
		}
		return false
	}
	defer f.Close()
	var buf []byte
	var ids []mail.QueueID
	for i := range sc.Batches {
		p, err := sc.Batches[i].Part(0, f, format.IndexID(g.id), &buf)
		if err != nil {
			_ = s.removeFile(format.IndexID(g.id).Name())
			return false
		}
		for ; len(p) > 0; p = p[8:] {
			ids = append(ids, mail.QueueID(le.Uint64(p)))
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	s.mu.Lock()
	defer s.mu.Unlock()
	named := 0
	for _, id := range ids {
		if m := s.x.find(id); m != nil && m.seg == g.key {
			named++
		}
	}
	if named != g.live {
		return false
	}
	g.index = segIndex{file: sc, listed: true}
	return true
}

// listIDs lists what lives in the segments, and unpins them. They are closed: nothing comes in meanwhile. imu is held.
func (s *Store) listIDs(segs []*segment) {
	if len(segs) == 0 {
		return
	}
	in := map[uint32]*[]mail.QueueID{}
	for _, g := range segs {
		in[g.key] = new([]mail.QueueID)
	}
	for i := 0; s.eachSlab(i, func(slab []message) {
		for k := range slab {
			if m := &slab[k]; m.id != 0 {
				if ids := in[m.seg]; ids != nil {
					*ids = append(*ids, m.id)
				}
			}
		}
	}); i++ {
	}
	for _, g := range segs {
		s.mu.Lock()
		g.index = segIndex{ids: *in[g.key], listed: true}
		s.mu.Unlock()
		s.unpin(g)
	}
}

// indexDamaged gives up the index of g, whose file turned out to be damaged. g is pinned.
func (s *Store) indexDamaged(g *segment, file *columns.File) {
	s.imu.Lock()
	defer s.imu.Unlock()
	s.mu.Lock()
	current := g.index.file == file // no other has done it
	if current {
		g.pins++
	}
	s.mu.Unlock()
	if !current {
		return
	}
	_ = s.removeFile(format.IndexID(g.id).Name())
	s.listIDs([]*segment{g})
	s.kick()
}

// writeIndex writes the index of a segment.
func (s *Store) writeIndex(seg format.ID, batches []*columns.Batch) (sc *columns.File, err error) {
	id := format.IndexID(seg)
	if err := s.removeFile(id.Name()); err != nil { // one of no use
		return nil, err
	}
	w, err := s.createBlockFile(id, "")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err = errors.Join(err, w.F.Close()); err != nil {
			_ = s.removeFile(id.Name())
		}
	}()
	if sc, err = columns.Write(w, batches); err == nil {
		s.room.written.Add(sc.Size)
	}
	return sc, err
}

// openIndex opens the index of a segment and reads its directory.
func (s *Store) openIndex(seg format.ID) (f vfs.File, sc *columns.File, err error) {
	id := format.IndexID(seg)
	f, err = s.fs.Open(s.path(id.Name()))
	if err != nil {
		return nil, nil, err
	}
	if sc, err = columns.Read(f, id); err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, sc, nil
}
