package service

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/badmail"
	"github.com/mailroot/mailroot/internal/mail"
)

// Every line end is CRLF in the end, however the octets are divided; what has them already stays as it is (F3).
func TestLineEndsF3(t *testing.T) {
	for in, want := range map[string]string{
		"a\nb\n":           "a\r\nb\r\n",
		"a\r\n\r\nb\r\n":   "a\r\n\r\nb\r\n",
		"a\rb\r\rc\n\r\n":  "a\r\nb\r\n\r\nc\r\n\r\n",
		"\n.\n.\r.\r\n":    "\r\n.\r\n.\r\n.\r\n",
		"no end":           "no end",
		"mixed\n\r\n\ntxt": "mixed\r\n\r\n\r\ntxt",
	} {
		for size := 1; size <= len(in); size++ {
			var out bytes.Buffer
			l := &lineEnds{w: &out}
			for rest := in; rest != ""; {
				n := min(size, len(rest))
				if m, err := l.Write([]byte(rest[:n])); m != n || err != nil {
					t.Fatal(m, err)
				}
				rest = rest[n:]
			}
			if out.String() != want {
				t.Errorf("%q in pieces of %d: %q, want %q", in, size, out.String(), want)
			}
		}
	}
}

func TestEnvelopeOfAResubmission(t *testing.T) {
	ours := &badmail.Stored{Properties: badmail.Properties{Version: 1, Sender: badmail.Sender{Address: "a@b.test", EnvID: "x"},
		Recipients: []badmail.Recipient{{Address: "got@it.test"}, {Address: "not@it.test", Failed: true, Notify: "NEVER"}}}}
	none := &badmail.Stored{Properties: badmail.Properties{Version: 1}}
	foreign := &badmail.Stored{Foreign: "no .BDP"}
	null, other, wide := mail.Address{}, mail.Address{Local: "c", Domain: "d.test"}, mail.Address{Local: "ü", Domain: "d.test"}
	for name, tc := range map[string]struct {
		e    *badmail.Stored
		r    Resubmission
		want string // sender, then recipients; "": ErrNoEnvelope
		utf8 bool
	}{
		"as it was":              {e: ours, want: "a@b.test not@it.test"},
		"another sender":         {e: ours, r: Resubmission{From: &null}, want: " not@it.test"},
		"other recipients":       {e: ours, r: Resubmission{To: []mail.Address{other, wide}}, want: "a@b.test c@d.test ü@d.test", utf8: true},
		"a wide sender":          {e: ours, r: Resubmission{From: &wide}, want: "ü@d.test not@it.test", utf8: true},
		"nobody":                 {e: none},
		"nobody, but now":        {e: none, r: Resubmission{To: []mail.Address{other}}, want: " c@d.test"},
		"foreign":                {e: foreign},
		"foreign without sender": {e: foreign, r: Resubmission{To: []mail.Address{other}}},
		"foreign, all given":     {e: foreign, r: Resubmission{From: &null, To: []mail.Address{other}}, want: " c@d.test"},
	} {
		s, to, err := tc.r.envelope(tc.e)
		if tc.want == "" {
			if !errors.Is(err, ErrNoEnvelope) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		words := []string{s.Addr.String()}
		for _, r := range to {
			words = append(words, r.Addr.String())
		}
		if got := strings.Join(words, " "); got != tc.want || err != nil || s.UTF8 != tc.utf8 {
			t.Errorf("%s: %q, SMTPUTF8 %v, %v; want %q", name, got, s.UTF8, err, tc.want)
		}
	}
}
