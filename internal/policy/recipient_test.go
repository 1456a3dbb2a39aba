package policy

import (
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
)

func address(s string) mail.Address {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '@' {
			return mail.Address{Local: s[:i], Domain: s[i+1:]}
		}
	}
	return mail.Address{Local: s}
}

// TestRecipient: who is in the list, and what a full drop directory means for whom (E12, R11).
func TestRecipient(t *testing.T) {
	local := func(d string) bool {
		return mail.EqualFoldASCII(d, "local.test") || mail.EqualFoldASCII(d, "alias.test")
	}
	list := []string{"Sales", "info@Alias.test", "ghost@far.test", "\"a b\"", `"x@y"`, `"it"@local.test`}
	for name, tc := range map[string]struct {
		o    Options
		want map[string]int
	}{
		"no list": {Options{}, map[string]int{"anybody@local.test": 0, "anybody": 0, "x@far.test": 0}},
		"list": {Options{Recipients: list}, map[string]int{
			"sales@local.test": 0, "SALES@ALIAS.test": 0, "sales": 0, "info@local.test": 0, "\"a b\"@alias.test": 0,
			"ghost@local.test": 550, "nobody@alias.test": 550, "nobody": 550, "sales@local.test@local.test": 550,
			`"sales"@local.test`: 0, `"sal\es"`: 0, `"Info"@alias.test`: 0, `it@alias.test`: 0, `"a\ b"@local.test`: 0, `"x@y"@local.test`: 0,
			`"sales@local.test`: 550, `"sales "@local.test`: 550, `"postmaster"@local.test`: 0, `"nobody"@local.test`: 550,
			"postmaster": 0, "PostMaster@alias.test": 0, "x@far.test": 0, "chief@local.test": 550,
		}},
		"only others": {Options{Recipients: []string{"ghost@far.test"}}, map[string]int{"ghost@local.test": 550, "ghost@far.test": 0, "postmaster": 0}},
		"postmaster has a place": {Options{Recipients: list, Postmaster: address("chief@local.test")}, map[string]int{
			"chief@local.test": 0, "Chief@alias.test": 0, "postmaster@local.test": 0, "nobody@local.test": 550,
		}},
		"postmaster elsewhere": {Options{Recipients: list, Postmaster: address("chief@far.test")}, map[string]int{"chief@local.test": 550}},
		"full": {Options{Recipients: list, Full: func(int64) bool { return true }}, map[string]int{
			"sales@local.test": 452, "nobody@local.test": 550, "postmaster": 0, "x@far.test": 0,
		}},
	} {
		tc.o.Local = local
		p := New(tc.o)
		for to, want := range tc.want {
			d := p.Recipient(address(to), 0)
			if d.Allow != (want == 0) || d.Reply.Code != want || d.Reason == "" {
				t.Errorf("%s, %s: %+v, want %d", name, to, d, want)
			}
			if want == 550 && d.Reply.Enhanced != mail.Enhanced(5, 1, 1) || want == 452 && d.Reply.Enhanced != mail.Enhanced(4, 2, 2) {
				t.Errorf("%s, %s: %s", name, to, d.Reply)
			}
		}
	}
	asked := 0
	p := New(Options{Local: local, Quota: 100, Full: func(n int64) bool { asked++; return n > 40 }})
	p.Recipient(address("x@far.test"), 101)
	if p.Recipient(address("x@local.test"), 0); asked != 1 {
		t.Errorf("the size was asked for %d times, want once: for the local recipient", asked)
	}
	for size, want := range map[int64]int{40: 0, 41: 452, 100: 452, 101: 552} {
		if d := p.Recipient(address("x@local.test"), size); d.Reply.Code != want {
			t.Errorf("%d octets: %+v, want %d", size, d, want)
		}
	}
	if d := p.Recipient(address("postmaster"), 101); !d.Allow {
		t.Errorf("postmaster: %+v", d)
	}
}
