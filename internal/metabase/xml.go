package metabase

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// xmlReader reads a MetaBase.xml.
type xmlReader struct {
	in   *octets
	d    *xml.Decoder
	tree *Tree
	// open has what each element that is not closed yet is: its name, and its key where it is one that is kept, or a row of one.
	open     []element
	elements int
	others   int    // keys of other services
	last     string // the last Location that was read as a whole
	roots    int
	foreign  error // of an encoding that is not read
}

type element struct {
	name  string
	key   *Key
	place bool // it has a Location
	odd   bool // it is neither a key nor a row, within a key
}

// readXML reads a MetaBase.xml. What is not of the mail service is checked and left out.
func readXML(in *octets) (*Tree, error) {
	x := &xmlReader{in: in, d: xml.NewDecoder(in), tree: newTree()}
	x.d.CharsetReader = x.charset
	for {
		x.in.begin()
		line, _ := x.d.InputPos()
		token, err := x.d.Token()
		if err == io.EOF {
			return x.end()
		}
		if err != nil {
			return nil, x.wrong(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if err := x.start(t, line); err != nil {
				return nil, err
			}
		case xml.EndElement:
			if k := x.open[len(x.open)-1].key; k != nil {
				x.last = k.Path
			}
			x.open = x.open[:len(x.open)-1]
		case xml.CharData:
			if err := x.outside(string(t), line); err != nil {
				return nil, err
			}
		case xml.Directive:
			if err := x.directive(string(t), line); err != nil {
				return nil, err
			}
		}
	}
}

func (x *xmlReader) end() (*Tree, error) {
	switch {
	case x.roots == 0:
		return nil, errors.New("the file is empty: there is no element in it")
	case len(x.tree.keys) == 0:
		return nil, fmt.Errorf("the file holds nothing of the SMTP service: no key is at or below %s, and %d are elsewhere", serviceRoot, x.others)
	}
	return x.tree, nil
}

// outside refuses text around the file's one element.
func (x *xmlReader) outside(text string, line int) error {
	if len(x.open) > 0 || strings.TrimSpace(text) == "" {
		return nil
	}
	before := len(text) - len(strings.TrimLeft(text, " \t\r\n"))
	line += strings.Count(text[:before], "\n")
	where := "before <configuration>"
	if x.roots > 0 {
		where = "behind </configuration>"
	}
	return fmt.Errorf("line %d: there is text %s, where none can be: %s; copy the file again", line, where, quoted(text))
}

// charset is asked when the XML declaration names an encoding that is not UTF-8.
func (x *xmlReader) charset(label string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "utf-16", "utf-16le", "utf-16be", "unicode", "iso-10646-ucs-2":
		if x.in.utf16 {
			return in, nil
		}
		x.foreign = errors.New("the file says that it is in UTF-16, and is not: somebody converted it; change its first line to encoding=\"UTF-8\"")
	case "us-ascii", "ascii":
		return in, nil // of which UTF-8 is a superset
	default:
		x.foreign = fmt.Errorf("the file is in the encoding %s, which is not read; save it as UTF-8", shown(label))
	}
	return nil, x.foreign
}

// directive refuses entities; nothing that a DOCTYPE names is ever fetched.
func (x *xmlReader) directive(text string, line int) error {
	if strings.Contains(strings.ToUpper(text), "ENTITY") {
		return fmt.Errorf("line %d: the file declares entities in a DOCTYPE, which no MetaBase.xml does; they are not expanded, and nothing of the file was taken", line)
	}
	x.tree.note("line %d: there is a DOCTYPE, which has no effect", line)
	return nil
}

func (x *xmlReader) start(t xml.StartElement, line int) error {
	name := t.Name.Local
	if x.elements++; x.elements > maxElements {
		return tooMuch("line %d: there are more than %d elements", line, maxElements)
	}
	if len(x.open) >= maxDepth {
		return tooMuch("line %d: elements are nested more than %d deep", line, maxDepth)
	}
	if len(x.open) == 0 {
		x.roots++
		switch {
		case x.roots > 1:
			return fmt.Errorf("line %d: a second <%s> begins behind the first; is this two files in one?", line, shown(name))
		case !strings.EqualFold(name, "configuration"):
			return fmt.Errorf("line %d: this is no MetaBase.xml: its root is <%s>, not <configuration>", line, shown(name))
		}
	}
	e := element{name: name}
	var err error
	switch location, ok := attribute(t, "Location"); {
	case strings.EqualFold(name, "Custom"):
		if n := len(x.open); n > 0 {
			e.key, e.place = x.open[n-1].key, x.open[n-1].place // also for a row within this one
		}
		err = x.custom(e.key, t, line)
	case !ok && x.inKey() != nil: // its rows are of the key, in doubt
		e.key, e.odd = x.inKey(), true
	case ok:
		e.place = true
		e.key, err = x.location(t, location, line)
	case strings.HasPrefix(name, "IIs"):
		x.tree.note("line %d: <%s> has no Location, so that nobody knows where it belongs; it was left out", line, shown(name))
	}
	x.open = append(x.open, e)
	return err
}

// inKey returns the key of the innermost open element, or nil.
func (x *xmlReader) inKey() *Key {
	if n := len(x.open); n > 0 {
		return x.open[n-1].key
	}
	return nil
}

// location reads an element that is a key, with its attributes.
func (x *xmlReader) location(t xml.StartElement, location string, line int) (*Key, error) {
	path, err := cleanPath(location)
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", line, err)
	}
	if !wanted(path) {
		x.others++
		x.last = path
		return nil, nil
	}
	k, err := x.tree.key(path, t.Name.Local, line)
	if err != nil {
		return nil, err
	}
	for _, a := range t.Attr {
		if strings.EqualFold(a.Name.Local, "Location") {
			continue
		}
		if err := x.tree.add(k, Prop{Name: a.Name.Local, Value: strings.TrimSpace(a.Value), Line: line}); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// custom reads a <Custom> row: a property that the schema does not know for the class of its key, or does not know at all.
func (x *xmlReader) custom(k *Key, t xml.StartElement, line int) error {
	if k == nil {
		x.stray(t, line)
		return nil
	}
	p := Prop{Line: line, Custom: true}
	if outer := x.open[len(x.open)-1]; outer.odd {
		p.Doubt = "it stands within <" + shown(outer.name) + ">"
	}
	seen := make(map[string]string)
	for _, a := range t.Attr {
		name := strings.ToLower(a.Name.Local)
		if first, twice := seen[name]; twice && first != a.Value {
			p.Doubt = "its row has " + shown(a.Name.Local) + " twice"
		}
		seen[name] = a.Value
		switch name {
		case "name":
			p.Name = strings.TrimSpace(a.Value)
		case "id":
			n, err := strconv.ParseUint(strings.TrimSpace(a.Value), 0, 32)
			if err != nil {
				x.tree.note("line %d: a <Custom> row has the ID %s, which is no number", line, shown(a.Value))
			}
			p.ID = uint32(n)
		case "value":
			p.Value = strings.TrimSpace(a.Value)
		case "type":
			p.Type = strings.ToUpper(strings.TrimSpace(a.Value))
		case "attributes":
			p.attributes(a.Value)
		}
	}
	if _, ok := seen["value"]; !ok {
		p.Doubt = "its row has no Value"
	}
	switch {
	case p.Name == "" && p.ID == 0:
		x.tree.note("line %d: a <Custom> row has neither name nor ID; it was left out", line)
		return nil
	case p.Name == "":
		p.Name = fmt.Sprintf("UnknownName_%d", p.ID)
	}
	return x.tree.add(k, p)
}

// attributes reads the word of a <Custom> row that says how its property is kept, and whether the keys below have it too. Where
// nobody knows all of it they have it, and it is in doubt.
func (p *Prop) attributes(s string) {
	const inherit, secure = 0x1, 0x4
	word, err := flags(s, map[string]uint32{"no_attributes": 0, "inherit": inherit, "partial_path": 0x2, "secure": secure, "reference": 0x8,
		"volatile": 0x10, "isinherited": 0x20, "insert_path": 0x40, "local_machine_only": 0x80})
	if err != nil {
		p.Doubt = "its row has " + err.Error()
	}
	p.Alone = err == nil && word&inherit == 0
	p.Secure = p.Secure || word&secure != 0 || strings.Contains(strings.ToUpper(s), "SECURE")
}

// stray tells of a <Custom> row that is not of a key. Those of keys that are not kept go with them.
func (x *xmlReader) stray(t xml.StartElement, line int) {
	if n := len(x.open); n > 0 && x.open[n-1].place {
		return
	}
	name, _ := attribute(t, "Name")
	if id, _ := attribute(t, "ID"); name == "" {
		name = id
	}
	x.tree.note("line %d: the <Custom> row %s stands outside of any key; it was left out", line, shown(name))
}

// attribute returns an attribute by its name, in any case.
func attribute(t xml.StartElement, name string) (string, bool) {
	for _, a := range t.Attr {
		if strings.EqualFold(a.Name.Local, name) {
			return a.Value, true
		}
	}
	return "", false
}

// wrong tells an error of the reader with its place.
func (x *xmlReader) wrong(err error) error {
	line, _ := x.d.InputPos()
	var syntax *xml.SyntaxError
	var limit *limitError
	switch {
	case x.foreign != nil:
		return x.foreign
	case errors.As(err, &limit):
		return fmt.Errorf("line %d: %w", line, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return x.truncated(line)
	case !errors.As(err, &syntax):
		return fmt.Errorf("line %d: %w", line, err)
	case strings.Contains(syntax.Msg, "unexpected EOF"):
		return x.truncated(line)
	case strings.Contains(syntax.Msg, "character entity"):
		return fmt.Errorf("line %d: an entity that XML itself does not have, or an & that stands for itself; entities are not expanded", syntax.Line)
	}
	return fmt.Errorf("line %d: this is not XML: %s", syntax.Line, shown(syntax.Msg))
}

func (x *xmlReader) truncated(line int) error {
	if x.roots > 0 && len(x.open) == 0 {
		return fmt.Errorf("line %d: what stands behind </configuration> is not whole; copy the file again", line)
	}
	where := "before the first key"
	switch n := len(x.open); {
	case n > 0 && x.open[n-1].key != nil:
		where = "within " + shown(x.open[n-1].key.Path)
	case x.last != "":
		where = "behind " + shown(x.last)
	}
	return fmt.Errorf("line %d: the file is truncated: it ends %s, without </configuration>; copy it again", line, where)
}
