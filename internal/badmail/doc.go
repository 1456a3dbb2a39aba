// Package badmail is the badmail directory: what can neither be delivered nor returned lies
// there in three files as the original service had them: the message (.BAD), the reason in
// words (.BDR) and the envelope (.BDP).
//
// File names are ours alone: nothing of an address or a message goes into them. What others
// left in the directory is read with distrust and never changed unless it is named. The
// package decides nothing; it is told what to write, to remove and to clean. Start with Write,
// then Folder.
package badmail
