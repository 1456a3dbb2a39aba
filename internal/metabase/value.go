package metabase

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mailroot/mailroot/internal/mail"
)

// The forms of values: a DWORD is an unsigned decimal, a word of flags has names joined by bars, a
// MULTISZ has lines, binary values are hexadecimal digits in the order of memory.

const noLimit = 1<<32 - 1 // how a DWORD says "unlimited"

// number reads a DWORD: decimal, 0x…, &H… or -1.
func number(s string) (uint32, error) {
	text := strings.TrimSpace(s)
	if text == "-1" {
		return noLimit, nil
	}
	base := 10
	for _, prefix := range []string{"0x", "&H"} {
		if rest, ok := cutPrefixFold(text, prefix); ok {
			text, base = rest, 16
		}
	}
	n, err := strconv.ParseUint(text, base, 32)
	if err != nil || text[0] == '+' {
		return 0, fmt.Errorf("%s is no number that fits", quoted(s))
	}
	return uint32(n), nil
}

// boolean reads TRUE, FALSE or a number, of which 0 is false.
func boolean(s string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	n, err := number(s)
	if err != nil {
		return false, fmt.Errorf("%s is neither TRUE nor FALSE", quoted(s))
	}
	return n != 0, nil
}

// flags reads a word of bits: a number, or names joined by "|". Names that are not known are an error; what is known of
// the word is returned with it.
func flags(s string, names map[string]uint32) (uint32, error) {
	if n, err := number(s); err == nil {
		return n, nil
	}
	var word uint32
	var unknown []string
	for name := range strings.SplitSeq(s, "|") {
		name = strings.TrimSpace(name)
		bit, ok := names[strings.ToLower(name)]
		if n, err := number(name); err == nil {
			bit, ok = n, true
		}
		if !ok && name != "" {
			unknown = append(unknown, shown(name))
		}
		word |= bit
	}
	if len(unknown) > 0 {
		return word, fmt.Errorf("unknown flags: %s", strings.Join(unknown[:min(len(unknown), 8)], ", "))
	}
	return word, nil
}

// lines reads a MULTISZ.
func lines(s string) []string {
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

var errHex = errors.New("is not hexadecimal")

// octetsOf reads a binary value.
func octetsOf(s string) ([]byte, error) {
	s = strings.Join(strings.Fields(s), "")
	if rest, ok := cutPrefixFold(s, "0x"); ok {
		s = rest
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, errHex
	}
	return b, nil
}

// expand replaces %NAME% by what the system says; the second result is a name that it does not know.
func expand(s string, env func(string) string) (string, string) {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "%")
		out.WriteString(before)
		if !ok {
			return out.String(), ""
		}
		name, after, ok := strings.Cut(rest, "%")
		if !ok {
			out.WriteString("%" + rest)
			return out.String(), ""
		}
		value := ""
		if env != nil {
			value = env(name)
		}
		if value == "" {
			return "", name
		}
		out.WriteString(value)
		s = after
	}
}

// shown makes text of the input safe for people: one line, no control or format characters, not too long, no passwords of connection
// strings.
func shown(s string) string {
	var out strings.Builder
	n := 0
	for word := range strings.FieldsSeq(hidePasswords(printable(s))) {
		if n > 0 {
			word = " " + word
		}
		for _, r := range word {
			if n++; n > maxShown {
				return out.String() + "…"
			}
			out.WriteRune(r)
		}
	}
	return out.String()
}

// printable replaces what could do something to a terminal. Blanks of any kind become one, line ends stay.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case unicode.IsSpace(r):
			return ' '
		case r == utf8.RuneError, !unicode.IsPrint(r): // control and format characters are not
			return '?'
		}
		return r
	}, s)
}

func quoted(s string) string { return "\"" + shown(s) + "\"" }

// hidePasswords masks what stands behind "pwd=" and "password=", up to the next semicolon.
func hidePasswords(s string) string {
	for _, name := range []string{"pwd=", "password="} {
		for at := 0; ; {
			i := strings.Index(mail.LowerASCII(s[at:]), name)
			if i < 0 {
				break
			}
			at += i + len(name)
			end := len(s)
			if j := strings.IndexByte(s[at:], ';'); j >= 0 {
				end = at + j
			}
			s = s[:at] + "…" + s[end:]
			at += len("…")
		}
	}
	return s
}
