package log

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mailroot/mailroot/internal/spool/log/format"
)

// misnamedSuffix is behind the name of a file, as its header says, on the way to it from the name of another.
const misnamedSuffix = ".misnamed"

// misnamed are segments, journals and checkpoints that have the names of each other: what names they are found under, and
// what their headers say.
type misnamed struct {
	present map[string]bool
	own     map[string]string // name → the one in the header, of a file of the same kind, which differs
	moving  []string          // the own names of those that an opening before was about to rename
}

// unswap gives files that were renamed in a ring their own names back: no former life makes one, since a name is never given
// twice. A segment outside of a ring gets its own back if that is known to be missing; see fates. It may end at any point: the
// next opening goes on.
func (s *Store) unswap() error {
	m, err := s.findMisnamed()
	if err != nil || len(m.own)+len(m.moving) == 0 {
		return err
	}
	back, err := s.giveBack(&m, m.ring())
	if err != nil {
		return err
	}
	if segs := m.segments(); len(segs) > 0 { // the checkpoints and journals have their names by now
		f := s.readFates(&m)
		more, err := s.giveBack(&m, m.chains(segs, f))
		if err != nil {
			return err
		}
		back = append(back, more...)
		s.asideMisnamed(&m, f)
	}
	if slices.Sort(back); len(back) > 0 {
		s.note(fmt.Sprintf("%d files had the names of others and got their own back, as their headers say: %s", len(back), someOf(back)))
	}
	return nil
}

// giveBack renames the files with these names to their own, and those that were on the way. It returns the own names.
func (s *Store) giveBack(m *misnamed, names []string) (back []string, err error) {
	for _, name := range names {
		own := m.own[name]
		if err := s.fs.Rename(s.path(name), s.path(own+misnamedSuffix)); err != nil {
			return nil, err
		}
		m.present[name] = false
		delete(m.own, name)
		m.moving = append(m.moving, own)
	}
	if len(names) > 0 {
		if err := s.fs.SyncDir(s.o.Dir); err != nil { // their places are free before they are taken
			return nil, err
		}
	}
	for _, name := range m.moving {
		if m.present[name] {
			continue
		}
		if err := s.fs.Rename(s.path(name+misnamedSuffix), s.path(name)); err != nil {
			return nil, err
		}
		m.present[name] = true
		back = append(back, name)
	}
	if len(back) == 0 {
		return nil, nil
	}
	return back, s.fs.SyncDir(s.o.Dir)
}

// findMisnamed reads the headers of all segments, journals and checkpoints. What cannot be read is passed over. An index needs
// none of this: its parts begin with the salt of the segment that it is named after, or it is made anew.
func (s *Store) findMisnamed() (m misnamed, err error) {
	names, err := s.fs.ReadDir(s.o.Dir)
	if err != nil {
		return m, err
	}
	m.present, m.own = map[string]bool{}, map[string]string{}
	for _, name := range names {
		m.present[name] = true
		if own, ok := strings.CutSuffix(name, misnamedSuffix); ok {
			if _, ours := format.ParseName(own); ours {
				m.moving = append(m.moving, own)
			}
		}
		id, ok := format.ParseName(name)
		if !ok || id.Kind == format.KindIndex {
			continue
		}
		b, err := s.readSmall(s.path(name))
		if err != nil {
			continue
		}
		if own, ok := format.HeaderID(b); ok && own.Kind == id.Kind && own != id {
			m.own[name] = own.Name()
		}
	}
	return m, nil
}

// ring returns the names from which files are to go: of rings that are closed, and of those that were begun to be dissolved.
func (m *misnamed) ring() (names []string) {
	done := map[string]bool{}
	follow := func(start string, begun bool) {
		var way []string
		seen := map[string]bool{}
		at := start
		for m.own[at] != "" && !seen[at] && !done[at] {
			way, seen[at] = append(way, at), true
			at = m.own[at]
		}
		if closed := len(way) > 0 && at == start; !closed && (!begun || m.present[at]) {
			return
		}
		for _, name := range way {
			done[name] = true
		}
		names = append(names, way...)
	}
	for _, name := range m.moving {
		follow(name, true)
	}
	for name := range m.own {
		follow(name, false)
	}
	return names
}

// segments returns the names of segments that are not their own, sorted.
func (m *misnamed) segments() (names []string) {
	for name := range m.own {
		if id, _ := format.ParseName(name); id.Kind == format.KindSegment {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// chains returns those of names from which segments are to go although they make no ring: the name of each is that of a segment
// that must be there, and is free, or becomes so since the one that has it goes too. Of copies one goes.
func (m *misnamed) chains(names []string, f *fates) (out []string) {
	going, taken := map[string]bool{}, map[string]bool{}
	for more := true; more; {
		more = false
		for _, name := range names {
			own := m.own[name]
			if going[name] || taken[own] || m.present[own] && !going[own] || f.of(own) != fateThere {
				continue
			}
			going[name], taken[own], more = true, true, true
			out = append(out, name)
		}
	}
	return out
}

// asideMisnamed puts segments into quarantine whose header names one that is nowhere, but for those that have gone: such a
// header is of the former life of a spare. Left where they are they would count as what their name says, and be written over.
func (s *Store) asideMisnamed(m *misnamed, f *fates) {
	for _, name := range m.segments() {
		own := m.own[name]
		if m.present[own] && m.own[own] == "" || f.of(own) == fateGone {
			continue
		}
		reason := fmt.Sprintf("%s: the header says that it is %s, which is not there under that name and may still count; put aside whole: under that name its mail can be read again", name, own)
		s.stats.Quarantined++
		s.note(reason)
		if err := s.moveAside(name, reason); err != nil {
			s.fault(err)
		}
	}
}
