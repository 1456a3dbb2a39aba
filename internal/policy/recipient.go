package policy

import (
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// recipients is the list of local recipients that exist, by local-part as nameOf has it; nil: all do.
type recipients map[string]bool

// newRecipients reads the list: local-parts, and addresses whose domain is local. Of others nothing
// comes, but with them alone no recipient exists.
func newRecipients(list []string, local func(string) bool) recipients {
	if len(list) == 0 {
		return nil
	}
	r := make(recipients, len(list))
	for _, text := range list {
		if i := strings.LastIndexByte(text, '@'); i >= 0 && !strings.HasSuffix(text, `"`) {
			if local == nil || !local(text[i+1:]) {
				continue
			}
			text = text[:i]
		}
		r[nameOf(text)] = true
	}
	return r
}

// nameOf returns a local-part as local-parts are compared: without quotes and regard to ASCII case.
func nameOf(local string) string { return mail.LowerASCII(mail.Unquote(local)) }

// Recipient decides whether the drop directory takes mail for a recipient that Relay has allowed. To
// the aliases of the default domain the same local-parts belong, so the domain tells only whether
// it is ours; local-parts are compared unquoted and without regard to ASCII case. Postmaster always exists
// and is never full (RFC 5321 §4.5.1). Refused are, in this order, who is not in the list
// (550 5.1.1), a message that the directory would not take were it empty (552 5.2.3) and, while the
// directory is over its quota, or would be with the message, everybody (452 4.2.2). size is what the client
// says of the message's octets, 0 for nothing.
func (p *Policy) Recipient(to mail.Address, size int64) mail.Decision {
	switch {
	case to.Domain != "" && (p.opts.Local == nil || !p.opts.Local(to.Domain)):
		return mail.Decision{Allow: true, Reason: "the recipient is not in a local domain"}
	case to.IsPostmaster(), p.postmaster(to):
		return mail.Decision{Allow: true, Reason: "postmaster is always deliverable"}
	case p.recipients != nil && !p.recipients[nameOf(to.Local)]:
		return deny(550, mail.Enhanced(5, 1, 1), "User unknown: "+to.String(), "the recipient list does not have "+to.Local)
	case p.opts.Quota > 0 && size > p.opts.Quota:
		return deny(552, mail.Enhanced(5, 2, 3), "Message larger than the mailbox", "the message is larger than the quota of the drop directory")
	case p.opts.Full != nil && p.opts.Full(size):
		return deny(452, mail.Enhanced(4, 2, 2), "Mailbox full", "the drop directory is over its quota, or would be with the message")
	}
	return mail.Decision{Allow: true, Reason: "a local recipient"}
}

// postmaster reports whether an address is the one that postmaster's mail is led to.
func (p *Policy) postmaster(to mail.Address) bool {
	pm := p.opts.Postmaster
	return !pm.IsNull() && nameOf(pm.Local) == nameOf(to.Local) && p.opts.Local != nil && p.opts.Local(pm.Domain)
}
