package config

import (
	"fmt"
	"strings"
)

// InitOptions is what the first file sets; the rest of it is commented out.
type InitOptions struct {
	DataDirectory string        // "": the default
	Bindings      []InitBinding // none: the default, all addresses on port 25
	FQDN          string        // "": the host's DNS name
	DefaultDomain string        // "": the host's DNS name
	Relay         []string      // addresses and networks that may relay
}

// InitBinding is one binding of the first file.
type InitBinding struct {
	Address string     // as the label of a binding, "127.0.0.1:2525"
	TLS     BindingTLS // "": left out
}

// InitFile returns a first configuration file that explains itself: all settings are in it with
// a line of help, and those that are not given by the options are commented out with their
// defaults. The error, an *InvalidError, says what is wrong with the options.
func InitFile(o InitOptions) ([]byte, error) {
	w := &initWriter{options: o, values: make(map[string]string)}
	w.values["version"] = fmt.Sprint(SchemaVersion)
	if o.DataDirectory != "" {
		w.values["data_directory"] = quote(o.DataDirectory)
	}
	if o.FQDN != "" {
		w.values[serverPath(defaultServer, "fqdn")] = quote(o.FQDN)
	}
	if len(o.Relay) > 0 {
		w.values[serverPath(defaultServer, "access.relay.list")] = formatList(o.Relay, quote)
	}
	root := Schema()
	w.b.WriteString(initHead)
	w.inside(&root, "", "", false)
	out := []byte(w.b.String())
	_, problems := Parse(out, "")
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return out, nil
}

const initHead = `# Configuration of Mailroot.
#
# A line that begins with "#" and a blank explains what follows. A setting that begins with "#"
# is not set: it has its default, which the line shows; where the default is nothing, or follows
# something else ("Left out: ..."), the line shows an example. To set it, take the "#" away and
# change the value, or let the program do it:
#
#     mailroot config set connections.inbound_limit=500
#     mailroot config set 'domain["example.org"].kind=alias'
#     mailroot config set 'access.relay.list+=192.0.2.0/24'
#
# "mailroot config check" tells what is wrong with the file, "mailroot config show" what is in
# force. A change works after "mailroot reload"; where it needs a restart, that is said.
#
# Texts stand in quotes, with \\ for \. Sizes: "2048KB", "10MB". Times: "600s", "60m", "2d".
# Each setting stands on a line of its own.

`

// initWriter writes the first file.
type initWriter struct {
	b       strings.Builder
	options InitOptions
	values  map[string]string // literals of the settings that are set, by path
}

const initWidth = 100 // characters

// comment writes text in lines that begin with "# ".
func (w *initWriter) comment(indent, text string) {
	line := indent + "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > initWidth && line != indent+"#" {
			w.b.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	w.b.WriteString(line + "\n")
}

// inside writes what stands in a block; out tells that all of it is commented out.
func (w *initWriter) inside(blk *Block, path, indent string, out bool) {
	for i := range blk.Settings {
		s := &blk.Settings[i]
		if !out || blk.Missing == "" {
			w.comment(indent, s.explain())
		}
		if out {
			w.b.WriteString(indent + s.Name + " = " + s.sample() + "\n")
			continue
		}
		value, set := w.values[joinPath(path, s.Name)]
		if set {
			w.b.WriteString(indent + s.Name + " = " + value + "\n")
		} else {
			w.b.WriteString(indent + "#" + s.Name + " = " + s.sample() + "\n")
		}
		if path == "" {
			w.b.WriteString("\n")
		}
	}
	for i := range blk.Blocks {
		if i > 0 || len(blk.Settings) > 0 && path != "" {
			w.blank(out)
		}
		w.block(&blk.Blocks[i], path, indent, out)
	}
}

func (w *initWriter) blank(out bool) {
	if !out {
		w.b.WriteString("\n")
	}
}

func (w *initWriter) block(b *Block, path, indent string, out bool) {
	if out {
		if b.Missing != "" {
			w.comment(indent, b.Help+" (Not available in this version.)")
		}
		w.b.WriteString(indent + b.head(b.Example) + "\n")
		w.inside(b, "", indent+"  ", true)
		w.b.WriteString(indent + "}\n")
		return
	}
	help := b.Help
	if b.Missing != "" {
		help += " (Not available in this version.)"
	}
	w.comment(indent, help)
	switch {
	case b.Name == serverBlock:
		w.active(b, path, indent, defaultServer)
	case b.Name == "binding" && len(w.options.Bindings) > 0:
		w.bindings(indent)
	case b.Name == "domain":
		w.domains(b, indent)
	case b.Label == "" && b.Missing == "":
		w.active(b, path, indent, "")
	default:
		w.commented(b, indent)
	}
}

func (w *initWriter) active(b *Block, path, indent, label string) {
	w.b.WriteString(indent + b.head(label) + "\n")
	w.inside(b, labelPath(path, b, label), indent+"  ", false)
	w.b.WriteString(indent + "}\n")
}

// commented writes a block behind "#"; the two blanks within keep its settings apart from those
// of the block around it.
func (w *initWriter) commented(b *Block, indent string) {
	sub := &initWriter{}
	sub.b.WriteString(b.head(b.Example) + "\n")
	sub.inside(b, "", "  ", true)
	sub.b.WriteString("}\n")
	for line := range strings.Lines(sub.b.String()) {
		w.b.WriteString(indent + "#" + line)
	}
}

func (w *initWriter) bindings(indent string) {
	for _, b := range w.options.Bindings {
		w.b.WriteString(indent + "binding " + quote(b.Address) + " {\n")
		if b.TLS != "" {
			w.b.WriteString(indent + "  tls = " + quote(string(b.TLS)) + "\n")
		}
		w.b.WriteString(indent + "}\n")
	}
}

func (w *initWriter) domains(b *Block, indent string) {
	if w.options.DefaultDomain != "" {
		w.b.WriteString(indent + "domain " + quote(w.options.DefaultDomain) + " {\n" + indent + "  kind = \"default\"\n" + indent + "}\n")
	}
	for _, lines := range [][]string{
		{`domain "example.com" {`, `  kind = "default"`, `}`},
		{`domain "example.net" {`, `  kind = "alias"`, `}`},
	} {
		for _, line := range lines {
			w.b.WriteString(indent + "#" + line + "\n")
		}
	}
	w.commented(b, indent)
}

// head is the first line of a block.
func (b *Block) head(label string) string {
	if b.Label == "" {
		return b.Name + " {"
	}
	return b.Name + " " + quote(label) + " {"
}

// explain is the help of a setting, with what its name and default do not tell.
func (s *Setting) explain() string {
	text := s.Help
	if s.ForKind != "" {
		text = "(" + s.ForKind + ") " + text
	}
	if (s.Kind == KindEnum || s.Kind == KindEnums) && !strings.Contains(text, "`") && len(s.usable()) > 1 {
		text += " " + oneOf(s.usable()) + "."
	}
	if s.Follows != "" && s.Default != "" && !s.blankDefault() {
		text += " Follows " + s.Follows + "."
	} else if s.Follows != "" {
		text += " Left out: " + s.Follows + "."
	}
	if inactive := s.inactiveWords(); len(inactive) > 0 && s.Missing == "" {
		text += " The default has also " + strings.Join(inactive, " and ") + ", not available in this version."
	}
	if s.Missing != "" {
		text += " (Not available in this version.)"
	} else if s.Restart {
		text += " (A change needs a restart.)"
	}
	return text
}

// blankDefault reports whether the default is an empty text or list.
func (s *Setting) blankDefault() bool { return s.Default == `""` || s.Default == "[]" }

// sample is the value that a setting shows while it is commented out.
func (s *Setting) sample() string {
	if s.Default == "" || s.blankDefault() && s.Example != "" {
		return s.Example
	}
	return s.defaultInForce()
}
