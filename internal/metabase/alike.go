package metabase

import (
	"fmt"
	"strings"
)

// maxAlike is how many lines of one kind the report for people has; the JSON form has all.
const maxAlike = 20

// kind is what lines have in common that differ in the domain or the virtual server alone.
type kind struct{ property, settings, why string }

// kind returns the kind of a line.
func (l *Line) kind() kind {
	all := []string{unlabelled(l.Setting)}
	if all[0] == "domain" { // with its kind, the last word
		all[0] += " " + l.Result[strings.LastIndexByte(l.Result, ' ')+1:]
	}
	for _, m := range l.More {
		all = append(all, unlabelled(m.Setting))
	}
	why := l.Why
	_, domain, _ := strings.Cut(strings.ToLower(shown(l.Key)), "/domain/")
	if domain = strings.TrimPrefix(domain, "*."); domain != "" {
		why = strings.ReplaceAll(why, domain, "…")
	}
	return kind{property: l.Property, settings: strings.Join(all, ", "), why: why}
}

// unlabelled is a setting without the domain and the virtual server that it is of.
func unlabelled(setting string) string {
	if rest, ok := strings.CutPrefix(setting, "virtual_server."); ok {
		_, setting, _ = strings.Cut(rest, ".")
	}
	if before, rest, ok := strings.Cut(setting, "["); ok {
		setting = before + rest[strings.LastIndexByte(rest, ']')+1:]
	}
	return setting
}

// alike counts lines by their kind.
type alike struct {
	count map[kind]int
	order []kind
}

func newAlike() *alike { return &alike{count: make(map[kind]int)} }

// show counts a line, and reports whether it is among the first of its kind.
func (a *alike) show(k kind) bool {
	if a.count[k] == 0 {
		a.order = append(a.order, k)
	}
	a.count[k]++
	return a.count[k] <= maxAlike
}

// write says how many lines of each kind are left out.
func (a *alike) write(b *strings.Builder) {
	for _, k := range a.order {
		n := a.count[k] - maxAlike
		if n <= 0 {
			continue
		}
		text := k.property
		if k.settings != "" {
			text += "  ->  " + k.settings
		}
		fmt.Fprintf(b, "  and %d more like %s; --json has all\n", n, text)
		if k.why != "" {
			fmt.Fprintf(b, "        %s\n", k.why)
		}
	}
}
