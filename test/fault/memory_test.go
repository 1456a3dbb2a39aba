package fault

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

// TestMemoryF27 opens messages that do not end until the memory of the real process nears its limit: new mail gets 452 4.3.1,
// and when it is nearly used up connections get 421 4.3.2, the process lives, what was queued is delivered meanwhile, and when the clients have gone mail is taken again
// by itself (bad input F27).
func TestMemoryF27(t *testing.T) {
	sink := harness.NewSink(t, harness.SinkOptions{})
	server := harness.New(t, harness.Options{
		SmartHost: []string{sink.Route()}, Top: `memory_limit = "64MB"`, Server: "queue {\n memory = \"1GB\"\n}", Connections: "inbound_limit = 0",
	})
	for _, text := range []string{"the memory of the process", "a client was put off because of trouble of ours"} {
		server.ExpectError(text)
	}
	sink.Shut()
	server.Start()
	server.Send("sender@client.test", []string{"early@remote.test"}, harness.Message("a@client.test", "early@remote.test", "early", "text"))

	idle := server.Dial()
	line := bytes.Repeat([]byte("an endless letter\r\n"), 10<<10) // 190 KB
	var open []*harness.Client
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	mail, connection := 0, 0 // refused
	for end := time.Now().Add(harness.Patience); connection == 0 && mail < 5 && time.Now().Before(end) && len(open) < 2000; {
		server.Alive()
		c, err := harness.Dial(server.Addr(), "client.test")
		var reply *harness.ReplyError
		if errors.As(err, &reply) && strings.HasPrefix(reply.Text, "421 4.3.2 ") {
			connection++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		if _, err := c.Cmd(250, "MAIL FROM:<a@client.test>"); err != nil {
			if !errors.As(err, &reply) || !strings.HasPrefix(reply.Text, "452 4.3.1 ") {
				t.Fatal(err)
			}
			mail++
			// Those that have begun may go on, to where no connection is taken.
			for _, c := range open[:len(open)/4] {
				_ = c.Write(line[:60<<10])
			}
			time.Sleep(time.Second)
			continue
		}
		_, err1 := c.Cmd(250, "RCPT TO:<b@remote.test>")
		_, err2 := c.Cmd(354, "DATA")
		if err := errors.Join(err1, err2, c.Write(line)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Millisecond) // the memory is looked at once a second
	}
	var reply *harness.ReplyError
	if _, err := idle.Cmd(250, "MAIL FROM:<a@client.test>"); !errors.As(err, &reply) || !strings.HasPrefix(reply.Text, "452 4.3.1 ") {
		t.Fatalf("with %d messages open MAIL is answered %v", len(open), err)
	}
	st := server.Status()
	if st.Memory.Limit != 64<<20 || st.Memory.Refusing == "" || st.Memory.Refused == 0 || st.Memory.Used < 40<<20 || !strings.Contains(strings.Join(st.Warnings, "\n"), "refused: the process uses") {
		t.Errorf("the status says %+v, %q", st.Memory, st.Warnings)
	}
	t.Logf("%d messages open, %d times 452, %d times 421, %d octets in use", len(open), mail, connection, st.Memory.Used)
	sink.Open()
	sink.Wait(1) // delivery goes on

	for _, c := range open {
		c.Close()
	}
	harness.Eventually(t, harness.Patience, "mail is taken again", func() bool {
		server.Alive()
		c, err := harness.Dial(server.Addr(), "client.test")
		if err != nil {
			return false
		}
		defer c.Close()
		return c.Send("a@client.test", []string{"late@remote.test"}, []byte(harness.Message("a@client.test", "late@remote.test", "late", "text"))) == nil
	})
	sink.Wait(2)
	if st := server.Status(); st.Memory.Refusing != "" {
		t.Errorf("the status says %+v", st.Memory)
	}
	log := server.Log()
	if !strings.Contains(log, " taken: the memory of the process ") || !strings.Contains(log, "mail is taken again: there is memory") {
		t.Error("the log does not say when mail was refused for the memory, and when it was taken again")
	}
	server.Stop()
}
