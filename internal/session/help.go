package session

import (
	"context"

	"github.com/mailroot/mailroot/internal/mail"
)

// help handles HELP (RFC 5321 §4.1.1.8). The verbs come from the verb table.
func (s *session) help(context.Context, string) reply {
	text := make([]byte, 0, 160)
	text = append(text, "This server supports the following commands:\n"...)
	first := true
	for _, v := range s.t.help {
		if !s.has(v) {
			continue
		}
		if !first {
			text = append(text, ' ')
		}
		text = append(text, v.name...)
		first = false
	}
	r := mail.Reply{Code: 214, Text: string(text)}
	if s.o.Voice != Classic {
		r.Enhanced = mail.Enhanced(2, 0, 0)
	}
	return reply{raw: r}
}
