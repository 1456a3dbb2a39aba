package smtp

import (
	"bytes"
	"unicode/utf8"

	"github.com/mailroot/mailroot/internal/mail"
)

// MaxCommandLine is the longest command line taken, CRLF included. RFC 5321 §4.5.3.1.4 asks
// for 512, each extension for a little more.
const MaxCommandLine = 2048

// The errors of command lines and their arguments. Session compares with them, so that a
// voice may put them into its own words; the replies here are those of the plain voice.
var (
	// ErrLineEnd: a bare CR or LF in a command line.
	ErrLineEnd = mail.Fail(500, mail.Enhanced(5, 5, 2), "Bare CR or LF in a command", nil)
	// ErrControl: a control octet in a command line.
	ErrControl = mail.Fail(500, mail.Enhanced(5, 5, 2), "Control octet in a command", nil)
	// ErrUTF8: octets above 127 that are not UTF-8 (RFC 6531 §3.3).
	ErrUTF8 = mail.Fail(501, mail.Enhanced(5, 5, 2), "Invalid UTF-8", nil)
	// ErrArguments: an argument is missing, malformed or given twice.
	ErrArguments = mail.Fail(501, mail.Enhanced(5, 5, 4), "Invalid arguments", nil)
	// ErrParameter: an ESMTP parameter that is not known or not offered (RFC 5321 §4.1.1.11).
	ErrParameter = mail.Fail(555, mail.Enhanced(5, 5, 4), "Unsupported parameter", nil)
	// ErrAddress: a path that does not follow the grammar.
	ErrAddress = mail.Fail(501, mail.Enhanced(5, 1, 3), "Invalid address", nil)
	// ErrNeedUTF8: an address beyond ASCII without SMTPUTF8 (RFC 6531 §3.5).
	ErrNeedUTF8 = mail.Fail(553, mail.Enhanced(5, 6, 7), "Non-ASCII address requires SMTPUTF8", nil)
)

// CheckLine looks at a command line as read, its line end included, and returns it without
// the line end. ErrLineEnd, ErrControl and ErrUTF8 say what is wrong; with ErrLineEnd the two
// sides no longer agree on where a line ends, and the connection should be closed.
func CheckLine(line []byte) ([]byte, error) {
	n := len(line)
	if n < 2 || line[n-1] != '\n' || line[n-2] != '\r' {
		return bytes.TrimRight(line, "\r\n"), ErrLineEnd
	}
	line = line[:n-2]
	var or byte
	control := false
	for _, c := range line {
		or |= c
		if c < ' ' || c == 0x7f {
			if c == '\r' || c == '\n' {
				return line, ErrLineEnd
			}
			control = true
		}
	}
	if control {
		return line, ErrControl
	}
	if or >= utf8.RuneSelf && !utf8.Valid(line) {
		return line, ErrUTF8
	}
	return line, nil
}

// ParseCommand splits a command line without its line end into the verb, as sent, and what
// follows the blank behind it. Blanks at the end of the arguments are dropped: old clients
// leave them, and no argument ends in one.
func ParseCommand(line []byte) (verb, args []byte) {
	i := bytes.IndexByte(line, ' ')
	if i < 0 {
		return line, nil
	}
	return line[:i], bytes.TrimRight(line[i+1:], " ")
}
