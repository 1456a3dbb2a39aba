// Package message reads and writes the Internet message format (RFC 5322) as far as a relay
// needs it: one tolerant scan of the header while a message comes in, the trace fields that
// are put in front of it, and the splices that change it on the way out.
//
// It knows nothing of sessions, files or configuration, builds no tree of MIME parts and
// never refuses a message: what it cannot read with certainty it leaves alone. Start with
// Scanner, then AppendReceived, then Spliced.
package message
