// Package corpus sends real-world MIME messages through the relay and compares what arrives
// with what was sent, octet by octet. The messages are fetched by name and not kept here: the
// test data of the Go module enmime, and those of Python's email package from Debian.
package corpus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const (
	enmime       = "github.com/jhillyerd/enmime@v1.3.0"
	leastCount   = 130
	mostRefused  = 10 // percent
	localDomain  = "local.test"
	remoteDomain = "remote.test"
)

// message is one file of the corpus, with CRLF line ends.
type message struct {
	name string
	data []byte
}

// sample is one message on its way: refused is the reply if it was not taken.
type sample struct {
	message
	local, remote string // its recipients
	refused       string
}

// TestCorpus is the main test: every message goes to Drop and to a strict sink.
func TestCorpus(t *testing.T) {
	messages := load(t)
	sink := harness.NewSink(t, harness.SinkOptions{})
	server := harness.Start(t, harness.Options{DefaultDomain: localDomain, SmartHost: []string{sink.Route()}})

	samples := make([]*sample, len(messages))
	var refused []string
	for i, m := range messages {
		s := &sample{message: m, local: fmt.Sprintf("m%03d@%s", i, localDomain), remote: fmt.Sprintf("m%03d@%s", i, remoteDomain)}
		samples[i] = s
		if s.refused = submit(t, server, s); s.refused != "" {
			refused = append(refused, fmt.Sprintf("%s: %s", s.name, s.refused))
		}
		server.Alive()
	}
	accepted := len(samples) - len(refused)
	t.Logf("%d messages, %d accepted, %d refused", len(samples), accepted, len(refused))
	for _, r := range refused {
		t.Logf("refused: %s", r)
	}
	if len(refused)*100 > len(samples)*mostRefused {
		t.Errorf("%d of %d messages were refused, at most %d %% may be", len(refused), len(samples), mostRefused)
	}

	edited, submitted := 0, 0
	tally := func(d difference) {
		if d.completed > 0 {
			edited++
		}
		if d.fields > 0 {
			submitted++
		}
	}
	checkDrop(t, server, samples, accepted, tally)
	checkSink(t, sink, samples, accepted, tally)
	t.Logf("of %d arrivals %d had bare addresses completed, %d a Date or Message-ID added", 2*accepted, edited, submitted)
	if edited == 0 || submitted == 0 {
		t.Error("the corpus has bare addresses and messages without Date: some must have been completed")
	}
}

// submit sends one message to its two recipients and returns the reply if it was refused.
func submit(t *testing.T, server *harness.Server, s *sample) string {
	t.Helper()
	c := server.Dial()
	defer c.Close()
	err := c.Send("corpus@sender.test", []string{s.local, s.remote}, s.data)
	var reply *harness.ReplyError
	switch {
	case err == nil:
		if err := c.Quit(); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		return ""
	case errors.As(err, &reply) && reply.Code >= 500 && reply.Command == "end of data":
		return reply.Text
	}
	t.Errorf("%s: %v", s.name, err)
	return err.Error()
}

func checkDrop(t *testing.T, server *harness.Server, samples []*sample, want int, tally func(difference)) {
	t.Helper()
	arrived := map[string]*harness.DropFile{}
	for _, f := range server.WaitDrop(want) {
		if len(f.Receivers) != 1 || f.Sender != "corpus@sender.test" || arrived[f.Receivers[0]] != nil {
			t.Errorf("%s in Drop: from %s for %q", f.Name, f.Sender, f.Receivers)
			continue
		}
		arrived[f.Receivers[0]] = f
	}
	for _, s := range samples {
		f := arrived[s.local]
		if (f != nil) != (s.refused == "") {
			t.Errorf("%s: in Drop: %v, refused with %q", s.name, f != nil, s.refused)
			continue
		}
		if f != nil {
			s.check(t, "in Drop", f.Message, tally)
		}
	}
}

func checkSink(t *testing.T, sink *harness.Sink, samples []*sample, want int, tally func(difference)) {
	t.Helper()
	arrived := map[string]*harness.SinkMessage{}
	for _, m := range sink.Wait(want) {
		if len(m.Rcpts) != 1 || m.From != "corpus@sender.test" || arrived[m.Rcpts[0]] != nil {
			t.Errorf("at the sink: from %s for %q", m.From, m.Rcpts)
			continue
		}
		arrived[m.Rcpts[0]] = m
	}
	for _, s := range samples {
		m := arrived[s.remote]
		if (m != nil) != (s.refused == "") {
			t.Errorf("%s: at the sink: %v, refused with %q", s.name, m != nil, s.refused)
			continue
		}
		if m == nil {
			continue
		}
		n, err := harness.TraceLen(m.Data)
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		s.check(t, "at the sink", m.Data[n:], tally)
	}
}

// check compares what arrived, without the trace fields, with what was sent.
func (s *sample) check(t *testing.T, where string, got []byte, tally func(difference)) {
	t.Helper()
	d, err := compare(s.data, got)
	if err != nil {
		t.Errorf("%s %s: %v", s.name, where, err)
		return
	}
	tally(d)
}

// load returns all messages of the corpus.
func load(t *testing.T) []message {
	t.Helper()
	var files []string
	dir := enmimeDir(t)
	for _, pattern := range []string{"testdata/*/*.raw", "dsn/testdata/*.raw", "testdata/encode/*.golden", "internal/test/testdata/*.golden"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s of %s: %d files, %v", pattern, enmime, len(names), err)
		}
		files = append(files, names...)
	}
	files = append(files, harness.PeerFiles(t, "usr/lib/python3*/test/test_email/data/msg_*.txt")...)
	slices.Sort(files)
	var out []message
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 0 {
			out = append(out, message{shortName(name), crlf(b)})
		}
	}
	if len(out) < leastCount {
		t.Fatalf("the corpus has %d messages, want at least %d", len(out), leastCount)
	}
	return out
}

// enmimeDir fetches the module into Go's module cache, by name and checked against Go's
// checksum database, and returns its folder.
func enmimeDir(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", enmime)
	cmd.Dir = t.TempDir() // outside the module, whose go.mod has no part in this
	out, err := cmd.Output()
	var info struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &info); err != nil || jsonErr != nil {
		t.Fatalf("go mod download %s: %v %s", enmime, err, info.Error)
	}
	return info.Dir
}

func shortName(path string) string {
	parts := strings.Split(filepath.ToSlash(path), "/")
	return strings.Join(parts[max(0, len(parts)-3):], "/")
}

// crlf makes every line end CRLF, whatever it was, and ends the last line.
func crlf(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
	if !bytes.HasSuffix(b, []byte("\n")) {
		b = append(b, '\n')
	}
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}
