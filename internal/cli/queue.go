package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/api"
	"github.com/mailroot/mailroot/internal/control"
)

type queueCommands struct {
	List       queueList          `cmd:"" help:"List queued messages, newest first."`
	Show       queueShow          `cmd:"" help:"Show one message: its envelope, each recipient, and why it is where it is."`
	Hold       queueHold          `cmd:"" help:"Keep messages from being tried until they are released."`
	Release    queueRelease       `cmd:"" help:"End the hold of messages: they are due now."`
	Retry      queueRetry         `cmd:"" help:"Try messages now instead of at their next retry; those that are held are released."`
	Reroute    queueReroute       `cmd:"" help:"Send messages by another next hop than the routes say."`
	Return     queueReturn        `cmd:"" help:"Return messages to their senders now."`
	Delete     queueDelete        `cmd:"" help:"Delete messages without a report to the sender."`
	Freeze     queueFreeze        `cmd:"" help:"Try nothing for a next hop or a domain, for a time or until it is unfrozen."`
	Unfreeze   queueUnfreeze      `cmd:"" help:"End a freeze."`
	Frozen     queueFrozen        `cmd:"" help:"List what is frozen."`
	Quarantine quarantineCommands `cmd:"" help:"Look at damaged parts of the queue, export and delete them."`
}

type queueList struct {
	IDs []string `arg:"" optional:"" name:"id" help:"Queue ids."`
	filters
	Limit  int    `default:"100" help:"At most so many messages."`
	Before string `placeholder:"ID" help:"Only messages that came before this one: the next page."`
}

// Run lists the queue, page after page until the limit.
func (c *queueList) Run(e *env) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	q := control.QueueQuery{Selection: c.selection(c.IDs)}
	next := c.Before
	all, more, err := pages(c.Limit, func(cursor string, n int) ([]control.QueueEntry, string, error) {
		if q.Limit, q.Cursor = n, cursor; cursor == "" {
			q.Cursor = c.Before
		}
		page, err := client.QueueList(e.ctx, q)
		next = page.Next
		return page.Messages, page.Next, err
	})
	if err != nil {
		return err
	}
	if e.json {
		e.printJSON(struct {
			Messages []control.QueueEntry `json:"messages"`
			More     bool                 `json:"more"`
			Next     string               `json:"next,omitempty"` // for --before
		}{all, more, next})
		return nil
	}
	if len(all) == 0 {
		fmt.Fprintln(e.Out, "No queued messages match.")
		return nil
	}
	e.printEntries(all)
	if more {
		fmt.Fprintf(e.Out, "There are more: --before %s, or --limit.\n", next)
	}
	return nil
}

// printEntries prints a table of messages.
func (e *env) printEntries(list []control.QueueEntry) {
	now := time.Now()
	rows := make([][]string, len(list))
	for i, m := range list {
		rows[i] = []string{m.ID, ago(m.Arrived, now), octets(m.Size), m.Status, cut(m.Sender, 40), cut(recipients(m), 60), cut(nextHop(m), 40)}
	}
	table(e.Out, []string{"ID", "AGE", "SIZE", "STATUS", "SENDER", "RECIPIENTS", "NEXT HOP"}, rows)
}

func recipients(m control.QueueEntry) string {
	if len(m.Recipients) == 0 {
		return "-"
	}
	if m.Waiting > 1 {
		return fmt.Sprintf("%s and %d more", m.Recipients[0], m.Waiting-1)
	}
	return m.Recipients[0]
}

func nextHop(m control.QueueEntry) string {
	if m.NextHops > 1 {
		return fmt.Sprintf("%s and %d more", m.NextHop, m.NextHops-1)
	}
	if m.NextHop == "" {
		return "-"
	}
	return m.NextHop
}

type queueShow struct {
	ID string `arg:"" help:"Queue id."`
}

// Run shows one message.
func (c *queueShow) Run(e *env) error {
	return show(e, (*api.Client).QueueShow, c.ID, e.tellQueued)
}

// tellQueued tells all that is known of a message.
func (e *env) tellQueued(m control.QueueMessage) {
	e.fact("Id", m.ID)
	e.fact("Arrived", moment(m.Arrived))
	e.fact("Size", octets(m.Size))
	e.fact("Sender", m.Sender)
	e.fact("From client", strings.TrimSpace(m.Client+" "+m.Helo+" "+m.Protocol))
	e.fact("Subject", m.Subject)
	e.fact("Message-ID", m.MessageID)
	e.fact("Reports on", m.Original)
	rows := make([][]string, len(m.Deliveries))
	for i, d := range m.Deliveries {
		due := "-"
		if d.Status == "deferred" {
			due = until(d.Due, time.Now())
		}
		rows[i] = []string{d.Address, d.Status, strconv.Itoa(d.Attempts), due, d.NextHop, d.Reason}
	}
	fmt.Fprintln(e.Out)
	table(e.Out, []string{"RECIPIENT", "STATUS", "ATTEMPTS", "NEXT", "NEXT HOP", "WHY"}, rows)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
