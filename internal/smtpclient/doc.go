// Package smtpclient is the client half of SMTP: one connection to one server. It greets,
// upgrades to TLS, sends mail transactions and says what the server answered, recipient by
// recipient.
//
// It knows nothing of queues, routes or DNS: who is asked, what an answer means for a
// recipient and whether to try again is decided by the caller (package delivery).
//
// A transaction is two flights where the server offers PIPELINING: MAIL, all RCPT and DATA in
// one write, then the text with its final dot in another. BDAT (RFC 3030) is used only where
// the message is binary and so needs it. It would save a round trip to put MAIL, RCPT and
// BDAT with the text into one flight, but then a lost connection leaves it open whether the
// server has the message, at any moment of the transaction and not just after the final dot;
// a possible duplicate is worse than a round trip.
//
// A Conn that saw a malformed reply, a time-out, a lost connection or a 421 is never used
// again. Start with Conn, then Send.
package smtpclient
