package smtp

import (
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// ParseBdat parses what follows "BDAT ": the size of the chunk in octets, in decimal, and
// whether it is the last (RFC 3030 §2). After an error (ErrArguments) nobody knows where the
// chunk ends: the connection has to be closed.
func ParseBdat(args string) (size int64, last bool, err error) {
	number, rest, _ := strings.Cut(strings.Trim(args, " "), " ")
	rest = strings.TrimLeft(rest, " ")
	size, ok := parseDigits(number)
	if !ok || len(number) > 19 || size == 1<<63-1 {
		return 0, false, ErrArguments
	}
	switch {
	case rest == "":
		return size, false, nil
	case mail.EqualFoldASCII(rest, "LAST"):
		return size, true, nil
	}
	return 0, false, ErrArguments
}
