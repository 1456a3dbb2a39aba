// Package badmail writes what can neither be delivered nor returned into the badmail
// directory, in three files as the original service did: the message (.BAD), the reason in
// words (.BDR) and the envelope (.BDP).
//
// File names are ours alone: nothing of an address or a message goes into them. The package
// decides nothing; it is told what to write. Start with Write.
package badmail
