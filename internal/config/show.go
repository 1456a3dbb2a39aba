package config

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// From says where a value comes from.
type From string

// The sources of a value.
const (
	FromDefault From = "default"
	FromFile    From = "file"
	FromOther   From = "derived" // it follows other settings
)

// Origin is where a value comes from.
type Origin struct {
	From   From `json:"from"`
	Line   int  `json:"line,omitempty"` // FromFile: from 1
	Column int  `json:"-"`

	text string // of a size or time: the value as the file has it
}

// Shown is one setting as Show tells it.
type Shown struct {
	Path   string
	Value  string // as the file would have it; never a secret
	Origin Origin
	// Note says what an empty value, or one that is derived, follows; or what of the value has
	// no effect, because an engine is missing.
	Note string
	// Inactive names the engine that is missing, so that the value has no effect.
	Inactive string
}

// MarshalJSON gives the value its JSON type: a number, true or false, a text (sizes and times with a unit
// too) or a list of texts; null where there is none.
func (s Shown) MarshalJSON() ([]byte, error) {
	out := struct {
		Path     string `json:"path"`
		Value    any    `json:"value"`
		Origin   Origin `json:"origin"`
		Note     string `json:"note,omitempty"`
		Inactive string `json:"inactive,omitempty"`
	}{Path: s.Path, Origin: s.Origin, Note: s.Note, Inactive: s.Inactive}
	if l, f := parseLiteral(s.Value); f == nil {
		out.Value = l.json()
	}
	return json.Marshal(out)
}

// json returns the literal as encoding/json takes it.
func (l *literal) json() any {
	switch l.kind {
	case litBool:
		return l.b
	case litInt:
		return l.n
	case litNumber:
		return json.Number(l.text)
	case litString:
		return l.s
	}
	list := make([]any, len(l.items))
	for i := range l.items {
		list[i] = l.items[i].json()
	}
	return list
}

// Show returns all settings with their values, in the order of the schema. Settings whose
// engine is missing are there too, with their defaults, marked as inactive.
func Show(c *Config) []Shown {
	var all []Shown
	root := Schema()
	walk(&root, "", reflectOf(c), func(n node) {
		if n.setting == nil {
			return
		}
		s := Shown{Path: n.path, Origin: Origin{From: FromDefault}, Inactive: n.missing}
		if o, ok := c.origins[n.path]; ok {
			s.Origin = o
		}
		switch {
		case n.missing != "":
			s.Value = n.setting.Default
		case s.Origin.From == FromDefault && n.setting.Default != "":
			s.Value = n.setting.Default // 2048KB, not 2MB
		default:
			s.Value = c.display(&n)
		}
		if s.Origin.From == FromOther || n.isEmpty(s.Value) {
			s.Note = n.setting.Follows
		} else if s.Inactive == "" && s.Origin.From == FromDefault {
			s.Note = n.setting.inactivePart(n.text())
		}
		if n.setting.Secret && s.Value != "" && s.Value != `""` {
			s.Value = `"…"`
		}
		all = append(all, s)
	})
	return all
}

// inactivePart says which words of the default are not in force, "" when all are.
func (s *Setting) inactivePart(inForce string) string {
	words := s.inactiveWords()
	if len(words) == 0 {
		return ""
	}
	return fmt.Sprintf("%s in force; inactive: %s, %s", inForce, strings.Join(words, ", "), notAvailable)
}

func (n *node) isEmpty(value string) bool { return value == "" || value == `""` || value == "[]" }

// WriteShow writes settings as text, one on a line: path = value, and where it comes from.
func WriteShow(w io.Writer, all []Shown) error {
	width := 0
	for _, s := range all {
		width = max(width, min(maxAligned, utf8.RuneCountInString(s.left())))
	}
	for _, s := range all {
		left := s.left()
		pad := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(left)))
		if _, err := fmt.Fprintf(w, "%s%s  # %s\n", left, pad, s.right()); err != nil {
			return err
		}
	}
	return nil
}

const maxAligned = 90 // characters; longer lines stand out

func (s *Shown) left() string {
	if s.Value == "" {
		return s.Path + " ="
	}
	return s.Path + " = " + s.Value
}

func (s *Shown) right() string {
	if s.Inactive != "" {
		text := "(inactive: " + notAvailable + ", needs " + s.Inactive
		if s.Note != "" {
			text += "; left out: " + s.Note
		}
		return text + ")"
	}
	text := string(s.Origin.From)
	if s.Origin.Line > 0 {
		text = fmt.Sprintf("line %d", s.Origin.Line)
	}
	if s.Note != "" {
		text += ": " + s.Note
	}
	return text
}
