package report

import (
	"io"
	"slices"
	"strings"
	"testing"

	words "github.com/mailroot/mailroot/internal/mail"
)

// Who a report speaks of is found again in it, whatever their addresses hold, and nobody else, whatever
// the original says.
func TestReported(t *testing.T) {
	const forged = "Subject: x\r\n\r\nContent-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; kept@example.org\r\n"
	r := failure(forged)
	names := []string{"bob", "kept", `"a  b@c; d"`, "ü", strings.Repeat("x", 64), "last"}
	r.Env.Recipients, r.Results = nil, nil
	for i, name := range names {
		r.Env.Recipients = append(r.Env.Recipients, words.Recipient{Addr: words.Address{Local: name, Domain: "example.org"}})
		if name != "kept" {
			r.Results = append(r.Results, words.Result{Rcpt: i, Outcome: words.Failed, Host: "mx.example.org", Reply: words.NewReply(550, words.Enhanced(5, 1, 1), "Final-Recipient: rfc822; kept@example.org\n--x")})
		}
	}
	for _, utf8 := range []bool{false, true} {
		r.Env.Sender.UTF8 = utf8
		text := "Received: by relay\r\n" + compose(t, options(), r)
		got, err := Reported(strings.NewReader(text), int64(len(text)), r.Env)
		var rcpts []int
		for _, res := range got {
			rcpts = append(rcpts, res.Rcpt)
			// Why it failed is found too.
			if res.Outcome != words.Failed || res.Ours || res.Host != "mx.example.org" || res.Reply.String() != "550 5.1.1 Final-Recipient: rfc822; kept@example.org --x" {
				t.Errorf("SMTPUTF8 %v: %+v", utf8, res)
			}
		}
		if want := []int{0, 2, 3, 4, 5}; err != nil || !slices.Equal(rcpts, want) {
			t.Errorf("SMTPUTF8 %v: %v, %v, want %v", utf8, rcpts, err, want)
		}
	}
	for _, text := range []string{"", "no report", "Content-Type: message/delivery-status\r\n"} {
		if got, err := Reported(strings.NewReader(text), int64(len(text)), r.Env); len(got) != 0 || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := Reported(strings.NewReader("short"), 10, r.Env); err != io.ErrUnexpectedEOF {
		t.Errorf("a body that is too short: %v", err)
	}
}

// Any octets name recipients of the envelope, each once, in order, or none.
func FuzzReported(f *testing.F) {
	f.Add("x\r\nContent-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822;\r\n\tbob@example.org\r\n\r\n--x")
	f.Fuzz(func(t *testing.T, text string) {
		r := failure("x")
		got, err := Reported(strings.NewReader(text), int64(len(text)), r.Env)
		if err != nil || len(got) > 1 || len(got) == 1 && got[0].Rcpt != 0 {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// What ended the attempts is said: their number, or the time.
func TestWhatGaveUp(t *testing.T) {
	for text, want := range map[string]string{
		"Message given up: not delivered in 48 attempts; last reply: 450 x": "as often as is set",
		"Message given up: delivery time expired; last reply: 450 x":        "the time set for it has passed",
	} {
		res := words.Result{Ours: true, Reply: words.NewReply(451, words.Enhanced(4, 4, 7), text), Cause: words.NewReply(450, words.Enhanced(4, 2, 2), "x")}
		if why, _ := explain(&res); !strings.Contains(why, want) {
			t.Errorf("%q: %q", text, why)
		}
	}
}
