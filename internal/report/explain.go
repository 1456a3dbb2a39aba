package report

import (
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// reason is what a reply means to a person and what that person can do.
type reason struct{ why, do string }

// explain puts a result in plain words. Of a recipient that was given up the last attempt says why.
func explain(res *mail.Result) (why, do string) {
	if GivenUp(res.Reply) && !res.Cause.IsZero() {
		r := reasonOf(res.Cause)
		over := "but the time set for it has passed. "
		if strings.Contains(res.Reply.Text, " attempts; ") { // as the queue words it
			over = "as often as is set. "
		}
		return "The message was tried again and again, " + over + r.why, r.do
	}
	if res.Ours && res.Reply.Enhanced == mail.Enhanced(5, 3, 0) { // our own system gives the message up
		return "An administrator of this mail server has returned the message.",
			"Read the reason below. If it leaves you in doubt, ask your postmaster."
	}
	r := reasonOf(res.Reply)
	return r.why, r.do
}

// GivenUp reports whether a reply says that the time for a delivery is over (RFC 3463 §3.5), for which its
// last attempt is the better reason.
func GivenUp(r mail.Reply) bool { return r.Enhanced.Subject == 4 && r.Enhanced.Detail == 7 }

// reasonOf goes by the subject and detail of the enhanced status code (RFC 3463, and the IANA registry of RFC
// 5248), else by its subject alone, else by the reply code.
func reasonOf(r mail.Reply) reason {
	e := r.Enhanced
	if x, ok := loggingOn(r); ok {
		return x
	}
	if e.IsZero() {
		return byCode(r)
	}
	x, ok := byDetail(e.Subject, e.Detail)
	if !ok {
		x, ok = byDetailOfTheWay(e.Subject, e.Detail)
	}
	if !ok {
		x = bySubject(e.Subject)
	}
	return x
}

// loggingOn explains what servers say to one that must log on (RFC 4954 §6, and 5.7.57, 5.7.139 and
// 5.7.30 as Microsoft 365 uses them) or use TLS (RFC 3207 §4: 530 too).
func loggingOn(r mail.Reply) (reason, bool) {
	text := mail.LowerASCII(r.Text)
	e := mail.Enhanced(0, r.Enhanced.Subject, r.Enhanced.Detail)
	switch {
	case r.Code == 530 && strings.Contains(text, "starttls"):
		return needsTLS(), true
	case r.Code == 530, r.Code == 534, r.Code == 535, r.Code == 538,
		e == mail.Enhanced(0, 7, 8), e == mail.Enhanced(0, 7, 57), e == mail.Enhanced(0, 7, 139),
		e == mail.Enhanced(0, 7, 30) && strings.Contains(text, "authentication"):
		return reason{"The next mail server on the way wants this server to log on, or does not accept its account. Postmaster: add a remote domain with authentication, or correct the account.",
			"Send this report to your postmaster, and the message again when that is done."}, true
	case e == mail.Enhanced(0, 7, 60), e == mail.Enhanced(0, 2, 252):
		return reason{"The account that your mail goes through may not send for the address that you send from.",
			"Send from an address of that account, or ask your postmaster to allow yours."}, true
	}
	return reason{}, false
}

func needsTLS() reason {
	return reason{"The message must travel encrypted, and a server on the way does not offer that, or not well enough.",
		"Ask your postmaster."}
}

// byDetail explains what is wrong with an address, a mailbox or a message.
func byDetail(subject, detail uint16) (reason, bool) {
	switch (mail.EnhancedCode{Subject: subject, Detail: detail}) {
	case mail.Enhanced(0, 1, 0), mail.Enhanced(0, 1, 1), mail.Enhanced(0, 1, 4):
		return reason{"The address is not known at its domain.",
			"Check the spelling of the address, ask the recipient for the right one by other means, and send the message again."}, true
	case mail.Enhanced(0, 1, 2):
		return reason{"The domain of the address does not exist.",
			"Check the part after the @ and send the message again."}, true
	case mail.Enhanced(0, 1, 3):
		return reason{"The address is not written as an address must be.",
			"Correct the address and send the message again."}, true
	case mail.Enhanced(0, 1, 6):
		return reason{"The mailbox has moved and no new address is known.",
			"Ask the recipient for the new address by other means."}, true
	case mail.Enhanced(0, 1, 7), mail.Enhanced(0, 1, 8):
		return reason{"The recipient's server does not accept your own address as a sender.",
			"Check the address you send from, or ask your postmaster."}, true
	case mail.Enhanced(0, 1, 10):
		return reason{"The domain of the address takes no mail at all.",
			"Check the part after the @ and send the message again."}, true
	case mail.Enhanced(0, 2, 1):
		return reason{"The mailbox exists but takes no messages at present.",
			"Contact the recipient by other means."}, true
	case mail.Enhanced(0, 2, 2):
		return reason{"The recipient's mailbox is full.",
			"Send the message again later, or contact the recipient by other means."}, true
	case mail.Enhanced(0, 2, 3), mail.Enhanced(0, 3, 4):
		return reason{"The message is larger than the recipient's server accepts.",
			"Send a smaller message, or pass large files on in another way."}, true
	case mail.Enhanced(0, 3, 1), mail.Enhanced(0, 3, 2):
		return reason{"The mail server has no room for messages, or takes none at present.",
			"Send the message again later. If that fails too, tell the recipient by other means."}, true
	case mail.Enhanced(0, 6, 7), mail.Enhanced(0, 6, 9):
		return reason{"The message uses an address or a header with international characters, which the recipient's server does not support.",
			"Ask the recipient for an address in plain letters, and use one yourself."}, true
	}
	return reason{}, false
}

// byDetailOfTheWay explains what is wrong with the way to a mailbox, or what a server's rules say.
func byDetailOfTheWay(subject, detail uint16) (reason, bool) {
	switch (mail.EnhancedCode{Subject: subject, Detail: detail}) {
	case mail.Enhanced(0, 4, 1), mail.Enhanced(0, 4, 2):
		return reason{"The recipient's mail server could not be reached, or the connection to it failed.",
			"Send the message again later. If that fails too, tell the recipient by other means."}, true
	case mail.Enhanced(0, 4, 3), mail.Enhanced(0, 4, 4):
		return reason{"No mail server could be found for the domain of the address.",
			"Check the part after the @. If it is right, the domain may be set up wrongly: send the message again later."}, true
	case mail.Enhanced(0, 4, 5):
		return reason{"The message waits for its turn.",
			"Send the message again later."}, true
	case mail.Enhanced(0, 4, 6), mail.Enhanced(0, 4, 8):
		return reason{"The message went round in a loop between mail servers.",
			"Send this report to your postmaster: a mail server on the way is set up wrongly."}, true
	case mail.Enhanced(0, 4, 7):
		return reason{"The message could not be delivered within the time set for it.",
			"Send the message again later. If that fails too, contact the recipient by other means."}, true
	case mail.Enhanced(0, 5, 3):
		return reason{"The message has more recipients than the recipient's server takes at once.",
			"Send the message to fewer recipients at a time."}, true
	case mail.Enhanced(0, 7, 1):
		return reason{"A server on the way does not take this message from you or for this address, by its rules.",
			"Read the reason below. If it speaks of relaying, send this report to your postmaster; else ask the recipient whether you may write to this address."}, true
	case mail.Enhanced(0, 7, 4), mail.Enhanced(0, 7, 5), mail.Enhanced(0, 7, 10), mail.Enhanced(0, 7, 30):
		return needsTLS(), true
	case mail.Enhanced(0, 7, 20), mail.Enhanced(0, 7, 21), mail.Enhanced(0, 7, 22), mail.Enhanced(0, 7, 23),
		mail.Enhanced(0, 7, 24), mail.Enhanced(0, 7, 25), mail.Enhanced(0, 7, 26), mail.Enhanced(0, 7, 29):
		return reason{"The recipient's server could not convince itself that the message comes from your domain.",
			"Send this report to your postmaster: the domain's SPF, DKIM or DMARC records, or the name of the sending server, need a look."}, true
	}
	return reason{}, false
}

func bySubject(subject uint16) reason {
	switch subject {
	case 1:
		return reason{"There is something wrong with the address.",
			"Check the address and send the message again."}
	case 2:
		return reason{"The recipient's mailbox could not take the message.",
			"Send the message again later, or contact the recipient by other means."}
	case 3:
		return reason{"The recipient's mail server has a fault or cannot take such a message.",
			"Send the message again later. If that fails too, tell the recipient by other means."}
	case 4:
		return reason{"There was trouble on the way to the recipient's mail server.",
			"Send the message again later."}
	case 5:
		return reason{"The mail servers did not understand one another.",
			"Send this report to your postmaster."}
	case 6:
		return reason{"The recipient's server does not accept the content or the form of the message.",
			"Send the message in a simpler form, for example as plain text without attachments."}
	case 7:
		return reason{"The recipient's server refused the message for reasons of security or by its rules.",
			"Read the reason below; ask the recipient or your postmaster."}
	}
	return unexplained()
}

// byCode serves replies without an enhanced status code (RFC 5321 §4.2.3).
func byCode(r mail.Reply) reason {
	switch r.Code {
	case 0:
		return reason{"The reason is not known here.",
			"Send the message again later. If that fails too, contact the recipient by other means."}
	case 550, 551, 553:
		return reason{"The recipient's server does not accept mail for this address.",
			"Read the reason below. Check the address and send the message again."}
	case 452, 552:
		return reason{"The recipient's mailbox is full, or the message is larger than its server accepts.",
			"Send a smaller message, or send it again later."}
	case 421, 450, 451:
		return reason{"The recipient's mail server could not take the message at the time.",
			"Send the message again later."}
	}
	return unexplained()
}

func unexplained() reason {
	return reason{"The recipient's server did not accept the message.",
		"Read the reason below; ask the recipient or your postmaster."}
}
