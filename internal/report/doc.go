// Package report writes delivery status notifications: what became of a message, for the one
// who sent it (RFC 3461, 3464, 6522; with SMTPUTF8 RFC 6533).
//
// It turns results of delivery into text and knows nothing of where the text goes: intake
// takes it like any other message. It trusts neither the message reported on nor what remote
// servers said. Start with Compose.
package report
