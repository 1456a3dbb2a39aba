package session

import "context"

// rset handles RSET (RFC 5321 §4.1.1.5).
func (s *session) rset(context.Context, string) reply {
	s.reset()
	return reply{text: sayReset}
}
