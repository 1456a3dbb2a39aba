package pickup

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the programs write that people have: each file just works.

// .NET's SmtpClient: X-Sender from Sender or From, an X-Receiver for each of To, Cc, Bcc, in the form
// of header values; no Bcc field; dots doubled; bare host time zone.
func TestWriterDotNet(t *testing.T) {
	message := "MIME-Version: 1.0\r\nFrom: \"Shop, the\" <shop@corp.example>\r\nTo: =?utf-8?B?SsO8cmdlbg==?= <juergen@corp.example>,\r\n plain@corp.example\r\n" +
		"Cc: \"Copy\" <copy@corp.example>\r\nReply-To: help@corp.example\r\nDate: 5 Mar 2026 10:11:12 +0100\r\nSubject: =?utf-8?Q?=C3=9Cbersicht?=\r\n" +
		"Content-Type: multipart/alternative;\r\n boundary=--boundary_0_b1e4f7aa-1d2c-4d5b-9d0c-0a8f3c1c2f10\r\n\r\n\r\n" +
		"----boundary_0_b1e4f7aa-1d2c-4d5b-9d0c-0a8f3c1c2f10\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	got := mustRead(t, "X-Sender: \"Shop, the\" <shop@corp.example>\r\nX-Receiver: =?utf-8?B?SsO8cmdlbg==?= <juergen@corp.example>\r\n"+
		"X-Receiver: plain@corp.example\r\nX-Receiver: \"Copy\" <copy@corp.example>\r\nX-Receiver: secret@corp.example\r\n"+
		message+"..hidden file\r\n----boundary_0_b1e4f7aa-1d2c-4d5b-9d0c-0a8f3c1c2f10--\r\n\r\n", true)
	check(t, got, "shop@corp.example", "juergen@corp.example plain@corp.example copy@corp.example secret@corp.example",
		message+".hidden file\r\n----boundary_0_b1e4f7aa-1d2c-4d5b-9d0c-0a8f3c1c2f10--\r\n\r\n")
}

func check(t *testing.T, got *sink, sender, rcpts, text string) {
	t.Helper()
	if s := got.sender.Addr.String(); s != sender {
		t.Errorf("sender %q, want %q", s, sender)
	}
	if want := strings.Fields(rcpts); !slices.Equal(got.rcpts, want) {
		t.Errorf("recipients %q, want %q", got.rcpts, want)
	}
	if d := cmp.Diff(text, got.text.String()); d != "" {
		t.Error(d)
	}
}

// CDO with sendusing 1: lower-case x-lines, thread-index first.
func TestWriterCDO(t *testing.T) {
	message := "thread-index: AcqxX1JmV0xX\r\nThread-Topic: Report\r\nFrom: <report@corp.example>\r\nTo: <boss@corp.example>\r\nSubject: Report\r\n" +
		"Date: Mon, 5 Jan 2026 08:00:00 +0100\r\nMessage-ID: <000401cab15f$5266f1a0$0201a8c0@corp.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain;\r\n\tcharset=\"iso-8859-1\"\r\n" +
		"Content-Transfer-Encoding: 7bit\r\nX-Mailer: a library\r\n\r\nfigures\r\n"
	got := mustRead(t, "x-sender: report@corp.example\r\nx-receiver: boss@corp.example\r\nx-receiver: files@corp.example\r\n"+message, true)
	check(t, got, "report@corp.example", "boss@corp.example files@corp.example", message)
}

// CDONTS and hand-made files: nothing but a header.
func TestWriterHeaderOnly(t *testing.T) {
	message := "From: scanner@corp.example\r\nTo: \"Doe, Jane\" <jane@corp.example>\r\nSubject: Scan\r\n\r\nSee attachment\r\n"
	check(t, mustRead(t, message+".\r\n", true), "scanner@corp.example", "jane@corp.example", message)
}

// PHP: LF line ends, Bcc in the header, 8-bit text.
func TestWriterPHP(t *testing.T) {
	got := mustRead(t, "To: kunde@partner.example\nSubject: Best\xe4tigung\nFrom: Laden <laden@corp.example>\nBcc: buch@corp.example\nX-Mailer: PHP/8.3\n\nDanke f\xfcr den Kauf.\n.\n", true)
	check(t, got, "laden@corp.example", "kunde@partner.example buch@corp.example",
		"To: kunde@partner.example\r\nSubject: Best\xe4tigung\r\nFrom: Laden <laden@corp.example>\r\nX-Mailer: PHP/8.3\r\n\r\nDanke f\xfcr den Kauf.\r\n")
	if got.sender.UTF8 {
		t.Error("8-bit text in the header asks for SMTPUTF8, which old servers have not")
	}
}

// The recipe for MailKit: x-lines by hand, then the message, by choice with its Bcc and without doubled dots.
func TestWriterMailKit(t *testing.T) {
	message := "From: App <app@corp.example>\r\nDate: Mon, 05 Jan 2026 08:00:00 +0100\r\nSubject: x\r\nMessage-Id: <AB12@corp.example>\r\nTo: a@corp.example\r\n"
	rest := "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n..two dots and\r\n.one\r\n"
	got := mustRead(t, "X-Sender: app@corp.example\r\nX-Receiver: a@corp.example\r\nX-Receiver: b@corp.example\r\n"+message+"Bcc: b@corp.example\r\n"+rest, false)
	check(t, got, "app@corp.example", "a@corp.example b@corp.example", message+rest)
}

// A file of the Drop folder, ours or the original's, that somebody moves on.
func TestWriterDrop(t *testing.T) {
	message := "Return-Path: <a@example.org>\r\nReceived: from [10.0.0.9] ([203.0.113.7]) by HOST with Microsoft SMTPSVC(8.5.9600.16384);\r\n\t Sat, 05 Mar 2016 10:11:12 +0800\r\nFrom: a@example.org\r\nTo: b@local.example\r\n\r\ntext\r\n"
	got := mustRead(t, "x-sender: a@example.org\r\nx-receiver: b@local.example\r\n"+message, true)
	check(t, got, "a@example.org", "b@local.example", message)
}
