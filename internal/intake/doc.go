// Package intake is the only door into the spool: a message of an SMTP client, a file of the
// pickup directory, a report of our own, and what is taken out of badmail again go through it and
// through nothing else.
//
// It completes and rewrites the envelope, puts the trace fields in front of the message,
// learns from the header what delivery will want to know, and makes sure that the queue hears
// of a message only once the spool has it safe. The octets of the message itself it passes on
// unchanged. It knows neither the spool's form nor the queue; it is given funcs. Start with
// Options, then Tx.
package intake
