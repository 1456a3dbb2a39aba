package control

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/route"
	"github.com/mailroot/mailroot/internal/spool"
)

// QueueAction is something to be done to selected recipients.
type QueueAction struct {
	Selection
	// Verb is hold, release, retry, reroute, return or delete.
	Verb string `json:"verb"`
	// To is the next hop of reroute: host, host:port, ip or [ip]:port; "default": as the routes say.
	To string `json:"to,omitempty"`
	// Reason is told to the senders by return, and stands in the audit record of every verb.
	Reason string `json:"reason,omitempty"`
	// WithoutReport is of return: nobody is told, the recipients are deleted.
	WithoutReport bool `json:"without_report,omitempty"`
	// DryRun only counts.
	DryRun bool `json:"dry_run,omitempty"`
}

// Acted tells what a QueueAction has touched, or would touch.
type Acted struct {
	Recipients int `json:"recipients"`
	Messages   int `json:"messages"`
	// Later are those of hold, return and delete that are in flight: it is done when they come back and still wait.
	Later int `json:"later,omitempty"`
	// Already are those that were as the action would make them: held, not held, or on that way.
	Already int `json:"already,omitempty"`
	// Unknown are the ids of the selection that are not queued.
	Unknown []string `json:"unknown,omitempty"`
	// First are the first messages, of a dry run.
	First []QueueEntry `json:"first,omitempty"`
}

// shownOfDryRun is how many messages a dry run shows.
const shownOfDryRun = 10

// storeActions are the verbs that the spool does; return is the queue's.
var storeActions = map[string]spool.ActionKind{
	"hold": spool.Hold, "release": spool.Release, "retry": spool.Retry, "reroute": spool.Reroute, "delete": spool.Delete,
}

// QueueAct does something to the selected recipients. It tells progress of what is done, now and then, from one
// goroutine. Mail flows on meanwhile. When ctx ends it stops: what it has told is done. Recipients in flight come
// back first.
func (c *Control) QueueAct(ctx context.Context, a Actor, act QueueAction, progress func(Acted)) (Acted, error) {
	verb, need := "queue "+act.Verb, RoleOperator
	if act.DryRun {
		need = RoleViewer
	}
	if err := a.allow(verb, need); err != nil {
		return Acted{}, err
	}
	if err := act.check(); err != nil {
		return Acted{}, err
	}
	if err := c.checkWay(act.To); err != nil {
		return Acted{}, err
	}
	w, err := act.parse(time.Now())
	if err != nil {
		return Acted{}, err
	}
	n := Acted{Unknown: c.unknown(ctx, w.query.IDs)}
	tell := func() {
		if progress != nil {
			progress(Acted{Recipients: n.Recipients, Messages: n.Messages, Later: n.Later})
		}
	}
	switch {
	case act.DryRun:
		return n, c.preview(ctx, &w, &act, &n, tell)
	case act.Verb == "return" && !act.WithoutReport:
		err = c.giveBack(ctx, &w, &act, &n, tell)
	default:
		if err = c.change(ctx, &w, &act, &n, tell); err == nil && n.Recipients == 0 {
			// Nothing was to be done: because nothing is there, or because it was so already.
			var seen Acted
			err = c.preview(ctx, &w, &act, &seen, func() {})
			n.Already = seen.Already
		}
	}
	args := []any{"recipients", n.Recipients, "selection", act.Selection.String()}
	for _, extra := range []struct{ name, value string }{{"to", act.To}, {"reason", act.Reason}} {
		if extra.value != "" {
			args = append(args, extra.name, extra.value)
		}
	}
	if act.WithoutReport {
		args = append(args, "report", "none")
	}
	c.audit(a, verb, withError(err, args...)...)
	return n, err
}

// withError adds an error to what an audit record says, if there is one.
func withError(err error, args ...any) []any {
	if err != nil {
		args = append(args, "error", err)
	}
	return args
}

// check sees to it that an action can be done, and brings To into the form that is kept.
func (act *QueueAction) check() error {
	if _, ok := storeActions[act.Verb]; !ok && act.Verb != "return" {
		return fmt.Errorf("%w: verb %q: hold, release, retry, reroute, return or delete is expected", ErrInvalid, act.Verb)
	}
	if act.WithoutReport && act.Verb != "return" {
		return fmt.Errorf("%w: only return can be without a report", ErrInvalid)
	}
	if err := errors.Join(act.Meant(), checkReason(act.Reason)); err != nil {
		return err
	}
	if act.Verb != "reroute" {
		if act.To != "" {
			return fmt.Errorf("%w: only reroute takes a next hop", ErrInvalid)
		}
		return nil
	}
	if act.To == "default" {
		return nil
	}
	h, err := route.ParseHost(act.To)
	if err != nil {
		return fmt.Errorf("%w: the next hop: %w", ErrInvalid, err)
	}
	act.To = h.String()
	return nil
}

// checkWay refuses to send mail to this service itself, which would return it at once.
func (c *Control) checkWay(to string) error {
	v := c.server()
	h, err := route.ParseHost(to)
	if err != nil || !h.Addr.IsValid() {
		return nil // "default", none, or a name: that is looked up when the mail goes
	}
	port := h.Port
	if port == 0 {
		port = uint16(v.Config().Connections.OutboundPort)
	}
	if v.IsSelf(netip.AddrPortFrom(h.Addr, port)) {
		return fmt.Errorf("%w: the next hop: %s is this service", ErrInvalid, to)
	}
	return nil
}

// route is the next hop of reroute as the spool keeps it.
func (act *QueueAction) route() string {
	if act.To == "default" {
		return ""
	}
	return act.To
}

// change has the spool do an action, and tells the queue of each step that holds there.
func (c *Control) change(ctx context.Context, w *chosen, act *QueueAction, n *Acted, tell func()) error {
	v := c.server()
	kind := storeActions[act.Verb]
	if act.WithoutReport {
		kind = spool.Delete
	}
	return c.portions(ctx, w, func(q spool.Query, all bool, only pick) error {
		_, err := v.Store().Change(ctx, spool.Selection{Query: q, All: all}, spool.Action{
			Kind: kind, Route: act.route(), Pick: only,
			Each: func(changes []mail.Change) {
				later := v.Queue().Changed(changes)
				n.count(changes)
				n.Recipients, n.Later = n.Recipients-later, n.Later+later
				tell()
			},
		})
		return err
	})
}

// count adds changes, of which those of one recipient and of one message stand together.
func (n *Acted) count(changes []mail.Change) {
	var last mail.Change
	for i, c := range changes {
		if i == 0 || c.ID != last.ID {
			n.Messages++
		}
		if i == 0 || c.ID != last.ID || c.Rcpt != last.Rcpt {
			n.Recipients++
		}
		last = c
	}
}

// returning is how many reports are made at the same time: they share the syncs of the spool.
const returning = 8

// giveBack returns recipients to their senders. Each is counted when its report is durable.
func (c *Control) giveBack(ctx context.Context, w *chosen, act *QueueAction, n *Acted, tell func()) error {
	v := c.server()
	select { // what is not read yet cannot be returned
	case <-v.Queue().Loaded():
	case <-ctx.Done():
		return ctx.Err()
	}
	text := "Returned to the sender by an administrator of this mail server"
	if act.Reason != "" {
		text += ": " + act.Reason
	}
	// 5.3.0, "other or undefined mail system status" (RFC 3463 §3.4): it is the system, by its administrator,
	// that gives the message up; address, mailbox and network may be in order.
	reply := mail.NewReply(554, mail.Enhanced(5, 3, 0), text)
	var (
		mu     sync.Mutex // guards n and failed
		failed error
		group  sync.WaitGroup
		free   = make(chan struct{}, returning)
	)
	err := c.eachSelected(ctx, w, func(e *spool.Entry, rcpts []int) error {
		free <- struct{}{}
		mu.Lock()
		err := failed
		mu.Unlock()
		if err != nil {
			<-free
			return err
		}
		group.Go(func() {
			defer func() { <-free }()
			done, later, err := v.Queue().Return(ctx, e.Envelope.ID, rcpts, reply)
			mu.Lock()
			defer mu.Unlock()
			if n.Recipients, n.Later = n.Recipients+done, n.Later+later; done+later > 0 {
				n.Messages++
			}
			if err != nil && failed == nil {
				failed = fmt.Errorf("message %v could not be returned: %w", e.Envelope.ID, err)
			}
			tell()
		})
		return nil
	})
	group.Wait()
	if failed != nil {
		return failed
	}
	return err
}

// preview counts what an action would touch.
func (c *Control) preview(ctx context.Context, w *chosen, act *QueueAction, n *Acted, tell func()) error {
	return c.eachSelected(ctx, w, func(e *spool.Entry, rcpts []int) error {
		all := len(rcpts)
		rcpts = slices.DeleteFunc(rcpts, func(rcpt int) bool { return act.idle(&e.Recipients[rcpt]) })
		n.Already += all - len(rcpts)
		if len(rcpts) == 0 {
			return nil
		}
		n.Recipients += len(rcpts)
		if n.Messages++; len(n.First) < shownOfDryRun {
			n.First = append(n.First, c.queueEntry(e))
		}
		tell()
		return nil
	})
}

// idle reports whether an action would leave a recipient as it is.
func (act *QueueAction) idle(r *spool.RecipientStatus) bool {
	switch act.Verb {
	case "hold":
		return r.State == spool.Held
	case "release":
		return r.State != spool.Held
	case "reroute":
		return r.Route == act.route()
	}
	return false
}

// unknown returns those of ids that are not queued.
func (c *Control) unknown(ctx context.Context, ids []mail.QueueID) (out []string) {
	for _, id := range ids {
		if _, err := c.server().Store().Status(ctx, id); errors.Is(err, spool.ErrNotFound) {
			out = append(out, id.String())
		}
	}
	return out
}
