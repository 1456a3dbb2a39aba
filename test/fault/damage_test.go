package fault

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// damages are what can befall a file.
var damages = []struct {
	name string
	do   func(path string, at int64) error
}{
	{"an octet is changed", func(path string, at int64) error {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err != nil {
			return err
		}
		b[0] ^= 0x20
		_, err = f.WriteAt(b[:], at)
		return err
	}},
	{"cut", func(path string, at int64) error { return os.Truncate(path, at) }},
	{"removed", func(path string, _ int64) error { return os.Remove(path) }},
}

// TestDamageP2 damages files of a queue on the disk, one or two at a time, and starts the program on it: it starts, says in the log and
// in the status what it has lost, puts aside what is bad and delivers the rest, whole (bad input P2).
func TestDamageP2(t *testing.T) {
	sink := harness.NewSink(t, harness.SinkOptions{})
	server := harness.New(t, harness.Options{SmartHost: []string{sink.Route()}, Intervals: `"60m"`})
	for _, text := range []string{"the spool found something wrong", "a queued message cannot be read", "the spool has trouble"} {
		server.ExpectError(text)
	}
	g := harness.NewLedger()
	g.Remote = true
	sink.Shut()
	const letters = 60
	var sent []harness.Letter
	server.Start()
	c := server.Dial()
	for range letters {
		l := g.Next()
		sent = append(sent, l)
		text := l.Text()
		if l.Number%20 == 7 { // large enough for a file of its own
			text = append(text, strings.Repeat("a line of a large letter, again and again\r\n", 60_000)...)
		}
		if err := c.Send("sender@client.test", []string{l.Rcpt()}, text); err != nil {
			t.Fatal(err)
		}
		if l.Number == letters/2 {
			server.Stop() // so that there is a checkpoint, and a second segment
			server.Start()
			c = server.Dial()
		}
	}
	server.Kill9()
	queue := filepath.Join(server.Dir, "default", "Queue")
	sound := filepath.Join(server.Dir, "sound")
	if err := os.CopyFS(sound, os.DirFS(queue)); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	lostInAll := 0
	for round := range 12 * rounds(t) {
		if err := os.RemoveAll(queue); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(queue, os.DirFS(sound)); err != nil {
			t.Fatal(err)
		}
		what := damage(t, rnd, queue, round)
		server.Start() // it starts
		shown := asked(t, server)
		log := server.Log()
		lost := 0
		for _, l := range sent {
			if !strings.Contains(shown.list, l.Rcpt()) {
				lost++
			}
		}
		lostInAll += lost
		switch {
		case len(shown.notes) == 0 && lost > 0:
			t.Errorf("%s: %d letters lost, and the status says nothing", what, lost)
		case lost > 0 && shown.lost+shown.torn == 0 && shown.quarantined == 0:
			t.Errorf("%s: %d letters lost, and the status counts none: %q", what, lost, shown.notes)
		}
		for _, note := range shown.notes {
			if !strings.Contains(log, note) && !strings.Contains(log, strings.ReplaceAll(note, `"`, `\"`)) {
				t.Errorf("%s: the log has no line of %q", what, note)
			}
			if !strings.Contains(shown.text, "Spool trouble") || !strings.Contains(shown.text, note) {
				t.Errorf("%s: the status for people does not say %q", what, note)
			}
		}
		if shown.quarantined > 0 && !strings.Contains(shown.text, "in quarantine") {
			t.Errorf("%s: the status does not speak of the quarantine", what)
		}
		server.Kill9()
	}
	if lostInAll == 0 {
		t.Error("no damage has cost anything: nothing was shown")
	}

	// The rest is delivered, whole, and mail is taken.
	sink.Open()
	server.Start()
	server.Send("sender@client.test", []string{"after@remote.test"}, harness.Message("a@client.test", "after@remote.test", "after", "all is well"))
	list := asked(t, server)
	harness.Eventually(t, 2*harness.Patience, "the queue is empty", func() bool {
		_, _ = server.TryCLI("queue", "retry", "--all")
		return server.Empty()
	})
	after := false
	for _, m := range sink.Messages() {
		if m.Rcpts[0] == "after@remote.test" {
			after = true
			continue
		}
		i := slices.IndexFunc(sent, func(l harness.Letter) bool { return l.Rcpt() == m.Rcpts[0] })
		n, err := harness.TraceLen(m.Data)
		if err != nil || i < 0 || !strings.HasPrefix(string(m.Data[n:]), string(sent[i].Text())) {
			t.Errorf("for %q arrived what was not sent: %v", m.Rcpts, err)
		}
	}
	if n := len(sink.Messages()); !after || n < 1+strings.Count(list.list, "@remote.test")/2 {
		t.Errorf("%d letters arrived, the new one %v", n, after)
	}
	server.Stop()
}

// damage does something to one file of the queue, in turn to each kind, and says what.
func damage(t *testing.T, rnd *rand.Rand, queue string, round int) string {
	t.Helper()
	kinds := []string{"seg-*.seg", "body-*.dat", "state-*.log", "state-*.chk"}
	names, err := filepath.Glob(filepath.Join(queue, kinds[round%len(kinds)]))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s: %v", kinds[round%len(kinds)], err)
	}
	path := names[rnd.IntN(len(names))]
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	d := damages[round/len(kinds)%len(damages)]
	at := rnd.Int64N(max(1, fi.Size()))
	if err := d.do(path, at); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s of %d octets, %s at %d", filepath.Base(path), fi.Size(), d.name, at)
}

// shown is what the program says of itself.
type shown struct {
	text, list  string
	notes       []string
	lost, torn  int64
	quarantined int64
}

func asked(t *testing.T, s *harness.Server) (out shown) {
	t.Helper()
	harness.Eventually(t, harness.Patience, "the queue has been read", func() bool {
		return !s.Status().VirtualServers[0].Queue.Loading
	})
	sp := s.Status().VirtualServers[0].Spool
	out.notes, out.lost, out.torn, out.quarantined = sp.Notes, sp.Lost, sp.Torn, int64(sp.Quarantined)
	out.text = s.CLI("status")
	out.list = s.CLI("queue", "list", "--limit", "1000", "--json")
	if !json.Valid([]byte(out.list)) {
		t.Errorf("queue list --json: %.200s", out.list)
	}
	return out
}
