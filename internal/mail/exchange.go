package mail

import (
	"net"
	"net/netip"
	"time"
)

// Direction says who sent a command.
type Direction uint8

// The directions of an Exchange. An inbound Exchange is a client's command and our reply. Of
// an outbound command two are recorded: the command, and the server's response.
const (
	Inbound Direction = iota
	OutboundCommand
	OutboundResponse
)

// Exchange is the record of one command, made alike by session and smtpclient. It is lent to
// the sink that takes it and must not be kept: the maker uses it again. Secrets never stand in Arg.
type Exchange struct {
	Time   time.Time // when the reply was written (inbound), or the line sent or read (outbound)
	Dir    Direction
	Conn   uint64 // a number for the connection, unique in this process
	Remote netip.AddrPort
	Local  netip.AddrPort
	Helo   string // inbound: the name of HELO/EHLO so far
	// Verb is in upper case; "xxxx" for an unknown command, "CONNECT" for a client that gets no banner,
	// "TLS" for a handshake that fails; "" in responses.
	Verb string
	Arg  string // what followed the verb, as sent; in responses the reply's first line
	Code int    // of the reply; 0 if there was none
	// Enhanced is the code of our reply or the server's.
	Enhanced EnhancedCode
	In, Out  int64         // octets, counted as package record/accesslog tells
	Took     time.Duration // inbound: time for the command; outbound: since the connection began
	Session  time.Duration // inbound QUIT, TIMEOUT: age of the connection
	// Reason says more than the reply did, for logs and administrators: why a policy refused,
	// the cause of an error of ours. It never goes to the peer.
	Reason string
	// Repaired counts the stray line ends that were made CRLF in a message (DATA, BDAT).
	Repaired int64
}

// TLSInfo describes an established TLS channel.
type TLSInfo struct {
	Version string // "TLS1.3"
	Cipher  string // "TLS_AES_128_GCM_SHA256"
}

// Peer is what a session knows of its client at the moment of a question. It is owned by the
// session; those who are asked read it and keep nothing.
type Peer struct {
	Conn   uint64
	Remote netip.AddrPort
	Local  netip.AddrPort
	Name   string   // confirmed host name, "" if unknown or not asked for
	Helo   string   // as sent
	ESMTP  bool     // EHLO was used
	TLS    *TLSInfo // nil in plain text
	// Account is the authenticated account, "" for none.
	Account string
	// Relay is set when the relay list lets the client relay to anywhere, which makes its
	// mail a submission (missing Date and Message-ID are added).
	Relay bool
}

// Accepted is what a committed transaction tells the session for its reply.
type Accepted struct {
	ID        QueueID
	MessageID string // with angle brackets
	OwnID     bool   // the Message-ID was added by us
}

// AddrPortOf returns an address of a connection as records and peers have it: IPv4 in IPv6 unmapped,
// without zone, zero if there is none.
func AddrPortOf(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case interface{ AddrPort() netip.AddrPort }:
		ap = a.AddrPort()
	case nil:
	default:
		ap, _ = netip.ParseAddrPort(a.String()) // a pipe has none
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
