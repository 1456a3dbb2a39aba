// Package service builds a running relay from a configuration: it makes the parts of each virtual
// server, joins them, starts and stops them in order, and applies a changed configuration.
//
// It holds no rule of SMTP, spool or queue: those are in the packages that it joins. wire.go alone
// maps the schema of config to the options of the parts. Start with Service, then server.go for the
// life of a virtual server and plan.go for what a reload replaces.
package service
