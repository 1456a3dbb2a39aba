package session

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"testing"
	"unsafe"

	"github.com/mailroot/mailroot/internal/mail"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestVoices compares every text of both voices with testdata/voices.golden.
func TestVoices(t *testing.T) {
	var b bytes.Buffer
	for v, name := range []string{Classic: "classic", Plain: "plain"} {
		s := &session{o: &Options{FQDN: "relay.example.com", Voice: Voice(v)}, workspace: &workspace{}}
		for i := sayNothing + 1; i < texts; i++ {
			r := &reply{
				text: i, arg: "ARG", number: 42, id: 1,
				addr: mail.Address{Local: "a", Domain: "example.org"},
			}
			line := s.appendReply(nil, r)
			if !bytes.HasSuffix(line, []byte("\r\n")) || bytes.Count(line, []byte("\n")) != 1 {
				t.Errorf("%s %d: %q", name, i, line)
			}
			code, enhanced := s.status(r)
			if code < 200 || code > 599 || !enhanced.IsZero() && int(enhanced.Class) != code/100 {
				t.Errorf("%s %d: code %d with %s", name, i, code, enhanced)
			}
			fmt.Fprintf(&b, "%s %s|\n", name, bytes.TrimSuffix(line, []byte("\r\n")))
		}
	}
	const file = "testdata/voices.golden"
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("the texts differ from %s (-update rewrites it):\n%s", file, b.Bytes())
	}
}

// TestVerbTable: each verb is found in any ASCII case and by no other name, each keyword has a
// place of its own.
func TestVerbTable(t *testing.T) {
	for i := range standard.verbs {
		v := &standard.verbs[i]
		for _, name := range []string{v.name, mail.LowerASCII(v.name)} {
			if standard.find([]byte(name)) != v {
				t.Errorf("%q is not found", name)
			}
		}
		for _, name := range []string{v.name + "X", v.name[1:], " " + v.name, v.name + "\x00", "\x00" + v.name} {
			if standard.find([]byte(name)) != nil {
				t.Errorf("%q is taken for a verb", name)
			}
		}
	}
	for _, name := range []string{"", "R\u017fET", "NO\xcfP", "ABCDEFGHI"} {
		if standard.find([]byte(name)) != nil {
			t.Errorf("%q is taken for a verb", name)
		}
	}
	ranks := map[int]string{}
	for _, k := range standard.keywords {
		if other, ok := ranks[k.rank]; ok {
			t.Errorf("%s and %s have the same rank", k.name, other)
		}
		ranks[k.rank] = k.name
	}
}

// TestAdvertisedSize: SIZE says what will really be refused.
func TestAdvertisedSize(t *testing.T) {
	for _, tc := range []struct {
		message, session int64
		strict           bool
		want             int64
	}{
		{0, 0, false, 0}, {0, 0, true, 0}, {10, 0, false, 0}, {10, 0, true, 10}, {10, 20, false, 20},
		{10, 20, true, 10}, {0, 20, true, 20}, {20, 10, true, 10}, {5 << 32, 0, true, 5 << 32},
	} {
		o := &Options{MaxMessageSize: tc.message, MaxSessionSize: tc.session, StrictSize: tc.strict}
		if got := o.advertisedSize(); got != tc.want {
			t.Errorf("%+v: %d", tc, got)
		}
	}
}

// TestCloseReasons: each has a name.
func TestCloseReasons(t *testing.T) {
	seen := map[string]bool{}
	for r := Open; r <= ClosedByPanic; r++ {
		name := r.String()
		if name == "" || name == "unknown" || seen[name] {
			t.Errorf("reason %d: %q", r, name)
		}
		seen[name] = true
	}
	if got := CloseReason(200).String(); got != "unknown" {
		t.Errorf("%q", got)
	}
}

// TestIdleBuffers: a session that waits for a command holds a small buffer only, whatever it
// has read before.
func TestIdleBuffers(t *testing.T) {
	var w wire
	w.init(&net.TCPConn{}, &Options{})
	for _, step := range []struct {
		data, full bool
		want       int
	}{
		{false, false, smallBuffer}, {false, true, middleBuffer}, {true, false, largeBuffer},
		{true, true, largeBuffer}, {false, false, smallBuffer},
	} {
		w.data, w.full, w.pos, w.end = step.data, step.full, 0, 0
		w.makeRoom()
		if len(w.buf) != step.want {
			t.Errorf("data %v, full %v: %d octets, want %d", step.data, step.full, len(w.buf), step.want)
		}
	}
	if n := unsafe.Sizeof(session{}); n > 704 {
		t.Errorf("a session at rest takes %d octets", n)
	}
}
