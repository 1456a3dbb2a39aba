package metabase

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/mailroot/mailroot/internal/config"
)

// Options say how to import. The zero value imports for a system other than Windows, into the default data directory.
type Options struct {
	Source string // name of the file, for the report and the head of the configuration
	// Windows: the configuration is for Windows, so that folders are kept. Else they lie below the data directory.
	Windows       bool
	DataDirectory string              // "": the default
	Env           func(string) string // what %NAME% in a path stands for; nil: nothing is known
	// Server is the number of the virtual server that becomes "default"; 0: the lowest.
	Server     int
	Enum       bool   // the input is text of adsutil ENUM, whatever it begins with
	ConfigFile string // where the configuration will be, for the commands of the report; "" leaves it out of them
}

// Result is a configuration that passes the check, and what there is to say of it.
type Result struct {
	Config []byte
	Report *Report
}

// ErrNoServer is wrapped by the error of Options.Server that is not in the file.
var ErrNoServer = errors.New("there is no virtual server")

// Import reads a MetaBase.xml, or the text of adsutil ENUM, and makes a configuration of it. It reads within the bounds of
// limits.go, and nothing but r.
func Import(r io.Reader, o Options) (*Result, error) {
	tree, err := read(r, o.Enum)
	if err != nil {
		return nil, err
	}
	return convert(tree, o)
}

// read tells the two forms apart by the first character.
func read(r io.Reader, enum bool) (*Tree, error) {
	in := newOctets(r)
	head, _ := in.in.Peek(256)
	binary := !in.wide && bytes.IndexByte(head, 0) >= 0
	head = bytes.Trim(head, " \t\r\n\x00")
	switch {
	case binary:
		return nil, errors.New("the file is binary. Of MetaBase.bin (IIS 4 and 5) take the text that adsutil ENUM prints")
	case len(head) == 0 && !enum:
		return nil, errors.New("the file is empty")
	case enum || head[0] != '<':
		return readEnum(in)
	}
	return readXML(in)
}

// converter makes a configuration of a tree, one virtual server after the other.
type converter struct {
	tree   *Tree
	o      Options
	report *Report
	doc    *document
	used   map[*Prop]bool // those that were asked for
	told   map[*Prop]bool // those that have a line in the report

	// Of the virtual server in hand:
	n     int
	vs    *block
	path  string // its key
	chain []*Key // where a property is looked for: a key, then those above it
	later bool   // the service of Windows 2000 and after, not that of IIS 4
	local string // its default domain, "" when the host's name is
	// siteDoubt: its RouteAction cannot be read for certain, so that no domain is an exception to it.
	siteDoubt bool
}

// defaultName is the virtual server that always exists.
const defaultName = "default"

func convert(tree *Tree, o Options) (*Result, error) {
	c := &converter{tree: tree, o: o, report: newReport(), doc: newDocument(), used: make(map[*Prop]bool), told: make(map[*Prop]bool)}
	c.report.Source, c.report.Format = shown(o.Source), "MetaBase.xml"
	if tree.text {
		c.report.Format = "adsutil ENUM"
	}
	numbers := tree.servers()
	if len(numbers) == 0 {
		return nil, fmt.Errorf("the file holds no virtual server: there is no key %s/1 or the like", serviceRoot)
	}
	if len(numbers) > maxServers {
		return nil, tooMuch("the file has %d virtual servers, and %d are the most", len(numbers), maxServers)
	}
	first, err := c.choose(numbers)
	if err != nil {
		return nil, err
	}
	for _, text := range tree.Doubts {
		c.report.attend("%s", text)
	}
	c.head()
	refused := refusesServers()
	for _, n := range append([]int{first}, slices.DeleteFunc(numbers, func(n int) bool { return n == first })...) {
		c.begin(n, n == first, refused)
		c.server()
	}
	c.shared()
	text, cfg, told, err := c.doc.settle()
	if err != nil {
		return nil, err
	}
	for _, t := range told {
		c.report.attend("commented out, because the check of the file refuses it: %s", shown(t))
	}
	c.loops(cfg.Server(defaultName))
	c.report.Notes = append(c.report.Notes, tree.Notes...)
	c.report.Left += tree.Left
	c.report.settle()
	c.next()
	return &Result{Config: text, Report: c.report}, nil
}

// choose returns the number of the virtual server that becomes the default one.
func (c *converter) choose(numbers []int) (int, error) {
	if c.o.Server == 0 {
		return numbers[0], nil
	}
	if !slices.Contains(numbers, c.o.Server) {
		return 0, fmt.Errorf("%w %d; there are: %s", ErrNoServer, c.o.Server, strings.Trim(fmt.Sprint(numbers), "[]"))
	}
	return c.o.Server, nil
}

func (c *converter) head() {
	from := c.report.Format
	if c.report.Source != "" {
		from += " (" + c.report.Source + ")"
	}
	c.doc.head = []string{
		"Configuration of Mailroot, made by \"mailroot import\" from " + from + ".",
		"",
		"A line that begins with \"#\" and a blank explains what follows: the property of the old service, and what is other. A setting that begins with \"#\" is not set. What is left out has the default of Mailroot; \"mailroot config show\" tells all.",
	}
	c.doc.top.set("version", strconv.Itoa(config.SchemaVersion))
	if c.o.DataDirectory != "" {
		c.doc.top.set("data_directory", config.Quote(c.o.DataDirectory))
	}
}

// refusesServers says why the configuration can have no virtual server but the default one, "" when it can.
func refusesServers() string {
	_, problems := config.Parse([]byte("version = 1\nvirtual_server \"default\" {\n}\nvirtual_server \"second\" {\nbinding \"*:26\" {\n}\n}\n"), "")
	for _, p := range problems.Errors() {
		return p.Message
	}
	return ""
}

// begin turns to a virtual server.
func (c *converter) begin(n int, first bool, refused string) {
	c.n, c.path = n, fmt.Sprintf("%s/%d", serviceRoot, n)
	name := defaultName
	if !first {
		name = fmt.Sprintf("server%d", n)
	}
	c.vs = c.doc.top.block("virtual_server", name)
	c.vs.notes = []string{c.path + "."}
	if !first && refused != "" {
		c.vs.off = refused
	}
	c.chain = []*Key{c.tree.at(c.path), c.tree.at(serviceRoot)}
	c.later = !c.tree.text || !c.oldRetries()
	c.local = ""
	s := Server{Number: n, Name: name, Active: c.vs.off == ""}
	if p := c.chain[0].get("ServerComment"); p != nil && !p.Secure {
		s.Description = shown(p.Value)
	}
	c.report.Servers = append(c.report.Servers, s)
	if !s.Active {
		c.report.attend("virtual server %d (%q) is commented out: %s; import with --server %d makes it the one in force", n, s.Description, refused, n)
	}
}

// server converts the virtual server in hand.
func (c *converter) server() {
	c.general()
	c.connections()
	c.messages()
	c.folders()
	c.delivery()
	c.domains()
	c.access()
	c.logging()
	c.protocol()
	c.leftovers(c.tree.at(c.path))
}

// value is what holds of a property for the key in hand.
type value struct {
	row  *Property
	prop *Prop // nil where it is the original's default, or nothing
	text string
	key  string // where it holds
	from string // as Line.From; "" where there is no value
	// above is how many keys above the one in hand it stands; 0 also where it stands nowhere.
	above int
	// doubt is why it is not to be relied on: what Prop.Doubt says, or that one that guards is empty, and those above it are not.
	doubt string
}

// value finds a property at the key in hand, else at those above it, else in the original's schema.
func (c *converter) value(name string) value {
	v := value{row: c.tree.names.find(name, 0), key: c.path}
	if v.row == nil {
		panic("metabase: the table has no " + name)
	}
	for i, k := range c.chain {
		p := k.get(v.row.Name)
		if p == nil || p.Alone && i > 0 {
			continue
		}
		c.used[p] = true
		if v.prop != nil {
			if v.row.Guards != "" && strings.TrimSpace(v.text) == "" && strings.TrimSpace(p.Value) != "" {
				v.doubt = cmp.Or(v.doubt, "it is empty, and that of a key above is not")
			}
			continue
		}
		v.prop, v.text, v.from, v.above, v.doubt = p, p.Value, "key", i, p.Doubt
		if i > 0 {
			v.from = "inherited"
		}
		if p.Secure && !v.row.Secret { // encrypted, though the old service never did that to it
			v.text = "(secret)"
		}
	}
	if v.prop == nil && v.row.Default != "" {
		v.text, v.from = v.row.Default, "schema"
	}
	return v
}

// set reports whether the file has the property, be it empty.
func (v *value) set() bool { return v.prop != nil }

// truth reads TRUE or FALSE of a property that guards: nothing that is odd about it is passed over.
func (v *value) truth() (bool, error) {
	if v.doubt != "" {
		return false, errors.New(v.doubt)
	}
	return boolean(v.text)
}

// note is the comment above a setting that comes of the value.
func (v *value) note() string {
	switch {
	case v.prop == nil && v.text == "":
		return v.row.Name + " is absent."
	case v.prop == nil:
		return v.row.Name + " is absent; the default of the original is " + shown(v.text) + "."
	case v.row.Secret || v.prop.Secure:
		return v.row.Name + " is a secret."
	case strings.TrimSpace(v.text) == "":
		return v.row.Name + " is empty."
	}
	return v.row.Name + " = " + v.shown()
}

// shown is the value for people. A binary list has so many octets.
func (v *value) shown() string {
	if b, err := octetsOf(v.text); err == nil && len(b) > 8 && (v.row.Name == "RelayIpList" || v.row.Name == "IPSecurity") {
		return fmt.Sprintf("(%d octets)", len(b))
	}
	return shown(v.text)
}

// line is the value in the report.
func (v *value) line() Line {
	l := Line{Key: v.key, Property: v.row.Name, From: v.from, of: v.prop}
	if v.prop != nil {
		l.ID = v.prop.ID
	}
	if !v.row.Secret && (v.prop == nil || !v.prop.Secure) {
		l.Value = v.shown()
	}
	return l
}

// add puts a line into a part of the report.
func (c *converter) add(part *[]Line, l Line) {
	if l.of != nil {
		c.told[l.of] = true
	}
	l.Inactive = l.Inactive || c.vs.off != "" && c.path != serviceRoot
	c.report.add(part, l)
}

// record tells what became of a value: taken, or changed where why says so or the setting comes to stand commented out.
func (c *converter) record(v value, e *entry, why string) {
	l := v.line()
	l.Setting, l.Result, l.Why, l.entry = c.within(e.path), e.value, why, e
	if why != "" {
		c.add(&c.report.Changed, l)
		return
	}
	c.add(&c.report.Taken, l)
}

// within is a path without the virtual server that is the default one.
func (c *converter) within(path string) string {
	return strings.TrimPrefix(path, "virtual_server."+defaultName+".")
}

// setting is a path of a setting in the virtual server in hand, as the report has it. The name of a block is as it is.
func (c *converter) setting(path string) string {
	if !strings.Contains(path, ".") {
		return path
	}
	return c.within(c.vs.path + "." + strings.TrimPrefix(path, c.vs.path+"."))
}

// change tells of a value that became something else than one setting.
func (c *converter) change(v value, setting, result, why string) {
	l := v.line()
	l.Setting, l.Result, l.Why = c.setting(setting), result, why
	c.add(&c.report.Changed, l)
}

// leave tells of a value that is not taken.
func (c *converter) leave(v value, format string, args ...any) {
	l := v.line()
	l.Why = fmt.Sprintf(format, args...)
	c.add(&c.report.NotTaken, l)
}
