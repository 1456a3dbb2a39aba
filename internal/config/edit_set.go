package config

import (
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// put writes a literal as the value of a setting.
func (ed *editor) put(p *place, literal string) error {
	if b := ed.find(p.steps, p.blocks); b != nil {
		if a := b.body.Attributes[p.setting.Name]; a != nil {
			r := a.Expr.Range()
			return ed.change(splice{r.Start.Byte, r.End.Byte, literal})
		}
	}
	b, err := ed.make(p)
	if err != nil {
		return err
	}
	at := ed.commentedOut(b, p.setting.Name)
	if at < 0 {
		at = ed.after(b, p.setting.Name)
	}
	line := ed.indentIn(b) + p.setting.Name + ed.padding(b, p.setting.Name, at) + "= " + literal
	return ed.change(ed.insertLine(at, line))
}

// padding returns the blanks before = that bring it below that of the setting before, if no
// empty line is between.
func (ed *editor) padding(b *block, name string, at int) string {
	var before *hclsyntax.Attribute
	for _, a := range b.body.Attributes {
		if end := a.SrcRange.End.Byte; end <= at && (before == nil || end > before.SrcRange.End.Byte) {
			before = a
		}
	}
	if before == nil || !ed.firstOnLine(before.NameRange.Start.Byte) {
		return " "
	}
	for line := range strings.Lines(string(ed.src[before.SrcRange.End.Byte:at])) {
		if strings.TrimSpace(line) == "" && at > before.SrcRange.End.Byte+len(line) {
			return " "
		}
	}
	n := before.EqualsRange.Start.Column - before.NameRange.Start.Column - len(name)
	return strings.Repeat(" ", max(1, n))
}

// entryKey returns the canonical form of an entry, so that two ways to write it are equal; one
// that is invalid is compared as written.
func (s *Setting) entryKey(src []byte, e hclsyntax.Expression) string {
	l, f := evalLiteral(src, e)
	if f != nil {
		return l.text
	}
	return s.literalKey(l)
}

func (s *Setting) literalKey(l literal) string {
	list := literal{kind: litList, items: []literal{l}, text: l.text}
	if v, _ := s.decode(list, ""); v != nil {
		return s.format(v)
	}
	return l.text
}

func (s *Setting) textKey(text string) string {
	l, f := parseLiteral(text)
	if f != nil {
		return text
	}
	return s.literalKey(l)
}
