package metabase

import (
	"bufio"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// enumReader reads what adsutil ENUM prints: properties as `Name : (TYPE) value`, one on a line, and at the end of each listing the
// paths of the keys below, in brackets. Several listings may stand one after the other, as a console shows them; which key each is of
// is told by enumPlace.
type enumReader struct {
	tree   *Tree
	place  enumPlace
	list   *Prop // a list whose entries follow
	listOf *Key
	left   int // how many, as told, at most maxList
	rows   []string
	size   int // octets of rows
	line   int
	odd    int // lines that are neither
}

var enumProperty = regexp.MustCompile(`^([A-Za-z0-9_]+)\s*:\s*\(([A-Za-z0-9 _]+)\)\s?(.*)$`)

// readEnum reads the text of adsutil ENUM.
func readEnum(in *octets) (*Tree, error) {
	tree := newTree()
	tree.text = true
	e := &enumReader{tree: tree, place: enumPlace{tree: tree}}
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
	command, isCommand := promptOf(text)
	if e.list != nil && e.left > 0 && text != "" && !isCommand && !isProperty(line) && text[0] != '[' {
		return e.row(unquoted(text))
	}
	if err := e.endList(); err != nil {
		return err
	}
	if isCommand {
		return e.place.command(command, e.line)
	}
	switch {
	case text == "":
		e.place.gap()
		return nil
	case text[0] == '[' && text[len(text)-1] == ']':
		return e.place.path(text[1:len(text)-1], e.line)
	case strings.HasPrefix(text, "Microsoft (R)"):
		e.place.banner()
		return nil
	case strings.HasPrefix(text, "Copyright"), strings.HasPrefix(text, "Microsoft Windows ["), strings.HasPrefix(strings.ToLower(text), "(c) "):
		return nil // the rest of it, and the first words of the console
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

func (e *enumReader) property(name, kind, value string) error {
	class := ""
	if strings.EqualFold(name, "KeyType") {
		class = unquoted(value)
	}
	key, err := e.place.of(class, e.line)
	if err != nil {
		return err
	}
	p := Prop{Name: name, Type: kind, Line: e.line, Value: unquoted(value)}
	switch kind {
	case "LIST":
		e.left = 0
		// The number is believed only as the bound of what follows.
		if _, err := fmt.Sscanf(value, "(%d Item", &e.left); err != nil || e.left < 0 || e.left > maxList {
			e.left = maxList
		}
		e.list, e.listOf, e.rows, e.size = &p, key, nil, 0
		return nil
	case "BINARY", "IPSEC", "IPSECLIST", "NTACL":
		p.Value = strings.NewReplacer(" ", "", "\t", "", ",", "").Replace(unquoted(value))
	}
	if key == nil {
		return nil
	}
	return e.tree.add(key, p)
}

// row takes an entry of a list.
func (e *enumReader) row(text string) error {
	e.left--
	if e.listOf == nil {
		return nil
	}
	if e.size += len(text); e.size > maxKept {
		return tooMuch("line %d: a list is longer than %d MB", e.line, maxKept>>20)
	}
	e.rows = append(e.rows, text)
	return nil
}

// endList stores a list whose entries have ended.
func (e *enumReader) endList() error {
	p := e.list
	if p == nil {
		return nil
	}
	if e.list = nil; e.listOf == nil {
		return nil
	}
	p.Value = strings.Join(e.rows, "\n")
	return e.tree.add(e.listOf, *p)
}

// unquoted takes the quotation marks off a text.
func unquoted(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}
