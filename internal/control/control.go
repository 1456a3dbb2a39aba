// Package control holds every administrative verb: it checks that the actor may do it, does it, writes
// the audit record of those that change something, and answers with view structs of its own. Surfaces
// (the local socket, later the console) call it and add nothing. Start with Control and Actor.
package control

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/pressure"
	"github.com/mailroot/mailroot/internal/service"
	"github.com/mailroot/mailroot/internal/spool"
)

// Options make a Control.
type Options struct {
	Service    *service.Service
	ConfigPath string // the file that Reload reads
	Version    string
	Log        *slog.Logger // takes the audit records
	// Warnings are those of the configuration that the service was started with.
	Warnings config.Problems
}

// Control is the set of administrative verbs of one running service. It is safe for concurrent use.
type Control struct {
	o Options

	reloading chan struct{} // holds one token while a reload is under way

	mu       sync.Mutex
	warnings []string // of the configuration in force
	broken   string   // why a newer one is not in force, "" if there is none
}

// New returns the verbs of a service that runs with the file at ConfigPath.
func New(o Options) *Control {
	return &Control{o: o, reloading: make(chan struct{}, 1), warnings: warningTexts(o.Warnings)}
}

// audit records that an actor did something.
func (c *Control) audit(a Actor, verb string, args ...any) {
	c.o.Log.Info("audit", append([]any{"actor", a.String(), "verb", verb}, args...)...)
}

// server returns the default virtual server.
func (c *Control) server() *service.Server { return c.o.Service.Servers()[0] }

// Status tells how the service is.
func (c *Control) Status(_ context.Context, a Actor) (Status, error) {
	if err := a.allow("status", RoleViewer); err != nil {
		return Status{}, err
	}
	s := Status{
		Version: c.o.Version, PID: os.Getpid(), Since: c.o.Service.Since(), Config: c.o.ConfigPath,
		Warnings: c.currentWarnings(), Memory: memoryStatus(c.o.Service.Memory()),
	}
	if m := s.Memory; m.Refusing != "" {
		s.Warnings = append(s.Warnings, fmt.Sprintf("new %s refused: the process uses %d of %d octets of memory (memory_limit)", m.Refusing, m.Used, m.Limit))
	}
	for _, v := range c.o.Service.Servers() {
		vs := serverStatus(v)
		s.VirtualServers = append(s.VirtualServers, vs)
		if vs.Spool.Refusing != "" {
			s.Warnings = append(s.Warnings, "the queue takes no mail: "+vs.Spool.Refusing)
		}
		if vs.Spool.DeliveryWaits != "" {
			s.Warnings = append(s.Warnings, "delivery waits, since what becomes of mail cannot be written down: "+vs.Spool.DeliveryWaits)
		}
		if vs.Spool.Unreadable != "" {
			s.Warnings = append(s.Warnings, "queued mail cannot be read and waits: "+vs.Spool.Unreadable)
		}
		s.Warnings = append(s.Warnings, v.Warnings()...)
		if w := v.BadmailWarning(); w != "" {
			s.Warnings = append(s.Warnings, w)
		}
	}
	return s, nil
}

// currentWarnings are those of the configuration in force and what waits for a restart.
func (c *Control) currentWarnings() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := append([]string(nil), c.warnings...)
	if c.broken != "" {
		out = append(out, c.broken)
	}
	for _, ch := range c.o.Service.Pending(c.o.Service.Config()) {
		out = append(out, fmt.Sprintf("%s was changed and needs a restart", ch.Path))
	}
	return out
}

func serverStatus(v *service.Server) ServerStatus {
	cfg := v.Config()
	in := v.Inbound()
	s := ServerStatus{
		Name: v.Name(), Description: cfg.Description, FQDN: v.FQDN(), DefaultDomain: v.DefaultDomain(),
		Inbound: InboundStatus{
			Connections: in.Connections, Limit: in.Limit,
			Accepted: in.Accepted, Refused: in.Refused, Messages: uint64(in.Messages),
			RefusedAddress: in.RefusedAddress, RefusedNetwork: in.RefusedNetwork, RefusedMemory: in.RefusedMemory,
			Denied: in.Denied, RelayRefused: in.RelayRefused, TLSFailures: in.TLSFailures, SessionSizeMet: in.SessionSizeMet,
			RepairedMessages: in.RepairedMessages, RepairedLineEnds: in.RepairedLineEnds,
		},
		Pickup:   pickupStatus(v),
		Queue:    queueStatus(v),
		Reports:  ReportStatus(v.Reports()),
		NextHops: hopStatus(v),
		Badmail:  badmailStatus(v),
		Folders:  FolderStatus{Pickup: cfg.Folders.Pickup, Queue: cfg.Folders.Queue, Drop: cfg.Folders.Drop, Badmail: cfg.Folders.Badmail, Logs: cfg.Folders.Logs},
	}
	for _, b := range v.Bindings() {
		bs := BindingStatus{Address: b.Address, TLS: string(b.TLS)}
		if b.TLS != config.TLSNone && !b.Offered {
			bs.Note = "not offered: no certificate"
		}
		s.Bindings = append(s.Bindings, bs)
	}
	st := v.Store().Stats()
	s.Spool = spoolStatus(st)
	// What cannot be counted has its error in the spool's own figures.
	s.Spool.Quarantined, _ = v.Quarantine().Count()
	s.Frozen = frozen(v)
	if l, ok := v.Log(); ok {
		s.Log = LogStatus{Enabled: true, File: l.File, Dropped: l.Dropped}
		if l.Err != nil {
			s.Log.Error = l.Err.Error()
		}
	}
	return s
}

func memoryStatus(m service.Memory) MemoryStatus {
	s := MemoryStatus{Used: m.Used, Limit: m.Limit, Since: m.Since, Refused: m.Refused}
	switch m.Level {
	case pressure.Tight:
		s.Refusing = "mail"
	case pressure.Dire:
		s.Refusing = "mail and connections"
	}
	return s
}

func pickupStatus(v *service.Server) PickupStatus {
	p := v.Pickup()
	return PickupStatus{
		Waiting: p.Waiting, InFlight: p.InFlight, Skipped: p.Skipped, Messages: p.Taken, Badmail: p.Bad,
		Late: p.Late, Error: oneLine(p.LastError),
	}
}

// maxNotes is how many notes of the spool Status shows; the service's log has the others.
const maxNotes = 10

func spoolStatus(st spool.Stats) SpoolStatus {
	notes := append(st.Notes, st.Unfinished...)
	n := min(len(notes), maxNotes)
	return SpoolStatus{
		Octets: st.Octets, Segments: st.Segments, Spares: st.Spares, SpareOctets: st.SpareSize,
		Lost: st.Lost, Unread: st.Unread, Torn: st.Torn, LowSpace: st.LowSpace, LowMemory: st.LowMemory,
		Refused: st.Refused, Refusing: oneLine(st.Refusing), RefusingSince: st.RefusingSince,
		ReadErrors: st.ReadErrors, Unreadable: oneLine(st.Unreadable), UnreadableSince: st.UnreadableSince,
		DeliveryWaits: oneLine(st.Unrecordable), DeliveryWaitsSince: st.UnrecordableSince,
		Error: oneLine(st.LastError), ErrorAt: st.LastErrorAt,
		Notes: notes[:n], MoreNotes: int64(len(notes)-n) + st.MoreNotes,
	}
}

// oneLine puts an error that is several on one line.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }

func queueStatus(v *service.Server) QueueStatus {
	q := v.Queue().Stats()
	return QueueStatus{
		Messages: q.Messages, Recipients: q.Recipients, Ready: q.Ready, Deferred: q.Deferred, Held: q.Held, Frozen: q.Frozen,
		InFlight: q.InFlight + q.Failing, Oldest: q.Oldest, Loading: q.Loading,
		Delivered: q.Delivered, Failed: q.Failed, Deferrals: q.Deferrals,
	}
}

// maxHops bounds the next hops that Status lists.
const maxHops = 50

// hopStatus lists the next hops, those with the most mail first.
func hopStatus(v *service.Server) []HopStatus {
	all := v.Queue().Hops()
	sortBusiest(all)
	out := make([]HopStatus, 0, min(len(all), maxHops))
	for _, h := range all[:min(len(all), maxHops)] {
		hs := HopStatus{Name: h.Key, Ready: h.Ready, Deferred: h.Deferred, Held: h.Held, Frozen: h.Frozen, Active: h.Active, Down: h.Down, NextTry: h.NextTry}
		if !h.LastReply.IsZero() {
			hs.LastError = h.LastReply.String()
		}
		out = append(out, hs)
	}
	return out
}

// Reload reads the configuration file again and puts it into force. A file in error changes nothing.
// Until ctx ends it waits for another reload.
func (c *Control) Reload(ctx context.Context, a Actor) (ReloadResult, error) {
	if err := a.allow("reload", RoleAdministrator); err != nil {
		return ReloadResult{}, err
	}
	select {
	case c.reloading <- struct{}{}:
		defer func() { <-c.reloading }()
	case <-ctx.Done():
		return ReloadResult{}, fmt.Errorf("another reload is under way: %w", ctx.Err())
	}
	cfg, problems, err := c.load()
	if err != nil {
		c.audit(a, "reload", "result", "refused", "error", err)
		c.setBroken(err)
		return ReloadResult{}, fmt.Errorf("%w\nThe configuration in force stays", err)
	}
	changes, certificates, err := c.o.Service.Apply(cfg)
	if err != nil {
		c.audit(a, "reload", "result", "failed", "error", err)
		c.setBroken(err)
		return ReloadResult{}, fmt.Errorf("%w\nThe configuration in force stays", err)
	}
	c.audit(a, "reload", "result", "done", "changes", len(changes))
	r := ReloadResult{Changes: changes, Certificates: certificates, Warnings: warningTexts(problems)}
	c.mu.Lock()
	c.warnings, c.broken = r.Warnings, ""
	c.mu.Unlock()
	return r, nil
}

// warningTexts are the warnings among problems, for people who know which file is meant.
func warningTexts(problems config.Problems) (out []string) {
	for _, w := range problems.Warnings() {
		text := w.Path + ": " + w.Message
		if w.Line > 0 {
			text = fmt.Sprintf("line %d: %s", w.Line, text)
		}
		out = append(out, text)
	}
	return out
}

// setBroken notes that the file could not be applied, for Status.
func (c *Control) setBroken(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first, _, _ := strings.Cut(err.Error(), "\n")
	c.broken = "the last reload failed, an older configuration is in force: " + first
}

// load reads the configuration file. An error in it is ErrBadConfig.
func (c *Control) load() (*config.Config, config.Problems, error) {
	cfg, problems, err := service.Load(c.o.ConfigPath)
	if err == nil {
		err = problems.Err()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w:\n%w", ErrBadConfig, err)
	}
	return cfg, problems, nil
}

// ConfigDiff tells what a reload would change.
func (c *Control) ConfigDiff(_ context.Context, a Actor) ([]config.Change, error) {
	if err := a.allow("config diff", RoleViewer); err != nil {
		return nil, err
	}
	cfg, _, err := c.load()
	if err != nil {
		return nil, err
	}
	return c.o.Service.Pending(cfg), nil
}
