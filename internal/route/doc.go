// Package route answers one question: where does the mail for a domain go next? It is a pure
// table made from settings. It looks nothing up, so it does not know whether a next hop
// exists, and it keeps no state but the identity of the hops that are in use.
//
// The rules, in this order: a local domain goes to the drop directory; a remote domain with an
// entry, or below the longest matching "*." entry, goes to the entry's route; all else goes to
// the smart host, or by MX when there is none. With "attempt direct delivery first" the MX
// comes first and the smart host is its fallback. Start with Table.Hop.
package route
