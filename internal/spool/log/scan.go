package log

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// found is a record that the scan has found.
type found struct {
	off int64
	format.Record
	unknown bool // version
}

// scan enters the records of g from off on. It reads the octets of messages only where no later
// record says that they were synced.
func (r *recovery) scan(g *segment, from int64) error {
	recs, gaps, err := walk(g.f, g.id, from, g.size)
	if err != nil {
		return err
	}
	var durable int64
	for _, rec := range recs {
		durable = max(durable, int64(rec.Durable))
		g.reach = rec.off + rec.Length()
	}
	// First all is read, so that a segment that cannot be is entered as a whole by a later opening.
	envs, bad := make([]*mail.Envelope, len(recs)), make([]error, len(recs))
	for i := range recs {
		if rec := &recs[i]; !rec.unknown {
			envs[i], bad[i] = r.readWhole(g, rec, rec.off+rec.Length() > durable)
		}
		if bad[i] != nil && !errors.Is(bad[i], format.ErrDamage) {
			return bad[i]
		}
	}
	unsynced := false
	for i := range recs {
		rec := &recs[i]
		r.maxID = max(r.maxID, rec.ID)
		torn := rec.off+rec.Length() > durable
		switch {
		case rec.unknown:
			r.putRecord(g, rec.off, rec.Length(), rec.ID, fmt.Sprintf("record of version %d, kind %d: not known here", rec.Version, rec.Kind), false)
		case bad[i] != nil:
			r.putRecord(g, rec.off, rec.Length(), rec.ID, bad[i].Error(), torn || r.elsewhere(g, rec.ID))
		default:
			r.take(g, rec, envs[i], torn)
			unsynced = unsynced || torn
		}
	}
	for _, gap := range gaps {
		r.gap(g, gap, gap.Off >= durable)
	}
	if unsynced {
		if err := r.syncSegment(g); err != nil {
			r.fault(err) // it was not acknowledged: no reason not to start
		}
	}
	return nil
}

// readWhole reads the envelope of a record, and checks the octets if they may not have been synced.
func (r *recovery) readWhole(g *segment, rec *found, torn bool) (*mail.Envelope, error) {
	env, err := readEnvelope(g.f, &rec.Record, rec.off)
	if err == nil && len(env.Recipients) == 0 {
		err = fmt.Errorf("%w: no recipients", format.ErrDamage)
	}
	if err == nil && torn {
		err = r.checkOctets(g, rec)
	}
	return env, err
}

// syncSegment makes durable what was taken although its sync may never have happened: only the process
// may have died.
func (r *recovery) syncSegment(g *segment) error {
	f, err := r.fs.OpenReadWrite(r.path(g.id.Name()))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// elsewhere reports whether another segment holds the message, which was to be moved.
func (r *recovery) elsewhere(g *segment, id mail.QueueID) bool {
	m := r.x.find(id)
	return m != nil && m.seg != g.key && r.segs[m.seg] != nil
}

func (r *recovery) checkOctets(g *segment, rec *found) error {
	if rec.Kind == format.RecordInline {
		return checkSum(context.Background(), g.f, rec.off+format.HeaderSize, rec.Size, rec.CRC)
	}
	f, err := r.fs.Open(r.path(format.BodyName(rec.ID)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the message may be done, which is not known yet
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return checkSum(context.Background(), f, 0, rec.Size, rec.CRC)
}

// take enters a record that is whole; if the message is known the record is a copy of it.
func (r *recovery) take(g *segment, rec *found, env *mail.Envelope, verified bool) {
	m := r.x.find(rec.ID)
	if m == nil {
		r.enter(g, rec.off, &rec.Record, env, verified)
		return
	}
	if m.seg == g.key && m.off == uint32(rec.off) {
		return
	}
	if r.foreign[g.key] {
		if !r.same(m, &rec.Record) {
			r.putRecord(g, rec.off, rec.Length(), rec.ID, "another message has this id", false)
		}
		return
	}
	if int(m.n) == len(env.Recipients) {
		m.seg, m.off, m.length, m.verified = g.key, uint32(rec.off), uint32(rec.Length()), verified
	}
}

// same reports whether a record is that of m, as far as checksums tell; if the record of m cannot be read it is.
func (r *recovery) same(m *message, rec *format.Record) bool {
	g := r.segs[m.seg]
	if g == nil {
		return true
	}
	f, err := r.pinned(g)
	if err != nil {
		return true
	}
	defer func() { g.pins-- }()
	old, err := format.ReadRecord(f, g.id, int64(m.off))
	return err != nil || old.Size == rec.Size && old.CRC == rec.CRC && old.EnvCRC == rec.EnvCRC && old.EnvLen == rec.EnvLen
}

// pinned is pin for the recovery, which holds no lock.
func (r *recovery) pinned(g *segment) (vfs.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pin(g)
}

// walk finds the records between from and size, and what lies between them. It reads headers only.
func walk(f io.ReaderAt, id format.ID, from, size int64) (recs []found, gaps []format.Gap, err error) {
	for off := from; off < size; {
		rec, ok, err := recordAt(f, id, off, size)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			recs = append(recs, rec)
			off += rec.Length()
			continue
		}
		next, err := nextRecord(f, id, off+format.RecordAlign, size)
		if err != nil {
			return nil, nil, err
		}
		gaps = append(gaps, format.Gap{Off: off, Length: next - off, Tail: next == size})
		off = next
	}
	return recs, gaps, nil
}

// recordAt reads the header at off; ok is false if there is no record that fits into the file.
func recordAt(f io.ReaderAt, id format.ID, off, size int64) (rec found, ok bool, err error) {
	h, err := format.ReadRecord(f, id, off)
	rec = found{off: off, Record: h, unknown: errors.Is(err, format.ErrUnknownVersion)}
	switch {
	case err == nil || rec.unknown:
		return rec, rec.Length() <= size-off, nil
	case errors.Is(err, format.ErrDamage):
		return rec, false, nil
	}
	return rec, false, err
}

// nextRecord returns where the next record begins, from off on, or size.
func nextRecord(f io.ReaderAt, id format.ID, off, size int64) (int64, error) {
	b := format.ReadFrom(f, size, id.Salt, off)
	for {
		at, err := b.Search(off)
		if err != nil {
			return 0, err
		}
		if at < 0 {
			return size, nil
		}
		if _, ok, err := recordAt(f, id, at, size); ok || err != nil {
			return at, err
		}
		off = at + 1
	}
}

// gap deals with octets of g that are no record. torn says that they were never acknowledged, as far as
// can be known.
func (r *recovery) gap(g *segment, p format.Gap, torn bool) {
	rec, err := format.ReadRecord(g.f, g.id, p.Off)
	short := err == nil && rec.Length() > g.size-p.Off
	if torn && (short || r.zeros(g, p)) {
		// The write had not come to its end.
		r.unfinished(g, p.Off)
		r.noteUnfinished(fmt.Sprintf("%s: %d octets at %d were not written to their end and are cut off", g.id.Name(), p.Length, p.Off))
		return
	}
	if torn && p.Tail && g.reused && !r.ours(g, p.Off) {
		return // the file's former life
	}
	r.putRecord(g, p.Off, p.Length, 0, "no record can be read here", torn)
}

// unfinished counts what was never acknowledged, as far as can be known by the segment alone; see missEnds.
func (r *recovery) unfinished(g *segment, off int64) {
	r.stats.Torn++
	r.cut = true
	g.reach = min(g.reach, off)
}

// noteUnfinished keeps a sentence on what a crash has left.
func (r *recovery) noteUnfinished(text string) {
	if len(r.stats.Unfinished) < maxAlike {
		r.stats.Unfinished = append(r.stats.Unfinished, text)
	}
}

// ours reports whether a record of g was begun at off, even if the salt that it begins with is damaged.
func (r *recovery) ours(g *segment, off int64) bool {
	var b [format.HeaderSize]byte
	n, _ := g.f.ReadAt(b[:], off)
	if le.Uint64(b[:]) == g.id.Salt {
		return true
	}
	le.PutUint64(b[:], g.id.Salt)
	_, err := format.ParseRecord(b[:n], g.id)
	return err == nil || errors.Is(err, format.ErrUnknownVersion)
}

func (r *recovery) zeros(g *segment, p format.Gap) bool {
	buf := make([]byte, min(p.Length, 1<<20))
	for at := int64(0); at < p.Length; {
		if next := vfs.NextData(g.f, p.Off+at, g.size) - p.Off; next > at {
			at = next
			continue
		}
		n, err := g.f.ReadAt(buf[:min(int64(len(buf)), p.Length-at)], p.Off+at)
		if n == 0 || strings.Trim(string(buf[:n]), "\x00") != "" {
			return n == 0 && errors.Is(err, io.EOF)
		}
		at += int64(n)
	}
	return true
}

// putRecord puts a part of g into quarantine. If that fails the next opening looks at it again.
func (r *recovery) putRecord(g *segment, off, length int64, id mail.QueueID, reason string, torn bool) {
	reason = fmt.Sprintf("%s, %d octets at %d: %s", g.id.Name(), length, off, reason)
	if id != 0 {
		reason = fmt.Sprintf("message %v: %s", id, reason)
	}
	if torn {
		r.unfinished(g, off)
		reason += " (unfinished, as far as can be known)"
		r.noteUnfinished(reason)
	} else {
		r.damaged = true
		r.stats.Quarantined++
		r.stats.Lost++
		r.broken[g.key]++
		if id == 0 {
			r.nameless++
		} else {
			r.counted[id] = true
		}
		r.noteDamaged(reason)
	}
	r.keepOctets(g, off, length, id, reason)
}

// keepOctets copies a part of g to quarantine.
func (r *recovery) keepOctets(g *segment, off, length int64, id mail.QueueID, reason string) {
	f, err := r.pinned(g)
	if err == nil {
		g.pins--
		_, err = r.putAside(f, off, length, recordName(g.id, off, id), reason)
	}
	if err != nil {
		r.fault(err)
		if g.again == 0 || off < g.again {
			g.again = off
		}
	}
}
