package metabase

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Report is what an import tells: for people by Write, for programs as JSON. No secret is in it.
type Report struct {
	Source  string   `json:"source,omitempty"` // name of the file
	Format  string   `json:"format"`           // "MetaBase.xml" or "adsutil ENUM"
	Servers []Server `json:"virtual_servers"`
	// Attention is what to look at before the service starts: what is closed because it was in doubt, what the
	// old server did that this version cannot.
	Attention []string `json:"attention"`
	Taken     []Line   `json:"taken"`
	Changed   []Line   `json:"changed"`
	NotTaken  []Line   `json:"not_taken"`
	Unknown   []Line   `json:"unknown"`
	Notes     []string `json:"notes"` // what was odd about the input
	Next      []Step   `json:"next"`
	Left      int      `json:"left_out,omitempty"` // lines that the report has no room for

	alarms int // of Attention, at its front
	ledger ledger
}

// Server is a virtual server of the old service.
type Server struct {
	Number      int    `json:"number"`
	Name        string `json:"name"` // in the configuration
	Description string `json:"description,omitempty"`
	// Active: it is in force in the configuration, not commented out.
	Active bool `json:"active"`
}

// Line tells of one property.
type Line struct {
	Key      string `json:"key"` // where it stands, or holds: /LM/SmtpSvc/1
	Property string `json:"property"`
	ID       uint32 `json:"id,omitempty"`
	Value    string `json:"value,omitempty"` // shortened; never a secret
	// From is "key" where the value stands at Key, "inherited" where it comes from a key above, "schema" where it is the
	// default of the original.
	From string `json:"from,omitempty"`
	// Setting and Result are what it became: a path within the virtual server, and the value of the file.
	Setting string `json:"setting,omitempty"`
	Result  string `json:"result,omitempty"`
	// More is what else it became, where that is several settings.
	More []Became `json:"more,omitempty"`
	// Inactive: the setting stands commented out, and Why says why.
	Inactive bool   `json:"inactive,omitempty"`
	Why      string `json:"why,omitempty"`

	of    *Prop  // nil where it stands nowhere
	entry *entry // nil where it became no setting of its own
	block *block // that it became; nil where it became none
}

// Became is a setting that a property became, as in Line.
type Became struct {
	Setting  string `json:"setting"`
	Result   string `json:"result,omitempty"`
	Inactive bool   `json:"inactive,omitempty"`

	entry *entry
}

// Step is something to do next.
type Step struct {
	Text    string `json:"text"`
	Command string `json:"command,omitempty"`
}

func newReport() *Report {
	return &Report{Servers: []Server{}, Attention: []string{}, Taken: []Line{}, Changed: []Line{}, NotTaken: []Line{},
		Unknown: []Line{}, Notes: []string{}, Next: []Step{}, ledger: newLedger()}
}

func (r *Report) attend(format string, args ...any) {
	text := strings.Join(strings.Fields(printable(fmt.Sprintf(format, args...))), " ")
	switch {
	case slices.Contains(r.Attention, text):
	case len(r.Attention) >= maxLines:
		r.Left++
	default:
		r.Attention = append(r.Attention, text)
	}
}

// alarm is attend for what says who is let in: it stands before all else, and has room where that has taken all of it.
func (r *Report) alarm(format string, args ...any) {
	if len(r.Attention) == maxLines && r.alarms < maxLines {
		r.Attention = r.Attention[:maxLines-1]
	}
	n := len(r.Attention)
	r.attend(format, args...)
	if len(r.Attention) > n {
		text := r.Attention[n]
		r.Attention = slices.Insert(r.Attention[:n], r.alarms, text)
		r.alarms++
	}
}

// Write writes the report for people.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	r.heading(&b)
	bullets(&b, "Look at this first", r.Attention)
	r.lines(&b, "Taken", r.Taken)
	r.lines(&b, "Changed", r.Changed)
	r.grouped(&b, "Not taken", r.NotTaken)
	r.lines(&b, "Unknown, and not taken", r.Unknown)
	bullets(&b, "Odd about the file", r.Notes)
	if r.Left > 0 {
		fmt.Fprintf(&b, "\nand %d more lines\n", r.Left)
	}
	if len(r.Next) > 0 {
		b.WriteString("\nWhat to do next\n")
	}
	for i, s := range r.Next {
		fmt.Fprintf(&b, "%3d. %s\n", i+1, s.Text)
		if s.Command != "" {
			fmt.Fprintf(&b, "       %s\n", s.Command)
		}
	}
	_, err := io.WriteString(w, printable(b.String()))
	return err
}

func (r *Report) heading(b *strings.Builder) {
	fmt.Fprintf(b, "Imported from %s", r.Format)
	if r.Source != "" {
		fmt.Fprintf(b, " (%s)", r.Source)
	}
	b.WriteString(":\n")
	for _, s := range r.Servers {
		fmt.Fprintf(b, "  virtual server %d", s.Number)
		if s.Description != "" {
			fmt.Fprintf(b, " %q", s.Description)
		}
		fmt.Fprintf(b, " as %q", s.Name)
		if !s.Active {
			b.WriteString(", commented out: this version has one virtual server")
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(b, "%d taken, %d changed, %d not taken, %d unknown\n", len(r.Taken), len(r.Changed), len(r.NotTaken), len(r.Unknown))
}

func bullets(b *strings.Builder, title string, texts []string) {
	if len(texts) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	for _, t := range texts {
		fmt.Fprintf(b, "  * %s\n", t)
	}
}

// lines writes a part, a line for each property, by the keys where they hold. Of many that are alike it writes the first.
func (r *Report) lines(b *strings.Builder, title string, part []Line) {
	if len(part) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	alike := newAlike()
	key := ""
	for _, l := range part {
		if !alike.show(l.kind()) {
			continue
		}
		if l.Key != key {
			key = l.Key
			fmt.Fprintf(b, "  at %s%s\n", shown(key), r.inactive(key))
		}
		text := "    " + l.left()
		switch {
		case l.Setting != "" && l.Result != "":
			text += "  ->  " + l.Setting + " = " + shown(l.Result)
		case l.Setting != "":
			text += "  ->  " + l.Setting
		}
		b.WriteString(text + "\n")
		for _, m := range l.More {
			fmt.Fprintf(b, "      ->  %s = %s\n", m.Setting, shown(m.Result))
		}
		if l.Why != "" {
			fmt.Fprintf(b, "        %s\n", l.Why)
		}
	}
	alike.write(b)
}

// inactive says that a key belongs to a virtual server that is commented out.
func (r *Report) inactive(key string) string {
	for _, s := range r.Servers {
		root := fmt.Sprintf("%s/%d", serviceRoot, s.Number)
		if rest, ok := cutPrefixFold(key, root); ok && !s.Active && (rest == "" || rest[0] == '/') {
			return " (commented out)"
		}
	}
	return ""
}

func (l *Line) left() string {
	text := l.Property
	if l.ID != 0 && strings.HasPrefix(l.Property, "UnknownName_") {
		text += fmt.Sprintf(" (id %d)", l.ID)
	}
	if l.Value != "" {
		text += " = " + l.Value
	}
	switch l.From {
	case "schema":
		text += " (absent; the original's default)"
	case "inherited":
		text += " (inherited)"
	}
	return text
}

// grouped writes a part by the reasons, so that what has the same one stands together. Of many that are alike it writes the first.
func (r *Report) grouped(b *strings.Builder, title string, part []Line) {
	if len(part) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	sorted := slices.Clone(part)
	first := make(map[string]int)
	for i, l := range sorted {
		if _, ok := first[l.Why]; !ok {
			first[l.Why] = i
		}
	}
	slices.SortStableFunc(sorted, func(a, b Line) int { return cmp.Compare(first[a.Why], first[b.Why]) })
	alike, told := newAlike(), false
	for i, l := range sorted {
		if alike.show(l.kind()) {
			fmt.Fprintf(b, "    %s  (%s)\n", l.left(), shown(l.Key))
			told = true
		}
		if told && (i == len(sorted)-1 || sorted[i+1].Why != l.Why) {
			fmt.Fprintf(b, "        %s\n", l.Why)
			told = false
		}
	}
	alike.write(b)
}
