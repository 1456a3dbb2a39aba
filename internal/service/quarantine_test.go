package service

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
)

// onePart is a quarantine with one part.
type onePart struct {
	spool.Quarantine
	env  *mail.Envelope
	body string
}

func (p onePart) Show(context.Context, string) (spool.Aside, error) {
	return spool.Aside{Envelope: p.env}, nil
}

func (p onePart) Message(context.Context, string) (io.ReaderAt, int64, io.Closer, error) {
	return strings.NewReader(p.body), int64(len(p.body)), io.NopCloser(nil), nil
}

// TestExportAside: the file is one for the Pickup folder, with each leading dot doubled, wherever it falls.
func TestExportAside(t *testing.T) {
	long := strings.Repeat("x", 64<<10-1) + "." + strings.Repeat("y", 100<<10)
	env := &mail.Envelope{Recipients: []mail.Recipient{{Addr: mail.Address{Local: "b", Domain: "example.org"}}, {Addr: mail.Address{Local: `"c d"`, Domain: "example.org"}}}}
	tests := []struct {
		env        *mail.Envelope
		body, want string
	}{
		{nil, "", ""},
		{nil, ".a\r\n..b\r\n.\r\nc.\r\n" + long + "\r\n.", "..a\r\n...b\r\n..\r\nc.\r\n" + long + "\r\n.."},
		{env, "Subject: x\r\n\r\n", "x-sender: <>\r\nx-receiver: <b@example.org>\r\nx-receiver: <\"c d\"@example.org>\r\nSubject: x\r\n\r\n"},
	}
	for i, tt := range tests {
		var out bytes.Buffer
		v := &Server{quarantine: onePart{env: tt.env, body: tt.body}}
		if err := v.ExportAside(t.Context(), &out, "x"); err != nil || out.String() != tt.want {
			t.Errorf("%d: %v\n%.200q\nwant\n%.200q", i, err, out.String(), tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&Server{quarantine: onePart{body: "x"}}).ExportAside(ctx, io.Discard, "x"); err == nil {
		t.Error("interrupted, and no error")
	}
}
