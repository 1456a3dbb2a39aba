package config

import (
	"cmp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

type litKind uint8

const (
	litBool litKind = iota + 1
	litInt
	litNumber // a number that is no int64
	litString
	litList
)

// literal is a value as the file has it, before its setting gives it a meaning.
type literal struct {
	kind  litKind
	b     bool
	n     int64
	s     string
	items []literal
	bad   *fault // of an entry: why it is no literal
	text  string // as written
	rng   hcl.Range
}

// fault is what is wrong with a value, or with one entry of a list.
type fault struct {
	severity Severity // "" stands for an error
	text     string   // of the value, as written
	rng      hcl.Range
	message  string
	suggest  string
}

func (l *literal) fault(message, suggest string) *fault {
	return &fault{text: l.text, rng: l.rng, message: message, suggest: suggest}
}

const onlyLiterals = "only literal values can stand here: no variables, functions, templates or expressions"

// evalLiteral turns an expression into a literal. src is what the expression was parsed from. What is
// wrong with the entries of a list stands in them.
func evalLiteral(src []byte, e hclsyntax.Expression) (literal, *fault) {
	l := literal{rng: e.Range(), text: sourceText(src, e.Range())}
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		if f := l.setValue(e.Val); f != nil {
			return l, f
		}
		return l, nil
	case *hclsyntax.TemplateExpr:
		return evalString(l, e)
	case *hclsyntax.TupleConsExpr:
		l.kind = litList
		for _, x := range e.Exprs {
			item, f := evalLiteral(src, x)
			item.bad = f
			l.items = append(l.items, item)
		}
		return l, nil
	case *hclsyntax.UnaryOpExpr:
		if v, ok := e.Val.(*hclsyntax.LiteralValueExpr); ok && e.Op == hclsyntax.OpNegate && v.Val.Type() == cty.Number {
			f := l.setValue(v.Val)
			l.n = -l.n
			return l, f
		}
		return l, l.fault(onlyLiterals, "")
	case *hclsyntax.ScopeTraversalExpr:
		return l, l.fault("a word needs quotes; there are no variables", quote(l.text))
	case *hclsyntax.FunctionCallExpr:
		return l, l.fault("a function; "+onlyLiterals, "")
	case *hclsyntax.ObjectConsExpr:
		return l, l.fault("{ … } is not a value; a block is written without =", "")
	default:
		return l, l.fault(onlyLiterals, "")
	}
}

func (l *literal) setValue(v cty.Value) *fault {
	switch {
	case !v.IsKnown():
		return l.fault("the value is missing or cannot be read", "")
	case v.IsNull():
		return l.fault("null is not a value; leave the line out for the default", "")
	case v.Type() == cty.Bool:
		l.kind, l.b = litBool, v.True()
	case v.Type() == cty.String:
		l.kind, l.s = litString, v.AsString()
	case v.Type() == cty.Number:
		l.kind = litNumber
		bf := v.AsBigFloat()
		if n, acc := bf.Int64(); acc == 0 && bf.IsInt() {
			l.kind, l.n = litInt, n
		}
	default:
		return l.fault(onlyLiterals, "")
	}
	return nil
}

func evalString(l literal, e *hclsyntax.TemplateExpr) (literal, *fault) {
	if strings.HasPrefix(l.text, "<<") {
		return l, l.fault("text of several lines (<<) is not available; write it in quotes on one line", "")
	}
	var b strings.Builder
	for _, part := range e.Parts {
		v, ok := part.(*hclsyntax.LiteralValueExpr)
		if !ok || v.Val.IsNull() || v.Val.Type() != cty.String {
			return l, l.fault("a template; "+onlyLiterals+"; write $${ for ${ and %%{ for %{ in a text", "")
		}
		b.WriteString(v.Val.AsString())
	}
	l.kind, l.s = litString, b.String()
	return l, nil
}

// parseLiteral reads one literal that does not come from the file: a default or a new value.
func parseLiteral(text string) (literal, *fault) {
	src := []byte(text)
	whole := literal{text: shorten(text)}
	if f := guardTokens(src); f != nil {
		return whole, f
	}
	e, diags := hclsyntax.ParseExpression(src, "", hcl.InitialPos)
	if diags.HasErrors() {
		return whole, whole.fault("not a value: "+diagText(diags[0]), "")
	}
	l, f := evalLiteral(src, e)
	return l, cmp.Or(f, l.firstBad())
}

// firstBad returns what is wrong with the first entry that is no literal, in lists within the list too.
func (l *literal) firstBad() *fault {
	for i := range l.items {
		if f := cmp.Or(l.items[i].bad, l.items[i].firstBad()); f != nil {
			return f
		}
	}
	return nil
}

// sourceText returns what stands at rng, on one line and shortened.
func sourceText(src []byte, rng hcl.Range) string {
	if !rng.CanSliceBytes(src) {
		return ""
	}
	return shorten(string(rng.SliceBytes(src)))
}

const maxShown = 80 // characters of a value in a message

func shorten(s string) string {
	if len(s) > 8*maxShown {
		s = s[:8*maxShown]
	}
	s = oneLine(s)
	if utf8.RuneCountInString(s) > maxShown {
		s = string([]rune(s)[:maxShown-1]) + "…"
	}
	return s
}

// oneLine makes runs of blanks and line ends one blank, and other control characters visible.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
}

// quote returns s as a quoted literal of the file.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case (r == '$' || r == '%') && strings.HasPrefix(s[i+1:], "{"):
			b.WriteRune(r)
			b.WriteRune(r)
		case r < ' ' || r == 0x7f || r == 0xfeff:
			b.WriteString(`\u` + strconv.FormatInt(0x10000+int64(r), 16)[1:])
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Quote writes a text as the file has it, in quotation marks.
func Quote(s string) string { return quote(s) }
