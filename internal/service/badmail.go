package service

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mailroot/mailroot/internal/badmail"
	"github.com/mailroot/mailroot/internal/intake"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/report"
	"github.com/mailroot/mailroot/internal/spool"
)

// toBadmail puts a message that can neither be delivered nor returned into the Badmail folder, and with an
// NDR that could not reach the sender the message that it reports on. The original comes first: a crash
// in between leaves one entry too many, never one too few.
func (v *Server) toBadmail(ctx context.Context, env *mail.Envelope, failed []mail.Result) error {
	e := badmail.Entry{Env: env, Results: failed, Code: badmail.CodeReport, Reason: "The message has no sender to whom a report could go, and it could not be delivered: " + failed[0].Reply.String()}
	if env.Source == mail.SourceReport {
		e.Reason = "A report could not be delivered: " + failed[0].Reply.String()
	}
	toSender := slices.ContainsFunc(failed, func(r mail.Result) bool { return r.Rcpt == intake.ReportTo })
	switch {
	case env.Source != mail.SourceReport:
	case env.Original == 0:
		e.Reason = "The notice of delay or success could not be delivered: " + failed[0].Reply.String()
	case !toSender:
		e.Reason = "The copy of a report could not be delivered: " + failed[0].Reply.String()
	default:
		original, err := v.store.Envelope(ctx, env.Original)
		if err == nil {
			e.Linked, err = v.writeBadmail(ctx, badmail.Entry{
				Env: original, Code: badmail.CodeReport, Results: v.reported(ctx, env.ID, original),
				Reason: "The message could not be delivered, and the report of that (" + env.ID.String() + ") could not be delivered to the sender",
			})
		}
		if err != nil && !errors.Is(err, spool.ErrNotFound) {
			return err
		}
	}
	name, err := v.writeBadmail(ctx, e)
	if err != nil {
		return err
	}
	v.reports.badmail.Add(1)
	v.log.Warn("a message went to Badmail", "server", v.name, "id", env.ID.String(), "file", name, "reason", failed[0].Reply.String())
	return nil
}

// reported returns the results that a report of ours was on, as far as it can still be read; without them the
// entry names all recipients alike.
func (v *Server) reported(ctx context.Context, id mail.QueueID, original *mail.Envelope) []mail.Result {
	body, err := v.store.Body(ctx, id)
	if err != nil {
		return nil
	}
	defer body.Close()
	failed, err := report.Reported(body, body.Size(), original)
	if err != nil {
		return nil
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
