package config

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/mailroot/mailroot/internal/vfs"
)

// MaxFileSize is the largest configuration file that is read, in octets. It has room for 50,000 domains with routes and comments, which
// take some seconds and 600 MB while they are read.
const MaxFileSize = 16 << 20

var utf8BOM = []byte("\xef\xbb\xbf")

// Parse reads a configuration. It returns all problems at once; with an error among them the
// Config is nil. filename stands in messages, and relative paths in the file start at its
// folder; with "" they are left as they are. Parse reads nothing but src and never panics.
func Parse(src []byte, filename string) (*Config, Problems) {
	cfg, problems := Draft(src, filename)
	if problems.HasErrors() {
		return nil, problems
	}
	return cfg, problems
}

// Draft is Parse, but returns what could be read of a file in error too, with defaults for the rest: to
// look for further errors, never to run with. It is nil when nothing could be read.
func Draft(src []byte, filename string) (*Config, Problems) {
	d := newDecoder(filename)
	if m := unreadable(src); m != "" {
		d.add(Problem{Message: m})
		return nil, d.problems
	}
	d.src = bytes.TrimPrefix(src, utf8BOM)
	if f := guardTokens(d.src); f != nil {
		d.fault("", f)
		return nil, d.problems
	}
	d.root = Schema()
	file, diags := hclsyntax.ParseConfig(d.src, filename, hcl.InitialPos)
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		d.add(Problem{Message: "the file cannot be read"})
		return nil, d.problems
	}
	d.diagnostics(diags, body)
	d.versioned = body.Attributes["version"] != nil
	d.cfg = &Config{file: filename, origins: make(map[string]Origin)}
	v := reflect.ValueOf(d.cfg).Elem()
	applyDefaults(&d.root, v)
	d.body(body, &d.root, "", v, "")
	d.finish()
	return d.cfg, d.sorted()
}

// Load reads the file at path. The error is of reading the file; what is wrong in it are
// Problems, as of Parse.
func Load(path string) (*Config, Problems, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, fmt.Errorf("configuration file: %w", err)
	}
	src, err := ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	cfg, problems := Parse(src, path)
	return cfg, problems, nil
}

// ReadFile reads a configuration file, but no more than a little over MaxFileSize: what is
// longer is refused by Parse. What is no regular file is refused here, without waiting for it.
func ReadFile(path string) ([]byte, error) {
	src, err := vfs.ReadRegular(path, MaxFileSize+1)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	return src, nil
}

// Default returns the configuration of an empty file.
func Default() *Config {
	cfg, problems := Parse(nil, "")
	if cfg == nil {
		// Only a wrong schema can do that, and a test parses it.
		panic("config: the defaults are invalid:\n" + problems.String())
	}
	return cfg
}

// unreadable says why src cannot be a configuration file at all.
func unreadable(src []byte) string {
	switch {
	case len(src) > MaxFileSize:
		return fmt.Sprintf("the file is larger than %d MB, which no configuration is", MaxFileSize>>20)
	case bytes.HasPrefix(src, []byte("\xff\xfe")), bytes.HasPrefix(src, []byte("\xfe\xff")):
		return "the file is in UTF-16; save it as UTF-8"
	}
	return ""
}

// diagnostics turns what the parser complains of into problems, and notes whether the file is broken in a
// way that leaves settings unread.
func (d *decoder) diagnostics(diags hcl.Diagnostics, body *hclsyntax.Body) {
	for _, diag := range diags {
		if diag.Severity != hcl.DiagError {
			continue
		}
		p := Problem{Message: diagText(diag)}
		if diag.Subject != nil {
			p.Line, p.Column = diag.Subject.Start.Line, diag.Subject.Start.Column
			p.Path = pathAt(body, "", diag.Subject.Start)
		}
		if diag.Summary == "Attribute redefined" && diag.Subject != nil {
			d.add(d.redefined(p, diag.Subject, body))
			continue
		}
		unclosed := p.Message == closeText
		if unclosed && d.unclosed {
			continue // a text without end reaches over all lines that follow
		}
		d.unclosed = d.unclosed || unclosed
		d.broken = true
		if d.brokenAt == 0 || p.Line < d.brokenAt {
			d.brokenAt = p.Line
		}
		if diag.Subject != nil && !d.full() && (diag.Summary == "Missing newline after argument" || diag.Summary == "Missing item separator") {
			p = d.bareUnit(p, diag.Subject.Start, body)
		}
		d.add(p)
	}
}

// redefined tells of a setting that stands twice in a block.
func (d *decoder) redefined(p Problem, at *hcl.Range, body *hclsyntax.Body) Problem {
	name := ""
	if at.CanSliceBytes(d.src) {
		name = string(at.SliceBytes(d.src))
	}
	p.Path = joinPath(p.Path, shorten(name))
	p.Message = "is set a second time; a setting stands once"
	if first := bodyAt(body, at.Start).Attributes[name]; first != nil {
		p.Message += fmt.Sprintf(", and line %d has it already", first.NameRange.Start.Line)
	}
	return p
}

// bareUnit tells of a size or time without quotes (20MB, 10 m), which the parser takes for a number with
// something behind it at pos. Any other problem it returns as it is.
func (d *decoder) bareUnit(p Problem, pos hcl.Pos, body *hclsyntax.Body) Problem {
	before := bytes.TrimRight(d.src[:pos.Byte], " \t")
	number := before[len(bytes.TrimRight(before, "0123456789")):]
	rest := d.src[pos.Byte:]
	unit := rest[:len(rest)-len(bytes.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"))]
	text := string(number) + string(unit)
	_, size := parseSize(strings.ToUpper(text))
	_, time := parseSeconds(text)
	if len(number) == 0 || len(unit) == 0 || !size && !time {
		return p
	}
	if size {
		text = strings.ToUpper(text)
	}
	d.misread[len(before)] = true
	start, name := -1, ""
	for n, a := range bodyAt(body, pos).Attributes {
		if at := a.NameRange.Start.Byte; start < at && at < pos.Byte {
			start, name = at, n
		}
	}
	if start >= 0 {
		p.Path = joinPath(p.Path, shorten(name))
	}
	p.Column -= pos.Byte - len(before) + len(number) // all ASCII
	p.Value, p.Suggest = string(number)+string(unit), quote(text)
	p.Message = "a value with a unit is a text, and needs quotes"
	return p
}

// diagText is what the parser says, with a hint where its words do not help.
func diagText(diag *hcl.Diagnostic) string {
	if text := ownWords[diag.Summary]; text != "" {
		return text
	}
	text := diag.Summary
	if text != "" {
		text = strings.ToLower(text[:1]) + text[1:]
	}
	detail := strings.TrimRight(oneLine(diag.Detail), ".")
	if detail != "" {
		text += ": " + detail
	}
	if hint := cmp.Or(hints[diag.Summary], hints[diag.Detail]); hint != "" {
		return hint + ": " + text
	}
	return text
}

// What is said for, or before, the words of the parser, by its summary
// or its detail.
const (
	howToWrite = "a setting is written name = value, a block name { … }, each on lines of its own"
	oneOnALine = "a block on one line holds one setting and ends on that line; " +
		"write several settings or blocks each on a line of its own between { and }, without commas"
	closeText = "a text begins and ends with \" on the same line"
)

var ownWords = map[string]string{
	"Invalid single-argument block definition":  oneOnALine,
	"Argument definition required":              oneOnALine,
	"Argument or block definition required":     howToWrite,
	"Invalid argument name":                     howToWrite + "; a name has no quotes",
	"Invalid block definition":                  howToWrite,
	"Missing newline after block definition":    howToWrite + "; behind } a new line is missing",
	"Missing newline after argument":            howToWrite + "; behind the value a new line is missing",
	"Unexpected comma after argument":           "no comma is written behind a setting; the next one stands on a line of its own",
	"Unclosed configuration block":              "the } of this block is missing",
	"Unclosed configuration body":               "a } is missing",
	"Invalid multi-line string":                 closeText,
	"Unterminated string literal":               closeText,
	"Unterminated template string":              closeText,
	"Missing expression":                        "a value is missing",
	"Missing item separator":                    "a comma is missing between the entries of this list",
	"Unterminated tuple constructor expression": "the ] of this list is missing",
}

var hints = map[string]string{
	"Invalid escape sequence":                         `in quotes \ is written \\, as in "C:\\Mail", and a path may have / instead`,
	"Invalid expression":                              `a value is true or false, a number, a text in quotes, or a list in [ ]`,
	"This character is not used within the language.": howToWrite,
	"Invalid number literal":                          "a number has digits only",
}

// innermost returns the block of body that pos is in, or nil.
func innermost(body *hclsyntax.Body, pos hcl.Pos) *hclsyntax.Block {
	for _, b := range body.Blocks {
		if b.Range().Start.Byte <= pos.Byte && pos.Byte < b.CloseBraceRange.End.Byte {
			return b
		}
	}
	return nil
}

// pathAt returns the path of the block that pos is in.
func pathAt(body *hclsyntax.Body, path string, pos hcl.Pos) string {
	b := innermost(body, pos)
	if b == nil {
		return path
	}
	return pathAt(b.Body, rawPath(path, b), pos)
}

// rawPath appends a block as the file has it, whether or not the schema knows it.
func rawPath(path string, b *hclsyntax.Block) string {
	if len(b.Labels) == 0 {
		return joinPath(path, shorten(b.Type))
	}
	return labelPath(path, &Block{Name: shorten(b.Type), Label: "any"}, shorten(b.Labels[0]))
}

// bodyAt returns the innermost body that pos is in.
func bodyAt(body *hclsyntax.Body, pos hcl.Pos) *hclsyntax.Body {
	for b := innermost(body, pos); b != nil; b = innermost(body, pos) {
		body = b.Body
	}
	return body
}
