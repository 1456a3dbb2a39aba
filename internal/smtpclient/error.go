package smtpclient

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

var (
	errAborted  = errors.New("the attempt was ended on our side")
	errInjected = fmt.Errorf("%w: more than the reply to STARTTLS before the handshake", smtp.ErrProtocol)

	// ErrNoTLS is the cause of an Error of StartTLS where the server does not offer STARTTLS.
	ErrNoTLS = errors.New("the server does not offer STARTTLS")
	// ErrHandshake is wrapped by the cause of an Error of StartTLS where the handshake failed,
	// for other reasons than a certificate that had to be valid.
	ErrHandshake = errors.New("the TLS handshake failed")
	// ErrCertificate is wrapped where a valid certificate was demanded.
	ErrCertificate = errors.New("the server's certificate is not valid")
)

// Error says why a connection did not come to use, or is past use.
type Error struct {
	Phase string     // "greeting", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", "text", "end of data" …
	Reply mail.Reply // what the server said; zero if it said nothing that could be read
	Err   error      // what went wrong otherwise
}

// Error returns phase and reason.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Phase + ": " + e.Reply.String()
	}
	return e.Phase + ": " + reason(e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Answer returns what a person is told: the server's reply, or one of ours (ours is true) that names the server
// host and is a 4xx: all that breaks a connection is worth another attempt.
func (e *Error) Answer(host string) (reply mail.Reply, ours bool) {
	if e.Err == nil {
		return e.Reply, false
	}
	enhanced := mail.Enhanced(4, 4, 2)
	switch {
	case errors.Is(e.Err, smtp.ErrProtocol):
		enhanced = mail.Enhanced(4, 5, 0)
	case errors.Is(e.Err, ErrNoTLS):
		enhanced = mail.Enhanced(4, 7, 4) // RFC 3463: security features not supported
	case errors.Is(e.Err, ErrHandshake), errors.Is(e.Err, ErrCertificate):
		enhanced = mail.Enhanced(4, 7, 5) // cryptographic failure
	}
	return mail.NewReply(451, enhanced, "In "+e.Phase+" with "+host+": "+reason(e.Err)), true
}

// BeforeMail reports whether the server said no to us, before it knew of any mail.
func (e *Error) BeforeMail() bool {
	return e.Err == nil && (e.Phase == "greeting" || e.Phase == "EHLO" || e.Phase == "HELO")
}

const maxReason = 200 // octets; certificates may hold anything (bad input C5)

// reason renders err in bounded length, as printable text on one line.
func reason(err error) string {
	var host x509.HostnameError
	var op *net.OpError
	var text string
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		text = "the server closed the connection"
	case errors.Is(err, os.ErrDeadlineExceeded):
		text = "the server did not answer in time"
	case errors.As(err, &host):
		// Its own text may list every name of the certificate.
		text = "the certificate is not valid for " + host.Host
	case errors.As(err, &op):
		text = op.Err.Error()
	default:
		text = err.Error()
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + " ..."
	}
	return text
}
