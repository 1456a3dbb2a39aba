package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxProblems is how many are told of one file.
const maxProblems = 200

// decoder reads one file.
type decoder struct {
	src      []byte
	file     string
	dir      string
	root     Block
	cfg      *Config
	problems Problems
	more     int // problems beyond maxProblems
	// faulty has the paths of settings whose value is wrong, so that they have their default.
	faulty map[string]bool
	// misread has the ends of values that were told as part of a larger one; see bareUnit.
	misread map[int]bool
	// fresh holds an element with its defaults for each block that has a label.
	fresh     map[*Block]reflect.Value
	versioned bool // the file has a version, be it right or wrong
	unclosed  bool // a text without end was told
	broken    bool // the parser could not read all settings of the file
	brokenAt  int  // the line from which on the parser may have misread what stands where; 0: none
}

func newDecoder(filename string) *decoder {
	d := &decoder{file: filename, fresh: make(map[*Block]reflect.Value), faulty: make(map[string]bool), misread: make(map[int]bool)}
	if filename != "" {
		d.dir = filepath.Dir(filename)
	}
	return d
}

// add takes a problem; its severity is an error unless it says otherwise.
func (d *decoder) add(p Problem) {
	if len(d.problems) >= maxProblems {
		d.more++
		return
	}
	p.File = d.file
	if p.Severity == "" {
		p.Severity = SeverityError
	}
	d.problems = append(d.problems, p)
}

// addPlace takes a problem of the sort "this does not belong here", which tells nothing behind
// a place where the file is broken.
func (d *decoder) addPlace(p Problem) {
	if d.brokenAt == 0 || p.Line < d.brokenAt {
		d.add(p)
	}
}

// known reports whether all these settings and blocks are in the configuration as the file means them.
// Where the parser had to leave something out, that is so only of what was read.
func (d *decoder) known(paths ...string) bool {
	return !slices.ContainsFunc(paths, func(path string) bool {
		return d.faulty[path] || d.broken && !d.cfg.isSet(path)
	})
}

// full reports whether further problems are only counted, so that no more effort is due.
func (d *decoder) full() bool { return len(d.problems) >= maxProblems }

// fault takes what is wrong with the value of a setting.
func (d *decoder) fault(path string, f *fault) {
	d.add(Problem{Severity: f.severity, Line: f.rng.Start.Line, Column: f.rng.Start.Column,
		Path: path, Value: f.text, Message: f.message, Suggest: f.suggest})
}

// sorted returns the problems in the order of the file; those without a place come last.
func (d *decoder) sorted() Problems {
	d.problems.InOrder()
	if d.more > 0 {
		d.problems = append(d.problems, Problem{Severity: SeverityError, File: d.file,
			Message: fmt.Sprintf("there are %d more problems", d.more)})
	}
	return d.problems
}

// body reads the attributes and blocks of one block. dst is the struct for its values; it is
// invalid where there is none, because an engine is missing. Then missing names that engine,
// the block has been reported, and its values are only checked.
func (d *decoder) body(body *hclsyntax.Body, blk *Block, path string, dst reflect.Value, missing string) {
	for _, a := range sortedAttributes(body) {
		d.attribute(a, blk, path, dst, missing)
	}
	seen := make(map[string]*hclsyntax.Block)
	for _, b := range body.Blocks {
		d.block(b, blk, path, dst, missing, seen)
	}
}

func sortedAttributes(body *hclsyntax.Body) []*hclsyntax.Attribute {
	attrs := make([]*hclsyntax.Attribute, 0, len(body.Attributes))
	for _, a := range body.Attributes {
		attrs = append(attrs, a)
	}
	slices.SortFunc(attrs, func(a, b *hclsyntax.Attribute) int {
		return cmp.Compare(a.NameRange.Start.Byte, b.NameRange.Start.Byte)
	})
	return attrs
}

func (d *decoder) attribute(a *hclsyntax.Attribute, blk *Block, path string, dst reflect.Value, missing string) {
	full := joinPath(path, a.Name)
	s := blk.setting(a.Name)
	if s == nil {
		p := Problem{Line: a.NameRange.Start.Line, Column: a.NameRange.Start.Column, Path: joinPath(path, shorten(a.Name))}
		if blk.block(a.Name) != nil {
			p.Message = "is a block: write " + blk.block(a.Name).head(blk.block(a.Name).Example) + " … }, without ="
		} else if !d.full() {
			p.Message, p.Suggest = blk.unknown(&d.root, a.Name, false)
		}
		d.addPlace(p)
		return
	}
	at := Origin{From: FromFile, Line: a.NameRange.Start.Line, Column: a.NameRange.Start.Column}
	l, f := evalLiteral(d.src, a.Expr)
	if s.Secret {
		l.text = ""
		if f != nil {
			f.text = ""
		}
	}
	if s.Missing != "" && missing == "" {
		d.add(Problem{Line: at.Line, Column: at.Column, Path: full, Value: l.text,
			Message: notAvailable + " (it needs " + s.Missing + "); take the line out"})
	}
	if s.Missing != "" || missing != "" {
		return // whatever its value is, it has no effect
	}
	if d.misread[a.Expr.Range().End.Byte] {
		d.faulty[full] = true
		return
	}
	if f != nil {
		d.fault(full, f)
		d.faulty[full] = true
		return
	}
	v, faults := s.decode(l, d.dir)
	for _, f := range faults {
		if s.Secret {
			f.text = ""
		}
		d.fault(full, f)
	}
	d.faulty[full] = v == nil
	if v == nil || !dst.IsValid() {
		return
	}
	assign(fieldOf(dst, s.Name), v)
	at.text = s.asWritten(l)
	d.cfg.origins[full] = at
	if s.Kind == KindNetworks {
		for _, item := range l.items {
			p, _, _ := parseNetwork(item.s) // it is valid, as v is
			d.cfg.origins[entryPath(full, p)] = Origin{From: FromFile, Line: item.rng.Start.Line, Column: item.rng.Start.Column}
		}
	}
}

// entryPath is where the origin of an entry of a list of networks stands; no path of a
// setting ends so.
func entryPath(path string, p netip.Prefix) string { return path + "#" + p.String() }

func (d *decoder) block(b *hclsyntax.Block, blk *Block, path string, dst reflect.Value, missing string, seen map[string]*hclsyntax.Block) {
	p := Problem{Line: b.TypeRange.Start.Line, Column: b.TypeRange.Start.Column, Path: rawPath(path, b)}
	nb := blk.block(b.Type)
	if nb == nil {
		p.Path = joinPath(path, shorten(b.Type))
		if blk.setting(b.Type) != nil {
			p.Message = "is a setting: write " + b.Type + " = value"
		} else if !d.full() {
			p.Message, p.Suggest = blk.unknown(&d.root, b.Type, true)
		}
		d.addPlace(p)
		return
	}
	label, ok := d.label(b, nb, p)
	if !ok {
		return
	}
	p.Path = labelPath(path, nb, label)
	if first := seen[p.Path]; first != nil {
		p.Message = fmt.Sprintf("stands a second time; line %d has it already", first.TypeRange.Start.Line)
		d.addPlace(p)
		return
	}
	seen[p.Path] = b
	if nb.Missing != "" && missing == "" {
		missing = nb.Missing
		p.Message = notAvailable + " (it needs " + nb.Missing + "); take the block out"
		d.add(p)
	}
	if nb.Name == serverBlock && label != defaultServer {
		p.Message = `more than the virtual server "default" is ` + notAvailable
		d.add(p)
		return
	}
	var sub reflect.Value
	if missing == "" {
		d.cfg.origins[p.Path] = Origin{From: FromFile, Line: p.Line, Column: p.Column}
		sub = d.target(nb, label, dst)
	}
	d.body(b.Body, nb, p.Path, sub, missing)
	d.required(b, nb, p, missing)
}

// target returns the struct for a block; for one with a label it is a new element of the list.
func (d *decoder) target(nb *Block, label string, dst reflect.Value) reflect.Value {
	f := fieldOf(dst, nb.Name)
	if nb.Label == "" {
		return f
	}
	elem, ok := d.fresh[nb]
	if !ok {
		elem = reflect.New(f.Type().Elem()).Elem()
		applyDefaults(nb, elem)
		d.fresh[nb] = elem
	}
	f.Set(reflect.Append(f, elem))
	last := f.Index(f.Len() - 1)
	setLabel(last, label)
	return last
}

// label checks the labels of a block and returns the canonical form of the one it has.
func (d *decoder) label(b *hclsyntax.Block, nb *Block, p Problem) (string, bool) {
	want := 0
	if nb.Label != "" {
		want = 1
	}
	switch {
	case len(b.Labels) < want:
		p.Message = fmt.Sprintf("a label is missing (%s): write %s %s { … }", nb.Label, nb.Name, quote(nb.Example))
	case len(b.Labels) > want && want == 0:
		p.Message = fmt.Sprintf("has no label: write %s { … }", nb.Name)
	case len(b.Labels) > want:
		p.Message = fmt.Sprintf("has one label (%s), not %d", nb.Label, len(b.Labels))
	case want == 0:
		return "", true
	default:
		label, message, suggest := nb.canonicalLabel(b.Labels[0])
		if message == "" {
			return label, true
		}
		p.Message, p.Suggest = message, suggest
		p.Line, p.Column = b.LabelRanges[0].Start.Line, b.LabelRanges[0].Start.Column
	}
	d.add(p)
	return "", false
}

// required reports the settings that a block must have and has not.
func (d *decoder) required(b *hclsyntax.Block, nb *Block, p Problem, missing string) {
	for i := range nb.Settings {
		s := &nb.Settings[i]
		if s.Required && missing == "" && b.Body.Attributes[s.Name] == nil {
			p.Path = joinPath(p.Path, s.Name)
			p.Message = fmt.Sprintf("is missing; %s is expected, as in %s = %s", s.Want(), s.Name, s.Example)
			d.addPlace(p)
		}
	}
}

// fieldOf returns the field of a struct that carries a name of the schema.
func fieldOf(dst reflect.Value, name string) reflect.Value {
	t := dst.Type()
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("conf") == name {
			return dst.Field(i)
		}
	}
	return reflect.Value{}
}

const labelTag = ",label"

func setLabel(elem reflect.Value, label string) {
	fieldOf(elem, labelTag).SetString(label)
	if b, ok := elem.Addr().Interface().(*Binding); ok {
		parsed, _, _ := parseBinding(label) // the label is canonical
		b.IP, b.Port = parsed.IP, parsed.Port
	}
}

// assign stores a decoded value, whose type is that of the field or converts to it.
func assign(field reflect.Value, v any) {
	field.Set(reflect.ValueOf(v).Convert(field.Type()))
}

// applyDefaults fills a struct with the defaults of its block and of the blocks within that
// may stand once.
func applyDefaults(blk *Block, dst reflect.Value) {
	for i := range blk.Settings {
		s := &blk.Settings[i]
		if s.Missing != "" || s.Default == "" {
			continue
		}
		if v, ok := s.defaultValue(); ok {
			assign(fieldOf(dst, s.Name), v)
		}
	}
	for i := range blk.Blocks {
		b := &blk.Blocks[i]
		if b.Missing == "" && b.Label == "" {
			applyDefaults(b, fieldOf(dst, b.Name))
		}
	}
}

// defaultValue returns the decoded default of a setting that has one: what of it is in force.
func (s *Setting) defaultValue() (any, bool) {
	l, f := parseLiteral(s.Default)
	if f != nil {
		return nil, false
	}
	l.items = slices.DeleteFunc(l.items, func(x literal) bool { return slices.Contains(s.Later, x.s) })
	v, _ := s.decode(l, "")
	return v, v != nil
}

// defaultInForce returns the default without the words that have no engine.
func (s *Setting) defaultInForce() string {
	if v, ok := s.defaultValue(); ok && len(s.inactiveWords()) > 0 {
		return s.format(v)
	}
	return s.Default
}

// inactiveWords returns the words of the default, in quotes, that have no engine.
func (s *Setting) inactiveWords() []string {
	var words []string
	for _, w := range s.Later {
		if strings.Contains(s.Default, quote(w)) {
			words = append(words, quote(w))
		}
	}
	return words
}

func reflectOf[T any](p *T) reflect.Value { return reflect.ValueOf(p).Elem() }
