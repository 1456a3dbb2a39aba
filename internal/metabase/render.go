package metabase

import (
	"slices"
	"strings"

	"github.com/mailroot/mailroot/internal/config"
)

const width = 100 // characters of a line of comments

// render writes the file. A line that begins with "#" and a blank explains; a setting that begins with "#" is not set,
// as in the file of mailroot init.
func (d *document) render() []byte {
	var w writer
	for _, text := range d.head {
		w.comment("", text)
	}
	w.line("", "")
	w.entries(d.top, "", false)
	for _, b := range d.top.blocks {
		w.line("", "")
		w.block(b, "", false)
	}
	return []byte(w.String())
}

type writer struct{ strings.Builder }

func (w *writer) line(indent, text string) {
	if text == "" {
		indent = strings.TrimRight(indent, " ")
	}
	w.WriteString(indent + text + "\n")
}

// comment writes text in lines that begin with "# "; an empty one gives an empty line.
func (w *writer) comment(indent, text string) {
	if text == "" {
		w.line(indent, "#")
		return
	}
	line, n := indent+"#", 0
	for word := range strings.FieldsSeq(printable(text)) {
		if n > 0 && len([]rune(line))+1+len([]rune(word)) > width {
			w.line("", line)
			line, n = indent+"#", 0
		}
		line += " " + word
		n++
	}
	w.line("", line)
}

// entries writes the settings of a block; out tells that all of it stands commented out already.
func (w *writer) entries(b *block, indent string, out bool) {
	for _, e := range b.entries {
		for _, n := range e.notes {
			w.comment(indent, n)
		}
		mark := ""
		if e.off != "" && !out {
			w.comment(indent, upper(e.off)+".")
			mark = "#"
		}
		for text := range strings.SplitSeq(e.name+" = "+e.value, "\n") {
			w.line(indent, mark+text)
		}
	}
}

// block writes a block, in which what stands commented out is apart from what is above it.
func (w *writer) block(b *block, indent string, out bool) {
	for _, n := range b.notes {
		w.comment(indent, n)
	}
	off := b.off
	if off == "" && b.missing != "" && (b.parent == nil || b.parent.missing == "") {
		off = needs(b.missing)
	}
	if off != "" && !out {
		w.comment(indent, upper(off)+".")
		var sub writer
		// Within a virtual server what is off stays so when the marks of the server are taken away.
		sub.body(b, "", b.name != "virtual_server")
		for line := range strings.Lines(sub.String()) {
			w.line(indent, "#"+strings.TrimSuffix(line, "\n"))
		}
		return
	}
	w.body(b, indent, out)
}

func (w *writer) body(b *block, indent string, out bool) {
	head := b.name + " {"
	if b.label != "" {
		head = b.name + " " + config.Quote(b.label) + " {"
	}
	w.line(indent, head)
	w.entries(b, indent+"  ", out)
	above := len(b.entries) > 0
	for _, sub := range b.blocks {
		if sub.empty() {
			continue
		}
		if above {
			w.line(indent, "")
		}
		above = true
		w.block(sub, indent+"  ", out)
	}
	w.line(indent, "}")
}

// empty reports whether nothing is in a block that is there once and needs no label.
func (b *block) empty() bool {
	return b.label == "" && len(b.entries) == 0 && len(b.notes) == 0 && !slices.ContainsFunc(b.blocks, func(sub *block) bool { return !sub.empty() })
}

// upper gives a sentence its capital.
func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// list writes texts as a list of the file: on one line while they are few.
func list(texts []string) string {
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = config.Quote(t)
	}
	if len(quoted) <= 4 {
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	return "[\n  " + strings.Join(quoted, ",\n  ") + ",\n]"
}
