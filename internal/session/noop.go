package session

import "context"

// noop handles NOOP (RFC 5321 §4.1.1.9); an argument is ignored.
func (s *session) noop(context.Context, string) reply { return reply{text: sayOK} }
