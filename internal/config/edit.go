package config

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Op says what an Edit does.
type Op uint8

// The operations.
const (
	OpSet         Op = iota + 1 // give a setting a value, in a block that is made if need be
	OpAppend                    // add entries to a list
	OpRemove                    // take entries from a list
	OpUnset                     // take a setting out, so that it has its default, or what the schema does not know
	OpAddBlock                  // add an empty block such as domain["example.org"]
	OpRemoveBlock               // take a block out, with all that is in it
)

// Edit is one change of a configuration file.
//
// Path names the setting or block, as in virtual_server.default.connections.inbound_limit or
// domain["example.org"].route; virtual_server.default may be left out.
//
// Value is a literal as the file has it, or as one types it in a shell: words and texts
// without quotes, lists without brackets with commas between the entries.
type Edit struct {
	Op    Op
	Path  string
	Value string // OpSet, OpAppend, OpRemove
}

// ParseEdit reads path=value, path+=value or path-=value.
func ParseEdit(s string) (Edit, error) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == '=' && !quoted:
			e := Edit{Op: OpSet, Path: s[:i], Value: strings.TrimSpace(s[i+1:])}
			if path, ok := strings.CutSuffix(e.Path, "+"); ok {
				e.Op, e.Path = OpAppend, path
			} else if path, ok := strings.CutSuffix(e.Path, "-"); ok {
				e.Op, e.Path = OpRemove, path
			}
			e.Path = strings.TrimSpace(e.Path)
			return e, nil
		}
	}
	return Edit{}, fmt.Errorf("%s is not a change: write setting=value, setting+=entry or setting-=entry", shorten(s))
}

// Set gives one setting a value; see Apply.
func Set(src []byte, path, value string) ([]byte, error) {
	out, _, err := Apply(src, "", Edit{Op: OpSet, Path: path, Value: value})
	return out, err
}

// Apply changes a configuration file and returns the new one. All that is not touched stays as
// it is, octet by octet: comments, order, alignment, line ends, a byte order mark. The changes
// are made one after the other and the result is checked as Parse does; when that finds an
// error that src has not, Apply returns a *RefusedError and no file. So a file in error can be
// mended step by step, but not one whose blocks and lists cannot be told apart. The Problems are
// the warnings, and the errors that are left. The error wraps ErrUnknownSetting when a path leads
// nowhere. filename is as for Parse.
func Apply(src []byte, filename string, edits ...Edit) ([]byte, Problems, error) {
	if m := unreadable(src); m != "" {
		return nil, nil, &InvalidError{Problems: Problems{{Severity: SeverityError, File: filename, Message: m}}}
	}
	bom := []byte(nil)
	if bytes.HasPrefix(src, utf8BOM) {
		bom = utf8BOM
	}
	root := Schema()
	text := bytes.Clone(src[len(bom):])
	for _, e := range edits {
		ed := &editor{root: &root, file: filename, src: text}
		if err := ed.apply(e); err != nil {
			return nil, nil, err
		}
		text = ed.src
	}
	out := append(bytes.Clone(bom), text...)
	_, problems := Parse(out, filename)
	if problems.HasErrors() {
		_, before := Parse(src, filename)
		if added := problems.Beyond(before); len(added) > 0 {
			return nil, nil, &RefusedError{&InvalidError{Problems: added}}
		}
	}
	return out, problems, nil
}

func (ed *editor) apply(e Edit) error {
	p, err := resolve(ed.root, e.Path)
	if err := ed.parse(); err != nil {
		return err
	}
	if err != nil {
		if e.Op == OpUnset || e.Op == OpRemoveBlock {
			return ed.unsetRaw(e.Path, err)
		}
		return err
	}
	ofBlock := e.Op == OpAddBlock || e.Op == OpRemoveBlock
	switch {
	case ofBlock && p.setting != nil:
		return fmt.Errorf("%s is a setting, not a block", p.path)
	case !ofBlock && p.setting == nil:
		return fmt.Errorf("%s is a block; name a setting in it", p.path)
	case p.missing != "" && e.Op != OpUnset && e.Op != OpRemoveBlock:
		return fmt.Errorf("%s is %s (it needs %s)", p.path, notAvailable, p.missing)
	}
	switch e.Op {
	case OpAddBlock:
		if ed.find(p.steps, p.blocks) != nil {
			return fmt.Errorf("%s is there already", p.path)
		}
		_, err := ed.make(p)
		return err
	case OpRemoveBlock:
		return ed.removeBlock(p, e.Path)
	case OpUnset:
		return ed.unset(p, e.Path)
	}
	if p.setting.Kind.List() {
		return ed.editList(p, e)
	}
	if e.Op != OpSet {
		return fmt.Errorf("%s is no list; give it a value with =", p.path)
	}
	text, err := p.setting.literalFor(e.Value)
	if err != nil {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	return ed.put(p, text)
}

// literalFor makes what a person typed a literal of the file.
func (s *Setting) literalFor(value string) (string, error) {
	if !utf8.ValidString(value) {
		return "", fmt.Errorf("the value is not valid UTF-8")
	}
	value = strings.TrimSpace(value)
	if l, f := parseLiteral(value); f == nil && l.rng.End.Byte == len(value) && !strings.ContainsAny(value, "\r\n") {
		switch {
		case l.kind == litString:
			return value, nil
		case l.kind == litBool && s.Kind == KindBool, l.kind == litInt && (s.Kind == KindInt || s.Kind == KindSize):
			return value, nil
		}
	}
	return quote(value), nil
}

// literalsFor makes what a person typed the entries of a list, each a literal of the file.
func (s *Setting) literalsFor(value string) ([]string, error) {
	value = strings.TrimSpace(value)
	if value == "" {
		return nil, nil
	}
	if strings.HasPrefix(value, "[") {
		if l, f := parseLiteral(value); f == nil && l.kind == litList {
			texts := make([]string, len(l.items))
			for i, x := range l.items {
				if x.kind != litString {
					return nil, fmt.Errorf("%s: a text in quotes is expected", x.text)
				}
				texts[i] = quote(x.s)
			}
			return texts, nil
		}
	}
	var texts []string
	for part := range strings.SplitSeq(value, ",") {
		text, err := s.literalFor(part)
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}
