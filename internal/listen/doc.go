// Package listen turns bindings into connections: it opens the listening sockets, accepts, keeps
// the number of connections below its limits, and hands each connection to a function that runs
// in a goroutine of its own. On a change of configuration what stays the same goes on
// listening, and no connection ends.
//
// It knows nothing of SMTP or TLS: what is said on a connection, also to one that is refused,
// is said by the functions of Options. Start with Listener.Start, then Listener.accept.
package listen
