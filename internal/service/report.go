package service

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mailroot/mailroot/internal/intake"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/report"
	"github.com/mailroot/mailroot/internal/spool"
)

// reportCounters count since the start.
type reportCounters struct{ failure, delay, success, relayed, badmail atomic.Uint64 }

// of returns the counter of a kind of report.
func (c *reportCounters) of(k report.Kind) *atomic.Uint64 {
	switch k {
	case report.Delay:
		return &c.delay
	case report.Success:
		return &c.success
	case report.Relayed:
		return &c.relayed
	}
	return &c.failure
}

// Reports are the reports that were made since the start, by kind, and the times that a message which could be
// neither delivered nor reported on went to Badmail.
type Reports struct{ Failure, Delay, Success, Relayed, Badmail uint64 }

// Reports returns the figures of the reports.
func (v *Server) Reports() Reports {
	c := &v.reports
	return Reports{
		Failure: c.failure.Load(), Delay: c.delay.Load(), Success: c.success.Load(), Relayed: c.relayed.Load(), Badmail: c.badmail.Load(),
	}
}

// report makes the failure of recipients known: by an NDR to the sender, which is durable when report
// returns nil, or, for mail without a sender, in Badmail. It is the queue's Report.
func (v *Server) report(ctx context.Context, env *mail.Envelope, failed []mail.Result) error {
	err := v.tellFailure(ctx, env, failed)
	switch {
	case err == nil:
		v.unreported.Store(nil)
	case ctx.Err() == nil && !errors.Is(err, spool.ErrNotFound):
		text := err.Error()
		v.unreported.Store(&text)
	}
	return err
}

func (v *Server) tellFailure(ctx context.Context, env *mail.Envelope, failed []mail.Result) error {
	if env.Sender.Addr.IsNull() {
		return v.toBadmail(ctx, env, failed)
	}
	if err := v.recall(ctx, env.ID, failed, causeUnknown); err != nil {
		return err
	}
	return v.send(ctx, &report.Report{Kind: report.Failure, Env: env, Results: failed})
}

// reportDelay tells the sender that recipients still wait. It is the queue's Delayed.
func (v *Server) reportDelay(ctx context.Context, env *mail.Envelope, delayed []mail.Result, until time.Time) error {
	if err := v.recall(ctx, env.ID, delayed, replyUnknown); err != nil {
		return err
	}
	return v.send(ctx, &report.Report{Kind: report.Delay, Env: env, Results: delayed, RetryUntil: until})
}

// causeUnknown and replyUnknown tell recall which results to complete, and do it: of a recipient that was tried
// before the start of the service only the spool has the last reply.
func causeUnknown(r *mail.Result, last *spool.RecipientStatus) bool {
	lacks := r.Ours && r.Cause.IsZero() && report.GivenUp(r.Reply)
	if lacks && last != nil {
		r.Cause, r.Host = last.Reply, last.Host
	}
	return lacks
}

func replyUnknown(r *mail.Result, last *spool.RecipientStatus) bool {
	lacks := r.Reply.IsZero()
	if lacks && last != nil {
		r.Reply, r.Host, r.Ours = last.Reply, last.Host, last.Host == ""
	}
	return lacks
}

// recall completes results with the last replies that the spool has.
func (v *Server) recall(ctx context.Context, id mail.QueueID, results []mail.Result, complete func(*mail.Result, *spool.RecipientStatus) bool) error {
	if !slices.ContainsFunc(results, func(r mail.Result) bool { return complete(&r, nil) }) {
		return nil
	}
	known, err := v.store.Status(ctx, id)
	if err != nil && !errors.Is(err, spool.ErrNotFound) {
		return err
	}
	for i := range results {
		if r := &results[i]; r.Rcpt < len(known) {
			complete(r, &known[r.Rcpt])
		}
	}
	return nil
}

// reportSuccess tells the sender of recipients that were delivered into Drop, and of those handed to a server without
// DSN, from which no word will come (RFC 3461 §5.2.2). It is the queue's Success.
func (v *Server) reportSuccess(ctx context.Context, env *mail.Envelope, delivered []mail.Result) error {
	var here, relayed []mail.Result
	for _, r := range delivered {
		if r.NoDSN {
			relayed = append(relayed, r)
		} else {
			here = append(here, r)
		}
	}
	// The queue gives them from one next hop, so that both happen only where an attempt went over to
	// another server. After an error in the second the first is made again.
	if err := v.send(ctx, &report.Report{Kind: report.Success, Env: env, Results: here}); err != nil {
		return err
	}
	return v.send(ctx, &report.Report{Kind: report.Relayed, Env: env, Results: relayed})
}

// send makes a report for those of its recipients that NOTIFY asks it for, if there are any. It is durable
// when send returns nil.
func (v *Server) send(ctx context.Context, r *report.Report) error {
	var wanted []mail.Result
	for _, res := range r.Results {
		if report.Wanted(r.Kind, r.Env.Recipients[res.Rcpt].Notify) {
			wanted = append(wanted, res)
		}
	}
	if n := len(r.Results) - len(wanted); n > 0 && r.Kind == report.Failure {
		// RFC 3461 §4.1 asks for silence towards the sender; the log is the only trace.
		v.log.Info("a message failed, and nobody wants to be told", "server", v.name, "id", r.Env.ID.String(), "recipients", n, "reason", r.Results[0].Reply.String())
	}
	if len(wanted) == 0 {
		return nil
	}
	r.Results, r.Time = wanted, time.Now()
	body, err := v.store.Body(ctx, r.Env.ID)
	switch {
	case err == nil:
		defer body.Close()
		r.Body = body
	case !errors.Is(err, spool.ErrNotFound):
		return err
	}
	p := v.plan.Load()
	var original mail.QueueID // that belongs into Badmail if the report fails
	if r.Kind == report.Failure {
		original = r.Env.ID
	}
	tx, err := p.intake.BeginReport(ctx, r.Env.Sender.Addr, original, report.NeedsUTF8(r))
	if err != nil {
		return err
	}
	if err := p.addCopy(ctx, tx, r.Kind); err != nil {
		tx.Abort()
		return err
	}
	if err := report.Compose(tx, &p.report, r); err != nil {
		tx.Abort()
		return err
	}
	if _, err := tx.Commit(ctx); err != nil {
		return err
	}
	v.reports.of(r.Kind).Add(1)
	return nil
}

// addCopy makes whoever messages.ndr_copy_to names a recipient of an NDR besides the sender. It is a recipient of
// the same message, so that the copy is made with the NDR or not at all, and travels on its own. It can cause no
// report, since the reverse-path is null.
func (p *plan) addCopy(ctx context.Context, tx *intake.Tx, k report.Kind) error {
	to := p.cfg.Messages.NDRCopyTo
	if k != report.Failure || to.IsNull() {
		return nil
	}
	_, err := tx.Rcpt(ctx, mail.Recipient{Addr: to, Notify: mail.NotifyNever})
	return err
}
