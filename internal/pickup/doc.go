// Package pickup takes mail from the pickup directory: each file in it is one message, with its
// envelope in x-sender and x-receiver lines or in its header.
//
// A file is waited for until its writer is done, claimed by a rename into a folder that nobody else
// has business in, read as a stream, and removed once the spool has the message. What cannot be used
// goes to badmail, whole; what is no plain file of one name is left alone. A power cut at any moment
// loses no file and sends none twice; what makes that so stands at Pickup.take.
//
// The package knows neither spool nor queue nor configuration. It is given a Transaction to write
// into, as a session is, and is trusted mail's only door: there is no relay check. Start with
// Pickup, then scan.go (which files are ready) and take.go (what becomes of one).
package pickup
