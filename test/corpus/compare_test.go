package corpus

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// difference counts what the relay has added to a message, all of which it may.
type difference struct {
	fields    int // Date and Message-ID fields in front
	completed int // "@local.test" after bare addresses in the header
}

var added = regexp.MustCompile(`^(?:Message-ID: <[!-;=?-~]+@[!-;=?-~]+>\r\n|Date: [A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n)`)

// compare says how got differs from sent, and fails on any difference but the allowed ones:
// a Date or Message-ID field in front where the message had none, an empty line before a message that
// would go on in a field of ours, and the default domain inserted after a bare address of an address
// field. Removed or changed octets never are.
func compare(sent, got []byte) (difference, error) {
	var d difference
	header := headerOf(sent)
	for seen := ""; ; {
		field := added.Find(got)
		if field == nil || bytes.HasPrefix(sent, field) {
			break
		}
		name, _, _ := bytes.Cut(field, []byte(":"))
		if hasField(header, string(name)) || seen == string(name) {
			return d, fmt.Errorf("%s was added although the message has one", name)
		}
		got, seen = got[len(field):], string(name)
		d.fields++
	}
	if beginsWithBlank(sent) {
		ok := false
		if got, ok = bytes.CutPrefix(got, []byte("\r\n")); !ok {
			return d, fmt.Errorf("the message goes on in a field of ours: got %.60q", got)
		}
	}
	insert := []byte("@" + localDomain)
	for i, j := 0, 0; ; i, j = i+1, j+1 {
		for j < len(got) && (i >= len(sent) || got[j] != sent[i]) {
			if i > len(header) || !bytes.HasPrefix(got[j:], insert) || !completable(sent, i) {
				return d, fmt.Errorf("differs at octet %d of %d: sent %.60q, got %.60q", i, len(sent), sent[i:], got[j:])
			}
			j += len(insert)
			d.completed++
		}
		if j >= len(got) {
			if i < len(sent) {
				return d, fmt.Errorf("the last %d octets are missing: %.60q", len(sent)-i, sent[i:])
			}
			return d, nil
		}
	}
}

// headerOf returns the header, up to the empty line, as the relay must see it.
func headerOf(msg []byte) []byte {
	if bytes.HasPrefix(msg, []byte("\r\n")) || beginsWithBlank(msg) {
		return nil
	}
	if i := bytes.Index(msg, []byte("\r\n\r\n")); i >= 0 {
		return msg[:i+2]
	}
	return msg
}

// beginsWithBlank reports whether a message has no header because its first line is the continuation of
// none.
func beginsWithBlank(msg []byte) bool { return len(msg) > 0 && (msg[0] == ' ' || msg[0] == '\t') }

func hasField(header []byte, name string) bool {
	return regexp.MustCompile(`(?im)^` + regexp.QuoteMeta(name) + `[ \t]*:`).Match(header)
}

var addressField = regexp.MustCompile(`(?i)^(from|to|cc|sender|reply-to)[ \t]*:`)

// completable reports whether the default domain may be inserted before octet i of the header:
// in an address field, behind a word that can be a bare address and has no domain yet.
func completable(sent []byte, i int) bool {
	start := 0
	for at := 0; at < i; {
		n := bytes.Index(sent[at:], []byte("\r\n"))
		if n < 0 || at+n+2 > i {
			break
		}
		at += n + 2
		if at < len(sent) && sent[at] != ' ' && sent[at] != '\t' {
			start = at
		}
	}
	if !addressField.Match(sent[start:i]) {
		return false
	}
	before := string(sent[start:i])
	if strings.TrimRight(before, " \t\r\n,<:;") != before {
		return false // an address must end here
	}
	word := before[strings.LastIndexAny(before, " \t\n,<:;")+1:]
	if strings.HasSuffix(word, `"`) {
		return true // a quoted local-part, which may hold all of these
	}
	return word != "" && !strings.Contains(word, "@")
}

// The comparison itself must see every kind of damage.
func TestCompare(t *testing.T) {
	const sent = "From: a@b.test\r\nTo: bob, <carol>,\r\n dave@x.test\r\n\r\nText\r\nbob\r\n"
	for _, c := range []struct {
		name, got         string
		ok                bool
		fields, completed int
	}{
		{"equal", sent, true, 0, 0},
		{"completed", "From: a@b.test\r\nTo: bob@local.test, <carol@local.test>,\r\n dave@x.test\r\n\r\nText\r\nbob\r\n", true, 0, 2},
		{"fields", "Message-ID: <1@relay.test>\r\nDate: Fri, 2 Jan 2026 03:04:05 +0000\r\n" + sent, true, 2, 0},
		{"fields and completed", "Date: Fri, 2 Jan 2026 03:04:05 +0000\r\nFrom: a@b.test\r\nTo: bob@local.test, <carol>,\r\n dave@x.test\r\n\r\nText\r\nbob\r\n", true, 1, 1},
		{"other field", "X-Spam: no\r\n" + sent, false, 0, 0},
		{"domain in the body", strings.Replace(sent, "Text\r\nbob", "Text\r\nbob@local.test", 1), false, 0, 0},
		{"domain behind a domain", strings.Replace(sent, "x.test", "x.test@local.test", 1), false, 0, 0},
		{"other domain", strings.Replace(sent, "To: bob", "To: bob@other.test", 1), false, 0, 0},
		{"octet lost", strings.Replace(sent, "Text", "Txt", 1), false, 0, 0},
		{"octet changed", strings.Replace(sent, "Text", "text", 1), false, 0, 0},
		{"end lost", strings.TrimSuffix(sent, "b\r\n"), false, 0, 0},
		{"last line end lost", strings.TrimSuffix(sent, "\r\n"), false, 0, 0},
		{"line added", sent + "\r\n", false, 0, 0},
		{"field refolded", strings.Replace(sent, ",\r\n dave", ", dave", 1), false, 0, 0},
		{"second Date", "Date: Fri, 2 Jan 2026 03:04:05 +0000\r\nDate: Fri, 2 Jan 2026 03:04:05 +0000\r\n" + sent, false, 0, 0},
	} {
		d, err := compare([]byte(sent), []byte(c.got))
		if (err == nil) != c.ok || err == nil && (d.fields != c.fields || d.completed != c.completed) {
			t.Errorf("%s: %+v, %v", c.name, d, err)
		}
	}
	withDate := "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\n"
	if _, err := compare([]byte(withDate), []byte("Date: Fri, 2 Jan 2026 03:04:05 +0000\r\n"+withDate)); err == nil {
		t.Error("a second Date was not seen")
	}
	const blank = " x\r\nDate: y\r\n\r\n"
	for got, ok := range map[string]bool{blank: false, "\r\n" + blank: true, "Date: Fri, 2 Jan 2026 03:04:05 +0000\r\n\r\n" + blank: true} {
		if _, err := compare([]byte(blank), []byte(got)); (err == nil) != ok {
			t.Errorf("%q: %v", got, err)
		}
	}
}
