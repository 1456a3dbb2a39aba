package badmail

import (
	"context"
	"time"
)

// Limits say what Clean leaves in the directory. A zero field is no limit.
type Limits struct {
	MaxAge  time.Duration
	MaxSize int64 // octets of all entries of ours together
}

// group is what is cleaned together: an entry, or a report and its original.
type group struct {
	members []*slot
	last    time.Time // when the youngest of them was written
	octets  int64
}

// Clean removes entries of ours, oldest first, until the limits are met: all files of an entry
// together, a report and its original together. What other programs left is neither counted
// nor touched. It returns how many entries it removed.
func (f *Folder) Clean(ctx context.Context, now time.Time, l Limits) (int, error) {
	if l.MaxAge <= 0 && (l.MaxSize <= 0 || f.Stats().Octets <= l.MaxSize) {
		return 0, nil
	}
	all, _, err := slots(f.fs, f.dir)
	if err != nil {
		return 0, err
	}
	if l.MaxSize <= 0 { // nothing younger can be concerned
		for i := range all {
			if all[i].time().Add(l.MaxAge - together).After(now) {
				all = all[:i]
				break
			}
		}
	}
	groups, total, err := f.groups(ctx, all)
	if err != nil {
		return 0, err
	}
	var list []*slot
	for _, g := range groups {
		old := l.MaxAge > 0 && now.Sub(g.last) > l.MaxAge
		large := l.MaxSize > 0 && total > l.MaxSize
		if old || large {
			list = append(list, g.members...)
			total -= g.octets
		}
	}
	n, err := f.remove(ctx, list)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Cleaned += uint64(n)
	return n, err
}

// groups returns the entries of ours among all, which are in order of age, and their size.
func (f *Folder) groups(ctx context.Context, all []slot) (groups []*group, total int64, err error) {
	originals := make(map[string]*group) // that wait for their report
	for i := range all {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		s := &all[i]
		e := f.properties(s)
		if e.Foreign != "" {
			continue
		}
		size := f.size(s)
		total += size
		g := originals[e.Linked]
		if e.Linked == "" || g == nil {
			g = new(group)
			groups = append(groups, g)
		}
		delete(originals, e.Linked)
		g.members = append(g.members, s)
		g.last, g.octets = s.time(), g.octets+size
		if e.Cause() == CauseOriginal {
			originals[s.name] = g
		}
	}
	return groups, total, nil
}
