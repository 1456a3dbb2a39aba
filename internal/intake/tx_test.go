package intake

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailroot/mailroot/internal/mail"
)

func TestErrors(t *testing.T) {
	full := mail.Fail(452, mail.Enhanced(4, 3, 1), "Out of space", nil)
	disk := errors.New("disk on fire")
	for _, tc := range []struct {
		name  string
		st    store
		code  int
		calls []string
	}{
		{"no space at MAIL", store{beginErr: full}, 452, nil},
		{"any error at MAIL", store{beginErr: disk}, 451, nil},
		{"no space in the data", store{writeErr: full}, 452, []string{"begin", "abort"}},
		{"any error in the data", store{writeErr: disk}, 451, []string{"begin", "abort"}},
		{"no space at the end", store{commitErr: full}, 452, []string{"begin", "commit"}},
		{"any error at the end", store{commitErr: disk}, 451, []string{"begin", "commit"}},
		{"unknown outcome", store{commitErr: mail.ErrUnknownOutcome}, 451, []string{"begin", "commit"}},
	} {
		_, err := send(t, tc.st.options(), client(), mail.Sender{}, message1, 10, "a@example.org")
		var e *mail.Error
		if !errors.As(err, &e) || e.Reply.Code != tc.code {
			t.Errorf("%s: %v", tc.name, err)
		}
		if tc.st.commitErr == mail.ErrUnknownOutcome && !errors.Is(err, mail.ErrUnknownOutcome) {
			t.Errorf("%s: the cause is lost: %v", tc.name, err)
		}
		if d := cmp.Diff(tc.calls, tc.st.calls); d != "" {
			t.Errorf("%s: %s", tc.name, d)
		}
	}
}

// An error of the spool stays: no later call stores or commits anything.
func TestStickyErrorAndEnd(t *testing.T) {
	st := store{writeErr: errors.New("disk on fire")}
	tx, _ := New(st.options()).BeginSMTP(t.Context(), client(), mail.Sender{})
	rcpt(t, tx, "a@example.org")
	if _, err := tx.Write([]byte(message1)); err == nil {
		t.Error("the error is lost")
	}
	st.writeErr = nil
	if _, err := tx.Write([]byte("more")); err == nil || st.body.Len() != 0 {
		t.Error("a write after an error was stored")
	}
	if _, err := tx.Commit(t.Context()); err == nil {
		t.Error("a broken message was committed")
	}
	tx.Abort()
	if _, err := tx.Write(nil); err == nil {
		t.Error("write after the end")
	}
	if _, err := tx.Commit(t.Context()); err == nil {
		t.Error("commit after the end")
	}
	if _, err := tx.Rcpt(t.Context(), mail.Recipient{Addr: addr("a@b")}); err == nil {
		t.Error("recipient after the end")
	}
	if d := cmp.Diff([]string{"begin", "abort"}, st.calls); d != "" {
		t.Error(d)
	}

	st = store{}
	if _, err := send(t, st.options(), client(), mail.Sender{}, message1, 0); mail.ReplyOf(err).Code != 554 {
		t.Errorf("without recipients: %v", err)
	}
	if d := cmp.Diff([]string{"begin", "abort"}, st.calls); d != "" {
		t.Error(d)
	}
}

// The memory of one message is used for the next and nothing of it shows there.
func TestReuse(t *testing.T) {
	var st store
	in := New(st.options())
	for i := range 50 {
		tx, err := in.BeginSMTP(t.Context(), client(), mail.Sender{})
		if err != nil {
			t.Fatal(err)
		}
		rcpt(t, tx, "a@example.org")
		msg := fmt.Sprintf("From: u%d\r\nReceived: x\r\nSubject: %d\r\n\r\n.%s\r\n", i, i, strings.Repeat("x", i))
		_, _ = tx.Write([]byte(msg[:i]))
		_, _ = tx.Write([]byte(msg[i:]))
		if i%3 == 0 {
			tx.Abort()
			continue
		}
		if _, err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := &st.env.Content
		if c.Subject != fmt.Sprint(i) || c.Hops != 1 || c.DotLines != 1 || len(c.Edits) != 2 || c.Size != int64(st.body.Len()) {
			t.Errorf("message %d: %+v", i, c)
		}
	}
}

func TestAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector sync.Pool forgets on purpose")
	}
	var st store
	o := st.options()
	o.Enqueue = func(*mail.Envelope) {}
	in := New(o)
	p, ctx := client(), context.Background()
	s := mail.Sender{Addr: addr("a@b.example")}
	r := mail.Recipient{Addr: addr("bob@example.org")}
	msg := []byte(message1 + strings.Repeat("text\r\n", 600))
	n := testing.AllocsPerRun(200, func() {
		st.calls = st.calls[:0]
		tx, _ := in.BeginSMTP(ctx, p, s)
		_, _ = tx.Rcpt(ctx, r)
		_, _ = tx.Write(msg)
		if _, err := tx.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	})
	if n > 6 { // transaction, envelope, recipients, edits, strings, and one to spare
		t.Errorf("%v allocations for a message", n)
	}
}

func FuzzIntake(f *testing.F) {
	f.Add([]byte(message1), uint16(3), false)
	f.Add([]byte("\r"), uint16(0), true)
	f.Add([]byte(" x"), uint16(0), false)
	f.Fuzz(func(t *testing.T, msg []byte, n uint16, binary bool) {
		var st store
		s := mail.Sender{}
		if binary {
			s.Body = mail.BodyBinaryMIME
		}
		if _, err := send(t, st.options(), client(), s, string(msg), int(n), "bob@example.org"); err != nil {
			t.Fatal(err)
		}
		got := st.body.String()
		at, _ := cutTrace(t, got)
		if len(msg) > 0 && (msg[0] == ' ' || msg[0] == '\t') {
			if at += 2; got[at-2:at] != "\r\n" {
				t.Fatalf("%q stored as %q", msg, got)
			}
		}
		rest := strings.TrimPrefix(got[at:], string(msg))
		if len(got[at:])-len(rest) != len(msg) || rest != "" && rest != "\n" && rest != "\r\n" || binary && rest != "" {
			t.Fatalf("%q stored as %q", msg, got[at:])
		}
		if !binary && !strings.HasSuffix(got, "\r\n") {
			t.Fatalf("%q does not end in CRLF", got)
		}
		if c := &st.env.Content; c.Size != int64(len(got)) || c.HeaderLen > c.Size || c.HeaderLen > 0 && c.HeaderLen < int64(at) {
			t.Fatalf("%+v, trace %d", c, at)
		}
	})
}

// TestHeaderMemoryF27: headers that do not end share a limit of memory: those beyond it are refused with
// 452 4.3.1, and what was counted is given back however a message ends. A usual header asks for nothing.
func TestHeaderMemoryF27(t *testing.T) {
	const limit = 10 << 20
	held, asked := int64(0), 0
	o := (&store{}).options()
	o.Hold = func(n int64) error {
		asked++
		if held+n > limit && n > 0 {
			return mail.Fail(452, mail.Enhanced(4, 3, 1), "Insufficient system storage", nil)
		}
		held += n
		return nil
	}
	in := New(o)
	begin := func() *Tx {
		tx, err := in.BeginSMTP(t.Context(), client(), mail.Sender{})
		if err != nil {
			t.Fatal(err)
		}
		rcpt(t, tx, "u@example.com")
		return tx
	}
	tx := begin()
	for _, piece := range []string{"Subject: in two", " pieces\r\n\r\n", strings.Repeat("x", 1<<20)} {
		if _, err := tx.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Commit(t.Context()); err != nil || asked != 0 {
		t.Fatalf("a usual message: %v, asked %d times", err, asked)
	}

	line := []byte("X-Filler: " + strings.Repeat("x", 1012) + "\r\n")
	var open []*Tx
	refused := 0
	for range 200 {
		tx := begin()
		var err error
		for range 249 {
			if _, err = tx.Write(line); err != nil {
				break
			}
		}
		if err == nil {
			open = append(open, tx)
			continue
		}
		refused++
		if r := mail.ReplyOf(err); r.Code != 452 || r.Enhanced != mail.Enhanced(4, 3, 1) {
			t.Fatalf("refused with %v", err)
		}
		tx.Abort()
	}
	if most := limit / (249 << 10); len(open) > most || len(open) < most/2 || refused != 200-len(open) {
		t.Errorf("%d headers are open and %d refused, want at most %d", len(open), refused, most)
	}
	if held > limit {
		t.Errorf("%d octets are held", held)
	}
	for i, tx := range open {
		if i%2 == 0 {
			tx.Abort()
		} else if _, err := tx.Commit(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if held != 0 {
		t.Errorf("%d octets were not given back", held)
	}
}
