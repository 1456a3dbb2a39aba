package config

import "strings"

// listWriter puts a list together again as it is planned. What stays is written as it was read.
type listWriter struct {
	*list
	out  []byte
	hard int // the length of out behind the last comment that needs its line end
	// instead replaces the blanks before the next entry, which comes to where one was taken
	// out at the start of a line; nil: it keeps its own.
	instead *string
}

const blanks = " \t"

// write returns what stands between the brackets.
func (l *list) write() string {
	w := &listWriter{list: l}
	last := -1
	for i := range l.plan {
		if !l.plan[i].gone || l.plan[i].text != "" {
			last = i
		}
	}
	w.put(l.head)
	if len(l.entries) == 0 && last >= 0 {
		if i := strings.LastIndexByte(l.tail, '\n') + 1; strings.TrimSpace(l.tail[i:]) == "" {
			w.put(l.tail[:i])
			l.tail = l.tail[i:]
		}
	}
	for i := range l.plan {
		w.step(&l.plan[i], i == last)
	}
	return w.end(last < 0)
}

func (w *listWriter) put(text string) { w.out = append(w.out, text...) }

// comments writes lines of comments.
func (w *listWriter) comments(text string) {
	if text == "" {
		return
	}
	if w.instead = nil; len(w.out) == 0 {
		w.put(w.nl)
	}
	w.put(text)
	if strings.TrimSpace(text) != "" {
		w.hard = len(w.out)
	}
}

// newLine reports whether what comes next is the first on a line.
func (w *listWriter) newLine() bool { return len(w.out) > 0 && w.out[len(w.out)-1] == '\n' }

// step writes one planned entry; last tells that no entry follows.
func (w *listWriter) step(p *planned, last bool) {
	var at *entry
	if p.old >= 0 {
		at = &w.entries[p.old]
		w.comments(at.loose)
		if !at.away {
			w.comments(at.above)
		}
	}
	comma := !last
	if last && at != nil {
		comma = at.comma && (w.ownLine || p.old == len(w.entries)-1)
	}
	switch {
	case at != nil && !p.gone:
		w.stay(at, comma, last)
	case at != nil && p.text != "":
		w.replace(at, p, comma)
	case at != nil:
		w.takeOut(at)
	default:
		w.insert(p, comma)
	}
}

// stay writes an entry as it stands. A comment behind it that another entry would follow on the
// same line goes before the comma, so that it is not taken for a comment on that one.
func (w *listWriter) stay(e *entry, comma, last bool) {
	lead := w.lead(e.lead)
	if w.newLine() && !e.begins {
		lead = w.indent + strings.TrimLeft(lead, blanks)
	}
	w.put(lead + e.text)
	switch {
	case comma && !last && !e.ends() && e.trail != "":
		w.put(e.mid + e.trail + ",")
		return
	case comma && e.comma:
		w.put(e.mid + ",")
	case comma:
		w.put(",")
	case strings.TrimSpace(e.mid) != "":
		w.put(e.mid)
	}
	w.put(e.trail)
	if lineComment(e.trail) {
		w.hard = len(w.out)
	}
}

// lead returns what stands before an entry on its line, fitted to what was written before.
func (w *listWriter) lead(own string) string {
	rest := strings.TrimLeft(own, blanks)
	switch {
	case w.instead != nil:
		own, w.instead = *w.instead+rest, nil
	case own == "" && len(w.out) > 0 && w.out[len(w.out)-1] == ',':
		own = " "
	}
	return own
}

// blanksOf returns the blanks that a text starts with.
func blanksOf(s string) string { return s[:len(s)-len(strings.TrimLeft(s, blanks))] }

// lineComment reports whether text holds a comment that ends with its line.
func lineComment(text string) bool {
	text = strings.TrimSpace(text)
	for strings.HasPrefix(text, "/*") {
		_, rest, _ := strings.Cut(text[2:], "*/")
		text = strings.TrimSpace(rest)
	}
	return text != ""
}

// takeOut leaves an entry out, with the comments before and behind it on its line.
func (w *listWriter) takeOut(e *entry) {
	first := len(w.out) == 0 || w.newLine()
	switch {
	case len(w.out) == 0, first && !e.ends():
		if w.instead == nil {
			own := blanksOf(e.lead)
			w.instead = &own
		}
	case first: // the whole line
		w.instead = nil
	case e.ends():
		w.put(w.nl)
	}
}

// replace writes another entry where one stood.
func (w *listWriter) replace(at *entry, p *planned, comma bool) {
	w.carried(p, w.lead(blanksOf(at.lead)), comma, at.ends())
	if at.ends() && !w.newLine() {
		w.put(w.nl)
	}
}

// insert writes an entry between others: on a line of its own where the one before has one.
func (w *listWriter) insert(p *planned, comma bool) {
	switch {
	case w.newLine():
		w.carried(p, w.indent, true, true)
		if !w.newLine() {
			w.put(w.nl)
		}
	case len(w.out) == 0:
		w.carried(p, "", comma, false)
	default:
		w.carried(p, " ", comma, false)
	}
}

// carried writes the entry of a step with the comments that it brings along; ends tells that it
// is the last on its line.
func (w *listWriter) carried(p *planned, lead string, comma, ends bool) {
	before, mid, behind := "", "", ""
	if e := p.from; e != nil {
		if e.above != "" {
			if !w.newLine() {
				w.put(w.nl)
				lead = w.indent
			}
			w.comments(e.above)
		}
		before, mid, behind = strings.TrimSpace(e.lead), strings.TrimRight(e.mid, blanks), strings.TrimSpace(e.trail)
	}
	if before != "" {
		before += " "
	}
	w.put(lead + before + p.text + mid)
	if behind != "" && !ends && !lineComment(behind) {
		w.put(" " + behind)
		behind = ""
	}
	if comma {
		w.put(",")
	}
	if behind != "" {
		w.put(" " + behind)
	}
	if lineComment(behind) {
		w.put(w.nl)
		w.hard = len(w.out)
	}
}

// end writes what stands before the closing bracket.
func (w *listWriter) end(empty bool) string {
	out := string(w.out)
	if empty && strings.TrimSpace(out+w.tail) == "" {
		return ""
	}
	if !w.ownLine && strings.TrimSpace(w.tail) == "" && w.newLine() {
		if out = out[:w.hard] + strings.TrimRight(out[w.hard:], blanks+"\r\n"); len(out) > 0 && len(out) == w.hard {
			out += w.base
		}
	}
	return out + w.tail
}
