package session

import "context"

// quit handles QUIT (RFC 5321 §4.1.1.10). What follows it is ignored.
func (s *session) quit(context.Context, string) reply {
	s.reset()
	return reply{text: sayQuit, close: ClosedByQuit}
}
