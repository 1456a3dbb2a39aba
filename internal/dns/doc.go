// Package dns is the port to the domain name system: a narrow Resolver interface, the client
// that asks real servers (Client), and a zone map in memory for tests (Fake). The package
// dnstest beside it is a real server on a loopback port.
//
// All names are absolute: no search list is applied, so "mailhost" is asked for as the
// top-level name "mailhost.". Look-ups of addresses and of the name of an address consult the
// hosts file first, as every other program of the host does, so that a name such as
// "mail.corp" that stands only there works as a smart host; MX and TXT are never taken from
// it. "localhost" and all below it are the loopback addresses and leave the host never (RFC
// 6761 §6.3); names below "invalid" and "onion" do not exist.
//
// The package knows nothing of mail beyond the order of MX records: who is asked, in which
// order the addresses are tried and what an error means for a message is for delivery to say.
// Start with Resolver, then Client.lookup.
package dns
