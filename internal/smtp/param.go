package smtp

import (
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// ParseMail parses what follows "MAIL ": "FROM:", the reverse-path and its ESMTP parameters
// (RFC 5321 §4.1.1.2). The profile says whether brackets and domain may be missing, and
// whether blanks before "FROM" and the colon are taken; those after the colon always are. AUTH= is checked and ignored: no client is trusted to say who
// wrote a message (RFC 4954 §5).
//
// The error is one of ErrArguments, ErrAddress, ErrNeedUTF8, ErrUTF8 and ErrParameter. The
// strings of the result share the memory of args.
func ParseMail(args string, p Profile) (mail.Sender, error) {
	inner, rest, err := cutArgument(args, "FROM", p)
	if err != nil {
		return mail.Sender{}, err
	}
	var s mail.Sender
	if inner != "" {
		if s.Addr, err = parsePath(inner); err != nil {
			return mail.Sender{}, err
		}
	}
	var seen paramSet
	for rest != "" {
		var key, value string
		if key, value, rest, err = cutParam(rest); err != nil {
			return mail.Sender{}, err
		}
		if key == "" {
			break
		}
		if err = setMailParam(&s, &seen, key, value); err != nil {
			return mail.Sender{}, err
		}
	}
	if !s.UTF8 && (beyondASCII(s.Addr.Local) || beyondASCII(s.Addr.Domain)) {
		return mail.Sender{}, ErrNeedUTF8
	}
	return s, nil
}

// ParseRcpt parses what follows "RCPT ": "TO:", the forward-path and its ESMTP parameters
// (RFC 5321 §4.1.1.3). utf8 says that the transaction has SMTPUTF8. For the rest see ParseMail.
func ParseRcpt(args string, p Profile, utf8 bool) (mail.Recipient, error) {
	inner, rest, err := cutArgument(args, "TO", p)
	if err != nil {
		return mail.Recipient{}, err
	}
	var r mail.Recipient
	if mail.EqualFoldASCII(inner, "postmaster") {
		r.Addr.Local = inner // in its place even where bare addresses are not (RFC 5321 §4.5.1)
	} else if r.Addr, err = parsePath(inner); err != nil {
		return mail.Recipient{}, err
	}
	var seen paramSet
	for rest != "" {
		var key, value string
		if key, value, rest, err = cutParam(rest); err != nil {
			return mail.Recipient{}, err
		}
		if key == "" {
			break
		}
		if err = setRcptParam(&r, &seen, key, value, utf8); err != nil {
			return mail.Recipient{}, err
		}
	}
	if !utf8 && (beyondASCII(r.Addr.Local) || beyondASCII(r.Addr.Domain)) {
		return mail.Recipient{}, ErrNeedUTF8
	}
	return r, nil
}

// cutArgument drops the keyword "FROM" or "TO" with its colon and splits the rest behind the path.
func cutArgument(args, keyword string, p Profile) (inner, rest string, err error) {
	if p.LooseBlanks() {
		args = strings.TrimLeft(args, " ")
	}
	n := len(keyword)
	if len(args) < n || !mail.EqualFoldASCII(args[:n], keyword) {
		return "", "", ErrArguments
	}
	path := args[n:]
	if p.LooseBlanks() {
		path = strings.TrimLeft(path, " ")
	}
	path, ok := strings.CutPrefix(path, ":")
	if !ok {
		return "", "", ErrArguments
	}
	for i := range len(args) {
		if c := args[i]; c < ' ' || c == 0x7f {
			return "", "", ErrArguments // bad input E1
		}
	}
	if !validUTF8(args) {
		return "", "", ErrUTF8
	}
	if inner, rest, ok = cutPath(strings.TrimLeft(path, " "), p); !ok {
		return "", "", ErrAddress
	}
	return inner, rest, nil
}

// cutParam splits the next ESMTP parameter off s (RFC 5321 §4.1.2 esmtp-param). key is empty
// if only blanks are left.
func cutParam(s string) (key, value, rest string, err error) {
	s = strings.TrimLeft(s, " ")
	if s == "" {
		return "", "", "", nil
	}
	word, rest, _ := strings.Cut(s, " ")
	key, value, hasValue := strings.Cut(word, "=")
	if !validKeyword(key) || hasValue && !validValue(value) {
		return "", "", "", ErrArguments
	}
	return key, value, rest, nil
}

func validKeyword(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-' && i > 0:
		default:
			return false
		}
	}
	return s != ""
}

func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '=' || c == 0x7f {
			return false
		}
	}
	return s != ""
}

// paramSet remembers the parameters seen, so that one that comes twice is found.
type paramSet uint16

const (
	seenSize paramSet = 1 << iota
	seenBody
	seenUTF8
	seenRet
	seenEnvID
	seenAuth
	seenNotify
	seenORcpt
)

func (s *paramSet) add(p paramSet) bool {
	twice := *s&p != 0
	*s |= p
	return !twice
}

func setMailParam(s *mail.Sender, seen *paramSet, key, value string) error {
	ok := false
	switch {
	case mail.EqualFoldASCII(key, "SIZE"):
		s.Size, ok = parseSize(value)
		ok = seen.add(seenSize) && ok
	case mail.EqualFoldASCII(key, "BODY"):
		s.Body, ok = parseBody(value)
		ok = seen.add(seenBody) && ok
	case mail.EqualFoldASCII(key, "SMTPUTF8"):
		s.UTF8 = true
		ok = seen.add(seenUTF8) && value == ""
	case mail.EqualFoldASCII(key, "RET"):
		s.Ret, ok = parseRet(value)
		ok = seen.add(seenRet) && ok
	case mail.EqualFoldASCII(key, "ENVID"):
		s.EnvID = value
		ok = seen.add(seenEnvID) && len(value) <= maxEnvID && ValidXtext(value)
	case mail.EqualFoldASCII(key, "AUTH"):
		ok = seen.add(seenAuth) && (value == "<>" || ValidXtext(value))
	default:
		return ErrParameter
	}
	if !ok {
		return ErrArguments
	}
	return nil
}

func setRcptParam(r *mail.Recipient, seen *paramSet, key, value string, utf8 bool) error {
	ok := false
	switch {
	case mail.EqualFoldASCII(key, "NOTIFY"):
		r.Notify, ok = parseNotify(value)
		ok = seen.add(seenNotify) && ok
	case mail.EqualFoldASCII(key, "ORCPT"):
		r.ORcpt = value
		ok = seen.add(seenORcpt) && validORcpt(value, utf8)
	default:
		return ErrParameter
	}
	if !ok {
		return ErrArguments
	}
	return nil
}

// parseSize reads SIZE= (RFC 1870 §3): up to 20 digits. What does not fit in 63 bits is more
// than any limit, so that it may as well be the largest number.
func parseSize(s string) (int64, bool) {
	n, ok := parseDigits(s)
	if len(s) > 20 {
		return 0, false
	}
	return n, ok
}

// parseDigits reads a decimal number; one too large for 63 bits is the largest.
func parseDigits(s string) (int64, bool) {
	const largest = 1<<63 - 1
	n := int64(0)
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		d := int64(c - '0')
		if n > (largest-d)/10 {
			n = largest
			continue
		}
		n = n*10 + d
	}
	return n, s != ""
}

func parseBody(s string) (mail.BodyType, bool) {
	switch {
	case mail.EqualFoldASCII(s, "7BIT"):
		return mail.Body7Bit, true
	case mail.EqualFoldASCII(s, "8BITMIME"):
		return mail.Body8BitMIME, true
	case mail.EqualFoldASCII(s, "BINARYMIME"):
		return mail.BodyBinaryMIME, true
	}
	return 0, false
}

func parseRet(s string) (mail.Ret, bool) {
	switch {
	case mail.EqualFoldASCII(s, "FULL"):
		return mail.RetFull, true
	case mail.EqualFoldASCII(s, "HDRS"):
		return mail.RetHeaders, true
	}
	return 0, false
}

// parseNotify reads NOTIFY= (RFC 3461 §4.1): NEVER alone, or a list of the others.
func parseNotify(s string) (n mail.Notify, ok bool) {
	for more := true; more; {
		var word string
		word, s, more = strings.Cut(s, ",")
		switch {
		case mail.EqualFoldASCII(word, "NEVER"):
			n |= mail.NotifyNever
		case mail.EqualFoldASCII(word, "SUCCESS"):
			n |= mail.NotifySuccess
		case mail.EqualFoldASCII(word, "FAILURE"):
			n |= mail.NotifyFailure
		case mail.EqualFoldASCII(word, "DELAY"):
			n |= mail.NotifyDelay
		default:
			return 0, false
		}
	}
	return n, n&mail.NotifyNever == 0 || n == mail.NotifyNever
}
