package mail

import "errors"

// QueueID names a message in the spool from the start of its transaction until it has left.
// IDs of one spool grow with time and are never used twice. The upper 44 bits are
// milliseconds since 1970, the lower 20 a counter. Zero is no message.
type QueueID uint64

const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz" // Crockford's base 32: no i, l, o, u

const idLen = 13 // 65 bits in base 32, so that equal length keeps the order

// AppendTo appends the text form, 13 letters and digits that sort as the numbers do.
func (id QueueID) AppendTo(dst []byte) []byte {
	for shift := 60; shift >= 0; shift -= 5 {
		dst = append(dst, idAlphabet[(id>>shift)&31])
	}
	return dst
}

// String returns the text form; see AppendTo.
func (id QueueID) String() string { return string(id.AppendTo(make([]byte, 0, idLen))) }

var errBadID = errors.New("not a queue id: 13 letters and digits are expected")

// ParseQueueID reads the text form, in either case.
func ParseQueueID(s string) (QueueID, error) {
	if len(s) != idLen {
		return 0, errBadID
	}
	var id uint64
	for i := range idLen {
		v := idValue(lowerASCII(s[i]))
		if v < 0 || (i == 0 && v > 15) {
			return 0, errBadID
		}
		id = id<<5 | uint64(v)
	}
	return QueueID(id), nil
}

func idValue(c byte) int {
	for i := range len(idAlphabet) {
		if idAlphabet[i] == c {
			return i
		}
	}
	return -1
}
