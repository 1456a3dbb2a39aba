package listen

import (
	"context"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestAllAddresses(t *testing.T) {
	if ln, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("this host has no IPv6 loopback address: ", err)
	} else {
		ln.Close()
	}
	reach := func(host, port string) bool {
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	type test struct {
		bindings  string // # is the port
		four, six bool
	}
	tests := []test{
		{"*:#", true, true}, {":#", true, true}, {"[::]:#", true, true}, {"0.0.0.0:#", true, false}, {"[::1]:#", false, true},
		{"[::]:# 0.0.0.0:#", true, true}, {"127.0.0.1:# [::]:#", true, true},
	}
	if runtime.GOOS == "linux" { // where all of 127.0.0.0/8 is the host's
		tests = append(tests, test{"127.0.0.9:# [::]:#", false, true})
	}
	for _, c := range tests {
		port := freePort(t)
		l := start(t, Options{Bindings: bindings(strings.Fields(strings.ReplaceAll(c.bindings, "#", port))...)})
		if four, six := reach("127.0.0.1", port), reach("::1", port); four != c.four || six != c.six {
			t.Errorf("%s: IPv4 %v, IPv6 %v; want %v, %v", c.bindings, four, six, c.four, c.six)
		}
		l.Close(context.Background())
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	fail := func(errno error) func(context.Context, string, string) (net.Listener, error) {
		return func(_ context.Context, network, addr string) (net.Listener, error) {
			return nil, &net.OpError{Op: "listen", Net: network, Err: errno}
		}
	}
	for _, c := range []struct {
		binding string
		listen  func(context.Context, string, string) (net.Listener, error)
		want    []string
	}{
		{busy.Addr().String(), nil, []string{busy.Addr().String(), "in use by another program", "names it"}},
		{"192.0.2.1:0", nil, []string{"192.0.2.1:0", "no interface of this host has the address 192.0.2.1"}},
		{"*:25", fail(errAccess), []string{"*:25", "permission denied", deniedAdvice}},
		{"*:2525", fail(errAccess), []string{"*:2525", "permission denied by the system"}},
		{"*:2525", fail(syscall.EMFILE), []string{"*:2525", syscall.EMFILE.Error()}},
	} {
		l, err := New(Options{Bindings: bindings("127.0.0.1:0", c.binding), Handle: echo, Listen: func(ctx context.Context, network, addr string) (net.Listener, error) {
			if c.listen != nil && addr != "127.0.0.1:0" {
				return c.listen(ctx, network, addr)
			}
			return net.Listen(network, addr)
		}})
		if err != nil {
			t.Fatal(err)
		}
		err = l.Start(t.Context())
		if err == nil || len(l.Addrs()) != 0 {
			t.Fatalf("%s: %v, %v", c.binding, err, l.Addrs())
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q has no %q", c.binding, err, w)
			}
		}
		l.Close(t.Context())
	}
}

func TestNewRefuses(t *testing.T) {
	for want, list := range map[string][]string{
		"no binding":                       nil,
		`the binding "25" is not`:          {"25"},
		`the binding "a:b:c" is not`:       {"a:b:c"},
		`the binding "*:" is not`:          {"*:"},
		`the binding "*:70000" is not`:     {"*:70000"},
		`the binding "*:smtp" is not`:      {"*:smtp"},
		`"localhost" is not an IP address`: {"localhost:25"},
		"stands twice":                     {"*:25", "*:26", "*:25"},
	} {
		if _, err := New(Options{Bindings: bindings(list...)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", list, err, want)
		}
	}
}

func FuzzBinding(f *testing.F) {
	for _, s := range []string{"*:25", ":25", "[::]:0", "0.0.0.0:25", "[::ffff:192.0.2.1]:25", "[fe80::1%eth0]:25", "localhost:25", "1:2:3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := targets(bindings(s))
		if err != nil {
			return
		}
		host, _, err := net.SplitHostPort(list[0].address)
		if err != nil || host == "*" {
			t.Fatalf("%q: %+v", s, list[0])
		}
	})
}
