package report

import (
	"bytes"
	"io"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// maxStatus is how much of a report Reported looks at, in octets: enough for some thousand recipients.
const maxStatus = 4 << 20

// Reported returns which recipients of env a report on it, made by Compose, speaks of, by their index.
// body is the stored report. Of a report that cannot be read so it returns none: then nobody
// knows.
func Reported(body io.ReaderAt, size int64, env *mail.Envelope) ([]int, error) {
	b := make([]byte, min(size, maxStatus))
	if n, err := body.ReadAt(b, 0); n < len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	named := make(map[string]bool)
	for _, name := range finalRecipients(b) {
		named[name] = true
	}
	var out []int
	for i := range env.Recipients {
		to := env.Recipients[i].Addr.String()
		for _, utf8 := range []bool{false, true} {
			if named[unblank(escape(to, utf8, maxField))] {
				out = append(out, i)
				break
			}
		}
	}
	return out, nil
}

// finalRecipients returns the Final-Recipient fields of the status part, without type and blanks. The
// first part of that kind is ours: what the original holds comes after it.
func finalRecipients(b []byte) (out []string) {
	_, b, found := bytes.Cut(b, []byte("delivery-status\r\n"))
	if !found {
		return nil
	}
	b, _, _ = bytes.Cut(b, []byte("\r\n--"))
	text := strings.ReplaceAll(string(b), "\r\n\t", " ")
	for line := range strings.SplitSeq(text, "\r\n") {
		if value, ok := strings.CutPrefix(line, "Final-Recipient:"); ok {
			_, name, _ := strings.Cut(value, ";")
			out = append(out, unblank(name))
		}
	}
	return out
}

// unblank takes blanks out, which folding may have moved.
func unblank(s string) string { return strings.Join(strings.Fields(s), "") }
