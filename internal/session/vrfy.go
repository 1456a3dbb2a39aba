package session

import (
	"context"
	"strings"
)

// vrfy handles VRFY (RFC 5321 §3.5.3): who has a mailbox here is not told.
func (s *session) vrfy(_ context.Context, arg string) reply {
	arg = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(arg), "<"), ">")
	if arg == "" {
		return reply{text: sayBadArguments}
	}
	return reply{text: sayVrfy, arg: arg}
}
