package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// node is one block or setting of a configuration, as walk meets it.
type node struct {
	path    string
	block   *Block        // the block itself, or the one that the setting stands in
	setting *Setting      // nil: the node is a block with a label
	value   reflect.Value // invalid when an engine is missing
	missing string        // that engine
}

// walk calls fn for all settings, in the order of the schema, and before those of a block with
// a label for the block. Blocks with a label are met as often as they are there, and not at
// all when their engine is missing; nor are blocks in a domain that have none. Settings that do
// not apply to the kind of a domain are left out.
func walk(blk *Block, path string, v reflect.Value, fn func(node)) { walkIn(blk, path, v, "", fn) }

func walkIn(blk *Block, path string, v reflect.Value, missing string, fn func(node)) {
	kind := ""
	if v.IsValid() {
		if d, ok := v.Addr().Interface().(*Domain); ok {
			kind = string(d.Kind)
		}
	}
	for i := range blk.Settings {
		s := &blk.Settings[i]
		if s.ForKind != "" && kind != "" && s.ForKind != kind {
			continue
		}
		n := node{path: joinPath(path, s.Name), block: blk, setting: s, missing: missing}
		if n.missing == "" {
			n.missing = s.Missing
		}
		if n.missing == "" {
			n.value = fieldOf(v, s.Name)
		}
		fn(n)
	}
	for i := range blk.Blocks {
		b := &blk.Blocks[i]
		within := missing
		if within == "" {
			within = b.Missing
		}
		switch {
		case b.Label == "" && within == "":
			walkIn(b, joinPath(path, b.Name), fieldOf(v, b.Name), "", fn)
		case b.Label == "" && kind == "":
			walkIn(b, joinPath(path, b.Name), reflect.Value{}, within, fn)
		case within == "":
			list := fieldOf(v, b.Name)
			for j := range list.Len() {
				elem := list.Index(j)
				p := labelPath(path, b, fieldOf(elem, labelTag).String())
				fn(node{path: p, block: b, value: elem})
				walkIn(b, p, elem, "", fn)
			}
		}
	}
}

// text returns the value as the file would have it; "" for no value.
func (n *node) text() string {
	if n.setting == nil || !n.value.IsValid() {
		return ""
	}
	return n.setting.format(n.value.Interface())
}

// format returns a value of the setting as the file would have it, in its one canonical form.
func (s *Setting) format(v any) string {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v)
	case int:
		return s.formatNumber(int64(v))
	case int64:
		return s.formatNumber(v)
	case time.Duration:
		return s.formatDuration(v)
	case mail.Address:
		return quote(v.String())
	case []time.Duration:
		return formatList(v, s.formatDuration)
	case []string:
		return formatList(v, quote)
	case []mail.Host:
		return formatList(v, func(h mail.Host) string { return quote(h.String()) })
	case []netip.AddrPort:
		return formatList(v, func(a netip.AddrPort) string { return quote(a.String()) })
	case []netip.Prefix:
		return formatList(v, func(p netip.Prefix) string {
			if p.IsSingleIP() {
				return quote(p.Addr().String())
			}
			return quote(p.String())
		})
	default: // texts and words, some with a type of their own
		return quote(fmt.Sprint(v))
	}
}

func (s *Setting) formatNumber(n int64) string {
	switch {
	case n == 0 && s.Zero != "":
		return quote(s.Zero)
	case s.Kind == KindSize:
		return FormatSize(n)
	default:
		return strconv.FormatInt(n, 10)
	}
}

func (s *Setting) formatDuration(d time.Duration) string {
	if d == 0 && s.Zero != "" {
		return quote(s.Zero)
	}
	return FormatTime(d)
}

// display returns the value for people: a size or time as the file has it, or in the units of
// the default; all else as text.
func (c *Config) display(n *node) string {
	if n.setting == nil || !n.value.IsValid() {
		return ""
	}
	if o := c.origins[n.path]; o.From == FromFile && o.text != "" {
		return o.text
	}
	s := n.setting
	switch v := n.value.Interface().(type) {
	case int64:
		if unit := s.unit(); v > 0 && s.Kind == KindSize && unit != "" {
			if u, _ := parseSize("1" + unit); v%u == 0 {
				return quote(strconv.FormatInt(v/u, 10) + unit)
			}
		}
	case time.Duration:
		if text, ok := inUnit(v, s.unit()); ok {
			return text
		}
	case []time.Duration:
		if def, ok := s.defaultValue(); ok && s.format(def) == s.format(v) {
			return s.Default
		}
	}
	return n.text()
}

// unit returns the unit of the default, or else of the example: "KB", "s"; "" when it has none.
func (s *Setting) unit() string {
	return strings.TrimLeft(strings.Trim(cmp.Or(s.Default, s.Example), `"`), "0123456789")
}

func inUnit(d time.Duration, unit string) (string, bool) {
	for _, u := range timeUnits {
		if sec := int64(d / time.Second); u.letter == unit && sec > 0 && sec%u.seconds == 0 {
			return quote(strconv.FormatInt(sec/u.seconds, 10) + unit), true
		}
	}
	return "", false
}

// asWritten returns a size, a time or a list of times as the file has it, on one line; "" of
// other kinds.
func (s *Setting) asWritten(l literal) string {
	switch s.Kind {
	case KindSize, KindTime:
		if l.kind == litString && !s.isZero(l.s) {
			return quote(l.s)
		}
		if l.kind == litInt && l.n > 0 {
			return strconv.FormatInt(l.n, 10)
		}
	case KindTimes:
		return formatList(l.items, func(x literal) string { return quote(x.s) })
	}
	return ""
}

func formatList[T any](list []T, format func(T) string) string {
	texts := make([]string, len(list))
	for i, x := range list {
		texts[i] = format(x)
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// valueAt returns the value at a path as the file would have it, or "".
func (c *Config) valueAt(path string) string {
	text := ""
	root := Schema()
	walk(&root, "", reflectOf(c), func(n node) {
		if n.path == path {
			text = c.display(&n)
		}
	})
	return text
}
