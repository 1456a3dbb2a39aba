//go:build linux

package moving

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// body is a message of about n octets.
func body(n int) []byte {
	const line = "0123456789 0123456789 0123456789 0123456789 0123456789\r\n"
	return []byte("Subject: size\r\n\r\n" + strings.Repeat(line, n/len(line)))
}

// reply sends a line and returns the reply.
func reply(t *testing.T, c *harness.Client, format string, args ...any) string {
	t.Helper()
	if err := c.Write(fmt.Appendf(nil, format, args...)); err != nil {
		t.Fatal(err)
	}
	_, text, err := c.Reply()
	if err != nil {
		return err.Error()
	}
	return text
}

// data sends a message without SIZE and returns the reply to its end.
func data(t *testing.T, c *harness.Client, n int) string {
	t.Helper()
	for _, line := range []string{"MAIL FROM:<app@corp.test>", "RCPT TO:<x@corp.test>"} {
		if _, err := c.Cmd(250, "%s", line); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Cmd(354, "DATA"); err != nil {
		t.Fatal(err)
	}
	return reply(t, c, "%s", harness.Stuff(body(n)))
}

// Message and session size are the later service's: what is larger than the one is refused, and the other counts over the
// connection.
func TestSizes(t *testing.T) {
	o := old{server: attrs{"RelayIpList": "", "MaxMessageSize": "20480", "MaxSessionSize": "40960"}}
	w := o.start(t, "")
	c := w.from("127.0.0.1")
	if c.Keywords["SIZE"] != "20480" {
		t.Errorf("SIZE %s", c.Keywords["SIZE"])
	}
	if text := reply(t, c, "MAIL FROM:<app@corp.test> SIZE=20481\r\n"); !strings.HasPrefix(text, "552 5.3.4 ") {
		t.Errorf("SIZE=20481: %s", text)
	}
	if text := reply(t, c, "MAIL FROM:<app@corp.test> SIZE=20480\r\n"); !strings.HasPrefix(text, "250 ") {
		t.Errorf("SIZE=20480: %s", text)
	}
	reply(t, c, "RSET\r\n")
	for i := range 2 {
		if text := data(t, c, 15000); !strings.HasPrefix(text, "250 2.6.0 ") {
			t.Errorf("message %d of 15000 octets: %s", i, text)
		}
	}
	if text := data(t, c, 15000); !strings.HasPrefix(text, "552 5.3.4 Session size") {
		t.Errorf("beyond the session size: %s", text)
	}
	if text := reply(t, c, "NOOP\r\n"); !strings.Contains(text, "EOF") && !strings.Contains(text, "reset") {
		t.Errorf("the connection stays open: %s", text)
	}
	w.WaitDrop(2)
	c = w.from("127.0.0.1")
	if text := data(t, c, 25000); !strings.HasPrefix(text, "552 5.3.4 Message size") {
		t.Errorf("a message that is too large: %s", text)
	}
	if text := data(t, c, 100); !strings.HasPrefix(text, "250 ") {
		t.Errorf("after it: %s", text)
	}
	w.WaitDrop(3)
}

// 4294967295 and 0 are no limit.
func TestNoLimits(t *testing.T) {
	o := old{server: attrs{"RelayIpList": "", "MaxMessageSize": "4294967295", "MaxSessionSize": "4294967295", "MaxRecipients": "0"}}
	w := o.start(t, "")
	c := w.from("127.0.0.1")
	if size, ok := c.Keywords["SIZE"]; ok && size != "" && size != "0" {
		t.Errorf("SIZE %s", size)
	}
	if text := data(t, c, 12<<20); !strings.HasPrefix(text, "250 ") {
		t.Errorf("12 MB: %s", text)
	}
	if _, err := c.Cmd(250, "MAIL FROM:<app@corp.test>"); err != nil {
		t.Fatal(err)
	}
	for i := range 150 {
		if _, err := c.Cmd(250, "RCPT TO:<r%d@corp.test>", i); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecipients(t *testing.T) {
	o := old{server: attrs{"RelayIpList": "", "MaxRecipients": "3"}}
	w := o.start(t, "")
	c := w.from("127.0.0.1")
	if _, err := c.Cmd(250, "MAIL FROM:<app@corp.test>"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"250 ", "250 ", "250 ", "452 4.5.3 ", "452 4.5.3 "} {
		if text := reply(t, c, "RCPT TO:<r%d@corp.test>\r\n", i); !strings.HasPrefix(text, want) {
			t.Errorf("recipient %d: %s", i+1, text)
		}
	}
	if _, err := c.Cmd(354, "DATA"); err != nil {
		t.Fatal(err)
	}
	if err := c.Data(body(100)); err != nil {
		t.Fatal(err)
	}
	if f := w.WaitDrop(1)[0]; len(f.Receivers) != 3 {
		t.Errorf("%d recipients", len(f.Receivers))
	}
}

// MaxBatchedMessages ends a connection to a next hop; MaxOutConnectionsPerDomain bounds how many there are.
func TestMessagesPerConnection(t *testing.T) {
	port, hop := sinks(t, "127.0.0.11")
	o := old{server: attrs{
		"RelayIpList": everybody, "RemoteSmtpPort": fmt.Sprint(port), "SmartHost": "[127.0.0.11]", "SmartHostType": "2",
		"MaxBatchedMessages": "2", "MaxOutConnections": "10", "MaxOutConnectionsPerDomain": "1", "LimitRemoteConnections": "TRUE",
	}}
	w := o.start(t, "")
	for range 7 {
		w.send("x@far.test")
	}
	sink := hop["127.0.0.11"]
	for _, m := range sink.Wait(7) {
		if m.Nth > 2 {
			t.Errorf("message %d on connection %d", m.Nth, m.Conn)
		}
	}
	if opened, most := sink.Connections(); opened < 4 || most != 1 {
		t.Errorf("%d connections, at most %d at the same time", opened, most)
	}
}

func TestConnections(t *testing.T) {
	o := old{server: attrs{"RelayIpList": "", "MaxConnections": "2"}}
	w := o.start(t, "")
	var first *harness.Client
	// The harness has asked whether the server answers; such a connection may still be ending.
	harness.Eventually(t, harness.Patience, "no connection is left", func() bool {
		return strings.Contains(w.CLI("--json", "status"), `"connections": 0`)
	})
	first = w.from("127.0.0.1")
	w.from("127.0.0.5")
	c, err := harness.ConnectFrom("127.0.0.6", w.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if text, err := c.Expect("banner", 421); err != nil || !strings.HasPrefix(text, "421 4.3.2 ") {
		t.Errorf("the third: %q, %v", text, err)
	}
	if err := first.Quit(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, harness.Patience, "there is room again", func() bool {
		c, err := harness.Dial(w.Addr(), "client.test")
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// A connection on which nothing is said ends after ConnectionTimeout.
func TestConnectionTimeout(t *testing.T) {
	o := old{server: attrs{"RelayIpList": "", "ConnectionTimeout": "1"}}
	w := o.start(t, "")
	c := w.from("127.0.0.1")
	if text, err := c.Expect("nothing", 421); err != nil || !strings.HasPrefix(text, "421 4.4.2 ") {
		t.Errorf("%q, %v", text, err)
	}
}

// A message with more Received fields than HopCount is returned.
func TestHopCount(t *testing.T) {
	o := old{server: attrs{"RelayIpList": "", "HopCount": "3"}}
	w := o.start(t, "")
	hops := func(n int) string {
		return strings.Repeat("Received: by x.test; Fri, 2 Jan 2026 03:04:05 +0000\r\n", n)
	}
	w.Send("app@corp.test", []string{"x@corp.test"}, hops(3)+"Subject: fits\r\n\r\ntext\r\n")
	w.WaitDrop(1)
	w.Send("app@corp.test", []string{"x@corp.test"}, hops(4)+"Subject: loops\r\n\r\ntext\r\n")
	if f := w.WaitDrop(2)[1]; f.Sender != "<>" && f.Sender != "" || f.Receivers[0] != "app@corp.test" || !strings.Contains(string(f.Message), "5.4.6") {
		t.Errorf("%s to %s:\n%s", f.Sender, f.Receivers, f.Message)
	}
}
