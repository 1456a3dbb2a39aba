// Package delivery makes the attempts: it takes batches of one next hop from the queue, hands
// them to a server over one connection or writes them into the drop directory, and says what
// became of each recipient.
//
// It finds the servers of a next hop (hosts.go), connects to one of them (connect.go), feeds
// transactions to it and goes on to the next where that one is of no use (run.go), turns what
// servers say into results (result.go), and writes drop files (drop.go, file.go). It keeps no
// state between runs but a short memory of servers whose TLS is broken.
//
// It does not decide when a recipient is tried again or given up, makes no reports and knows
// no configuration. Start with Options and Deliverer.Run.
package delivery
