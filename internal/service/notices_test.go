package service

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// talk says each text to a server and returns the last line of each reply. The banner comes first.
func talk(t *testing.T, c net.Conn, texts ...string) (replies []string) {
	t.Helper()
	r := bufio.NewReader(c)
	reply := func() string {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return "closed"
			}
			if len(line) > 3 && line[3] == ' ' {
				return strings.TrimSuffix(line, "\r\n")
			}
		}
	}
	reply()
	for _, text := range texts {
		if _, err := io.WriteString(c, text); err != nil {
			t.Logf("after %q: %v", replies, err)
		}
		replies = append(replies, reply())
	}
	return replies
}

func envelope(to, last string) []string {
	return []string{"EHLO client.test\r\n", "MAIL FROM:<a@b.test>" + last + "\r\n", "RCPT TO:<" + to + ">\r\n", "DATA\r\n"}
}

func stop(t *testing.T, svc *Service) {
	t.Helper()
	if err := svc.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestRepairsAreCountedF1 and what is larger than it was declared to be is in the log (F26).
func TestRepairsAreCountedF1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, p, log := started(t, "")
		c := p.dial()
		got := talk(t, c, append(envelope("u@corp.test", " SIZE=3"), "Subject: x\n\nbare\r\n.\r\n", "QUIT\r\n")...)
		if !strings.HasPrefix(got[4], "250 ") {
			t.Fatalf("the server said %q", got)
		}
		c.Close()
		if in := svc.Servers()[0].Inbound(); in.RepairedMessages != 1 || in.RepairedLineEnds != 2 || in.RelayRefused != 0 {
			t.Errorf("counted %+v, want 2 line ends in 1 message", in)
		}
		if lines := log.lines("larger than declared"); len(lines) != 1 || !strings.Contains(lines[0], "SIZE=3") || !strings.Contains(lines[0], "helo=client.test") {
			t.Errorf("the log says %q", log)
		}
		stop(t, svc)
	})
}

// TestFaultsAreLoggedF28: the cause of a 451 at the dot is in the log, for the peer has only the code.
func TestFaultsAreLoggedF28(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, log := newPipes(), &logged{}
		broken := atomic.Bool{}
		o := options(p, log)
		o.FS = vfs.Inject(o.FS, func(op vfs.Op, path string, _ int) error {
			if broken.Load() && op == vfs.OpSync && strings.HasSuffix(path, ".seg") {
				return errors.New("the disk is on fire")
			}
			return nil
		}, nil)
		svc := startWith(t, "", o)
		broken.Store(true)
		c := p.dial()
		got := talk(t, c, append(envelope("u@corp.test", ""), "Subject: x\r\n\r\n.\r\n")...)
		c.Close()
		if !strings.HasPrefix(got[4], "4") || strings.Contains(got[4], "fire") {
			t.Errorf("the server said %q", got[4])
		}
		lines := log.lines("a client was put off because of trouble of ours")
		if len(lines) != 1 || !strings.Contains(lines[0], "on fire") || !strings.Contains(lines[0], "level=ERROR") || !strings.Contains(lines[0], "verb=DATA") {
			t.Errorf("the log says %q", log)
		}
		broken.Store(false)
		_ = svc.Stop(t.Context()) // the spool may tell of its disk once more
	})
}

// TestSessionSizeMetAgain: the second time is a warning, in the log and in status, for a day.
func TestSessionSizeMetAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, p, log := started(t, "messages {\n max_size = \"1KB\"\n max_session_size = \"1KB\"\n}")
		v := svc.Servers()[0]
		for i := range 2 {
			if n := len(v.Warnings()); n != 0 {
				t.Errorf("%d warnings after %d messages", n, i)
			}
			c := p.dial()
			got := talk(t, c, append(envelope("u@corp.test", ""), strings.Repeat("x", 1100))...)
			if !strings.HasPrefix(got[4], "552 5.3.4 ") {
				t.Fatalf("the server said %q", got)
			}
			c.Close()
			synctest.Wait()
		}
		if n := v.Inbound().SessionSizeMet; n != 2 {
			t.Errorf("counted %d, want 2", n)
		}
		if w := v.Warnings(); len(w) != 1 || !strings.Contains(w[0], "2 times") {
			t.Errorf("status warns %q", w)
		}
		if lines := log.lines("meets the session size repeatedly"); len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") {
			t.Errorf("the log says %q", log)
		}
		time.Sleep(24 * time.Hour)
		if w := v.Warnings(); len(w) != 0 {
			t.Errorf("a day later status warns %q", w)
		}
		stop(t, svc)
	})
}

// TestLogIsNotFlooded: of each kind come ten lines a minute, and the next says how many did not.
func TestLogIsNotFlooded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logged{}
		n := &notices{log: slog.New(slog.NewTextHandler(log, nil))}
		relay := &mail.Exchange{Verb: "RCPT", Arg: "TO:<a@b>\n", Code: 550, Enhanced: mail.Enhanced(5, 7, 1), Reason: strings.Repeat("r", 9000)}
		handshake := &mail.Exchange{Verb: "TLS", Arg: "TLS1.2", Reason: "EOF"}
		denied := &mail.Exchange{Verb: "CONNECT", Code: 554, Enhanced: mail.Enhanced(5, 7, 1), Reason: "on the list"}
		for range 1000 {
			for _, x := range []*mail.Exchange{relay, handshake, denied} {
				n.take(x)
			}
		}
		if got := len(log.lines("")); got != 30 {
			t.Errorf("%d lines, want 10 of each of three kinds", got)
		}
		if c := n.counts(); c != (Notices{Denied: 1000, RelayRefused: 1000, TLSFailures: 1000}) {
			t.Errorf("counted %+v", c)
		}
		time.Sleep(noticeSpan)
		n.take(relay)
		lines := log.lines("left_out=990")
		if len(lines) != 1 || len(lines[0]) > 1000 || !strings.Contains(lines[0], `argument="TO:<a@b>\n"`) {
			t.Errorf("the line of the next minute: %q", lines)
		}
		if got := log.lines("version=TLS1.2"); len(got) != 10 || !strings.Contains(got[0], "reason=EOF") {
			t.Errorf("handshakes: %q", got)
		}
	})
}

// TestLargeSendersAreBounded: the memory of clients that met the session size is limited, and the one
// that was quiet for longest makes room.
func TestLargeSendersAreBounded(t *testing.T) {
	var l largeSenders
	now := time.Now()
	client := func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", i/256, i%256)) }
	for i := range 3 * maxLargeSenders {
		l.add(client(i), now.Add(time.Duration(i)*time.Second))
		if len(l.seen) > maxLargeSenders {
			t.Fatalf("%d clients are remembered", len(l.seen))
		}
	}
	later := now.Add(time.Hour)
	if n := l.add(client(3*maxLargeSenders-1), later); n != 2 {
		t.Errorf("the last client has come %d times, want 2", n)
	}
	if n := l.add(client(0), later); n != 1 {
		t.Errorf("the first client has come %d times, want 1: it was forgotten", n)
	}
	if n := l.add(client(3*maxLargeSenders-1), later.Add(largeMemory)); n != 1 {
		t.Errorf("after a day: %d times, want 1", n)
	}
}
