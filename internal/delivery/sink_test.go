package delivery

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// sink starts Postfix's smtp-sink and returns a hop to it and the folder where it keeps what it
// took.
func sink(t *testing.T, args ...string) (*mail.Hop, string) {
	t.Helper()
	path, err := exec.LookPath("smtp-sink")
	if err != nil {
		if path = "/usr/sbin/smtp-sink"; !exists(path) {
			if os.Getenv("CI") == "true" {
				t.Fatal("smtp-sink (package postfix) is not installed")
			}
			t.Skip("smtp-sink (package postfix) is not installed")
		}
	}
	dir := t.TempDir()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	args = append([]string{"-4", "-d", filepath.Join(dir, "m.")}, args...)
	if os.Geteuid() == 0 {
		args = append(args, "-u", "root") // it does not run as root without being told so
	}
	cmd := exec.Command(path, append(args, "127.0.0.1:"+strconv.Itoa(port), "64")...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed: the error says no more
	})
	for range 100 {
		if nc, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			nc.Close()
			return &mail.Hop{Kind: mail.HopHosts, Hosts: []mail.Host{{Addr: netip.MustParseAddr("127.0.0.1")}}, Port: uint16(port)}, dir
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("smtp-sink does not answer")
	return nil, ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// taken returns the messages that the sink keeps, in no order, with LF line ends and without the
// sink's own header.
func taken(t *testing.T, dir string) (out []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "m.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, text, ok := strings.Cut(string(b), "(UTC)\n")
		if !ok {
			continue // a transaction without a message
		}
		out = append(out, strings.TrimSuffix(text, "\n"))
	}
	return out
}

func sinkDeliverer(texts map[mail.QueueID]string) *Deliverer {
	return New(Options{FQDN: "relay.example.com", Linger: -1, MessagesPerConnection: 20, OutboundTimeout: 10 * time.Second,
		Body: func(_ context.Context, id mail.QueueID) (Body, error) { return stored(texts[id]), nil }})
}

func TestSinkOctets(t *testing.T) {
	for _, args := range []string{"", "-p", "-e", "-8", "-N -E"} {
		t.Run("smtp-sink "+args, func(t *testing.T) {
			hop, dir := sink(t, strings.Fields(args)...)
			texts, want := map[mail.QueueID]string{}, map[string]bool{}
			var batches []*mail.Batch
			for i := range 30 {
				id := mail.QueueID(i + 1)
				text := fmt.Sprintf("Subject: %d\r\n\r\n.\r\n..\r\n.%d\r\n8-bit: \xc3\xa4\r\n", i, i) + strings.Repeat("a line of text.\r\n.\r\n", i*i*10)
				texts[id], want[strings.ReplaceAll(text, "\r\n", "\n")] = text, true
				b := batch(id, "a@example.org", "b@example.org")
				b.Env.Content = mail.Content{Size: int64(len(text)), DotLines: 3, EightBit: true}
				batches = append(batches, b)
			}
			d := sinkDeliverer(texts)
			q := newWork(t, batches...)
			q.run(d, hop)
			if len(q.left) != 10 {
				t.Errorf("%d batches are left, want 10: 20 go over one connection", len(q.left))
			}
			q.ended = false
			q.run(d, hop)
			for id := range texts {
				for _, r := range q.results[id] {
					if r.Outcome != mail.Delivered {
						t.Errorf("message %d: %s", id, say(r))
					}
				}
			}
			got := taken(t, dir)
			for _, text := range got {
				if !want[text] {
					t.Errorf("this was never sent: %.100q (%d octets)", text, len(text))
				}
				delete(want, text)
			}
			if len(want) != 0 || len(got) != 30 {
				t.Errorf("%d arrived, %d are missing", len(got), len(want))
			}
		})
	}
}

func TestSinkTrouble(t *testing.T) {
	large := strings.Repeat(strings.Repeat("x", 78)+"\r\n", 40000)
	for _, c := range []struct {
		args, text, want string
	}{
		{"-f CONNECT", "x\r\n", "deferred 500 5.3.0 down by [127.0.0.1]"},
		{"-r CONNECT", "x\r\n", "deferred 450 4.3.0 down by [127.0.0.1]"},
		{"-q CONNECT", "x\r\n", "deferred 451 4.4.2 ours down by [127.0.0.1]"},
		{"-Q CONNECT", "x\r\n", "deferred 421 4.0.0 down by [127.0.0.1]"},
		{"-f EHLO", "x\r\n", "delivered 250 2.0.0 nodsn by [127.0.0.1]"},
		{"-f EHLO,HELO", "x\r\n", "deferred 500 5.3.0 down by [127.0.0.1]"},
		{"-q EHLO", "x\r\n", "deferred 451 4.4.2 ours down by [127.0.0.1]"},
		{"-f MAIL", "x\r\n", "failed 500 5.3.0 by [127.0.0.1]"},
		{"-r MAIL", "x\r\n", "deferred 450 4.3.0 by [127.0.0.1]"},
		{"-q MAIL", "x\r\n", "deferred 451 4.4.2 ours down by [127.0.0.1]"},
		{"-Q MAIL", "x\r\n", "deferred 421 4.0.0 down by [127.0.0.1]"},
		{"-f RCPT", "x\r\n", "failed 500 5.3.0 by [127.0.0.1]"},
		{"-r RCPT", "x\r\n", "deferred 450 4.3.0 by [127.0.0.1]"},
		{"-q RCPT", "x\r\n", "deferred 451 4.4.2 ours by [127.0.0.1]"},
		{"-f DATA", "x\r\n", "failed 500 5.3.0 by [127.0.0.1]"},
		{"-r DATA", "x\r\n", "deferred 450 4.3.0 by [127.0.0.1]"},
		{"-q DATA", "x\r\n", "deferred 451 4.4.2 ours by [127.0.0.1]"},
		{"-f .", "x\r\n", "failed 500 5.3.0 by [127.0.0.1]"},
		{"-r .", "x\r\n", "deferred 450 4.3.0 by [127.0.0.1]"},
		{"-q .", "x\r\n", "deferred 451 4.4.2 ours repeat by [127.0.0.1]"}, // C3
		{"-Q .", "x\r\n", "deferred 421 4.0.0 by [127.0.0.1]"},
		{"-q QUIT", "x\r\n", "delivered 250 2.0.0 by [127.0.0.1]"}, // C2
		{"-A 0", large, "failed 550 by [127.0.0.1]"},               // its word, though it closes in the middle of the text
	} {
		t.Run("smtp-sink "+c.args, func(t *testing.T) {
			hop, _ := sink(t, strings.Fields(c.args)...)
			b := batch(1, r0)
			b.Env.Content.Size = int64(len(c.text))
			q := newWork(t, b)
			q.run(sinkDeliverer(map[mail.QueueID]string{1: c.text}), hop)
			q.expect(1, c.want)
		})
	}
}
