package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailroot/mailroot/internal/badmail"
	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/dns"
	"github.com/mailroot/mailroot/internal/keyring"
	"github.com/mailroot/mailroot/internal/listen"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/pickup"
	"github.com/mailroot/mailroot/internal/queue"
	"github.com/mailroot/mailroot/internal/record/accesslog"
	"github.com/mailroot/mailroot/internal/session"
	"github.com/mailroot/mailroot/internal/spool"
	spoollog "github.com/mailroot/mailroot/internal/spool/log"
	"github.com/mailroot/mailroot/internal/vfs"
)

// Server is one virtual server: its parts, from the listener to the deliverer.
type Server struct {
	name     string
	log      *slog.Logger
	fs       vfs.FS
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	resolver dns.Resolver  // nil: the servers that the configuration names
	hostName func() string // looked up once, when it is needed

	plan    atomic.Pointer[plan]
	store   spool.Store
	local   *spoollog.Store // the same, for what only a store on this machine can
	shed    *shed
	files   int // that the process may have open; 0: no limit
	queue   *queue.Queue
	freezes *freezes
	// unfinished, notes and moreNotes are what the log was told of the store's notes.
	unfinished int
	notes      int
	moreNotes  int64
	// quarantine is what the store has put aside.
	quarantine spool.Quarantine

	listener *listen.Listener
	pickup   *pickup.Pickup
	access   atomic.Pointer[accesslog.Log] // nil: logging is off
	keys     *keyring.Ring

	bad          *badmail.Folder
	drop         dropSize
	resubmitting sync.Mutex
	adopting     sync.Mutex // held over Adopt
	adopted      adoption
	endTending   context.CancelFunc // nil before start
	tending      sync.WaitGroup

	ownName  ownName
	sessions sessions
	notices  notices
	conns    atomic.Uint64
	// unreported is why the last report of failure, or its way to Badmail, failed; nil when it did not.
	unreported atomic.Pointer[string]
	reports    reportCounters
}

// openServer opens the spool and makes the parts. The bindings are opened, but nobody is answered and nothing
// delivered before start.
func openServer(ctx context.Context, o *Options, cfg *config.Config, c *config.VirtualServer, memory *shed) (*Server, error) {
	v := &Server{
		name: c.Name, log: o.Log, fs: o.FS, dial: o.dialer(), resolver: o.Resolver,
		hostName: sync.OnceValue(func() string { return hostName(ctx) }), keys: keyring.New(), shed: memory, files: o.OpenFiles,
	}
	v.ownName.wake = make(chan struct{}, 1)
	v.notices.log = o.Log.With("server", c.Name)
	open := shareFiles(c, v.files)
	var err error
	v.listener, err = listen.New(listen.Options{
		Bindings: listenBindings(c),
		Limits:   listenLimits(c, open),
		Handle:   v.handle,
		Short:    memory.short,
		Refuse:   v.refuse,
		Trouble:  v.listenTrouble,
		Listen:   o.Listen,
	})
	if err != nil {
		return nil, err
	}
	made := make(chan struct{})
	store, err := spoollog.Open(spoollog.Options{
		Dir: c.Folders.Queue, FS: v.fs, Limits: spoolLimits(cfg, c, memory.limit()), Refusing: v.noteSpool, Unreadable: v.noteReading, Unrecordable: v.noteRecording,
		MaxOpenFiles: open.segments,
		// Clients that come while a long queue is read wait for the banner and are not refused.
		Locked: func() error { return v.listener.Bind(ctx) },
		Aside: func(id mail.QueueID, recipients int) {
			select {
			case <-made:
				v.setAside(id, recipients)
			default: // no queue has the message yet
			}
		},
	})
	if err != nil {
		return nil, errors.Join(err, v.listener.Close(ctx))
	}
	v.store, v.local, v.quarantine = store, store, store.Quarantine()
	v.bad = badmail.NewFolder(v.fs, c.Folders.Badmail)
	v.drop.fs, v.drop.dir = v.fs, c.Folders.Drop
	v.queue = queue.New(queue.Options{
		Settings: v.queueSettings(c),
		Store:    store,
		Gone:     func(err error) bool { return errors.Is(err, spool.ErrNotFound) },
		Run: func(ctx context.Context, hop *mail.Hop, w mail.Work) {
			v.plan.Load().deliver.Run(ctx, hop, w)
		},
		Report:     v.report,
		Delayed:    v.reportDelay,
		Success:    v.reportSuccess,
		Events:     v.queueEvents(),
		JitterSeed: o.JitterSeed,
	})
	v.adopted.dir = filepath.Join(cfg.DataDirectory, c.Name)
	v.adopted.ledger = openLedger(v.fs, filepath.Join(v.adopted.dir, ledgerName))
	close(made)
	v.freezes = openFreezes(v.fs, filepath.Join(cfg.DataDirectory, c.Name, "frozen.json"))
	v.queue.SetFrozen(queueFreezes(v.Frozen()))
	p, err := v.newPlan(cfg, c)
	if err != nil {
		return nil, errors.Join(err, v.listener.Close(ctx), store.Close())
	}
	v.plan.Store(p)
	v.pickup = pickup.New(v.pickupOptions(c))
	// What else may be wrong with the folder keeps nobody from sending mail.
	if err := v.pickup.Lock(); errors.Is(err, vfs.ErrLocked) {
		return nil, errors.Join(err, v.discard())
	}
	return v, nil
}

// setAside takes a message out of the queue that the spool has put into quarantine. What is in flight comes back first.
func (v *Server) setAside(id mail.QueueID, recipients int) {
	changes := make([]mail.Change, recipients)
	for i := range changes {
		changes[i] = mail.Change{ID: id, Rcpt: i, Kind: mail.ChangeDone}
	}
	v.queue.Changed(changes)
}

// discard undoes openServer.
func (v *Server) discard() error {
	v.pickup.Stop(context.Background())
	return errors.Join(v.listener.Close(context.Background()), v.store.Close())
}

// queueSettings completes the settings with the route of the plan in force.
func (v *Server) queueSettings(c *config.VirtualServer) queue.Settings {
	s := queueSettings(c, shareFiles(c, v.files))
	s.Route = func(domain string) (*mail.Hop, error) { return v.plan.Load().table.Hop(domain) }
	s.RouteTo = func(text string) (*mail.Hop, error) { return v.plan.Load().table.HopTo(text) }
	return s
}

// start begins to deliver and then to listen, to clients and to the pickup directory. What the spool
// has of that directory is found before anything is delivered.
func (v *Server) start(ctx context.Context) error {
	v.openLog(v.plan.Load().cfg)
	v.tellNotes()
	tending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	v.endTending = cancel
	v.drop.begin(0, v.plan.Load().cfg.Drop.Quota)
	v.tending.Go(func() { v.tend(tending) })
	v.tending.Go(func() { v.watchOwnName(tending) })
	if err := v.pickup.Recover(ctx); err != nil {
		v.log.Error("the pickup folder cannot be looked through; a message that was taken just before the last stop may be sent twice", "server", v.name, "error", err)
	}
	if err := v.adopted.ledger.recover(ctx, v.has); err != nil {
		v.log.Error("nothing of an old server can be adopted; mail goes on", "server", v.name, "error", err)
	}
	v.queue.Start(context.WithoutCancel(ctx))
	if err := v.listener.Start(ctx); err != nil {
		return errors.Join(err, v.stop(ctx))
	}
	v.pickup.Start(ctx)
	for _, w := range v.Warnings() {
		v.log.Warn(w, "server", v.name)
	}
	return nil
}

// stop ends the parts in the order of the flow: no new mail, then no new deliveries, then the store.
// What is under way may finish until ctx ends; what is cut off then is no failure of ours, and nothing
// that was acknowledged is lost by it.
func (v *Server) stop(ctx context.Context) error {
	if v.endTending != nil {
		v.endTending()
		v.tending.Wait()
	}
	errs := []error{v.closeListener(ctx)}
	v.pickup.Stop(ctx)
	errs = append(errs, v.stopQueue(ctx), v.store.Close())
	if l := v.access.Swap(nil); l != nil {
		// Rows that could not be written have been reported by the log's event.
		_ = l.Close()
	}
	return errors.Join(errs...)
}

// closeListener ends the connections of clients. Those that do not leave are cut off when five sixths of
// the time are over, so that the queue has some as well.
func (v *Server) closeListener(ctx context.Context) error {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/6*5)
		defer cancel()
	}
	err := v.listener.Close(ctx)
	var cut *listen.CutError
	if errors.As(err, &cut) {
		v.log.Warn("connections of clients were cut off at the stop", "server", v.name, "connections", cut.Connections)
		return nil
	}
	return err
}

// stopQueue ends the deliveries. Those that are cut off are tried again after the next start.
func (v *Server) stopQueue(ctx context.Context) error {
	err := v.queue.Stop(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		v.log.Warn("deliveries were cut off at the stop; they are tried again after the next start", "server", v.name)
		return nil
	}
	return err
}

// apply puts a changed configuration into force. Everything is made before anything is replaced, so
// that an error leaves all as it was.
func (v *Server) apply(cfg *config.Config, c *config.VirtualServer) error {
	p, err := v.newPlan(cfg, c)
	if err != nil {
		return err
	}
	old := v.plan.Swap(p)
	if err := v.listener.Apply(listenBindings(c), listenLimits(c, shareFiles(c, v.files))); err != nil {
		v.plan.Store(old)
		return err
	}
	v.local.SetLimits(spoolLimits(cfg, c, v.shed.limit()))
	v.queue.Apply(v.queueSettings(c))
	v.drop.begin(old.cfg.Drop.Quota, c.Drop.Quota)
	v.pickup.Apply(pickupSettings(c))
	v.ownName.look()
	if c.Logging != old.cfg.Logging {
		if l := v.access.Swap(nil); l != nil {
			_ = l.Close()
		}
		v.openLog(c)
	}
	for _, w := range p.warnings {
		v.log.Warn(w, "server", v.name)
	}
	return nil
}

// handle serves one connection: each step runs the session until it has ended or is at rest.
func (v *Server) handle(ctx context.Context, c net.Conn, b listen.Binding) (step listen.Step) {
	o := v.plan.Load().sessions[b.Addr]
	if o == nil { // the binding went away with a reload that came between accept and here
		return nil
	}
	run := session.Start(c, o)
	return func() listen.Step {
		switch run(ctx) {
		case session.Open:
			return step
		case session.ClosedBySize:
			v.notices.sizeMet(mail.AddrPortOf(c.RemoteAddr()).Addr())
		}
		return nil
	}
}

// refuse answers a connection over a limit. It has a row in the log like one that the policy refuses.
func (v *Server) refuse(c net.Conn, b listen.Binding, why listen.Refusal) {
	r := mail.NewReply(421, mail.Enhanced(4, 3, 2), "Too many connections, try again later")
	switch why {
	case listen.OverAddress, listen.OverNetwork:
		r = mail.NewReply(421, mail.Enhanced(4, 7, 0), "Too many connections from your address or network, try again later")
	case listen.WhilePaused:
		r.Text = "Service not available, try again later"
	case listen.WhileShort:
		r.Text = "Insufficient system resources, try again later"
	}
	v.record(&mail.Exchange{
		Time: time.Now(), Conn: v.nextConn(), Remote: mail.AddrPortOf(c.RemoteAddr()), Local: mail.AddrPortOf(c.LocalAddr()),
		Verb: "CONNECT", Code: r.Code, Enhanced: r.Enhanced, Out: int64(len(r.AppendTo(nil))),
		Reason: why.String(),
	})
	o := v.plan.Load().sessions[b.Addr]
	if o == nil || o.Implicit { // nothing can be said cheaply inside TLS
		_ = c.Close()
		return
	}
	session.Refuse(c, r)
}

// listenTrouble tells the log of a binding that does not accept, and of faults outside a session.
func (v *Server) listenTrouble(b listen.Binding, err error) {
	var p *listen.PanicError
	if errors.As(err, &p) {
		v.panicked(p.Value, p.Stack)
		return
	}
	v.log.Error("a binding has trouble", "server", v.name, "binding", b.Addr, "error", err)
}

func (v *Server) nextConn() uint64 { return v.conns.Add(1) }

// record is the sink of both protocol ends.
func (v *Server) record(x *mail.Exchange) {
	if x.Dir == mail.Inbound && (x.Reason != "" || x.Repaired != 0) {
		v.notices.take(x)
	}
	if l := v.access.Load(); l != nil {
		l.Record(x)
	}
}

func (v *Server) panicked(value any, stack []byte) {
	v.log.Error("a fault ended a session; please report it", "server", v.name, "fault", fmt.Sprint(value), "stack", string(stack))
}

// openLog opens the transaction log if it is wanted.
func (v *Server) openLog(c *config.VirtualServer) {
	if !c.Logging.Enabled {
		return
	}
	v.access.Store(accesslog.New(accesslog.Options{
		FS: v.fs, Dir: c.Folders.Logs, Site: siteName, Computer: computerName(),
		Event: func(e accesslog.Event) {
			if e.Stopped {
				v.log.Error("the transaction log cannot be written; mail goes on", "server", v.name, "error", e.Err)
			} else {
				v.log.Info("the transaction log is written again", "server", v.name, "rows_lost", e.Dropped)
			}
		},
	}))
}

// siteName is the name of the first virtual server in logs, as the original has it.
const siteName = "SMTPSVC1"

// computerName is the host's name in logs: its first label in upper case, as NetBIOS names are.
func computerName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "LOCALHOST"
	}
	label, _, _ := strings.Cut(name, ".")
	return strings.ToUpper(label)
}

// inboundTLS returns the TLS configuration of the bindings, or nil when there is no certificate.
func (v *Server) inboundTLS(c *config.VirtualServer) (*tls.Config, error) {
	if c.Access.Certificate == "" {
		return nil, nil
	}
	if err := v.keys.Load(c.Access.Certificate, c.Access.PrivateKey); err != nil {
		return nil, fmt.Errorf("access.certificate, access.private_key: %w", err)
	}
	return v.keys.ServerConfig(), nil
}

// newResolver makes the resolver of a plan; a reload begins with an empty cache.
func (v *Server) newResolver(cfg *config.Config) dns.Resolver {
	if v.resolver != nil {
		return v.resolver
	}
	servers := make([]string, len(cfg.DNS.Servers))
	for i, s := range cfg.DNS.Servers {
		servers[i] = s.String()
	}
	return dns.New(dns.Options{Servers: servers, Timeout: cfg.DNS.Timeout})
}

// queueEvents turns events of the queue into lines of the service's log.
func (v *Server) queueEvents() queue.Events {
	return queue.Events{
		HopDown: func(hop string, r mail.Reply) {
			v.log.Warn("a next hop cannot be reached", "server", v.name, "hop", hop, "reason", r.String())
		},
		HopUp:        func(hop string) { v.log.Info("a next hop can be reached again", "server", v.name, "hop", hop) },
		StoreTrouble: func(err error) { v.notices.trouble(noticeStore, "the spool has trouble", "error", err) },
		ReportTrouble: func(id mail.QueueID, err error) {
			v.notices.trouble(noticeReport, "no report could be made; it is tried again", "id", id.String(), "error", err)
		},
		Lost: func(id mail.QueueID, err error) {
			v.notices.trouble(noticeLost, "a queued message cannot be read", "id", id.String(), "error", err)
		},
		Loaded: func(n int, took time.Duration) {
			if n > 0 {
				v.log.Info("the queue has been read", "server", v.name, "recipients", n, "took", took.Round(time.Millisecond).String())
			}
		},
	}
}
