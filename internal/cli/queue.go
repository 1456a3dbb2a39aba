package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/control"
)

type queueCommands struct {
	List   queueList   `cmd:"" help:"List queued messages, newest first."`
	Show   queueShow   `cmd:"" help:"Show one message: its envelope, each recipient, and why it is where it is."`
	Retry  queueRetry  `cmd:"" help:"Try messages now instead of at their next retry."`
	Delete queueDelete `cmd:"" help:"Delete messages without a report to the sender."`
}

// filters are the flags that choose messages.
type filters struct {
	Sender    string `placeholder:"TEXT" help:"Sender contains TEXT."`
	Recipient string `placeholder:"TEXT" help:"A waiting recipient contains TEXT."`
	Domain    string `placeholder:"NAME" help:"A waiting recipient is in the domain NAME."`
	Status    string `placeholder:"STATUS" help:"queued, deferred or held."`
}

func (f filters) selection() control.Selection {
	return control.Selection{Sender: f.Sender, Recipient: f.Recipient, Domain: f.Domain, Status: f.Status}
}

type queueList struct {
	filters
	Limit int `default:"100" help:"At most so many messages."`
}

// Run lists the queue, page after page until the limit.
func (c *queueList) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	if c.Limit < 1 {
		return &exitError{ExitUsage, fmt.Errorf("--limit must be 1 or more")}
	}
	q := control.QueueQuery{Selection: c.selection()}
	all := []control.QueueEntry{}
	for len(all) < c.Limit {
		q.Limit = min(c.Limit-len(all), 1000)
		page, err := api.QueueList(e.ctx, q)
		if err != nil {
			return err
		}
		all = append(all, page.Messages...)
		q.Cursor = page.Next
		if page.Next == "" {
			break
		}
	}
	if e.json {
		e.printJSON(struct {
			Messages []control.QueueEntry `json:"messages"`
			More     bool                 `json:"more"`
		}{all, q.Cursor != ""})
		return nil
	}
	if len(all) == 0 {
		fmt.Fprintln(e.Out, "No queued messages match.")
		return nil
	}
	now := time.Now()
	rows := make([][]string, len(all))
	for i, m := range all {
		rows[i] = []string{m.ID, ago(m.Arrived, now), octets(m.Size), m.Status, cut(m.Sender, 40), cut(recipients(m), 60)}
	}
	table(e.Out, []string{"ID", "AGE", "SIZE", "STATUS", "SENDER", "RECIPIENTS"}, rows)
	if q.Cursor != "" {
		fmt.Fprintf(e.Out, "There are more; see --limit.\n")
	}
	return nil
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

type queueShow struct {
	ID string `arg:"" help:"Queue id."`
}

// Run shows one message.
func (c *queueShow) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	m, err := api.QueueShow(e.ctx, c.ID)
	if err != nil {
		return err
	}
	if e.json {
		e.printJSON(m)
		return nil
	}
	now := time.Now()
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(e.Out, "%-12s %s\n", name, printable(value))
		}
	}
	line("Id", m.ID)
	line("Arrived", m.Arrived.Local().Format(time.DateTime)+" ("+ago(m.Arrived, now)+" ago)")
	line("Size", octets(m.Size))
	line("Sender", m.Sender)
	line("From client", strings.TrimSpace(m.Client+" "+m.Helo+" "+m.Protocol))
	line("Subject", m.Subject)
	line("Message-ID", m.MessageID)
	line("Reports on", m.Original)
	rows := make([][]string, len(m.Deliveries))
	for i, d := range m.Deliveries {
		due := "-"
		if d.Status == "deferred" || d.Status == "queued" {
			due = until(d.Due, now)
		}
		rows[i] = []string{d.Address, d.Status, strconv.Itoa(d.Attempts), due, d.NextHop, d.Reason}
	}
	fmt.Fprintln(e.Out)
	table(e.Out, []string{"RECIPIENT", "STATUS", "ATTEMPTS", "NEXT", "NEXT HOP", "WHY"}, rows)
	return nil
}

// targets are the messages that retry and delete act on.
type targets struct {
	IDs []string `arg:"" optional:"" name:"id" help:"Queue ids."`
	filters
	All bool `help:"All messages."`
}

// selection checks that the messages are named in exactly one way.
func (t targets) selection() (control.Selection, error) {
	s := t.filters.selection()
	s.IDs, s.All = t.IDs, t.All
	filtered := s.Sender != "" || s.Recipient != "" || s.Domain != "" || s.Status != ""
	ways := 0
	for _, used := range []bool{len(s.IDs) > 0, filtered, s.All} {
		if used {
			ways++
		}
	}
	if ways != 1 {
		return s, &exitError{ExitUsage, fmt.Errorf("name the messages by ids, or by filters such as --domain, or with --all")}
	}
	return s, nil
}

type queueRetry struct{ targets }

// Run makes the chosen messages due now.
func (c *queueRetry) Run(e *env) error {
	s, err := c.targets.selection()
	if err != nil {
		return err
	}
	api, err := e.client()
	if err != nil {
		return err
	}
	n, err := api.QueueRetry(e.ctx, s)
	return e.affected("due now", n, err)
}

type queueDelete struct {
	targets
	Yes bool `short:"y" help:"Delete what filters or --all choose; without it they are only counted."`
}

// Run deletes the chosen messages. Those that are not named by id it only counts, unless --yes says that
// the count is known.
func (c *queueDelete) Run(e *env) error {
	s, err := c.targets.selection()
	if err != nil {
		return err
	}
	api, err := e.client()
	if err != nil {
		return err
	}
	if len(s.IDs) == 0 && !c.Yes {
		n, err := api.QueueCount(e.ctx, s)
		if err == nil && n.Recipients > 0 {
			err = &exitError{ExitUsage, fmt.Errorf("this would delete %d %s; add --yes if that is meant", n.Recipients, plural(n.Recipients, "recipient", "recipients"))}
		}
		return e.affected("", n, err)
	}
	n, err := api.QueueDelete(e.ctx, s)
	return e.affected("deleted", n, err)
}

// affected prints how many recipients a command touched; none is an exit code of its own.
func (e *env) affected(what string, n control.Affected, err error) error {
	if err != nil {
		return err
	}
	for _, id := range n.Unknown {
		fmt.Fprintf(e.Err, "mailroot: no message %s is queued\n", id)
	}
	if n.Recipients == 0 {
		return &exitError{ExitNotFound, fmt.Errorf("no queued recipient matches")}
	}
	if e.json {
		e.printJSON(n)
		return nil
	}
	fmt.Fprintf(e.Out, "%d %s %s.\n", n.Recipients, plural(n.Recipients, "recipient", "recipients"), what)
	if len(n.Unknown) > 0 {
		return &exitError{ExitNotFound, errQuiet}
	}
	return nil
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
