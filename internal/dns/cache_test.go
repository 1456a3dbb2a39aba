package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"
)

// pipe is a server behind net.Pipe, so that it runs within a synctest bubble. answer returns
// nil to stay silent.
type pipe struct {
	answer func(addr string, req *wire.Msg) *wire.Msg
	asked  atomic.Int32
}

func (p *pipe) dial(_ context.Context, network, addr string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		buf := make([]byte, 4096)
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		data := buf[:n]
		if network == "tcp" {
			data = data[2:]
		}
		req := new(wire.Msg)
		if req.Unpack(data) != nil {
			return
		}
		p.asked.Add(1)
		res := p.answer(addr, req)
		if res == nil {
			io.Copy(io.Discard, server) // until the client gives up
			return
		}
		out, _ := res.Pack()
		if network == "tcp" {
			out = append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...)
		}
		server.Write(out)
	}()
	return client, nil
}

// records answers each question with the records of the text.
func records(rcode int, ns string, text ...string) func(string, *wire.Msg) *wire.Msg {
	return func(_ string, req *wire.Msg) *wire.Msg {
		res := new(wire.Msg)
		res.SetRcode(req, rcode)
		res.RecursionAvailable = true
		for _, t := range text {
			rr, err := wire.NewRR(t)
			if err != nil {
				panic(err)
			}
			res.Answer = append(res.Answer, rr)
		}
		if ns != "" {
			rr, err := wire.NewRR(ns)
			if err != nil {
				panic(err)
			}
			res.Ns = append(res.Ns, rr)
		}
		return res
	}
}

func TestCacheTimes(t *testing.T) {
	const soa = "example.org. 600 SOA ns. root. 1 1 1 1 60"
	for _, c := range []struct {
		name   string
		answer func(string, *wire.Msg) *wire.Msg
		keep   time.Duration // 0: asked each time
	}{
		{"TTL", records(0, "", "example.org. 90 MX 1 a."), 90 * time.Second},
		{"TTL 0", records(0, "", "example.org. 0 MX 1 a."), 0},
		{"TTL above 2^31", records(0, "", "example.org. 4294967295 MX 1 a."), 0},
		{"smallest TTL of a chain", records(0, "", "example.org. 30 CNAME b.", "b. 90 MX 1 a."), 30 * time.Second},
		{"TTL above the cap", records(0, "", "example.org. 1000000 MX 1 a."), 24 * time.Hour},
		{"NXDOMAIN", records(wire.RcodeNameError, soa), 60 * time.Second},
		{"no data", records(0, soa), 60 * time.Second},
		{"no data, SOA TTL is less", records(0, "example.org. 20 SOA ns. root. 1 1 1 1 60"), 20 * time.Second},
		{"no data, above the cap", records(0, "example.org. 86400 SOA ns. root. 1 1 1 1 86400"), 15 * time.Minute},
		{"NXDOMAIN without SOA", records(wire.RcodeNameError, ""), 0},
		{"SERVFAIL", records(wire.RcodeServerFailure, ""), 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pipe{answer: c.answer}
				r := New(Options{Servers: []string{"192.0.2.53"}, Dial: p.dial, HostsFile: "-", Attempts: 1})
				ask := func() int32 {
					before := p.asked.Load()
					r.MX(t.Context(), "example.org")
					return p.asked.Load() - before
				}
				if ask() != 1 {
					t.Fatal("the first question was not asked")
				}
				if c.keep == 0 {
					if ask() != 1 {
						t.Error("kept what must not be kept")
					}
					return
				}
				if time.Sleep(c.keep - time.Millisecond); ask() != 0 {
					t.Error("asked again before its time")
				}
				if time.Sleep(time.Millisecond); ask() != 1 {
					t.Error("kept for longer than its time")
				}
			})
		})
	}
}

func TestTTLCountsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{answer: records(0, "", "example.org. 90 MX 1 a.")}
		r := New(Options{Servers: []string{"192.0.2.53"}, Dial: p.dial, HostsFile: "-"})
		r.MX(t.Context(), "example.org")
		time.Sleep(30 * time.Second)
		if set, err := r.MX(t.Context(), "example.org"); err != nil || set.TTL != time.Minute {
			t.Errorf("TTL = %v, %v; want 1m", set.TTL, err)
		}
	})
}

func TestTimeoutsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{answer: func(string, *wire.Msg) *wire.Msg { return nil }}
		servers := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"}
		r := New(Options{Servers: servers[:2], Dial: p.dial, HostsFile: "-", FailureTTL: -1})
		start := time.Now()
		_, err := r.MX(t.Context(), "example.org")
		if took := time.Since(start); took != 12*time.Second || p.asked.Load() != 4 {
			t.Errorf("2 servers: %v and %d questions, want 12s and 4", took, p.asked.Load())
		}
		if want := "MX example.org: no answer in time (asked 192.0.2.2:53)"; err.Error() != want {
			t.Errorf("err = %v, want %s", err, want)
		}
		r = New(Options{Servers: servers, Dial: p.dial, HostsFile: "-"})
		start = time.Now()
		_, err = r.MX(t.Context(), "example.org")
		if took := time.Since(start); took != 30*time.Second || err == nil {
			t.Errorf("6 servers: %v, %v; want 30s", took, err)
		}
	})
}

func TestAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := records(0, "", "example.org. 90 MX 1 a.")
		var drop atomic.Int32
		drop.Store(2)
		p := new(pipe)
		p.answer = func(addr string, req *wire.Msg) *wire.Msg {
			if p.asked.Load() <= drop.Load() {
				return nil
			}
			return good(addr, req)
		}
		r := New(Options{Servers: []string{"192.0.2.1"}, Attempts: 3, Dial: p.dial, HostsFile: "-", FailureTTL: -1})
		if _, err := r.MX(t.Context(), "example.org"); err != nil || p.asked.Load() != 3 {
			t.Errorf("answer to the third question: %v after %d", err, p.asked.Load())
		}
		p.asked.Store(0)
		drop.Store(3)
		var e *Error
		if _, err := r.MX(t.Context(), "example.com"); !errors.As(err, &e) || !e.Temporary() || e.Server != "192.0.2.1:53" || p.asked.Load() != 3 {
			t.Errorf("no answer: %v after %d", err, p.asked.Load())
		}
	})
}

func TestRestingServerIsAskedFirstAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var asked []string
		down := "192.0.2.1:53"
		p := &pipe{answer: func(addr string, req *wire.Msg) *wire.Msg {
			mu.Lock()
			defer mu.Unlock()
			if asked = append(asked, addr); addr == down {
				return nil
			}
			return records(0, "")(addr, req)
		}}
		r := New(Options{Servers: []string{"192.0.2.1", "192.0.2.2"}, Dial: p.dial, HostsFile: "-"})
		r.MX(t.Context(), "example.org")
		r.MX(t.Context(), "example.org")
		mu.Lock()
		down = ""
		mu.Unlock()
		time.Sleep(restTime)
		r.MX(t.Context(), "example.org")
		want := "[192.0.2.1:53 192.0.2.2:53 192.0.2.2:53 192.0.2.1:53]"
		if got := fmt.Sprint(asked); got != want {
			t.Errorf("asked %s, want %s", got, want)
		}
	})
}

func TestWaitersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(string, *wire.Msg) *wire.Msg { return nil }
		good := records(0, "", "example.org. 90 MX 1 a.")
		p := &pipe{answer: func(a string, m *wire.Msg) *wire.Msg {
			time.Sleep(2 * time.Second)
			return good(a, m)
		}}
		r := New(Options{Servers: []string{"192.0.2.53"}, Dial: p.dial, HostsFile: "-"})
		var wg sync.WaitGroup
		hurried, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wg.Go(func() { // starts the look-up and does not wait for it
			if _, err := r.MX(hurried, "example.org"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the hurried: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := r.MX(t.Context(), "example.org"); err != nil {
				t.Errorf("the patient: %v", err)
			}
		})
		wg.Wait()
		if n := p.asked.Load(); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}

		// When all have left, the look-up ends at once and nothing of it is kept.
		p.answer = slow
		hurried, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.MX(hurried, "example.com"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		synctest.Wait()
		r.mu.Lock()
		flights, kept := len(r.flights), len(r.cache.m)
		r.mu.Unlock()
		if flights != 0 || kept != 1 {
			t.Errorf("%d flights and %d answers left, want 0 and 1", flights, kept)
		}
		p.answer = records(0, "", "example.com. 90 MX 1 a.")
		if _, err := r.MX(t.Context(), "example.com"); err != nil {
			t.Errorf("the next one: %v", err)
		}
	})
}

func TestR3CacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipe{answer: func(a string, req *wire.Msg) *wire.Msg {
			return records(0, "", req.Question[0].Name+" 90 MX 1 a.")(a, req)
		}}
		const limit = 64 << 10
		r := New(Options{Servers: []string{"192.0.2.53"}, Dial: p.dial, HostsFile: "-", CacheSize: limit})
		for i := range 3000 {
			if _, err := r.MX(t.Context(), fmt.Sprintf("hostile-%d.test", i)); err != nil {
				t.Fatal(err)
			}
			if i%10 == 0 {
				r.MX(t.Context(), "busy.test")
			}
		}
		if r.cache.used > limit || len(r.cache.m) != r.cache.order.Len() || len(r.cache.m) > limit/256 {
			t.Errorf("%d octets, %d entries, %d in order", r.cache.used, len(r.cache.m), r.cache.order.Len())
		}
		before := p.asked.Load()
		r.MX(t.Context(), "busy.test")
		if p.asked.Load() != before {
			t.Error("a name in use was driven out")
		}
		sum := 0
		for el := r.cache.order.Front(); el != nil; el = el.Next() {
			sum += el.Value.(*kept).cost
		}
		if sum != r.cache.used {
			t.Errorf("used = %d, but the entries cost %d", r.cache.used, sum)
		}
	})
}

func TestHostsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	write := func(text string, when time.Time) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		write("# comment\n192.0.2.7  mail.corp Mail # more\r\n2001:db8::7 mail.corp\nnonsense line\n192.0.2.8\n", time.Unix(1, 0))
		p := &pipe{answer: records(wire.RcodeNameError, "")}
		r := New(Options{Servers: []string{"192.0.2.53"}, Dial: p.dial, HostsFile: path})
		addrs := func(name string) string {
			set, _ := r.Addrs(t.Context(), name)
			return fmt.Sprint(set.Addrs)
		}
		if got := addrs("MAIL.corp."); got != "[192.0.2.7 2001:db8::7]" {
			t.Errorf("mail.corp = %s", got)
		}
		if got := addrs("mail"); got != "[192.0.2.7]" {
			t.Errorf("mail = %s", got)
		}
		if names, err := r.PTR(t.Context(), netip.MustParseAddr("192.0.2.7")); err != nil || fmt.Sprint(names.Names) != "[mail.corp mail]" {
			t.Errorf("PTR = %v, %v", names.Names, err)
		}
		if n := p.asked.Load(); n != 0 {
			t.Errorf("%d questions were asked", n)
		}
		if _, err := r.MX(t.Context(), "mail.corp"); !errors.Is(err, ErrNotExist) {
			t.Errorf("MX does not come from the file: %v", err)
		}
		write("192.0.2.9 mail.corp\n", time.Unix(2, 0))
		if time.Sleep(fileCheck); addrs("mail.corp") != "[192.0.2.9]" {
			t.Errorf("after the change: %s", addrs("mail.corp"))
		}
		os.Remove(path)
		if time.Sleep(fileCheck); addrs("mail.corp") != "[]" {
			t.Errorf("without the file: %s", addrs("mail.corp"))
		}
	})
}
