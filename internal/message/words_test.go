package message

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDecodeWords(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "Invoice 17", "Invoice 17"},
		{"empty", "", ""},
		{"UTF-8 as it is", "Prüfbericht", "Prüfbericht"},
		{"quoted", "=?utf-8?q?Pr=C3=BCfbericht_7?=", "Prüfbericht 7"},
		{"base64", "=?UTF-8?B?UHLDvGZiZXJpY2h0?=", "Prüfbericht"},
		{"two words, the blank between them goes", "=?utf-8?q?Pr=C3=BC?=\t =?utf-8?q?fung?= 3", "Prüfung 3"},
		{"a character in two words", "=?utf-8?q?Pr=C3?= =?utf-8?q?=BCfung?=", "Prüfung"},
		{"ISO 8859-1", "=?iso-8859-1?Q?Gr=FC=DFe?=", "Grüße"},
		{"Windows-1252", "=?windows-1252?Q?100=80?=", "100€"},
		{"KOI8-R", "=?koi8-r?B?88/Pwt3FzsnF?=", "Сообщение"},
		{"ISO 2022-JP", "=?ISO-2022-JP?B?GyRCJDMkcyRLJEEkTxsoQg==?=", "こんにちは"},
		{"an unknown character set", "=?x-none?q?=41?= b", "=?x-none?q?=41?= b"},
		{"cut off", "=?utf-8?q?Pr=C3=BC?= =?utf-8?q?fun", "Prü =?utf-8?q?fun"},
		{"raw Windows-1252", "Gr\xfc\xdfe \x80", "Grüße €"},
		{"UTF-8 and a wrong octet", "ü\xfc", "üü"},
		{"the replacement character itself", "\uFFFD\xfc", "\uFFFDü"},
		{"too long to decode", strings.Repeat("x", maxDecoded) + "=?utf-8?q?a?=", strings.Repeat("x", maxDecoded) + "=?utf-8?q?a?="},
	}
	for _, tt := range tests {
		if got := DecodeWords(tt.in); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzDecodeWords(f *testing.F) {
	for _, s := range []string{"=?utf-8?q?a?=", "=?iso-2022-jp?b?GyRC?=", "=?gb18030?q?=81=30?=", "\x80\xff", "=?=?=?q??="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := DecodeWords(s)
		if !utf8.ValidString(out) {
			t.Errorf("%q is not UTF-8", out)
		}
		if len(out) > 4*len(s) {
			t.Errorf("%d octets out of %d", len(out), len(s))
		}
	})
}
