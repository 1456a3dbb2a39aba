package log

import (
	"fmt"
	"strings"

	"github.com/mailroot/mailroot/internal/spool/log/format"
)

// misnamedSuffix is behind the name of a segment, as its header says, on the way to it from the name of another.
const misnamedSuffix = ".misnamed"

// misnamed are segments that have the names of each other: what names they are found under, and what their headers say.
type misnamed struct {
	present map[string]bool
	own     map[string]string // name → the one in the header, which differs
	moving  []string          // the own names of those that an opening before was about to rename
}

// unswap gives segments that were renamed in a ring their own names back. No other file that has the header of another segment is
// touched: a spare has that which was given a new name when the power failed. It may end at any point: the next opening goes on.
func (s *Store) unswap() error {
	m, err := s.findMisnamed()
	if err != nil || len(m.own)+len(m.moving) == 0 {
		return err
	}
	ring := m.ring()
	for _, name := range ring {
		if err := s.fs.Rename(s.path(name), s.path(m.own[name]+misnamedSuffix)); err != nil {
			return err
		}
		m.present[name] = false
		m.moving = append(m.moving, m.own[name])
	}
	if err := s.fs.SyncDir(s.o.Dir); err != nil { // their places are free before they are taken
		return err
	}
	n := 0
	for _, name := range m.moving {
		if m.present[name] {
			continue
		}
		if err := s.fs.Rename(s.path(name+misnamedSuffix), s.path(name)); err != nil {
			return err
		}
		m.present[name] = true
		n++
	}
	if n > 0 {
		s.note(fmt.Sprintf("%d segments had the names of others and got their own back, as their headers say", n))
	}
	return s.fs.SyncDir(s.o.Dir)
}

// findMisnamed reads the headers of all segments. What cannot be read is passed over.
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
		if id, ok := format.ParseName(name); !ok || id.Kind != format.KindSegment {
			continue
		}
		b, err := s.readSmall(s.path(name))
		if err != nil || len(b) < format.HeaderSize || !format.IsHeader(b[:format.HeaderSize]) || format.Kind(b[10]) != format.KindSegment {
			continue
		}
		if own := (format.ID{Kind: format.KindSegment, Num: le.Uint32(b[12:]), Salt: le.Uint64(b[16:])}).Name(); own != name {
			m.own[name] = own
		}
	}
	return m, nil
}

// ring returns the names from which segments are to go: of rings that are closed, and of those that were begun to be dissolved.
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
