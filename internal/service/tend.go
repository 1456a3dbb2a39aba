package service

import (
	"context"
	"fmt"
	"time"

	"github.com/mailroot/mailroot/internal/badmail"
)

// How often is looked at what nobody tells of.
const (
	tendDrop    = time.Minute      // the drop folder while there is a quota, and what the spool found
	tendBadmail = 10 * time.Minute // counted and cleaned
)

// maxTold bounds the lines at once on what the spool has found wrong: 20 damaged records, and what comes behind them.
const maxTold = 40

// tend looks after the drop and badmail folders, and the spool's notes, until ctx ends.
func (v *Server) tend(ctx context.Context) {
	warned := ""
	next := time.Time{} // for badmail: at once
	tick := time.NewTicker(tendDrop)
	defer tick.Stop()
	for {
		v.tellNotes()
		cfg := v.plan.Load().cfg
		if cfg.Drop.Quota > 0 {
			v.drop.scan()
		}
		if now := time.Now(); !now.Before(next) {
			next = now.Add(tendBadmail)
			v.cleanBadmail(ctx, now, badmail.Limits{MaxAge: cfg.Badmail.MaxAge, MaxSize: cfg.Badmail.MaxSize})
		}
		if w := v.BadmailWarning(); (w == "") != (warned == "") {
			if warned = w; w != "" {
				v.log.Warn(w, "server", v.name)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tellNotes tells the log what the spool has found wrong, each thing once. Only tend calls it, and start before.
func (v *Server) tellNotes() {
	s := v.store.Stats()
	for _, what := range s.Unfinished[min(v.unfinished, len(s.Unfinished)):] {
		v.log.Warn("the spool found a write that had not come to its end, as a crash leaves it; as far as can be known it was not acknowledged", "server", v.name, "what", what)
	}
	v.unfinished = len(s.Unfinished)
	notes := s.Notes[min(v.notes, len(s.Notes)):]
	told := min(maxTold, len(notes))
	for _, note := range notes[:told] {
		v.log.Error("the spool found something wrong", "server", v.name, "what", note)
	}
	if further := int64(len(notes)-told) + s.MoreNotes - v.moreNotes; further > 0 {
		v.log.Error("the spool found more wrong than is listed; see the quarantine folder", "server", v.name, "further", further)
	}
	v.notes, v.moreNotes = len(s.Notes), s.MoreNotes
}

// cleanBadmail counts the badmail folder and removes what is over the limits.
func (v *Server) cleanBadmail(ctx context.Context, now time.Time, l badmail.Limits) {
	if err := v.bad.Scan(now); err != nil {
		v.log.Warn("the badmail folder cannot be read", "server", v.name, "error", err)
		return
	}
	n, err := v.bad.Clean(ctx, now, l)
	if n > 0 {
		v.log.Info("badmail was cleaned", "server", v.name, "entries", n)
	}
	if err != nil && ctx.Err() == nil {
		v.log.Warn("badmail cannot be cleaned", "server", v.name, "error", err)
	}
}

// BadmailWarning says that the badmail folder has more in it than the settings want to be told of, "" when
// it has not.
func (v *Server) BadmailWarning() string {
	s, c := v.bad.Stats(), &v.plan.Load().cfg.Badmail
	switch {
	case c.WarnMessages > 0 && s.Messages >= c.WarnMessages:
		return fmt.Sprintf("the badmail folder holds %d messages (badmail.warn_messages = %d)", s.Messages, c.WarnMessages)
	case c.WarnSize > 0 && s.Octets >= c.WarnSize:
		return fmt.Sprintf("the badmail folder holds %d octets (badmail.warn_size = %d)", s.Octets, c.WarnSize)
	}
	return ""
}
