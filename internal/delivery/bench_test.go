package delivery

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// takeAll is a server that takes everything, as cheaply as can be.
func takeAll(nc net.Conn) {
	defer nc.Close()
	in := bufio.NewReaderSize(nc, 64<<10)
	out := make([]byte, 0, 4096)
	out = append(out, "220 sink\r\n"...)
	data := false
	for {
		if in.Buffered() == 0 && len(out) > 0 {
			if _, err := nc.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		switch {
		case data:
			if len(line) == 3 && line[0] == '.' {
				data = false
				out = append(out, "250 2.0.0 Ok: queued\r\n"...)
			}
		case bytes.HasPrefix(line, []byte("EHLO")):
			out = append(out, "250-sink\r\n250-PIPELINING\r\n250-DSN\r\n250 SIZE\r\n"...)
		case bytes.HasPrefix(line, []byte("DATA")):
			data = true
			out = append(out, "354 go\r\n"...)
		case bytes.HasPrefix(line, []byte("QUIT")):
			_, _ = nc.Write(append(out, "221 bye\r\n"...))
			return
		default:
			out = append(out, "250 2.1.0 Ok\r\n"...)
		}
	}
}

// endless hands out one batch n times.
type endless struct {
	b    *mail.Batch
	n    int
	done int
	bad  int
}

func (e *endless) work() mail.Work {
	return mail.Work{
		Next: func(time.Duration) *mail.Batch {
			if e.n == 0 {
				return nil
			}
			e.n--
			return e.b
		},
		Connected: func() bool { return true },
		Done: func(_ *mail.Batch, r []mail.Result) {
			e.done++
			if r[0].Outcome != mail.Delivered {
				e.bad++
			}
		},
	}
}

func text4K() string {
	return "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 78)+"\r\n", 51)
}

func benchRemote(b *testing.B, dial func(context.Context, string, string) (net.Conn, error), record func(*mail.Exchange)) {
	text := text4K()
	body := &fixedBody{text: []byte(text)}
	d := New(Options{FQDN: "relay.example.com", Dial: dial, Record: record,
		Body: func(context.Context, mail.QueueID) (Body, error) { return body, nil }})
	hop := &mail.Hop{Kind: mail.HopHosts, Hosts: []mail.Host{{Addr: netip.MustParseAddr("127.0.0.1")}}}
	e := &endless{b: batch(1, r0), n: b.N}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	b.ResetTimer()
	d.Run(b.Context(), hop, e.work())
	if e.done != b.N || e.bad != 0 {
		b.Fatalf("%d of %d, %d bad", e.done, b.N, e.bad)
	}
}

// fixedBody is a Body without state.
type fixedBody struct{ text []byte }

func (f *fixedBody) Size() int64  { return int64(len(f.text)) }
func (f *fixedBody) Close() error { return nil }
func (f *fixedBody) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, f.text[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func pipeDial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	go takeAll(there)
	return here, nil
}

// BenchmarkPipe sends 4 KB messages over one connection without sockets: our own work and the
// sink's.
func BenchmarkPipe(b *testing.B) { benchRemote(b, pipeDial, nil) }

// BenchmarkPipeRecord is the same with a sink for records.
func BenchmarkPipeRecord(b *testing.B) {
	n := 0
	benchRemote(b, pipeDial, func(*mail.Exchange) { n++ })
}

// loopback returns a dialer to a server that takes everything.
func loopback(tb testing.TB) func(context.Context, string, string) (net.Conn, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go takeAll(nc)
		}
	}()
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, ln.Addr().String())
	}
}

// BenchmarkLoopback sends over real sockets.
func BenchmarkLoopback(b *testing.B) { benchRemote(b, loopback(b), nil) }

// BenchmarkDrop writes 4 KB messages into a real directory.
func BenchmarkDrop(b *testing.B) {
	text := text4K()
	body := &fixedBody{text: []byte(text)}
	d := New(Options{Drop: Drop{Dir: filepath.Join(b.TempDir(), "Drop")}, Body: func(context.Context, mail.QueueID) (Body, error) { return body, nil }})
	n := 0
	var bad int
	w := mail.Work{
		Next: func(time.Duration) *mail.Batch {
			if n == b.N {
				return nil
			}
			n++
			return batch(id1+mail.QueueID(n)<<20, r0)
		},
		Done: func(_ *mail.Batch, r []mail.Result) {
			if r[0].Outcome != mail.Delivered {
				bad++
			}
		},
	}
	b.ReportAllocs()
	b.ResetTimer()
	d.Run(b.Context(), dropHop, w)
	if bad > 0 {
		b.Fatalf("%d bad", bad)
	}
}

func TestAllocs(t *testing.T) {
	// A bound, so that a change that costs allocations is seen.
	const n = 2000
	body := &fixedBody{text: []byte(text4K())}
	d := New(Options{FQDN: "relay.example.com", Dial: loopback(t), Body: func(context.Context, mail.QueueID) (Body, error) { return body, nil }})
	hop := &mail.Hop{Kind: mail.HopHosts, Hosts: []mail.Host{{Addr: netip.MustParseAddr("127.0.0.1")}}}
	b := batch(1, r0)
	total := testing.AllocsPerRun(1, func() {
		e := &endless{b: b, n: n}
		d.Run(t.Context(), hop, e.work())
		if e.done != n || e.bad != 0 {
			t.Fatalf("%d of %d, %d bad", e.done, n, e.bad)
		}
	})
	if per := total / n; per > 2.5 { // the results, and some for the connection
		t.Errorf("%.1f allocations a message, at most 2.5 are allowed", per)
	}
}
