package mail

import "testing"

// RFC 5321 §4.1.2: a quoted local-part is the mailbox that it is without needless quotes.
func TestUnquote(t *testing.T) {
	for local, want := range map[string]string{
		`sales`: `sales`, `"sales"`: `sales`, `"a b"`: `a b`, `"a\ b"`: `a b`, `"a\"b"`: `a"b`, `"a\\"`: `a\`, `"a@b"`: `a@b`, `""`: ``, ``: ``,
		// no quoted strings
		`"`: `"`, `"a`: `"a`, `a"`: `a"`, `"a"b`: `"a"b`, `"a\"`: `"a\"`, `"a".b`: `"a".b`, `"a"."b"`: `"a"."b"`,
	} {
		if got := Unquote(local); got != want {
			t.Errorf("%s: %s, want %s", local, got, want)
		}
	}
	for local, want := range map[string]bool{`"postmaster"`: true, `"Post\master"`: true, `POSTMASTER`: true, `"post master"`: false, `"postmaster`: false} {
		if got := (Address{Local: local, Domain: "x.test"}).IsPostmaster(); got != want {
			t.Errorf("%s is postmaster: %v, want %v", local, got, want)
		}
	}
}
