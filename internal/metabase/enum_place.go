package metabase

import (
	"fmt"
	"regexp"
	"strings"
)

// enumPlace tells which key a listing of adsutil ENUM is of, as the listing itself does not. It is told by
//
//   - the command above it, as a console shows it: C:\>cscript adsutil.vbs ENUM SmtpSvc/1
//   - else a path in brackets above it, put there by hand
//   - else its class, where one key alone can be of it.
//
// A listing ends with the paths of the keys below its own, which look the same as one put in by hand. So of several in a row the last
// counts only when an empty line stands above it, or none of the others can be of the class. What is not certain is an error.
type enumPlace struct {
	tree  *Tree
	key   *Key // of the properties that follow; nil: not told yet
	begun bool // a property of the key was read
	named bool // a command says which key it is
	// run has the paths that stand above the line in hand, one after the other; more: there are others; apart: an empty line is above
	// the last.
	run   []*Key
	more  bool
	apart bool
	blank bool // the line above is empty
	// guessed is a virtual server that was taken for the number 1, in which line.
	guessed *Key
	line    int
}

var (
	enumPrompt = regexp.MustCompile(`^(?:PS )?(?:[A-Za-z]:\\[^<>|"]*|\\\\[^<>|"]+)>\s*(.*)$`)
	// enumRedirected is what a console is told to do with the output: 1>>file, | more.
	enumRedirected = regexp.MustCompile(`(?:\s\d)?\s*[<>|&].*$`)
	enumAdsutil    = regexp.MustCompile(`(?i)(?:^|[\s\\/"])adsutil(?:\.vbs)?"?\s+(.*)$`)
)

// promptOf returns the command of a line that a console shows with its prompt, or of one that calls adsutil without.
func promptOf(text string) (string, bool) {
	if strings.Contains(text, ">") { // which few lines do, and a text of 100 MB has many
		if m := enumPrompt.FindStringSubmatch(text); m != nil {
			return m[1], true
		}
	}
	word, _, _ := strings.Cut(text, " ")
	for _, first := range []string{"cscript", "cscript.exe", "adsutil", "adsutil.vbs"} {
		if strings.EqualFold(word, first) {
			return text, enumAdsutil.MatchString(text)
		}
	}
	return "", false
}

// nowhere is a key that is not kept.
func nowhere(path string) *Key { return &Key{Path: path} }

// command turns to what a command lists. What adsutil prints otherwise is of no interest, and what others print is not known.
func (p *enumPlace) command(text string, line int) error {
	p.reset()
	m := enumAdsutil.FindStringSubmatch(enumRedirected.ReplaceAllString(text, ""))
	if m == nil {
		return nil
	}
	words := strings.Fields(m[1])
	for len(words) > 0 && strings.HasPrefix(words[0], "-") { // -s:server
		words = words[1:]
	}
	p.named, p.key = true, nowhere("/")
	if len(words) == 0 || !strings.EqualFold(words[0], "ENUM") {
		return nil
	}
	if words = words[1:]; len(words) > 0 && len(words[0]) == 2 && words[0][0] == '/' {
		if strings.EqualFold(words[0], "/P") { // paths alone
			return nil
		}
		words = words[1:] // "/A": all of the schema
	}
	path, err := cleanPath(strings.Trim(strings.Join(words, " "), `"`))
	if err != nil {
		return fmt.Errorf("line %d: %w", line, err)
	}
	p.key, err = p.at(path, line)
	return err
}

// reset turns to a listing that nothing is known of yet.
func (p *enumPlace) reset() { *p = enumPlace{tree: p.tree} }

// banner turns to the listing that follows the first words of a script, unless the command above it was told.
func (p *enumPlace) banner() {
	if p.begun || !p.named || len(p.run) > 0 {
		p.reset()
	}
}

// gap notes an empty line.
func (p *enumPlace) gap() { p.blank = true }

// path takes a path in brackets: of a key below the listing above, or put in by hand above another.
func (p *enumPlace) path(text string, line int) error {
	path, err := cleanPath(text)
	if err != nil {
		return fmt.Errorf("line %d: %w", line, err)
	}
	k, err := p.at(path, line)
	if err != nil {
		return err
	}
	if err := p.contradicted(path, line); err != nil {
		return err
	}
	p.apart = p.blank || len(p.run) == 0
	if len(p.run) == maxRun {
		p.run, p.more = p.run[:maxRun-1], true
	}
	p.run, p.blank = append(p.run, k), false
	return nil
}

// maxRun bounds how many paths in a row are looked at.
const maxRun = 1000

// at returns the key of a path.
func (p *enumPlace) at(path string, line int) (*Key, error) {
	if !wanted(path) {
		return nowhere(path), nil
	}
	if k := p.tree.at(path); k != nil {
		return k, nil // it was named above already
	}
	return p.tree.key(path, "", line)
}

// of returns the key of a property; class is what KeyType says, "" for all others. nil: it goes nowhere.
func (p *enumPlace) of(class string, line int) (*Key, error) {
	var err error
	switch {
	case len(p.run) > 0:
		p.key, err = p.below(class, line)
	case p.key == nil:
		p.key, err = p.guess(class, line)
	case class == "":
	case p.begun && (p.key.get("KeyType") != nil || !fits(class, p.key.Path)): // another listing
		p.key, err = p.guess(class, line)
	case wanted(p.key.Path) && !fits(class, p.key.Path):
		err = fmt.Errorf("line %d: the command above lists %s, and these properties are of the class %s, which that cannot be", line, shown(p.key.Path), shown(class))
	}
	if err != nil {
		return nil, err
	}
	p.run, p.more, p.begun, p.blank = nil, false, true, false
	if !wanted(p.key.Path) {
		return nil, nil
	}
	if class != "" {
		p.key.Class = class
	}
	return p.key, nil
}

// below finds the key of properties that stand below paths.
func (p *enumPlace) below(class string, line int) (*Key, error) {
	can := p.run
	if p.apart {
		can = p.run[len(p.run)-1:]
	}
	var fit []*Key
	for _, k := range can {
		if fits(class, k.Path) {
			fit = append(fit, k)
		}
	}
	last := p.run[len(p.run)-1]
	switch {
	case len(fit) == 0:
		return p.guess(class, line)
	case len(fit) > 1, p.more && !p.apart:
		return nil, fmt.Errorf("line %d: several paths stand above these properties, and which of them they are of is not certain; put the one that it is directly above them, such as [%s], with an empty line above it",
			line, shown(strings.TrimPrefix(last.Path, "/LM")))
	case fit[0] != last:
		p.tree.doubt("line %d: these properties of the class %s were taken for those of %s, as the other paths above can be of none; if they are of another key, put its path in brackets above them, and an empty line above that",
			line, shown(class), shown(fit[0].Path))
	}
	return fit[0], nil
}

// guess finds the key of properties that no command and no path is above, by their class.
func (p *enumPlace) guess(class string, line int) (*Key, error) {
	p.guessed = nil
	lower := strings.ToLower(class)
	switch {
	case lower == "iissmtpservice":
		return p.at(serviceRoot, line)
	case lower == "iissmtpinfo":
		return p.at(serviceRoot+"/Info", line)
	case class != "" && !strings.HasPrefix(lower, "iissmtp"):
		p.tree.note("line %d: no path stands above the properties of the class %s, and they were left out", line, shown(class))
		return nowhere("/"), nil
	case class != "" && lower != "iissmtpserver":
		return nil, pathless(class, "1/Domain/example.com", line)
	case class == "" && p.tree.props > 0:
		return nil, pathless(class, "1", line)
	}
	switch named, empty := p.servers(); {
	case len(named) == 1 && len(empty) == 1:
		return empty[0], nil
	case len(empty) > 0:
		return nil, pathless(class, empty[0].Path[len(serviceRoot)+1:], line)
	case len(named) > 0:
		return nil, pathless(class, "2", line)
	}
	k, err := p.at(serviceRoot+"/1", line)
	if err == nil {
		p.guessed, p.line = k, line
		p.tree.doubt("line %d: nothing says which virtual server these properties are of; they were taken for those of %s. If they are not, put the path above them in brackets", line, k.Path)
	}
	return k, err
}

// pathless says that nobody knows which key properties are of.
func pathless(class, example string, line int) error {
	of := ""
	if class != "" {
		of = " of the class " + shown(class)
	}
	return fmt.Errorf("line %d: no path stands above these properties%s; put one there, such as [/SmtpSvc/%s], with an empty line above it", line, of, example)
}

// servers returns the keys of virtual servers that the text names so far, and those of them that have no properties.
func (p *enumPlace) servers() (named, empty []*Key) {
	for _, k := range p.tree.below(serviceRoot) {
		if serverNumber(k.Path[len(serviceRoot)+1:]) == 0 {
			continue
		}
		if named = append(named, k); len(k.Props) == 0 {
			empty = append(empty, k)
		}
	}
	return named, empty
}

// contradicted says that a path shows a guess to be wrong: a listing names at its end the keys below its own.
func (p *enumPlace) contradicted(path string, line int) error {
	if p.guessed == nil {
		return nil
	}
	rest, ok := cutPrefixFold(path, serviceRoot+"/")
	name, below, _ := strings.Cut(rest, "/")
	if n := serverNumber(name); ok && p.key == p.guessed && len(p.run) == 0 && below != "" && n > 1 {
		return fmt.Errorf("line %d: the properties from line %d have no path above them and were taken for those of %s, but this path is below %s/%d; put [/SmtpSvc/%d] above line %d",
			line, p.line, p.guessed.Path, serviceRoot, n, n, p.line)
	}
	return nil
}

// fits reports whether a key of that path can be of that class.
func fits(class, path string) bool {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) < 2 || !strings.EqualFold(parts[1], "SmtpSvc") {
		return class == "" || !strings.HasPrefix(strings.ToLower(class), "iissmtp")
	}
	is := func(i int, name string) bool { return len(parts) == i+1 && strings.EqualFold(parts[i], name) }
	switch strings.ToLower(class) {
	case "iissmtpservice":
		return len(parts) == 2
	case "iissmtpserver":
		return len(parts) == 3 && serverNumber(parts[2]) > 0
	case "iissmtpinfo":
		return is(2, "Info")
	case "iissmtpdomain":
		return len(parts) >= 5 && strings.EqualFold(parts[3], "Domain")
	case "iissmtpvirtualdir":
		return len(parts) >= 4 && strings.EqualFold(parts[3], "ROOT")
	case "iissmtproutingsource":
		return is(3, "RoutingSources")
	case "iissmtpsessions":
		return is(3, "Sessions")
	}
	return true
}
