package delivery

import (
	"context"
	"crypto/tls"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/mailroot/mailroot/internal/dns"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// Body is a stored message; see smtpclient.Body for the method File that it may have.
type Body interface {
	io.ReaderAt
	Size() int64
	Close() error
}

// Options make a Deliverer.
type Options struct {
	// Resolver finds the servers. It is needed for remote hops.
	Resolver dns.Resolver
	// Dial makes the connections; nil stands for a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Body opens a message of the spool.
	Body func(ctx context.Context, id mail.QueueID) (Body, error)
	// FQDN is our name: in EHLO, and a mail exchanger of this name is ourselves.
	FQDN string
	// IsSelf, if set, reports whether a connection to that address and port would reach
	// ourselves.
	IsSelf func(netip.AddrPort) bool

	// Drop is the drop directory.
	Drop Drop

	// MessagesPerConnection ends a run after so many transactions; 0: no limit.
	MessagesPerConnection int
	// OutboundTimeout caps each wait; below it the time-outs of RFC 5321 §4.5.3.2 hold. 0
	// stands for 600 s.
	OutboundTimeout time.Duration
	// Linger is how long a connection without work stays open for more; 0 stands for 2 s,
	// negative for not at all.
	Linger time.Duration

	// BlockPrivateMX refuses mail exchangers at private addresses (RFC 1918, RFC 4193,
	// link-local); AllowLoopbackMX takes those at loopback addresses. Smart hosts and route
	// domains may be anywhere.
	BlockPrivateMX  bool
	AllowLoopbackMX bool
	// CompleteHeader completes bare addresses in the header by the default domain that was in
	// force when the message came.
	CompleteHeader bool

	// Masquerade takes the place of a local domain in the sender's address and in From: of what
	// goes to remote hops; "" of none. IsLocal tells which domains are ours.
	Masquerade string
	IsLocal    func(domain string) bool

	// TLS is the base of each handshake, nil for Go's defaults; MinVersion below TLS 1.2 is
	// its owner's decision. RootCAs judge TLSVerified; nil there stands for the system's.
	TLS *tls.Config

	// Current, if set, returns the Deliverer whose settings are in force. A run goes over to it with its
	// next batch, over a new connection, so that a change reaches next hops that are never without mail.
	Current func() *Deliverer

	// Record, if set, is told of each command and response; see smtpclient.Options.
	Record func(*mail.Exchange)
	// ConnID gives each connection its number; nil stands for a counter of the Deliverer.
	ConnID func() uint64
}

// Drop says how files are written into the drop directory.
type Drop struct {
	// FS holds it; nil stands for the operating system's files.
	FS vfs.FS
	// Dir is made if it does not exist. It belongs to one spool: file names are made from
	// queue ids.
	Dir string
	// Mode is given to the files, for the programs that fetch them; 0 leaves them to their
	// owner alone. It has no effect on Windows, where the directory's list of rights is
	// inherited.
	Mode fs.FileMode
	// Wrote, if set, is told of each file and its octets, once it has its name.
	Wrote func(octets int64)
}

// Deliverer makes attempts. It may be used by any number of goroutines at once.
type Deliverer struct {
	o      Options
	tls    *tls.Config
	drop   vfs.Folder
	broken brokenTLS
	conns  atomic.Uint64
}

const (
	defaultTimeout = 600 * time.Second
	defaultLinger  = 2 * time.Second
	tlsSessions    = 256 // remembered for resumption
)

// New makes a Deliverer of o.
func New(o Options) *Deliverer {
	d := &Deliverer{o: o}
	if d.o.Dial == nil {
		d.o.Dial = new(net.Dialer).DialContext
	}
	if d.o.OutboundTimeout == 0 {
		d.o.OutboundTimeout = defaultTimeout
	}
	if d.o.Linger == 0 {
		d.o.Linger = defaultLinger
	}
	if d.o.Drop.FS == nil {
		d.o.Drop.FS = vfs.OS{}
	}
	d.drop.FS, d.drop.Dir = d.o.Drop.FS, d.o.Drop.Dir
	if d.o.ConnID == nil {
		d.o.ConnID = func() uint64 { return d.conns.Add(1) }
	}
	d.tls = &tls.Config{}
	if o.TLS != nil {
		d.tls = o.TLS.Clone()
	}
	if d.tls.ClientSessionCache == nil {
		d.tls.ClientSessionCache = tls.NewLRUClientSessionCache(tlsSessions)
	}
	return d
}

// Run takes batches of hop from w until there are none, a limit is reached, the connection is
// of no more use, or ctx ends, which breaks off what is under way. It holds at most one
// connection at a time. Each batch that it took has been given back when it returns. Of a hop
// that cannot be reached it takes one batch.
//
// With Options.Current each batch is delivered by the settings that are in force when it is taken.
func (d *Deliverer) Run(ctx context.Context, hop *mail.Hop, w mail.Work) {
	if hop.Local() {
		d.runDrop(ctx, w)
		return
	}
	d.runRemote(ctx, hop, w)
}

// current returns the Deliverer in force.
func (d *Deliverer) current() *Deliverer {
	if d.o.Current == nil {
		return d
	}
	return d.o.Current()
}
