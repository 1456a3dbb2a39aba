package config

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// A path names a setting or block: virtual_server.default.connections.inbound_limit,
// virtual_server.default.domain["example.org"].route. Labels stand in brackets, but that of a
// virtual server stands behind a dot.

// defaultServer is the virtual server that always exists.
const defaultServer = "default"

const serverBlock = "virtual_server"

// joinPath appends a name to a path.
func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// labelPath appends a block with its label to a path; an unlabelled block has the label "".
func labelPath(path string, b *Block, label string) string {
	path = joinPath(path, b.Name)
	switch {
	case b.Label == "":
		return path
	case b.Name == serverBlock && hclsyntax.ValidIdentifier(label):
		return path + "." + label
	default:
		return path + "[" + quote(label) + "]"
	}
}

// step is one part of a parsed path.
type step struct {
	name     string
	label    string
	hasLabel bool
}

// splitPath reads a path as people type it: names behind dots, labels in brackets with quotes,
// or behind a blank in quotes (domain "example.org").
func splitPath(path string) ([]step, error) {
	var steps []step
	rest := strings.TrimSpace(path)
	for {
		n := strings.IndexFunc(rest, func(r rune) bool { return !nameRune(r) })
		if n < 0 {
			n = len(rest)
		}
		if n == 0 {
			return nil, fmt.Errorf("%s is not the path of a setting: a name is missing before %q", shorten(path), shorten(rest))
		}
		s := step{name: rest[:n]}
		rest = rest[n:]
		if label, after, ok, err := cutLabel(rest); err != nil {
			return nil, fmt.Errorf("%s is not the path of a setting: %w", shorten(path), err)
		} else if ok {
			s.label, s.hasLabel, rest = label, true, after
		}
		steps = append(steps, s)
		if rest == "" {
			return steps, nil
		}
		if rest[0] != '.' {
			return nil, fmt.Errorf("%s is not the path of a setting: a dot is missing before %q", shorten(path), shorten(rest))
		}
		rest = rest[1:]
	}
}

// cutLabel takes ["label"] or "label" from the start of s.
func cutLabel(s string) (label, rest string, ok bool, err error) {
	t := strings.TrimLeft(s, " ")
	bracket := strings.HasPrefix(t, "[")
	t = strings.TrimLeft(strings.TrimPrefix(t, "["), " ")
	if !strings.HasPrefix(t, `"`) {
		if bracket {
			return "", "", false, fmt.Errorf(`a label in brackets needs quotes, as in domain["example.org"]`)
		}
		return "", s, false, nil
	}
	end := 1
	for end < len(t) && t[end] != '"' {
		if t[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(t) {
		return "", "", false, fmt.Errorf("the quotes of a label are not closed")
	}
	l, f := parseLiteral(t[:end+1])
	if f != nil || l.kind != litString {
		return "", "", false, fmt.Errorf("%s is not a label", shorten(t[:end+1]))
	}
	rest = t[end+1:]
	if bracket {
		rest = strings.TrimLeft(rest, " ")
		if rest, ok = strings.CutPrefix(rest, "]"); !ok {
			return "", "", false, fmt.Errorf("a closing ] is missing after %s", shorten(t[:end+1]))
		}
	}
	return l.s, rest, true, nil
}

// place is a path resolved in the schema.
type place struct {
	steps   []step   // of the blocks, labels canonical
	blocks  []*Block // what they are; as many as steps
	setting *Setting // nil: the path names the last block
	missing string   // the engine that is missing for it or for a block around it
	path    string   // canonical
}

// resolve finds what a path names. The prefix virtual_server.default may be left out.
func resolve(root *Block, path string) (*place, error) {
	steps, err := splitPath(path)
	if err != nil {
		return nil, err
	}
	server := root.block(serverBlock)
	if first := steps[0].name; root.setting(first) == nil && root.block(first) == nil &&
		(server.setting(first) != nil || server.block(first) != nil) {
		steps = append([]step{{name: serverBlock, label: defaultServer, hasLabel: true}}, steps...)
	}
	p := &place{}
	at := root
	for i := 0; i < len(steps); i++ {
		s := steps[i]
		if b := at.block(s.name); b != nil {
			if b.Label != "" && !s.hasLabel {
				if hint := b.dottedLabel(steps[i+1:]); hint != "" {
					return nil, unknown("%s: a label with a dot stands in brackets and quotes%s", joinPath(p.path, b.Name), didYouMean(joinPath(p.path, hint)))
				}
				if i+1 == len(steps) {
					return nil, fmt.Errorf(`%s: which one? Write %s[%s]`, joinPath(p.path, b.Name), b.Name, quote(b.Example))
				}
				i++
				s.label, s.hasLabel = steps[i].name, true
			}
			if b.Label == "" && s.hasLabel {
				return nil, fmt.Errorf("%s has no label", joinPath(p.path, b.Name))
			}
			if b.Label != "" {
				label, message, suggest := b.canonicalLabel(s.label)
				if message != "" {
					return nil, fmt.Errorf("%s %s%s", labelPath(p.path, b, s.label), message, didYouMean(suggest))
				}
				s.label = label
			}
			if p.missing == "" {
				p.missing = b.Missing
			}
			p.path = labelPath(p.path, b, s.label)
			p.steps, p.blocks = append(p.steps, s), append(p.blocks, b)
			at = b
			continue
		}
		set := at.setting(s.name)
		if set == nil {
			message, suggest := at.unknown(root, s.name, false)
			return nil, unknown("%s: %s%s", joinPath(p.path, s.name), message, didYouMean(suggest))
		}
		if s.hasLabel || i+1 < len(steps) {
			return nil, fmt.Errorf("%s is a setting; nothing can follow it", joinPath(p.path, s.name))
		}
		p.setting, p.path = set, joinPath(p.path, s.name)
		if p.missing == "" {
			p.missing = set.Missing
		}
	}
	return p, nil
}

// dottedLabel returns what was meant by steps behind the name of the block when its label was
// written as a word of the path and has dots: domain.example.org.kind; "" when it has none.
func (b *Block) dottedLabel(steps []step) string {
	if b.Name == serverBlock {
		return ""
	}
	n := len(steps) // of the label
	for i, s := range steps {
		if s.hasLabel {
			return ""
		}
		if i > 0 && (b.setting(s.name) != nil || b.block(s.name) != nil) {
			n = i
		}
	}
	if n < 2 {
		return ""
	}
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = s.name
	}
	hint := b.Name + "[" + quote(strings.Join(names[:n], ".")) + "]"
	return strings.Join(append([]string{hint}, names[n:]...), ".")
}

func didYouMean(suggest string) string {
	if suggest == "" {
		return ""
	}
	return " (did you mean " + suggest + "?)"
}

// canonicalLabel checks a label and returns its one form.
func (b *Block) canonicalLabel(label string) (canonical, message, suggest string) {
	switch b.Name {
	case "binding":
		bind, m, s := parseBinding(label)
		return bind.Address, m, s
	case "domain":
		m, s := checkDomainPattern(label)
		return strings.ToLower(label), m, s
	default:
		if m := (&Setting{Kind: KindText, Max: 100}).checkText(label); m != "" {
			return label, m, ""
		}
		if label == "" {
			return label, "has an empty label", ""
		}
		return label, "", ""
	}
}

// sameLabel reports whether two labels name the same; want is canonical.
func (b *Block) sameLabel(label, want string) bool {
	label, _, _ = b.canonicalLabel(label)
	return label == want || b.Name == "domain" && domainKey(label) == domainKey(want)
}

// unknown says what is wrong with a name that is not in the block. isBlock tells whether it
// was written as one.
func (b *Block) unknown(root *Block, name string, isBlock bool) (message, suggest string) {
	what := "there is no such setting"
	if isBlock {
		what = "there is no such block"
	}
	var names []string
	for i := range b.Settings {
		names = append(names, b.Settings[i].Name)
	}
	for i := range b.Blocks {
		names = append(names, b.Blocks[i].Name)
	}
	where := elsewhere(root, "", name)
	if near := nearest(name, names); near != "" && (where == "" || editDistance(near, name) <= 2) {
		return what + " here", near
	}
	if where == "" {
		if suggest = nearest(name, namesBelow(root, nil)); suggest != "" {
			where = elsewhere(root, "", suggest)
		}
	}
	if where != "" {
		if suggest != "" {
			return what + "; " + suggest + strings.TrimPrefix(where, "it"), suggest
		}
		return what + " here; " + where, ""
	}
	return what, ""
}

// namesBelow appends the names of all settings and blocks in a block.
func namesBelow(b *Block, names []string) []string {
	for i := range b.Settings {
		names = append(names, b.Settings[i].Name)
	}
	for i := range b.Blocks {
		names = namesBelow(&b.Blocks[i], append(names, b.Blocks[i].Name))
	}
	return names
}

// elsewhere says in which block a name belongs, "" when in none.
func elsewhere(b *Block, path, name string) string {
	if b.setting(name) != nil || b.block(name) != nil {
		if path == "" {
			return "it stands at the top of the file"
		}
		return "it belongs in " + path + " { … }"
	}
	for i := range b.Blocks {
		sub := &b.Blocks[i]
		if s := elsewhere(sub, strings.TrimPrefix(joinPath(path, sub.Name), serverBlock+"."), name); s != "" {
			return s
		}
	}
	return ""
}
