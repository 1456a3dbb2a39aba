package metabase

import (
	"fmt"
	"strings"

	"github.com/mailroot/mailroot/internal/config"
)

// document is a configuration file in the making. Which of its settings stand commented out is asked of the schema when
// they are put in, and of the check of the whole file at its end.
type document struct {
	head   []string // comments at its top
	schema config.Block
	top    *block // stands for the file
}

// block is a block of the file, or the file itself.
type block struct {
	doc         *document
	schema      *config.Block
	parent      *block
	name, label string
	path        string
	missing     string   // the engine that is missing for all that is within
	off         string   // why all of it stands commented out; ""
	notes       []string // comments above it
	entries     []*entry
	blocks      []*block
	index       map[[2]string]*block // of blocks, by name and label
}

// entry is a setting.
type entry struct {
	name, value string // as the file has it
	path        string
	in          *block // nil where it is only spoken of
	off         string // why it stands commented out; ""
	notes       []string
}

func newDocument() *document {
	d := &document{schema: config.Schema()}
	d.top = &block{doc: d, schema: &d.schema}
	return d
}

// block returns the block of that name and label, which it makes when it is not there yet.
func (b *block) block(name, label string) *block {
	if sub := b.index[[2]string{name, label}]; sub != nil {
		return sub
	}
	sub := &block{doc: b.doc, parent: b, name: name, label: label, path: pathOf(b.path, name, label), missing: b.missing}
	for i := range b.schema.Blocks {
		if s := &b.schema.Blocks[i]; s.Name == name {
			sub.schema = s
			if s.Missing != "" {
				sub.missing = s.Missing
			}
		}
	}
	if b.index == nil {
		b.index = make(map[[2]string]*block)
	}
	b.index[[2]string{name, label}] = sub
	b.blocks = append(b.blocks, sub)
	return sub
}

// has reports whether there is such a block.
func (b *block) has(name, label string) bool {
	return b.index[[2]string{name, label}] != nil
}

// pathOf is how the schema names a block.
func pathOf(path, name, label string) string {
	if path != "" {
		name = path + "." + name
	}
	switch {
	case label == "":
		return name
	case strings.HasSuffix(name, "virtual_server"):
		return name + "." + label
	}
	return name + "[" + config.Quote(label) + "]"
}

// setting returns what the schema says of a setting of the block. A name that is not there is a mistake of this
// package, which a test finds.
func (b *block) setting(name string) *config.Setting {
	for i := range b.schema.Settings {
		if b.schema.Settings[i].Name == name {
			return &b.schema.Settings[i]
		}
	}
	panic("metabase: the schema has no " + b.path + "." + name)
}

// set puts a setting in, with its value as the file has it. Where its engine, or that of the value, is missing, or the value
// cannot be, it stands commented out; the entry says why.
func (b *block) set(name, value string, notes ...string) *entry {
	s := b.setting(name)
	e := &entry{name: name, value: value, path: b.path + "." + name, in: b, notes: notes}
	switch {
	case b.missing != "":
		e.off = needs(b.missing)
	case s.Missing != "":
		e.off = needs(s.Missing)
	case later(s, value) != "":
		e.off = "not in this version: " + later(s, value)
	default:
		e.off = s.Refuses(value)
	}
	b.entries = append(b.entries, e)
	return e
}

// later returns the words of a value whose engine is missing.
func later(s *config.Setting, value string) string {
	var words []string
	for _, w := range s.Later {
		if strings.Contains(value, config.Quote(w)) {
			words = append(words, config.Quote(w))
		}
	}
	return strings.Join(words, ", ")
}

func needs(engine string) string { return "not in this version: it needs " + engine }

// labelRefused says why a block cannot have its label, "" when it can.
func (b *block) labelRefused() string { return b.schema.RefusesLabel(b.label) }

// settle comments out what the check of the whole file refuses, so that what is written is in order. What it
// cannot settle is an error. It returns the file, what it says, and what was commented out.
func (d *document) settle() ([]byte, *config.Config, []string, error) {
	var told []string
	for range maxRounds {
		text := d.render()
		if len(text) > config.MaxFileSize {
			return nil, nil, nil, tooMuch("the configuration would have %d MB, and a configuration file has %d at most; import a copy of the old file without the virtual servers and domains that need no entry: a remote domain whose mail goes where that of all others goes, or where an entry such as *.example.com leads it, needs none", len(text)>>20, config.MaxFileSize>>20)
		}
		cfg, problems := config.Parse(text, "")
		if !problems.HasErrors() {
			return text, cfg, told, nil
		}
		settled := false
		for _, p := range problems.Errors() {
			if d.top.turnOff(p.Path, p.Message) {
				settled = true
				told = append(told, p.Path+": "+p.Message)
			}
		}
		if !settled {
			return nil, nil, nil, fmt.Errorf("the configuration made of it is in error, so that nothing was written:\n%s", problems)
		}
	}
	return nil, nil, nil, fmt.Errorf("the configuration made of it stays in error after %d repairs, so that nothing was written", maxRounds)
}

// maxRounds bounds settle: each round reads the file once, and tells up to 200 problems.
const maxRounds = 60

// turnOff comments out the setting or block of that path, if it is not yet.
func (b *block) turnOff(path, why string) bool {
	for _, e := range b.entries {
		if e.path == path && e.off == "" {
			e.off = why
			return true
		}
	}
	for _, sub := range b.blocks {
		whole := path == sub.path || path == sub.path+".kind"
		switch {
		case whole && sub.label != "" && sub.parent.parent != nil: // a binding or domain
			was := sub.off
			sub.off = why
			return was == ""
		case sub.name == "relay" || sub.name == "connection_control": // without its list it would let others in
		case strings.HasPrefix(path, sub.path) && sub.turnOff(path, why):
			return true
		}
	}
	return false
}
