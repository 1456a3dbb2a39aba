package smtp

import (
	"errors"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
)

func TestAppendMail(t *testing.T) {
	addr := mail.Address{Local: "a", Domain: "example.com"}
	for _, c := range []struct {
		from mail.Address
		p    MailParams
		want string
	}{
		{addr, MailParams{}, "MAIL FROM:<a@example.com>\r\n"},
		{mail.Address{}, MailParams{}, "MAIL FROM:<>\r\n"},
		{mail.Address{Local: `"a <b> c"`, Domain: "example.com"}, MailParams{}, "MAIL FROM:<\"a <b> c\"@example.com>\r\n"},
		{addr, MailParams{Size: 12, Body: "8BITMIME", UTF8: true, RequireTLS: true, Ret: mail.RetHeaders, EnvID: "x+3Dy"},
			"MAIL FROM:<a@example.com> SIZE=12 BODY=8BITMIME SMTPUTF8 REQUIRETLS RET=HDRS ENVID=x+3Dy\r\n"},
		{addr, MailParams{Ret: mail.RetFull}, "MAIL FROM:<a@example.com> RET=FULL\r\n"},
	} {
		got, err := AppendMail([]byte("x"), c.from, &c.p)
		if err != nil || string(got) != "x"+c.want {
			t.Errorf("got %q, %v; want %q", got, err, c.want)
		}
	}
}

func TestAppendRcpt(t *testing.T) {
	to := mail.Recipient{Addr: mail.Address{Local: "b", Domain: "example.org"}, Notify: mail.NotifySuccess | mail.NotifyDelay, ORcpt: "rfc822;b@example.org"}
	never := to
	never.Notify, never.ORcpt = mail.NotifyNever, ""
	for _, c := range []struct {
		to   mail.Recipient
		dsn  bool
		want string
	}{
		{to, false, "RCPT TO:<b@example.org>\r\n"},
		{to, true, "RCPT TO:<b@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b@example.org\r\n"},
		{never, true, "RCPT TO:<b@example.org> NOTIFY=NEVER\r\n"},
		{mail.Recipient{Addr: mail.Address{Local: "postmaster"}}, true, "RCPT TO:<postmaster>\r\n"},
	} {
		got, err := AppendRcpt(nil, &c.to, c.dsn)
		if err != nil || string(got) != c.want {
			t.Errorf("got %q, %v; want %q", got, err, c.want)
		}
	}
}

func TestAppendUnsafe(t *testing.T) {
	// E1: no octet that would break the command line goes out, wherever it came from.
	for _, a := range []mail.Address{
		{Local: "a\r\nRCPT TO:<x", Domain: "example.com"}, {Local: "a\x00", Domain: "example.com"}, {Local: "a b", Domain: "example.com"},
		{Local: "a>", Domain: "example.com"}, {Local: "a", Domain: "exa mple"}, {Local: "a", Domain: "example.com>"}, {Local: "\"a\n\"", Domain: "example.com"},
	} {
		if got, err := AppendMail([]byte("x"), a, &MailParams{}); !errors.Is(err, ErrUnsafe) || string(got) != "x" {
			t.Errorf("MAIL %q: %q, %v", a, got, err)
		}
		if got, err := AppendRcpt([]byte("x"), &mail.Recipient{Addr: a}, true); !errors.Is(err, ErrUnsafe) || string(got) != "x" {
			t.Errorf("RCPT %q: %q, %v", a, got, err)
		}
	}
	ok := mail.Address{Local: "a", Domain: "example.com"}
	if _, err := AppendMail(nil, ok, &MailParams{EnvID: "a\nb"}); !errors.Is(err, ErrUnsafe) {
		t.Errorf("ENVID: %v", err)
	}
	if _, err := AppendRcpt(nil, &mail.Recipient{Addr: ok, ORcpt: "rfc822;a b"}, true); !errors.Is(err, ErrUnsafe) {
		t.Errorf("ORCPT: %v", err)
	}
	if _, err := AppendRcpt(nil, &mail.Recipient{}, true); !errors.Is(err, ErrUnsafe) {
		t.Errorf("null recipient: %v", err)
	}
}
