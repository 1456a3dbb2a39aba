package report

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// maxStatus is how much of a report Reported looks at, in octets: enough for some thousand recipients.
const maxStatus = 4 << 20

// Reported returns the results that a report on env, made by Compose, speaks of, in the order of the
// recipients: that they failed, the host and the reply, whose Text has the enhanced status code too.
// body is the stored report. Of a report that cannot be read so it returns none: then nobody knows.
func Reported(body io.ReaderAt, size int64, env *mail.Envelope) ([]mail.Result, error) {
	b := make([]byte, min(size, maxStatus))
	if n, err := body.ReadAt(b, 0); n < len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	named := statuses(b)
	var out []mail.Result
	for i := range env.Recipients {
		to := env.Recipients[i].Addr.String()
		for _, utf8 := range []bool{false, true} {
			if res, ok := named[unblank(escape(to, utf8, maxField))]; ok {
				res.ID, res.Rcpt, res.Outcome = env.ID, i, mail.Failed
				out = append(out, res)
				break
			}
		}
	}
	return out, nil
}

// statuses returns the recipients in the status part, by their Final-Recipient without type and blanks. The
// first part of that kind is ours: what the original holds comes after it.
func statuses(b []byte) map[string]mail.Result {
	_, b, found := bytes.Cut(b, []byte("delivery-status\r\n"))
	if !found {
		return nil
	}
	b, _, _ = bytes.Cut(b, []byte("\r\n--"))
	text := strings.ReplaceAll(string(b), "\r\n\t", " ")
	out := make(map[string]mail.Result)
	for group := range strings.SplitSeq(text, "\r\n\r\n") {
		var (
			res  mail.Result
			name string
			ok   bool
		)
		for line := range strings.SplitSeq(group, "\r\n") {
			field, value, _ := strings.Cut(line, ":")
			typ, value, _ := strings.Cut(value, ";")
			switch value = strings.TrimSpace(value); field {
			case "Final-Recipient":
				name, ok = unblank(value), true
			case "Remote-MTA":
				res.Host = value
			case "Diagnostic-Code":
				res.Reply, res.Ours = diagnostic(value), strings.TrimSpace(typ) != "smtp"
			}
		}
		if ok {
			out[name] = res
		}
	}
	return out
}

// diagnostic is the way back from oneLine, but for the enhanced status code and the line ends.
func diagnostic(s string) mail.Reply {
	code, text, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(code)
	if err != nil || n < 200 || n > 599 {
		return mail.Reply{}
	}
	return mail.NewReply(n, mail.EnhancedCode{}, text)
}

// unblank takes blanks out, which folding may have moved.
func unblank(s string) string { return strings.Join(strings.Fields(s), "") }
