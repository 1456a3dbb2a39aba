package metabase

import "testing"

// TestSplitBinding reads rows of ServerBindings. One that cannot be read for certain must not become all addresses.
func TestSplitBinding(t *testing.T) {
	for _, c := range []struct {
		row, ip, port string // port "": an error
	}{
		{":25:", "", "25"},
		{"", "", "25"},
		{"10.0.0.4:2525:", "10.0.0.4", "2525"},
		{"10.0.0.4:2525:mail.corp.example", "10.0.0.4", "2525"},
		{"[::1]:2525:", "::1", "2525"},
		{"::1:2525:", "", ""},
		{"fe80::1:25:", "", ""},
		{":2525: :2587:", "", ""},
		{"10.0.0.4:70000:", "", ""},
		{"host.example:25:", "", ""},
	} {
		ip, port, err := splitBinding(c.row, 25)
		got := ""
		if ip.IsValid() {
			got = ip.String()
		}
		if (err == nil) != (c.port != "") || got != c.ip || port != c.port {
			t.Errorf("%q: %q %q %v, want %q %q", c.row, got, port, err, c.ip, c.port)
		}
	}
}
