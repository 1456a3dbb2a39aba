package service

import (
	"context"
	"errors"
	"time"

	"github.com/mailroot/mailroot/internal/badmail"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/report"
	"github.com/mailroot/mailroot/internal/spool"
)

// maxOriginal is the size up to which a report returns the whole message, in octets.
const maxOriginal = 10 << 20

// report makes the failure of recipients known: by an NDR to the sender, which is durable when report
// returns nil, or, for mail without a sender, in Badmail. It is the queue's Report.
func (v *Server) report(ctx context.Context, env *mail.Envelope, failed []mail.Result) error {
	if env.Sender.Addr.IsNull() {
		return v.toBadmail(ctx, env, failed)
	}
	wanted := failed[:0:0]
	for _, r := range failed {
		if report.Wanted(report.Failure, env.Recipients[r.Rcpt].Notify) {
			wanted = append(wanted, r)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	p := v.plan.Load()
	body, err := v.store.Body(ctx, env.ID)
	if err != nil && !errors.Is(err, spool.ErrNotFound) {
		return err
	}
	ndr := &report.Report{Kind: report.Failure, Env: env, Results: wanted, Time: time.Now()}
	if err == nil {
		defer body.Close()
		ndr.Body = body
	}
	tx, err := p.intake.BeginReport(ctx, env.Sender.Addr, env.ID, report.NeedsUTF8(ndr))
	if err != nil {
		return err
	}
	if err := report.Compose(tx, &p.report, ndr); err != nil {
		tx.Abort()
		return err
	}
	if _, err := tx.Commit(ctx); err != nil {
		return err
	}
	return nil
}

// toBadmail puts a message that can neither be delivered nor returned into the Badmail folder, and with a
// report of ours the message that it reports on. The original comes first: a crash in between leaves one
// entry too many, never one too few.
func (v *Server) toBadmail(ctx context.Context, env *mail.Envelope, failed []mail.Result) error {
	report := badmail.Entry{Env: env, Results: failed, Code: badmail.CodeReport, Reason: "The message has no sender to whom a report could go, and it could not be delivered: " + failed[0].Reply.String()}
	if env.Source == mail.SourceReport {
		report.Reason = "A report could not be delivered: " + failed[0].Reply.String()
	}
	if env.Original != 0 {
		original, err := v.store.Envelope(ctx, env.Original)
		if err == nil {
			report.Linked, err = v.writeBadmail(ctx, badmail.Entry{
				Env: original, Code: badmail.CodeReport, Results: v.reported(ctx, env.ID, original),
				Reason: "The message could not be delivered, and the report of that (" + env.ID.String() + ") could not be delivered to the sender",
			})
		}
		if err != nil && !errors.Is(err, spool.ErrNotFound) {
			return err
		}
	}
	name, err := v.writeBadmail(ctx, report)
	if err != nil {
		return err
	}
	v.log.Warn("a message went to Badmail", "server", v.name, "id", env.ID.String(), "file", name, "reason", failed[0].Reply.String())
	return nil
}

// reported returns the results that a report of ours was on, as far as it can still be read: who they
// are for, and that they failed.
func (v *Server) reported(ctx context.Context, id mail.QueueID, original *mail.Envelope) (failed []mail.Result) {
	body, err := v.store.Body(ctx, id)
	if err != nil {
		return nil
	}
	defer body.Close()
	rcpts, err := report.Reported(body, body.Size(), original)
	if err != nil {
		return nil // the entry then names all recipients alike
	}
	for _, i := range rcpts {
		failed = append(failed, mail.Result{ID: original.ID, Rcpt: i, Outcome: mail.Failed})
	}
	return failed
}

// writeBadmail completes e with the octets of its message and writes it.
func (v *Server) writeBadmail(ctx context.Context, e badmail.Entry) (string, error) {
	body, err := v.store.Body(ctx, e.Env.ID)
	if err != nil {
		return "", err
	}
	defer body.Close()
	e.Body, e.Time = body, time.Now()
	return v.bad.Write(ctx, &e)
}
