package service

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/dns"
	"github.com/mailroot/mailroot/internal/vfs"
)

// logged is the service's log, kept for a test to read.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// lines returns the lines that hold text.
func (l *logged) lines(text string) (out []string) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			out = append(out, line)
		}
	}
	return out
}

// pipes is a listener in memory. Nothing that is written to its connections is buffered.
type pipes struct {
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func newPipes() *pipes { return &pipes{incoming: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.incoming:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25} }

// dial connects a client with the address 192.0.2.9.
func (p *pipes) dial() net.Conn { return p.dialFrom("192.0.2.9") }

func (p *pipes) dialFrom(ip string) net.Conn {
	client, server := net.Pipe()
	p.incoming <- &addressed{server, net.ParseIP(ip)}
	return client
}

// addressed is the server's end of a connection.
type addressed struct {
	net.Conn
	client net.IP
}

func (a *addressed) RemoteAddr() net.Addr { return &net.TCPAddr{IP: a.client, Port: 40000} }
func (a *addressed) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25} }

// parse reads a configuration of the default virtual server with these settings.
func parse(t *testing.T, settings string) *config.Config {
	t.Helper()
	cfg, problems := config.Parse(fmt.Appendf(nil, `
version = 1
data_directory = "/srv"
virtual_server "default" {
  fqdn = "relay.test"
  binding "192.0.2.1:25" {
    tls = "none"
  }
  domain "corp.test" {
    kind = "default"
  }
  %s
}
`, settings), "/srv/mailroot.hcl")
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// options are those of a service in memory.
func options(p *pipes, log *logged) Options {
	return Options{
		Log:    slog.New(slog.NewTextHandler(log, nil)),
		Listen: func(context.Context, string, string) (net.Listener, error) { return p, nil },
		FS:     vfs.NewMem(), Resolver: dns.NewFake(nil),
	}
}

// startWith runs a service; the test stops it.
func startWith(t *testing.T, settings string, o Options) *Service {
	t.Helper()
	svc, err := Open(t.Context(), parse(t, settings), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := svc.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return svc
}

// started runs a service in memory; the test stops it.
func started(t *testing.T, settings string) (*Service, *pipes, *logged) {
	t.Helper()
	p, log := newPipes(), &logged{}
	return startWith(t, settings, options(p, log)), p, log
}

// TestStopCutsWhoDoesNotLeave: a client that does not even read is cut off in time, which is a line in
// the log and no failure.
func TestStopCutsWhoDoesNotLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, p, log := started(t, "")
		deaf := p.dial()
		defer deaf.Close()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		begin := time.Now()
		if err := svc.Stop(ctx); err != nil {
			t.Errorf("the stop failed: %v", err)
		}
		if took := time.Since(begin); took != 25*time.Second {
			t.Errorf("the stop took %v, want 25s", took)
		}
		if lines := log.lines("cut off at the stop"); len(lines) != 1 || !strings.Contains(lines[0], "connections=1") || !strings.Contains(lines[0], "level=WARN") {
			t.Errorf("the log says %q", log)
		}
	})
}

// TestHeadersCountAsMemoryF27: a header that has not ended is part of the memory that the spool limits.
func TestHeadersCountAsMemoryF27(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, p, _ := started(t, "")
		c := p.dial()
		talk(t, c, envelope("u@corp.test", "")...)
		for range 200 {
			if _, err := io.WriteString(c, "X-Filler: "+strings.Repeat("x", 1012)+"\r\n"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		store := svc.Servers()[0].Store()
		if n := store.Stats().InFlight; n < 200<<10 || n > 400<<10 {
			t.Errorf("%d octets in flight, want those of the header", n)
		}
		c.Close()
		synctest.Wait()
		if n := store.Stats().InFlight; n != 0 {
			t.Errorf("%d octets in flight after the end", n)
		}
		stop(t, svc)
	})
}

// TestConnectionsPerAddressAndNetworkF24: a client over the limit of its address or network is told so
// before the banner, counted, and in both logs; a reload applies the limits.
func TestConnectionsPerAddressAndNetworkF24(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, p, log := started(t, "connections {\n inbound_per_address = 1\n inbound_per_network = 2\n}")
		var open []net.Conn
		connect := func(client, want string) {
			t.Helper()
			c := p.dialFrom(client)
			open = append(open, c)
			line := make([]byte, 512)
			n, err := c.Read(line)
			if err != nil || !strings.HasPrefix(string(line[:n]), want) {
				t.Errorf("%s got %q, %v; want %s", client, line[:n], err, want)
			}
		}
		connect("192.0.2.9", "220 ")
		connect("192.0.2.9", "421 4.7.0 ")
		connect("192.0.2.10", "220 ")
		connect("192.0.2.11", "421 4.7.0 ")
		connect("192.0.3.11", "220 ")
		if in := svc.Servers()[0].Inbound(); in.Connections != 3 || in.Refused != 2 || in.RefusedAddress != 1 || in.RefusedNetwork != 1 {
			t.Errorf("counted %+v", in)
		}
		for _, reason := range []string{"client's address", "client's network"} {
			if lines := log.lines(reason); len(lines) != 1 || !strings.Contains(lines[0], `reply="421 4.7.0"`) {
				t.Errorf("of the %s the log says %q", reason, lines)
			}
		}
		if _, _, err := svc.Apply(parse(t, "connections {\n inbound_per_network = 3\n}")); err != nil {
			t.Fatal(err)
		}
		connect("192.0.2.9", "220 ")
		connect("192.0.2.9", "421 4.7.0 ")
		for _, c := range open {
			c.Close()
		}
		stop(t, svc)
	})
}

// TestLocalNamesInOneSpelling: a recipient whose domain is local only by the rules of IDNA is kept, and
// delivered, with the name of the default domain as it is configured.
func TestLocalNamesInOneSpelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, log := newPipes(), &logged{}
		o := options(p, log)
		svc := startWith(t, "", o)
		for _, domain := range []string{"corp\u3002test", "\uff23orp.test", "CORP.TEST"} {
			c := p.dial()
			got := talk(t, c, "EHLO client.test\r\n", "MAIL FROM:<a@b.test> SMTPUTF8\r\n", "RCPT TO:<u@"+domain+">\r\n", "DATA\r\n", ".\r\n")
			if !strings.HasPrefix(got[4], "250 ") {
				t.Fatalf("%s: the server said %q", domain, got)
			}
			c.Close()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		names, err := o.FS.ReadDir("/srv/default/Drop")
		names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, ".eml") })
		if err != nil || len(names) != 3 {
			t.Fatalf("Drop has %q, %v", names, err)
		}
		for _, name := range names {
			f, err := o.FS.Open("/srv/default/Drop/" + name)
			if err != nil {
				t.Fatal(err)
			}
			head := make([]byte, 200)
			n, _ := f.ReadAt(head, 0)
			if !strings.Contains(strings.ToLower(string(head[:n])), "x-receiver: u@corp.test\r\n") {
				t.Errorf("%s begins with %q", name, head[:n])
			}
			f.Close()
		}
		stop(t, svc)
	})
}
