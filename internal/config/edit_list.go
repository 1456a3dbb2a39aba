package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// editList gives a list other entries. Entries that stay keep their place and their comments;
// what goes takes its own comment along.
func (ed *editor) editList(p *place, e Edit) error {
	texts, err := p.setting.literalsFor(e.Value)
	if err != nil {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	current := ed.listOf(p)
	if current == nil && e.Op != OpSet {
		if err := ed.put(p, p.setting.listStart()); err != nil {
			return err
		}
		if current = ed.listOf(p); current == nil {
			return fmt.Errorf("%s is no list in the file", p.path)
		}
	}
	if current == nil {
		return ed.put(p, "["+strings.Join(texts, ", ")+"]")
	}
	l := ed.readList(p.setting, current)
	switch e.Op {
	case OpAppend:
		err = l.append(p, texts)
	case OpRemove:
		err = l.remove(p, texts)
	default:
		l.set(texts)
	}
	if err != nil {
		return err
	}
	return ed.change(splice{l.from, l.to, l.write()})
}

// listStart is the list that entries are added to or taken from while the file sets none.
func (s *Setting) listStart() string {
	if s.Default == "" {
		return "[]"
	}
	return s.defaultInForce()
}

// listOf returns the list that the file gives a setting, or nil.
func (ed *editor) listOf(p *place) *hclsyntax.TupleConsExpr {
	b := ed.find(p.steps, p.blocks)
	if b == nil {
		return nil
	}
	a := b.body.Attributes[p.setting.Name]
	if a == nil {
		return nil
	}
	t, _ := a.Expr.(*hclsyntax.TupleConsExpr)
	return t
}

// list is the text between the brackets of a list, in parts. All of them together, in order,
// are that text: head, the entries, tail.
type list struct {
	setting  *Setting
	from, to int    // where it stands in the file
	head     string // the rest of the line of the opening bracket; "" when an entry stands there
	entries  []entry
	tail     string // behind the last entry: comments on lines of their own, blanks
	base     string // indentation of the line of the opening bracket
	indent   string // of a line with an entry
	nl       string
	ownLine  bool // the closing bracket is the first on its line

	plan []planned
}

// entry is one entry with what belongs to it.
type entry struct {
	loose string // lines with comments above it that an empty line parts from it
	above string // lines with comments directly above it
	lead  string // blanks and comments before it on its line
	text  string
	mid   string // what stands between it and its comma
	comma bool
	trail string // the comment behind it; with the line end, when it is the last on its line
	key   string

	begins bool // it is the first on its line
	away   bool // it goes to another place, and what stands directly above it too
}

// ends reports whether the entry is the last on its line.
func (e *entry) ends() bool { return strings.HasSuffix(e.trail, "\n") }

// planned is one entry of the list to be written.
type planned struct {
	old  int    // the entry that stands in this place, or stood there; -1: none did
	gone bool   // that entry is left out
	text string // an entry that takes its place or, with old -1, comes in between; "": none
	from *entry // whose comments go with text, because it stood elsewhere; nil: there are none
}

// readList takes a list apart.
func (ed *editor) readList(s *Setting, t *hclsyntax.TupleConsExpr) *list {
	l := &list{setting: s, from: t.OpenRange.End.Byte, to: t.SrcRange.End.Byte - 1, nl: ed.newline()}
	l.ownLine = ed.firstOnLine(l.to)
	l.base = ed.indentOf(l.from)
	l.indent = l.base + "  "
	first, _ := slices.BinarySearchFunc(ed.tokens, l.from, func(t hclsyntax.Token, at int) int { return t.Range.Start.Byte - at })
	r := &listReader{src: ed.src, tokens: ed.tokens[first:], at: l.from}
	if end := r.restOfLine(); end > 0 {
		l.head, r.at = string(ed.src[l.from:end]), end
	}
	styled := false
	for _, x := range t.Exprs {
		rng := x.Range()
		if !styled && ed.firstOnLine(rng.Start.Byte) {
			l.indent, styled = ed.indentOf(rng.Start.Byte), true
		}
		e := r.entry(rng.Start.Byte, rng.End.Byte)
		e.key = s.entryKey(ed.src, x)
		l.entries = append(l.entries, e)
	}
	l.tail = string(ed.src[r.at:l.to])
	return l
}

// listReader goes over the tokens of a list. Blanks are none.
type listReader struct {
	src    []byte
	tokens hclsyntax.Tokens
	at     int // up to here all is read
}

// skipTo drops the tokens before an octet.
func (r *listReader) skipTo(at int) {
	for len(r.tokens) > 0 && r.tokens[0].Range.Start.Byte < at {
		r.tokens = r.tokens[1:]
	}
}

// restOfLine returns where the line ends, when only comments follow on it; else 0.
func (r *listReader) restOfLine() int {
	for _, t := range r.tokens {
		switch {
		case breaksLine(t):
			return t.Range.End.Byte
		case t.Type != hclsyntax.TokenComment:
			return 0
		}
	}
	return 0
}

// breaksLine reports whether a token ends its line; a # comment includes the line end.
func breaksLine(t hclsyntax.Token) bool {
	return t.Type == hclsyntax.TokenNewline || t.Type == hclsyntax.TokenComment && strings.HasSuffix(string(t.Bytes), "\n")
}

// entry reads the entry at [start, end) with what belongs to it.
func (r *listReader) entry(start, end int) entry {
	loose, line, comment := r.at, r.at, false
	for ; len(r.tokens) > 0 && r.tokens[0].Range.Start.Byte < start; r.tokens = r.tokens[1:] {
		t := r.tokens[0]
		comment = comment || t.Type == hclsyntax.TokenComment
		if breaksLine(t) {
			line = t.Range.End.Byte
			if !comment {
				loose = line
			}
			comment = false
		}
	}
	e := entry{loose: string(r.src[r.at:loose]), above: string(r.src[loose:line]), lead: string(r.src[line:start]),
		text: string(r.src[start:end]), begins: r.src[line-1] == '\n'}
	r.skipTo(end)
	r.at = end
	for i, t := range r.tokens {
		if t.Type == hclsyntax.TokenComma {
			e.comma, e.mid = true, string(r.src[end:t.Range.Start.Byte])
			r.at, r.tokens = t.Range.End.Byte, r.tokens[i+1:]
			break
		}
		if t.Type != hclsyntax.TokenComment && t.Type != hclsyntax.TokenNewline {
			break
		}
	}
	e.trail = r.trail()
	r.skipTo(r.at)
	return e
}

// trail reads the comments behind an entry. Those before another entry on the same line belong
// to that one.
func (r *listReader) trail() string {
	end := r.restOfLine()
	if end == 0 {
		for _, t := range r.tokens {
			if t.Type == hclsyntax.TokenCBrack {
				break
			}
			if t.Type != hclsyntax.TokenComment {
				return ""
			}
			end = t.Range.End.Byte
		}
	}
	if end == 0 {
		return ""
	}
	text := string(r.src[r.at:end])
	r.at = end
	return text
}
