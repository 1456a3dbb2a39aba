// Package harness runs the mailroot binary and real peers for the tests below test/: it builds
// the binary, writes its configuration, starts and ends processes by their pid, and offers a
// strict SMTP client and sink that keep every octet.
//
// It knows the binary from outside only: command line, configuration file, SMTP, folders. It
// imports no engine. Everything it makes lies in temporary folders, listens on loopback
// addresses and free ports, and ends with the test that asked for it.
//
// Start reading at [Start].
package harness
