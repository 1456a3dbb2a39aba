// Package smtp is the wire grammar of SMTP for both ends of a connection: command lines,
// paths, ESMTP parameters, xtext, replies, dots and chunks (RFC 5321, 1870, 3030, 3461, 6531).
//
// It parses and formats octets; it does no I/O of its own, holds no connection and decides
// no policy. What is an error for a peer is returned as a *mail.Error with the reply that
// the peer should get. A server starts at ParseCommand, ParseMail, ParseRcpt, ParseBdat and
// DataScanner; a client at ReplyReader.
package smtp
