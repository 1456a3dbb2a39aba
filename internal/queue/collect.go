package queue

import (
	"context"

	"github.com/mailroot/mailroot/internal/mail"
)

// reportStep is the largest number of changes in one call of Store.Report.
const reportStep = 4096

// change adds a change to those that the collector reports next.
func (q *Queue) change(c mail.Change) {
	q.changes = append(q.changes, c)
	if len(q.changes) == 1 && !q.sending {
		nudge(q.collect)
	}
}

// collectChanges reports changes to the spool: what came together while the last report was
// made goes in one. It has no timer.
func (q *Queue) collectChanges(ctx context.Context) {
	for end := false; ; {
		if !q.reportChanges(ctx) {
			if end {
				return
			}
			select {
			case <-q.collect:
			case <-q.flush:
				end = true
			}
		}
	}
}

// reportChanges reports what has come together. It returns false when there was nothing.
func (q *Queue) reportChanges(ctx context.Context) bool {
	q.mu.Lock()
	batch := q.changes
	q.sending = len(batch) > 0
	if !q.sending {
		q.mu.Unlock()
		return false
	}
	q.changes, q.spare = q.spare, nil
	q.room.Broadcast()
	q.mu.Unlock()
	for rest := batch; len(rest) > 0; {
		n := min(len(rest), reportStep)
		if err := q.store.Report(ctx, rest[:n]); err != nil {
			q.tellTrouble(err)
		}
		rest = rest[n:]
	}
	clear(batch)
	q.mu.Lock()
	if cap(batch) <= maxChanges*2 {
		q.spare = batch[:0]
	}
	q.mu.Unlock()
	return true
}

func (q *Queue) tellTrouble(err error) {
	if q.events.StoreTrouble != nil {
		q.events.StoreTrouble(err)
	}
}

func (q *Queue) reportTrouble(id mail.QueueID, err error) {
	if q.events.ReportTrouble != nil {
		q.events.ReportTrouble(id, err)
	}
}

func (q *Queue) tellLost(id mail.QueueID, err error) {
	if q.events.Lost != nil {
		q.events.Lost(id, err)
	}
}
