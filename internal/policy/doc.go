// Package policy decides who may connect and who may send where. Its answers are pure: they
// depend on the settings and the question alone, cost no look-up and change nothing, and each
// carries a reason for the log. What a domain is, it asks through functions; it knows nothing
// of routes, sessions or accounts.
//
// An empty Options lets everyone connect and relays nothing. Start with Policy.Relay.
package policy
