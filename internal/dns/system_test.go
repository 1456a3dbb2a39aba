//go:build unix

package dns

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"
)

func TestParseResolvConf(t *testing.T) {
	for _, c := range []struct {
		text string
		want settings
	}{
		{"", settings{servers: []string{"127.0.0.1"}}},
		{"nameserver 192.0.2.1\n# nameserver 192.0.2.2\n;x\nsearch example.com\nnameserver\t2001:db8::1 # main\nnameserver bad\n",
			settings{servers: []string{"192.0.2.1", "2001:db8::1"}}},
		{"nameserver fe80::1%eth0\r\noptions ndots:5 timeout:7 attempts:3 trust-ad edns0\n",
			settings{servers: []string{"fe80::1%eth0"}, trustAD: true, timeout: 7 * time.Second, attempts: 3}},
		{"nameserver 192.0.2.1\noptions timeout:900 attempts:99\n",
			settings{servers: []string{"192.0.2.1"}, timeout: 30 * time.Second, attempts: 5}},
		{"nameserver 192.0.2.1\noptions timeout:0 attempts:-1 timeout: x", settings{servers: []string{"192.0.2.1"}}},
	} {
		if diff := cmp.Diff(c.want, parseResolvConf([]byte(c.text)), cmp.AllowUnexported(settings{})); diff != "" {
			t.Errorf("%q: %s", c.text, diff)
		}
	}
}

func TestResolvConfIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	write := func(text string, when time.Time) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var asked []string
		p := &pipe{answer: func(addr string, m *wire.Msg) *wire.Msg {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, addr)
			return records(0, "")(addr, m)
		}}
		r := New(Options{ResolvConf: path, Dial: p.dial, HostsFile: "-"})
		r.MX(t.Context(), "example.org") // there is no file: the server on this host is asked
		write("nameserver 192.0.2.1\n", time.Unix(1, 0))
		time.Sleep(fileCheck)
		r.MX(t.Context(), "example.org")
		write("nameserver 192.0.2.2\nnameserver 2001:db8::2", time.Unix(2, 0))
		r.MX(t.Context(), "example.org") // the file is not looked at for each question
		time.Sleep(fileCheck)
		r.MX(t.Context(), "example.org")
		want := "[127.0.0.1:53 192.0.2.1:53 192.0.2.1:53 192.0.2.2:53]"
		if got := fmt.Sprint(asked); got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
	})
}

func TestNewServer(t *testing.T) {
	for in, want := range map[string]server{
		"192.0.2.1":          {"192.0.2.1:53", false},
		"192.0.2.1:5353":     {"192.0.2.1:5353", false},
		"127.0.0.53":         {"127.0.0.53:53", true},
		"::1":                {"[::1]:53", true},
		"[::1]":              {"[::1]:53", true},
		"[2001:db8::1]:5353": {"[2001:db8::1]:5353", false},
		"fe80::1%eth0":       {"[fe80::1%eth0]:53", false},
		"ns.example.com":     {"ns.example.com:53", false},
	} {
		if got := newServer(in, false); got != want {
			t.Errorf("%s: %v, want %v", in, got, want)
		}
	}
}
