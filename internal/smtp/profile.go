package smtp

// Profile says what kind of clients a listener serves. It chooses how tolerant the grammar
// is; the zero value is the tolerant one of a company network.
type Profile uint8

// The profiles of a binding.
const (
	// Internal serves printers, scripts and applications of one's own network: addresses
	// may lack brackets, stray line ends in a message are made CRLF.
	Internal Profile = iota
	// Internet serves anybody: the grammar of RFC 5321, stray line ends are refused.
	Internet
	// Submission serves users' mail programs: as Internal, but addresses want brackets.
	Submission
)

// String returns the name used in the configuration.
func (p Profile) String() string {
	switch p {
	case Internet:
		return "internet"
	case Submission:
		return "submission"
	}
	return "internal"
}

// NoBrackets reports whether a path may stand without angle brackets, as old clients send it.
func (p Profile) NoBrackets() bool { return p == Internal }

// LooseBlanks reports whether blanks may stand around the keyword of MAIL and RCPT, as in "MAIL  FROM :",
// which old clients send.
func (p Profile) LooseBlanks() bool { return p == Internal }

// RepairLineEnds reports whether a bare CR or LF in a message is made CRLF; otherwise such a
// message is refused.
func (p Profile) RepairLineEnds() bool { return p != Internet }
