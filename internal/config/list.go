package config

import (
	"net/netip"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// mailboxOf is parseMailbox for an any.
func mailboxOf(s string) (any, string, string) {
	a, message, suggest := parseMailbox(s)
	return a, message, suggest
}

// decodeList reads a list, entry by entry, and reports what is wrong with each. An entry that
// stands twice is a warning.
func (s *Setting) decodeList(l literal, dir string) (any, []*fault) {
	if l.kind != litList {
		suggest := ""
		if l.kind == litString {
			suggest = "[" + quote(l.s) + "]"
		}
		return nil, []*fault{l.fault("a list in [ ] is expected", suggest)}
	}
	var faults []*fault
	if len(l.items) == 0 && (s.Kind == KindTimes || s.Min > 0) {
		return nil, []*fault{l.fault("at least one entry is needed", "")}
	}
	if len(l.items) > maxEntries {
		return nil, []*fault{l.fault("has too many entries", "")}
	}
	var v any
	var bad bool
	collect := func(f *fault) bool {
		if f != nil {
			faults = append(faults, f)
			bad = bad || f.severity != SeverityWarning
		}
		return f == nil
	}
	switch s.Kind {
	case KindTimes:
		v = entries(l, collect, func(x literal) (time.Duration, *fault) { return as[time.Duration](s.decodeTime(x)) }, false)
	case KindEnums:
		v = entries(l, collect, func(x literal) (string, *fault) { return as[string](s.decodeEnum(x)) }, true)
	case KindTexts:
		v = entries(l, collect, func(x literal) (string, *fault) { return x.str(s.checkText) }, true)
	case KindHosts:
		v = entries(l, collect, func(x literal) (mail.Host, *fault) { return parsed(x, parseHost) }, true)
	case KindServers:
		v = entries(l, collect, func(x literal) (netip.AddrPort, *fault) {
			return parsed(x, func(t string) (netip.AddrPort, string, string) {
				a, message := parseServer(t)
				return a, message, ""
			})
		}, true)
	case KindNetworks:
		v = entries(l, collect, func(x literal) (netip.Prefix, *fault) { return parsed(x, parseNetwork) }, true)
	}
	if bad {
		return nil, faults
	}
	return v, faults
}

const maxEntries = 10_000

// entries decodes all entries of a list. With unique set, an entry that is there already is
// reported and left out.
func entries[T comparable](l literal, collect func(*fault) bool, decode func(literal) (T, *fault), unique bool) []T {
	var out []T
	seen := make(map[T]bool)
	for _, x := range l.items {
		if !collect(x.bad) {
			continue
		}
		v, f := decode(x)
		if !collect(f) {
			continue
		}
		if unique && seen[v] {
			collect(&fault{severity: SeverityWarning, text: x.text, rng: x.rng, message: "stands in the list already"})
			continue
		}
		seen[v] = true
		out = append(out, v)
	}
	return out
}

// as gives the value of a decode function its type.
func as[T any](v any, f *fault) (T, *fault) {
	t, _ := v.(T)
	return t, f
}

// parsed reads a text entry by parse, which returns what is wrong and what was meant.
func parsed[T any](l literal, parse func(string) (T, string, string)) (T, *fault) {
	var v T
	text, f := l.str((&Setting{Kind: KindText}).checkText)
	if f != nil {
		return v, f
	}
	v, message, suggest := parse(text)
	if message != "" {
		return v, l.fault(message, suggest)
	}
	return v, nil
}

// str returns the text of an entry that must be one and must pass check.
func (l *literal) str(check func(string) string) (string, *fault) {
	if l.kind != litString {
		suggest := ""
		if l.kind == litInt {
			suggest = quote(l.text)
		}
		return "", l.fault("a text in quotes is expected", suggest)
	}
	if m := check(l.s); m != "" {
		return "", l.fault(m, "")
	}
	if l.s == "" {
		return "", l.fault("is empty", "")
	}
	return l.s, nil
}
