// Package mail holds the words that every other package of Mailroot speaks: addresses,
// envelopes, replies, next hops, results and the record of one SMTP command.
//
// It does no I/O, reads no clock and knows nothing of configuration. The types are plain
// values: who may change them and when is said at each type. Start with Envelope (what is
// known of a message), then Hop, Batch and Result (its way out), then Reply and Error (what
// a peer is told).
package mail
