package config

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// editor changes the text of one file. It cuts and inserts octets at the places that the
// parser tells, so that nothing else can change, and parses anew after each step.
type editor struct {
	root   *Block
	file   string
	src    []byte
	body   *hclsyntax.Body
	tokens hclsyntax.Tokens
}

// parse reads src; what the parser cannot read, the editor does not touch. A setting that
// stands twice is in nobody's way.
func (ed *editor) parse() error {
	d := newDecoder(ed.file)
	d.src = ed.src
	if f := crowded(ed.src); f != nil {
		d.fault("", f)
		return d.problems.Err()
	}
	ed.tokens, _ = hclsyntax.LexConfig(ed.src, ed.file, hcl.InitialPos)
	if f := guard(ed.tokens); f != nil {
		d.fault("", f)
		return d.problems.Err()
	}
	file, diags := hclsyntax.ParseConfig(ed.src, ed.file, hcl.InitialPos)
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		d.add(Problem{Message: "the file cannot be read"})
		return d.problems.Err()
	}
	ed.body = body
	if d.diagnostics(diags, body); d.broken {
		return d.problems.Err()
	}
	return nil
}

// splice is octets [from, to) to be replaced by text.
type splice struct {
	from, to int
	text     string
}

// change replaces octets and parses the result. The splices do not overlap.
func (ed *editor) change(splices ...splice) error {
	slices.SortStableFunc(splices, func(a, b splice) int { return cmp.Compare(a.from, b.from) })
	var out bytes.Buffer
	at := 0
	for _, s := range splices {
		out.Write(ed.src[at:s.from])
		out.WriteString(s.text)
		at = s.to
	}
	out.Write(ed.src[at:])
	ed.src = out.Bytes()
	return ed.parse()
}

// newline is the line end of the file: that of its first line.
func (ed *editor) newline() string {
	if i := bytes.IndexByte(ed.src, '\n'); i > 0 && ed.src[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// lineStart returns where the line of an octet begins.
func (ed *editor) lineStart(at int) int { return bytes.LastIndexByte(ed.src[:at], '\n') + 1 }

// lineEnd returns where the line of an octet ends, behind its line end; a comment of several
// lines that begins in it belongs to it.
func (ed *editor) lineEnd(at int) int {
	first, _ := slices.BinarySearchFunc(ed.tokens, at+1, func(t hclsyntax.Token, at int) int {
		return cmp.Compare(t.Range.End.Byte, at)
	})
	for _, t := range ed.tokens[first:] {
		if t.Type == hclsyntax.TokenNewline || t.Type == hclsyntax.TokenComment && bytes.HasSuffix(t.Bytes, []byte("\n")) {
			return t.Range.End.Byte
		}
	}
	return len(ed.src)
}

// indentOf returns the blanks at the start of the line of an octet.
func (ed *editor) indentOf(at int) string {
	line := ed.src[ed.lineStart(at):]
	n := 0
	for n < len(line) && (line[n] == ' ' || line[n] == '\t') {
		n++
	}
	return string(line[:n])
}

// firstOnLine reports whether only blanks stand before an octet on its line.
func (ed *editor) firstOnLine(at int) bool {
	return len(bytes.TrimLeft(ed.src[ed.lineStart(at):at], " \t")) == 0
}

// insertLine puts a line at an octet where a line begins, or at the end of the file.
func (ed *editor) insertLine(at int, line string) splice {
	nl := ed.newline()
	if at > 0 && ed.src[at-1] != '\n' {
		return splice{at, at, nl + line + nl}
	}
	return splice{at, at, line + nl}
}

// block is a block of the file with its description; the file itself has no syntax.
type block struct {
	syntax *hclsyntax.Block
	body   *hclsyntax.Body
	schema *Block
}

// find returns the block that steps lead to, or nil.
func (ed *editor) find(steps []step, blocks []*Block) *block {
	at := &block{body: ed.body, schema: ed.root}
	for i, s := range steps {
		var next *block
		for _, b := range at.body.Blocks {
			if b.Type != s.name || (len(b.Labels) > 0) != s.hasLabel {
				continue
			}
			if s.hasLabel {
				if !blocks[i].sameLabel(b.Labels[0], s.label) {
					continue
				}
			}
			next = &block{syntax: b, body: b.Body, schema: blocks[i]}
			break
		}
		if next == nil {
			return nil
		}
		at = next
	}
	return at
}

// make returns the block that a path stands in, and makes those that are missing.
func (ed *editor) make(p *place) (*block, error) {
	for i := range p.steps {
		if ed.find(p.steps[:i+1], p.blocks[:i+1]) != nil {
			continue
		}
		parent, err := ed.open(p.steps[:i], p.blocks[:i])
		if err != nil {
			return nil, err
		}
		head := p.steps[i].name
		if p.steps[i].hasLabel {
			head += " " + quote(p.steps[i].label)
		}
		indent := ed.indentIn(parent)
		at := ed.after(parent, p.steps[i].name)
		s := ed.insertLine(at, indent+head+" {"+ed.newline()+indent+"}")
		if parent.syntax == nil && at > 0 {
			s.text = ed.newline() + s.text
		}
		if err := ed.change(s); err != nil {
			return nil, err
		}
	}
	return ed.open(p.steps, p.blocks)
}

// open returns the block at steps, and first brings one that stands on one line to several.
func (ed *editor) open(steps []step, blocks []*Block) (*block, error) {
	b := ed.find(steps, blocks)
	if b.syntax == nil || b.syntax.OpenBraceRange.Start.Line != b.syntax.CloseBraceRange.Start.Line {
		return b, nil
	}
	from, to := b.syntax.OpenBraceRange.End.Byte, b.syntax.CloseBraceRange.Start.Byte
	nl, indent := ed.newline(), ed.indentOf(b.syntax.TypeRange.Start.Byte)
	text := nl + indent
	if inner := strings.TrimSpace(string(ed.src[from:to])); inner != "" {
		text = nl + indent + "  " + inner + nl + indent
	}
	if err := ed.change(splice{from, to, text}); err != nil {
		return nil, err
	}
	return ed.find(steps, blocks), nil
}

// indentIn returns the indentation of what stands in a block.
func (ed *editor) indentIn(b *block) string {
	if b.syntax == nil {
		return ""
	}
	for _, a := range sortedAttributes(b.body) {
		if ed.firstOnLine(a.NameRange.Start.Byte) {
			return ed.indentOf(a.NameRange.Start.Byte)
		}
	}
	return ed.indentOf(b.syntax.TypeRange.Start.Byte) + "  "
}

// after returns where a line for a setting or block goes: behind what stands before it in the
// schema, else at the start of the block.
func (ed *editor) after(b *block, name string) int {
	rank := b.schema.rank(name)
	at := -1
	for _, a := range b.body.Attributes {
		if b.schema.rank(a.Name) <= rank {
			at = max(at, a.SrcRange.End.Byte)
		}
	}
	for _, sub := range b.body.Blocks {
		if b.schema.rank(sub.Type) <= rank {
			at = max(at, sub.CloseBraceRange.End.Byte)
		}
	}
	switch {
	case at >= 0:
		return ed.lineEnd(at)
	case b.syntax != nil:
		return ed.lineEnd(b.syntax.OpenBraceRange.End.Byte)
	default:
		return 0
	}
}

// rank is the place of a name in a block: settings first, in the order of the schema.
func (b *Block) rank(name string) int {
	for i := range b.Settings {
		if b.Settings[i].Name == name {
			return i
		}
	}
	for i := range b.Blocks {
		if b.Blocks[i].Name == name {
			return len(b.Settings) + i
		}
	}
	return -1
}

// commentedOut returns the end of the line in which a setting of the block is written as a
// comment, as in the file of InitFile; -1 when there is none.
func (ed *editor) commentedOut(b *block, name string) int {
	from, to := 0, len(ed.src)
	if b.syntax != nil {
		from, to = b.syntax.OpenBraceRange.End.Byte, b.syntax.CloseBraceRange.Start.Byte
	}
	pattern := regexp.MustCompile(`^(#|//) ?` + regexp.QuoteMeta(name) + `\s*=`)
	for _, t := range ed.tokens {
		start := t.Range.Start
		if t.Type != hclsyntax.TokenComment || start.Byte < from || t.Range.End.Byte > to || !pattern.Match(t.Bytes) {
			continue
		}
		if ed.firstOnLine(start.Byte) && innermost(b.body, start) == nil && !ed.inAttribute(b.body, start.Byte) {
			return t.Range.End.Byte
		}
	}
	return -1
}

// inAttribute reports whether an octet is within a value, such as a list of several lines.
func (ed *editor) inAttribute(body *hclsyntax.Body, at int) bool {
	for _, a := range body.Attributes {
		if a.SrcRange.Start.Byte <= at && at < a.SrcRange.End.Byte {
			return true
		}
	}
	return false
}
