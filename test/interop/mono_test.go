package interop

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// System.Net.Mail, as Mono has it, writes into the pickup directory and sends by SMTP.
func TestSystemNetMail(t *testing.T) {
	mono := harness.NewMono(t)
	program := mono.Compile(t, "testdata/SystemNetMail.cs")
	seen := []string{"a@local.test", "c@local.test", "b@remote.test"}
	all := append([]string{"hidden@local.test", "secret@remote.test"}, seen...)
	for _, c := range []struct {
		name, server, protocol string
		to                     []string
		args                   func(*relay) []string
	}{
		// Mono writes neither the envelope nor Bcc into the file, and leaves dots as they are.
		{"pickup, as Mono writes", "  pickup {\n    dot_stuffed = false\n  }", "", seen, func(r *relay) []string {
			return []string{"pickup", r.PickupDir()}
		}},
		{"pickup, as .NET writes", "", "", all, func(r *relay) []string { return []string{"net", r.PickupDir()} }},
		{"SMTP", "", "ESMTP", all, func(r *relay) []string { return []string{"smtp", itoa(r.Port(0))} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRelayWith(t, c.server)
			if out, err := mono.Run(t, program, c.args(r)...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			r.expect(t, 1, c.protocol, "")
			f, m := r.DropFiles()[0], r.sink.Messages()[0]
			if got, want := slices.Sorted(slices.Values(slices.Concat(f.Receivers, m.Rcpts))), slices.Sorted(slices.Values(c.to)); !slices.Equal(got, want) {
				t.Errorf("for %q, want %q", got, want)
			}
			if f.Sender != "sender@client.test" || m.From != "sender@client.test" {
				t.Errorf("from %q and %q", f.Sender, m.From)
			}
			fromDotNet(t, f.Message)
			if c.protocol == "" && !strings.Contains(f.Trace, "from mail pickup service by relay.test") {
				t.Errorf("trace %q", f.Trace)
			}
			if left := glob(t, r.PickupDir()+"/*.eml"); len(left) > 0 {
				t.Errorf("left in Pickup: %q", left)
			}
			if bad := glob(t, r.BadmailDir()+"/*"); len(bad) > 0 {
				t.Errorf("in Badmail: %q", bad)
			}
		})
	}
}

// Mono's SmtpClient knows TLS 1.0 only (it asks for SslProtocols.Default, whatever the program wants). We end the
// handshake: it says why, sends nothing, and the next one is served.
func TestSystemNetMailInOldTLS(t *testing.T) {
	mono := harness.NewMono(t)
	program := mono.Compile(t, "testdata/SystemNetMail.cs")
	r := newRelay(t)
	out, err := mono.Run(t, program, "starttls", itoa(r.Port(0)))
	if err == nil || !strings.Contains(out, "TLSV1_ALERT_PROTOCOL_VERSION") {
		t.Errorf("%v\n%s", err, out)
	}
	r.Send("sender@client.test", []string{"a@local.test"}, harness.Message("sender@client.test", "a@local.test", "the next", "text"))
	if f := r.WaitDrop(1)[0]; !strings.Contains(string(f.Message), "Subject: the next\r\n") {
		t.Errorf("in Drop: %s", f.Message)
	}
}

// fromDotNet checks a message against what the program has composed.
func fromDotNet(t *testing.T, text []byte) {
	t.Helper()
	for _, not := range []string{"hidden", "secret", "\nBcc:", "\nX-Sender:", "\nX-Receiver:"} {
		if bytes.Contains(bytes.ToLower(append([]byte("\n"), text...)), []byte(strings.ToLower(not))) {
			t.Errorf("%q is in\n%.2000s", not, text)
		}
	}
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var words mime.WordDecoder
	if s, err := words.DecodeHeader(m.Header.Get("Subject")); err != nil || s != "Grüße: Rechnung № 7" {
		t.Errorf("subject %q, %v", s, err)
	}
	for field, want := range map[string]string{
		"From": "Jürgen Müller <sender@client.test>",
		"To":   "Schmidt, Änne <a@local.test>, Plain, with comma <b@remote.test>",
		"Cc":   "Copy <c@local.test>",
	} {
		list, err := m.Header.AddressList(field)
		var got []string
		for _, a := range list {
			name, err := words.DecodeHeader(a.Name) // Mono puts quotation marks around the encoded word
			if err != nil {
				t.Error(err)
			}
			got = append(got, name+" <"+a.Address+">")
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %q, %v", field, got, err)
		}
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	body := nextPart(t, parts)
	if string(body) != "first line\r\n.\r\n..two dots\r\n.dot and word\r\nFrom here on\r\nend of text\r\n" {
		t.Errorf("the text is %q", body)
	}
	attached, err := base64.StdEncoding.DecodeString(string(nextPart(t, parts)))
	for i := range attached {
		if attached[i] != byte(i*7) {
			t.Fatalf("octet %d of the attachment is wrong", i)
		}
	}
	if len(attached) != 9000 || err != nil {
		t.Errorf("%d octets attached, %v", len(attached), err)
	}
}

func nextPart(t *testing.T, r *multipart.Reader) []byte {
	t.Helper()
	p, err := r.NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
