package smtpclient

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/smtpclient/smtptest"
)

// fileBody is a Body that stands in a file, after other octets.
type fileBody struct {
	f    *os.File
	off  int64
	size int64
	read *int // by ReadAt, in octets
}

func (b fileBody) Size() int64             { return b.size }
func (b fileBody) File() (*os.File, int64) { return b.f, b.off }
func (b fileBody) ReadAt(p []byte, off int64) (int, error) {
	n, err := io.NewSectionReader(b.f, b.off, b.size).ReadAt(p, off)
	*b.read += n
	return n, err
}

// TestSendFile sends large bodies that stand in a file over real sockets.
func TestSendFile(t *testing.T) {
	const size = 5 << 20
	line := strings.Repeat("x", 78) + "\r\n"
	content := strings.Repeat(line, size/len(line))
	for _, c := range []struct {
		name, content, want string
		dots                int64
	}{
		{"clean", content, content + ".\r\n", 0},
		{"no line end", content + "x", content + "x\r\n.\r\n", 0},
		{"dots", ".\r\n" + content, "..\r\n" + content + ".\r\n", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := os.Create(filepath.Join(t.TempDir(), "segment"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString("other message" + c.content + "\r\n.\r\nanother message"); err != nil {
				t.Fatal(err)
			}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			got := make(chan []byte, 1)
			errs := make(chan error, 1)
			go func() {
				nc, err := ln.Accept()
				if err != nil {
					errs <- err
					return
				}
				var buf bytes.Buffer
				errs <- smtptest.Serve(&tee{Conn: nc, buf: &buf}, hello+fmt.Sprintf("C: MAIL FROM:<a@example.com> SIZE=%d\nC: RCPT TO:<r0@example.org>\nC: DATA\nS: 250 Ok\nS: 250 Ok\nS: 354 go\nC* %d\nS: 250 Ok\nC: QUIT\nS: 221 x", len(c.content), len(c.want)), nil)
				got <- buf.Bytes()
			}()
			nc, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			conn := New(nc, &Options{FQDN: "relay.example.com"})
			ready(t, conn)
			m := message(1, "")
			read := 0
			m.Body, m.Env.Content.DotLines = fileBody{f, int64(len("other message")), int64(len(c.content)), &read}, c.dots
			var o Outcome
			conn.Send(m, &o)
			conn.Quit()
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
			if o.Err != nil || o.Local != nil || o.Data.Code != 250 || !o.Sent {
				t.Fatalf("got %+v", o)
			}
			wire := string(<-got)
			_, wire, _ = strings.Cut(wire, "DATA\r\n")
			if wire = strings.TrimSuffix(wire, "QUIT\r\n"); wire != c.want {
				t.Errorf("%d octets arrived that are not the %d sent", len(wire), len(c.want))
			}
			if kernel := copiesInKernel && c.name == "clean"; kernel != (read < 100) {
				t.Errorf("%d octets were read here; sendfile is to be used: %v", read, kernel)
			}
		})
	}
}

type tee struct {
	net.Conn
	buf *bytes.Buffer
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.buf.Write(p[:n])
	return n, err
}
