package config

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mailroot/mailroot/internal/mail"
)

// notAvailable is what is said of everything whose engine does not exist yet.
const notAvailable = "not available in this version"

// decode turns a literal into the Go value of the setting: bool, int64 (KindInt, KindSize),
// time.Duration, string, mail.Address, or a slice of string, time.Duration, mail.Host,
// netip.AddrPort or netip.Prefix. dir is what relative paths start at; "" leaves them.
// With an error among the faults the value is nil.
func (s *Setting) decode(l literal, dir string) (any, []*fault) {
	if s.Kind.List() {
		return s.decodeList(l, dir)
	}
	v, f := s.decodeOne(l, dir)
	if f == nil {
		return v, nil
	}
	if f.severity == SeverityWarning {
		return v, []*fault{f}
	}
	return nil, []*fault{f}
}

func (s *Setting) decodeOne(l literal, dir string) (any, *fault) {
	switch s.Kind {
	case KindBool:
		return s.decodeBool(l)
	case KindInt:
		return s.decodeInt(l)
	case KindSize:
		return s.decodeSize(l)
	case KindTime, KindTimes:
		return s.decodeTime(l)
	case KindEnum, KindEnums:
		return s.decodeEnum(l)
	}
	if l.kind != litString {
		suggest := ""
		if l.kind == litInt || l.kind == litBool {
			suggest = quote(l.text)
		}
		return nil, l.fault("a text in quotes is expected", suggest)
	}
	return s.decodeText(l, dir)
}

func (s *Setting) decodeBool(l literal) (any, *fault) {
	if l.kind == litBool {
		return l.b, nil
	}
	suggest := ""
	switch strings.ToLower(l.s) {
	case "true", "on", "yes":
		suggest = "true"
	case "false", "off", "no":
		suggest = "false"
	}
	return nil, l.fault("true or false is expected, without quotes", suggest)
}

func (s *Setting) decodeInt(l literal) (any, *fault) {
	switch {
	case l.kind == litInt && s.inBounds(l.n):
		return l.n, nil
	case l.kind == litString && s.isZero(l.s):
		return int64(0), nil
	}
	suggest := ""
	if l.kind == litString {
		if n, err := strconv.ParseInt(l.s, 10, 64); err == nil && s.inBounds(n) {
			suggest = l.s
		} else {
			suggest = s.suggestZero(l.s)
		}
	}
	return nil, l.fault(s.Want()+" is expected", suggest)
}

// inBounds reports whether n keeps Min and Max, or is a permitted 0.
func (s *Setting) inBounds(n int64) bool {
	if n == 0 && s.Zero != "" {
		return true
	}
	return n >= s.Min && (s.Max == 0 || n <= s.Max)
}

// isZero reports whether a word stands for "no limit". A limit that can be "unlimited" can be
// "off" as well.
func (s *Setting) isZero(word string) bool {
	return s.Zero != "" && (word == s.Zero || s.Zero == "unlimited" && word == "off")
}

func (s *Setting) suggestZero(text string) string {
	switch strings.ToLower(text) {
	case "unlimited", "off", "none", "no", "never", "infinite", "false":
		if s.Zero != "" {
			return quote(s.Zero)
		}
	}
	return ""
}

func (s *Setting) decodeSize(l literal) (any, *fault) {
	n, ok := l.n, l.kind == litInt
	if l.kind == litString {
		if s.isZero(l.s) {
			return int64(0), nil
		}
		n, ok = parseSize(l.s)
	}
	if ok && s.inBounds(n) {
		return n, nil
	}
	suggest := ""
	if l.kind == litString && !ok {
		if n, ok := parseSize(looseUnit(l.s)); ok && s.inBounds(n) {
			suggest = quote(looseUnit(l.s))
		} else {
			suggest = s.suggestZero(l.s)
		}
	}
	return nil, l.fault(s.Want()+" is expected", suggest)
}

// looseUnit makes "10 mb", "10M" or "10MiB" into "10MB".
func looseUnit(s string) string {
	s = strings.ToUpper(strings.Join(strings.Fields(s), ""))
	s = strings.TrimSuffix(strings.TrimSuffix(s, "IB"), "B")
	if s != "" && strings.ContainsAny(s[len(s)-1:], "KMG") {
		s += "B"
	}
	return s
}

func (s *Setting) decodeTime(l literal) (any, *fault) {
	if l.kind == litString && s.isZero(l.s) {
		return time.Duration(0), nil
	}
	if l.kind == litInt && l.n == 0 && s.Zero != "" {
		return time.Duration(0), nil
	}
	suggest := ""
	if l.kind == litString {
		sec, ok := parseSeconds(l.s)
		if ok && sec >= s.Min && (s.Max == 0 || sec <= s.Max) {
			return time.Duration(sec) * time.Second, nil
		}
		if !ok {
			loose := strings.ToLower(strings.Join(strings.Fields(l.s), ""))
			if sec, ok := parseSeconds(loose); ok && sec >= s.Min {
				suggest = quote(loose)
			} else {
				suggest = s.suggestZero(l.s)
			}
		}
	} else if l.kind == litInt && l.n > 0 {
		suggest = quote(l.text + "s")
	}
	return nil, l.fault(s.Want()+" is expected", suggest)
}

func (s *Setting) decodeEnum(l literal) (any, *fault) {
	if l.kind == litString {
		if slices.Contains(s.Later, l.s) {
			return nil, l.fault(notAvailable+"; "+s.Want()+" is expected", "")
		}
		if slices.Contains(s.Values, l.s) {
			return l.s, nil
		}
	}
	if l.kind == litBool && !l.b && slices.Contains(s.Values, "off") {
		return nil, l.fault(s.Want()+" is expected", `"off"`)
	}
	suggest := ""
	if near := nearest(l.s, s.usable()); near != "" {
		suggest = quote(near)
	}
	return nil, l.fault(s.Want()+" is expected", suggest)
}

// usable returns the words that have an engine.
func (s *Setting) usable() []string {
	return slices.DeleteFunc(slices.Clone(s.Values), func(v string) bool { return slices.Contains(s.Later, v) })
}

func (s *Setting) decodeText(l literal, dir string) (any, *fault) {
	if m := s.checkText(l.s); m != "" {
		return nil, l.fault(m, "")
	}
	if l.s == "" && s.Kind != KindMailbox {
		if s.Kind == KindHostName || s.Kind == KindPath && s.Default != `""` {
			return nil, l.fault("is empty; leave the line out for the default", "")
		}
		if s.Default == `""` {
			return "", nil
		}
	}
	var message, suggest string
	var v any = l.s
	switch s.Kind {
	case KindPath:
		v = absolute(l.s, dir)
		message = s.checkPath(l.s)
	case KindHostName:
		v = strings.ToLower(l.s)
		if _, ok := parseIP(strings.Trim(l.s, "[]")); ok {
			return nil, l.fault("an IP address is not a name; a name such as "+cmp.Or(s.Example, quote("relay.example.com"))+" is expected", "")
		}
		if message, suggest = checkName(l.s); message == "" && !strings.Contains(l.s, ".") {
			return v, &fault{severity: SeverityWarning, text: l.text, rng: l.rng,
				message: "is no fully qualified name: it has no dot"}
		}
	case KindMailbox:
		if l.s == "" && s.Default == `""` {
			return mail.Address{}, nil
		}
		v, message, suggest = mailboxOf(l.s)
	}
	if message != "" {
		return nil, l.fault(message, suggest)
	}
	return v, nil
}

// checkText refuses what no text setting may hold.
func (s *Setting) checkText(text string) string {
	limit := s.Max
	if limit == 0 || s.Kind != KindText {
		limit = 4096
	}
	switch {
	case !utf8.ValidString(text):
		return "is not valid UTF-8"
	case strings.ContainsFunc(text, unicode.IsControl):
		return "holds a control character"
	case int64(len(text)) > limit:
		return fmt.Sprintf("is longer than %d octets", limit)
	}
	return ""
}

// checkPath refuses what only a shell would resolve, and folders on other computers, where
// neither locks nor syncs can be relied on.
func (s *Setting) checkPath(path string) string {
	example := "such as " + cmp.Or(s.Example, s.Default)
	switch {
	case strings.HasPrefix(path, "~"), strings.HasPrefix(path, "$"):
		return path[:1] + " stands for nothing here; write the whole path, " + example + ", or one that starts at the folder of this file"
	case s.Local && strings.HasPrefix(strings.ReplaceAll(path, `\`, "/"), "//"):
		return "must be a folder of this computer, not of another one; write a local path, " + example
	}
	return ""
}

// absolute makes a path of the file absolute and clean, by joining it to dir.
func absolute(path, dir string) string {
	path = filepath.FromSlash(path)
	if dir != "" && !filepath.IsAbs(path) {
		return filepath.Join(dir, path)
	}
	return filepath.Clean(path)
}

// parseSize reads 2048KB, 10MB, 1GB or a bare number of octets. Units are powers of 1024.
func parseSize(s string) (int64, bool) {
	unit := int64(1)
	for suffix, u := range map[string]int64{"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30} {
		if rest, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = rest, u
			break
		}
	}
	n, ok := digits(s)
	if !ok || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

// FormatSize writes n as the file has it, in the largest unit that divides it: "2MB", 1000.
func FormatSize(n int64) string {
	for _, u := range []struct {
		unit int64
		name string
	}{{1 << 30, "GB"}, {1 << 20, "MB"}, {1 << 10, "KB"}} {
		if n > 0 && n%u.unit == 0 {
			return quote(strconv.FormatInt(n/u.unit, 10) + u.name)
		}
	}
	return strconv.FormatInt(n, 10)
}

var timeUnits = []struct {
	letter  string
	seconds int64
}{{"d", day}, {"h", 3600}, {"m", 60}, {"s", 1}}

// parseSeconds reads 600s, 60m, 12h, 2d or a sum of them in that order, such as 1d12h.
func parseSeconds(s string) (int64, bool) {
	var sum int64
	found := false
	for _, u := range timeUnits {
		number, rest, ok := strings.Cut(s, u.letter)
		if !ok {
			continue
		}
		n, ok := digits(number)
		if !ok || n > 1e9 {
			return 0, false
		}
		sum += n * u.seconds
		s, found = rest, true
	}
	return sum, found && s == ""
}

// FormatTime writes d as the file has it, in the largest unit that divides it: "90s", "10m", "2d".
func FormatTime(d time.Duration) string {
	sec := int64(d / time.Second)
	for _, u := range timeUnits {
		if sec%u.seconds == 0 && sec >= u.seconds {
			return quote(strconv.FormatInt(sec/u.seconds, 10) + u.letter)
		}
	}
	return quote("0s")
}

// digits reads a decimal number without sign.
func digits(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// Want says in words which values are right: "a number from 1 to 100".
func (s *Setting) Want() string {
	zero := ""
	if s.Zero != "" {
		zero = " (or " + quote(s.Zero) + ")"
	}
	bounds := func(format func(int64) string) string {
		if s.Max == 0 {
			return " from " + format(s.Min) + zero
		}
		return " from " + format(s.Min) + " to " + format(s.Max) + zero
	}
	seconds := func(n int64) string { return strings.Trim(FormatTime(time.Duration(n)*time.Second), `"`) }
	switch s.Kind {
	case KindBool:
		return "true or false"
	case KindInt:
		return "a whole number" + bounds(func(n int64) string { return strconv.FormatInt(n, 10) })
	case KindSize:
		return `a size such as "2048KB" or "10MB"` + bounds(func(n int64) string { return strings.Trim(FormatSize(n), `"`) })
	case KindTime, KindTimes:
		return `a time such as "600s", "60m" or "2d"` + bounds(seconds)
	case KindEnum, KindEnums:
		return oneOf(s.usable())
	default:
		return "a " + s.Kind.String()
	}
}

func oneOf(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	if n := len(quoted) - 1; n > 0 {
		return strings.Join(quoted[:n], ", ") + " or " + quoted[n]
	}
	return strings.Join(quoted, "")
}

// ParseTime reads a time as a setting has it: 600s, 60m, 12h, 2d, or a sum such as 1d12h, up to a
// hundred years.
func ParseTime(s string) (time.Duration, error) {
	sec, ok := parseSeconds(s)
	if !ok || sec > 100*365*day {
		return 0, fmt.Errorf("%s is no time: write 600s, 60m, 12h, 2d or 1d12h", shorten(s))
	}
	return time.Duration(sec) * time.Second, nil
}

// ParseSize reads a size as a setting has it: 2048KB, 10MB, 1GB, or a number of octets.
func ParseSize(s string) (int64, error) {
	n, ok := parseSize(s)
	if !ok {
		return 0, fmt.Errorf("%s is no size: write a number of octets, 100KB or 2MB", shorten(s))
	}
	return n, nil
}
