package metabase

import (
	"bufio"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// enumReader reads what adsutil ENUM prints: properties as `Name : (TYPE) value`, one on a line, and paths in
// brackets. Several outputs may stand one after the other.
type enumReader struct {
	tree *Tree
	key  *Key  // of the lines that follow; nil: not told
	list *Prop // a list whose entries follow
	left int   // how many, as told, at most maxList
	rows []string
	line int
	odd  int // lines that are neither
}

var enumProperty = regexp.MustCompile(`^([A-Za-z0-9_]+)\s*:\s*\(([A-Za-z0-9 _]+)\)\s?(.*)$`)

// readEnum reads the text of adsutil ENUM.
func readEnum(in *octets) (*Tree, error) {
	e := &enumReader{tree: newTree()}
	e.tree.text = true
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	for lines.Scan() {
		e.line++
		if err := e.read(strings.TrimRight(lines.Text(), " \t\r")); err != nil {
			return nil, err
		}
	}
	err := lines.Err()
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, tooMuch("line %d: a line is longer than %d KB", e.line+1, maxLine>>10)
	case err != nil:
		return nil, fmt.Errorf("line %d: %w", e.line+1, err)
	}
	if err := e.endList(); err != nil {
		return nil, err
	}
	if e.odd > 0 {
		e.tree.note("lines that are neither a property nor a path were left out: %d", e.odd)
	}
	if len(e.tree.keys) == 0 {
		return nil, errors.New("the text holds no property of the SMTP service: neither <configuration> as MetaBase.xml begins, nor lines as adsutil ENUM prints them")
	}
	return e.tree, nil
}

func (e *enumReader) read(line string) error {
	text := strings.TrimSpace(line)
	if e.list != nil && e.left > 0 && text != "" && !isProperty(line) && text[0] != '[' {
		e.rows = append(e.rows, unquoted(text))
		e.left--
		return nil
	}
	if err := e.endList(); err != nil {
		return err
	}
	switch {
	case text == "":
		return nil
	case text[0] == '[' && text[len(text)-1] == ']':
		return e.path(text[1 : len(text)-1])
	case strings.HasPrefix(text, "Microsoft (R)"):
		e.key = nil // another command began
		return nil
	case strings.HasPrefix(text, "Copyright"):
		return nil
	}
	if !isProperty(line) {
		e.odd++
		return nil
	}
	m := enumProperty.FindStringSubmatch(line)
	return e.property(m[1], strings.ToUpper(m[2]), strings.TrimSpace(m[3]))
}

func isProperty(line string) bool {
	return strings.Contains(line, "(") && enumProperty.MatchString(line)
}

func (e *enumReader) path(text string) error {
	path, err := cleanPath(text)
	if err != nil {
		return fmt.Errorf("line %d: %w", e.line, err)
	}
	if !wanted(path) {
		e.key = &Key{Path: path, byName: make(map[string]*Prop)} // its properties go nowhere
		return nil
	}
	if k := e.tree.at(path); k != nil {
		e.key = k // a listing of what is below stands before the properties of each
		return nil
	}
	e.key, err = e.tree.key(path, "", e.line)
	return err
}

func (e *enumReader) property(name, kind, value string) error {
	isClass := strings.EqualFold(name, "KeyType")
	class := unquoted(value)
	if e.key == nil || isClass && (e.key.get(name) != nil || !fits(class, e.key.Path)) {
		if err := e.begin(isClass, class); err != nil {
			return err
		}
	}
	if isClass {
		e.key.Class = class
	}
	p := Prop{Name: name, Type: kind, Line: e.line, Value: unquoted(value)}
	switch kind {
	case "LIST":
		e.left = 0
		// The number is believed only as the bound of what follows.
		if _, err := fmt.Sscanf(value, "(%d Item", &e.left); err != nil || e.left < 0 || e.left > maxList {
			e.left = maxList
		}
		e.list, e.rows = &p, nil
		return nil
	case "BINARY", "IPSEC", "IPSECLIST", "NTACL":
		p.Value = strings.NewReplacer(" ", "", "\t", "", ",", "").Replace(unquoted(value))
	}
	return e.tree.add(e.key, p)
}

// begin finds the key of properties that no path stands above, by what the first of them says.
func (e *enumReader) begin(isClass bool, class string) error {
	path := serviceRoot + "/1"
	if isClass && strings.EqualFold(class, "IIsSmtpService") {
		path = serviceRoot
	}
	const help = "line %d: no path stands above these properties of the class %s; put one there, such as [/SmtpSvc/%s]"
	switch {
	case isClass && strings.EqualFold(class, "IIsSmtpDomain"):
		return fmt.Errorf(help, e.line, class, "1/Domain/example.com")
	case isClass && e.tree.at(path) != nil:
		return fmt.Errorf(help, e.line, shown(class), "2")
	}
	e.tree.note("line %d: no path stands above these properties; they were taken for those of %s", e.line, path)
	var err error
	if e.key = e.tree.at(path); e.key == nil {
		e.key, err = e.tree.key(path, "", e.line)
	}
	return err
}

// endList stores a list whose entries have ended.
func (e *enumReader) endList() error {
	p := e.list
	if p == nil {
		return nil
	}
	e.list, p.Value = nil, strings.Join(e.rows, "\n")
	return e.tree.add(e.key, *p)
}

// fits reports whether a key of that path can be of that class.
func fits(class, path string) bool {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) < 2 || !strings.EqualFold(parts[1], "SmtpSvc") {
		return true
	}
	switch strings.ToLower(class) {
	case "iissmtpservice":
		return len(parts) == 2
	case "iissmtpserver":
		return len(parts) == 3
	case "iissmtpdomain":
		return len(parts) >= 5
	}
	return true
}

// unquoted takes the quotation marks off a text.
func unquoted(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}
