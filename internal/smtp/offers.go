package smtp

import (
	"strconv"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// Offers is what a server said in its reply to EHLO. The zero value is a server that was
// greeted with HELO.
type Offers struct {
	Name       string // the server's own name, its first word
	Pipelining bool   // RFC 2920
	EightBit   bool   // 8BITMIME, RFC 6152
	Chunking   bool   // RFC 3030
	Binary     bool   // BINARYMIME, RFC 3030; it counts with Chunking only
	UTF8       bool   // SMTPUTF8, RFC 6531
	DSN        bool   // RFC 3461
	StartTLS   bool   // RFC 3207
	RequireTLS bool   // RFC 8689
	Size       bool   // SIZE, RFC 1870
	MaxSize    int64  // its limit, 0 for none or not told
	Auth       string // the mechanisms after AUTH, RFC 4954

	// LIMITS (RFC 9422), 0 where the server names none: transactions of a connection,
	// recipients of a transaction, different recipient domains of a transaction.
	MailMax, RcptMax, RcptDomainMax int
}

// ParseOffers reads the reply to EHLO. Keywords are compared without regard to ASCII case;
// what is unknown, and parameters that make no sense, are passed over.
func ParseOffers(reply mail.Reply) Offers {
	var o Offers
	first, rest, _ := strings.Cut(reply.Text, "\n")
	o.Name, _, _ = strings.Cut(first, " ")
	for line := range strings.SplitSeq(rest, "\n") {
		keyword, params, _ := strings.Cut(strings.TrimSpace(line), " ")
		o.add(strings.ToUpper(keyword), params)
	}
	return o
}

func (o *Offers) add(keyword, params string) {
	switch keyword {
	case "PIPELINING":
		o.Pipelining = true
	case "8BITMIME":
		o.EightBit = true
	case "CHUNKING":
		o.Chunking = true
	case "BINARYMIME":
		o.Binary = true
	case "SMTPUTF8":
		o.UTF8 = true
	case "DSN":
		o.DSN = true
	case "STARTTLS":
		o.StartTLS = true
	case "REQUIRETLS":
		o.RequireTLS = true
	case "SIZE":
		o.Size = true
		if n, err := strconv.ParseInt(strings.TrimSpace(params), 10, 64); err == nil && n > 0 {
			o.MaxSize = n
		}
	case "AUTH":
		o.Auth = params
	case "LIMITS":
		o.limits(params)
	}
}

// limits reads "MAILMAX=20 RCPTMAX=100".
func (o *Offers) limits(params string) {
	for p := range strings.FieldsSeq(params) {
		name, value, _ := strings.Cut(p, "=")
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			continue
		}
		switch strings.ToUpper(name) {
		case "MAILMAX":
			o.MailMax = n
		case "RCPTMAX":
			o.RcptMax = n
		case "RCPTDOMAINMAX":
			o.RcptDomainMax = n
		}
	}
}
