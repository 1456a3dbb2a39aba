// Package queue owns a message after its commit: it decides when each recipient is tried, over how
// many connections at once, when it is tried again and when it is given up.
//
// It is a schedule over the spool and keeps no octet of a message. For each waiting recipient it
// holds one entry of 64 octets without pointers (entry.go); recipients with the same next hop share a
// hop record (hop.go) with its ready queue; all recipients that wait for a time share one timer
// wheel (wheel.go). There is no goroutine, timer or socket for a waiting message or for a next hop without a
// connection.
//
// Deliveries are made by runs: a run is one call of Options.Run and has one connection. The
// scheduler (schedule.go) decides how many runs a hop has; a run takes batches and gives results
// back (run.go); results become states (result.go), states are reported to the spool
// (collect.go), permanent failures become reports of non-delivery (failure.go).
//
// The package does not know how mail is delivered, what a configuration is, how a report reads,
// or how the spool stores. docs/decisions/0003-queue.md has the reasons. Start with Options,
// Queue.Add and schedule.go.
package queue
