package metabase

import (
	"cmp"
	"slices"
	"strings"
)

// ledger has the lines of a report in the making. A property stands in one line, however often something is said of
// it, and which part that line belongs to is known at the end alone: until then a setting may come to stand commented out.
type ledger struct {
	rows  []*account
	index map[lineKey]*account
	room  map[*[]Line]int // how many rows began in a part
}

// account is a line in the making.
type account struct {
	Line
	part *[]Line
	whys []reason // Line.Why is made of them
}

// reason says why a setting is as it is; of no setting: why the line is.
type reason struct{ setting, why string }

// lineKey tells lines apart. The rows of a list are told one by one, so the value is in it.
type lineKey struct{ key, property, value, from string }

func newLedger() ledger {
	return ledger{index: make(map[lineKey]*account), room: make(map[*[]Line]int)}
}

// add puts a line into a part, as far as there is room, or what it says into the line that there is of the same.
func (r *Report) add(part *[]Line, l Line) {
	t, key := &r.ledger, lineKey{l.Key, l.Property, l.Value, l.From}
	if old := t.index[key]; old != nil {
		old.join(l)
		if old.part != part {
			old.part = &r.Changed // some of it is taken, or is in another way
		}
		return
	}
	if t.room[part] >= maxReport {
		r.Left++
		return
	}
	t.room[part]++
	n := &account{Line: l, part: part}
	n.because(l.Setting, l.Why)
	t.index[key], t.rows = n, append(t.rows, n)
}

// join adds what another line of the same property says.
func (r *account) join(l Line) {
	r.because(l.Setting, l.Why)
	i := slices.IndexFunc(r.More, func(m Became) bool { return m.Setting == l.Setting })
	switch {
	case l.Setting == "":
	case r.Setting == "":
		r.Setting, r.Result, r.Inactive, r.entry, r.block = l.Setting, l.Result, l.Inactive, l.entry, l.block
	case r.Setting == l.Setting:
		r.Result, r.Inactive = l.Result, r.Inactive || l.Inactive
	case i >= 0:
		r.More[i].Result, r.More[i].Inactive = l.Result, r.More[i].Inactive || l.Inactive
	default:
		r.More = append(r.More, Became{l.Setting, l.Result, l.Inactive, l.entry})
	}
}

// because adds a reason, once.
func (r *account) because(setting, why string) {
	if why != "" && !slices.ContainsFunc(r.whys, func(o reason) bool { return strings.Contains(o.why, why) }) {
		r.whys = append(r.whys, reason{setting, why})
	}
}

// why says the reasons. Those of one of several settings say of which.
func (r *account) why() string {
	var out []string
	for _, setting := range append([]string{"", r.Setting}, settings(r.More)...) {
		var of []string
		for _, o := range r.whys {
			if o.setting == setting {
				of = append(of, o.why)
			}
		}
		text := strings.Join(of, "; ")
		if text != "" && setting != "" && len(r.More) > 0 {
			text = setting[strings.LastIndexByte(setting, '.')+1:] + ": " + text
		}
		if text != "" && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return strings.Join(out, "; ")
}

func settings(all []Became) (out []string) {
	for _, m := range all {
		out = append(out, m.Setting)
	}
	return out
}

// settle puts the lines into their parts, when what stands commented out is known.
func (r *Report) settle() {
	for _, l := range r.ledger.rows {
		if why := l.outOf(); why != "" {
			l.Inactive = true
			l.because(l.Setting, why)
		}
		for i := range l.More {
			if why := l.More[i].entry.outOf(); why != "" {
				l.More[i].Inactive = true
				l.because(l.More[i].Setting, why)
			}
		}
		if l.Why = l.why(); l.part == &r.Taken && l.Why != "" {
			l.part = &r.Changed
		}
		*l.part = append(*l.part, l.Line)
	}
	r.ledger = ledger{}
}

// outOf says why what the property became stands commented out, "" when it does not.
func (r *account) outOf() string {
	if r.block != nil {
		return r.block.outOf()
	}
	return r.entry.outOf()
}

// outOf says why a setting stands commented out by itself or with its block, "" when it does not.
func (e *entry) outOf() string {
	if e == nil {
		return ""
	}
	return cmp.Or(e.off, e.in.outOf())
}

// outOf says why a block of a virtual server stands commented out, "" when it does not. Of virtual servers the
// report says it as a whole.
func (b *block) outOf() string {
	for ; b != nil && b.name != "virtual_server"; b = b.parent {
		if b.off != "" {
			return b.off
		}
	}
	return ""
}
