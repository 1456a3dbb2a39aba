package metabase

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Tree is what is kept of a metabase: the keys of the mail service, of the log formats and of event sinks.
type Tree struct {
	keys map[string]*Key // by path in lower case
	// Notes is what was odd about the input, though it could be read.
	Notes []string
	// Doubts is what had to be guessed, to be said first.
	Doubts []string
	// Left is how many of both there was no room for.
	Left int

	kept, props int
	text        bool // adsutil ENUM, not XML
	names       *table
}

// Key is one key of the metabase.
type Key struct {
	Path  string // as first written: /LM/SmtpSvc/1
	Class string // name of the element, or KeyType: IIsSmtpServer; "" when not told
	Line  int    // where it begins
	// Props has the properties in the order of the file; none of a name stands twice.
	Props []*Prop

	byName map[string]*Prop // in lower case
}

// Prop is a property of a key.
type Prop struct {
	Name   string // as the table has it, else as written
	ID     uint32 // 0: not told
	Value  string // as written, blanks around it taken off; of a next hop without an account before it
	Type   string // DWORD, STRING … as written; "" for attributes of XML
	Line   int
	Secure bool // its value is encrypted, or is a secret in clear
	Custom bool // from a <Custom> row
	Known  bool // it has a row in the table
	Alone  bool // it holds for its own key, not for those below: the attributes of its row lack INHERIT
	// Doubt is why the value is not to be relied on, be it readable: it stands twice with different values, of which Value is the
	// first, or its row is at odds with itself. "" where nothing is odd.
	Doubt string
}

func newTree() *Tree { return &Tree{keys: make(map[string]*Key), names: newTable()} }

// limitError is a bound of limits.go that the input has met.
type limitError struct{ text string }

func (e *limitError) Error() string { return e.text }

func tooMuch(format string, args ...any) error { return &limitError{fmt.Sprintf(format, args...)} }

// wanted reports whether a key is kept: those of other services are only counted.
func wanted(path string) bool {
	p := strings.ToLower(path)
	for _, root := range []string{"/lm/smtpsvc", "/lm/logging", "/lm/eventmanager"} {
		if p == root || strings.HasPrefix(p, root+"/") {
			return true
		}
	}
	return false
}

// key returns the key of a path; a second element for the same path adds to the first.
func (t *Tree) key(path, class string, line int) (*Key, error) {
	lower := strings.ToLower(path)
	if k := t.keys[lower]; k != nil {
		t.note("line %d: %s stands a second time (first in line %d); both were read as one", line, shown(path), k.Line)
		if k.Class == "" {
			k.Class = class
		}
		return k, nil
	}
	if len(t.keys) >= maxKeys {
		return nil, tooMuch("line %d: there are more than %d keys of the mail service", line, maxKeys)
	}
	k := &Key{Path: path, Class: class, Line: line, byName: make(map[string]*Prop)}
	t.keys[lower] = k
	return k, t.keep(len(path)+len(class), line)
}

func (t *Tree) keep(octets, line int) error {
	if t.kept += octets; t.kept > maxKept {
		return tooMuch("line %d: the values of the mail service are together longer than %d MB", line, maxKept>>20)
	}
	return nil
}

// add gives a key a property. The name is settled by the table: a row that is found by its id has its name from there.
func (t *Tree) add(k *Key, p Prop) error {
	if t.props++; t.props > maxProps {
		return tooMuch("line %d: the mail service has more than %d properties", p.Line, maxProps)
	}
	if err := t.keep(len(p.Name)+len(p.Value), p.Line); err != nil {
		return err
	}
	if row := t.names.find(p.Name, idOf(p)); row != nil {
		if other := t.names.byID[p.ID]; other != nil && other != row {
			p.Doubt = fmt.Sprintf("its ID %d is that of %s", p.ID, other.Name)
			p.Secure = p.Secure || row.Secret || other.Secret
			if other.Guards != "" { // which the old service may have found in the row
				odd := p
				odd.Name, odd.Doubt = other.Name, "a row of that ID is named "+row.Name
				if err := t.add(k, odd); err != nil {
					return err
				}
			}
		}
		p.Doubt = cmp.Or(p.Doubt, row.wrongType(p))
		p.Name, p.Known = row.Name, true
		p.Value = row.masked(p.Value)
		if p.ID == 0 {
			p.ID = row.ID
		}
		p.Secure = p.Secure || row.Secret
	}
	p.Secure = p.Secure || secretName(p.Name)
	if p.Secure {
		p.Doubt = cmp.Or(p.Doubt, "it is kept as a secret")
	}
	if old := k.get(p.Name); old != nil {
		same := old.Value == p.Value && old.Alone == p.Alone
		if !same {
			p.Doubt = "it stands twice with different values"
		}
		old.Doubt = cmp.Or(old.Doubt, p.Doubt)
		old.Secure = old.Secure || p.Secure
		if !same {
			t.note("line %d: %s of %s stands a second time with another value; the first one counts, but what it would let in stays closed",
				p.Line, shown(p.Name), shown(k.Path))
		}
		return nil
	}
	k.Props = append(k.Props, &p)
	k.byName[strings.ToLower(p.Name)] = &p
	return nil
}

// idOf returns the id by which a property may be found: what was written, or what its made-up name says.
func idOf(p Prop) uint32 {
	if digits, ok := cutPrefixFold(p.Name, "UnknownName_"); ok && p.ID == 0 {
		if n, err := strconv.ParseUint(digits, 10, 32); err == nil {
			return uint32(n)
		}
	}
	return p.ID
}

// secretName reports whether the name of a property that the table does not know tells of a secret.
func secretName(name string) bool {
	n := strings.ToLower(name)
	return slices.ContainsFunc([]string{"pass", "pwd", "secret", "token", "credential"}, func(word string) bool { return strings.Contains(n, word) })
}

// masked takes away what stands before the host of a next hop: it may be an account with its password, which no next hop has here.
func (row *Property) masked(value string) string {
	switch row.Name {
	case "SmartHost", "RouteActionString", "SmtpDsHost", "CSideEtrnDomains":
	default:
		return value
	}
	at := strings.LastIndexByte(value, '@')
	if folder := len(value) > 2 && value[1:3] == `:\` || strings.HasPrefix(value, `\\`); at < 0 || folder {
		return value
	}
	return "(secret)" + value[at:]
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// get returns a property by its name, in any case, or nil.
func (k *Key) get(name string) *Prop {
	if k == nil {
		return nil
	}
	return k.byName[strings.ToLower(name)]
}

// at returns the key of a path, in any case, or nil.
func (t *Tree) at(path string) *Key { return t.keys[strings.ToLower(path)] }

// below returns the keys whose path begins with a path and "/", sorted by line.
func (t *Tree) below(path string) []*Key {
	prefix := strings.ToLower(path) + "/"
	var out []*Key
	for p, k := range t.keys {
		if strings.HasPrefix(p, prefix) {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b *Key) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return strings.Compare(a.Path, b.Path)
	})
	return out
}

const serviceRoot = "/LM/SmtpSvc"

// servers returns the numbers of the virtual servers, in order. There may be gaps. In text of adsutil a path alone makes no
// virtual server: it is the listing of what is below another key.
func (t *Tree) servers() []int {
	var out []int
	for _, k := range t.below(serviceRoot) {
		n := serverNumber(k.Path[len(serviceRoot)+1:])
		switch {
		case n == 0:
		case t.text && len(k.Props) == 0:
			t.note("the text only names %s; add what adsutil ENUM prints for it", shown(k.Path))
		default:
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// serverNumber returns the number of a virtual server by the name of its key, 0 where it is none.
func serverNumber(name string) int {
	n, err := strconv.ParseUint(name, 10, 31)
	if err != nil || strconv.FormatUint(n, 10) != name {
		return 0
	}
	return int(n)
}

// cleanPath gives a path one form: /LM in front, no blank around it, no slash at the end, one slash between names. Backslashes are not
// touched: a domain is a name.
func cleanPath(s string) (string, error) {
	s = strings.TrimSpace(s)
	if len(s) > maxPath {
		return "", tooMuch("a Location is longer than %d octets", maxPath)
	}
	if rest, ok := cutPrefixFold(s, "IIS://localhost/"); ok {
		s = rest
	}
	for strings.Contains(s, "//") {
		s = strings.ReplaceAll(s, "//", "/")
	}
	s = strings.Trim(s, "/")
	if s == "" || s == "." {
		return "/", nil
	}
	if rest, ok := cutPrefixFold(s, "LM"); !ok || rest != "" && rest[0] != '/' {
		s = "LM/" + s
	}
	return "/" + s, nil
}

// doubt takes what had to be guessed, as far as there is room.
func (t *Tree) doubt(format string, args ...any) {
	t.Doubts = t.bounded(t.Doubts, format, args...)
}

// note takes what was odd about the input, as far as there is room.
func (t *Tree) note(format string, args ...any) {
	t.Notes = t.bounded(t.Notes, format, args...)
}

func (t *Tree) bounded(texts []string, format string, args ...any) []string {
	if len(texts) >= maxLines {
		t.Left++
		return texts
	}
	return append(texts, fmt.Sprintf(format, args...))
}
