package session

import (
	"context"
	"strconv"

	"github.com/mailroot/mailroot/internal/mail"
)

// ehlo handles EHLO (RFC 5321 §4.1.1.1). What it offers comes from the verb table.
func (s *session) ehlo(_ context.Context, arg string) reply {
	if r, ok := s.greet(arg, true); !ok {
		return r
	}
	text := make([]byte, 0, 256)
	text = append(text, s.o.fqdn()...)
	text = append(text, " Hello ["...)
	text = append(text, s.clientAddr()...)
	text = append(text, ']')
	for i := range s.t.keywords {
		k := &s.t.keywords[i]
		if !s.has(k.verb) || k.offered != nil && !k.offered(s) {
			continue
		}
		text = append(text, '\n')
		if s.o.Voice == Classic && k.classic != "" {
			text = append(text, k.classic...)
		} else {
			text = append(text, k.name...)
		}
		if k.param != nil {
			text = k.param(s, text)
		}
	}
	if s.o.Voice == Classic {
		text = append(text, "\nOK"...)
	}
	return reply{raw: mail.Reply{Code: 250, Text: string(text)}}
}

// appendSize appends the parameter of SIZE (RFC 1870 §4); 0 says that there is no limit.
func (s *session) appendSize(dst []byte) []byte {
	return strconv.AppendInt(append(dst, ' '), s.o.advertisedSize(), 10)
}

// LIMITS (RFC 9422) tells what is really limited: the recipients of a transaction. Neither
// the transactions of a connection nor the recipient domains have a limit here.

func (s *session) hasLimits() bool { return s.o.MaxRecipients > 0 }

func (s *session) appendLimits(dst []byte) []byte {
	return strconv.AppendInt(append(dst, " RCPTMAX="...), int64(s.o.MaxRecipients), 10)
}
