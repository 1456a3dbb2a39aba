package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/api"
	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/control"
)

type badmailCommands struct {
	List     badmailList     `cmd:"" help:"List what is in badmail, newest first."`
	Show     badmailShow     `cmd:"" help:"Show one entry: why it is there, its envelope, and what belongs to it."`
	Resubmit badmailResubmit `cmd:"" help:"Send messages once more; their entries are removed when that is safe."`
	Export   badmailExport   `cmd:"" help:"Write the message of an entry to a file, octet for octet."`
	Delete   badmailDelete   `cmd:"" help:"Delete entries for good."`
}

// badmailFilters are the flags that choose entries.
type badmailFilters struct {
	Cause     string `placeholder:"WORD" help:"report, original, no-sender, pickup or foreign."`
	Code      string `placeholder:"CODE" help:"The code, as 0xC00402C7."`
	Sender    string `placeholder:"TEXT" help:"Sender contains TEXT; <> is the null sender."`
	Recipient string `placeholder:"TEXT" help:"A recipient contains TEXT."`
	OlderThan string `placeholder:"TIME" help:"Written longer ago than TIME: 12h, 30d."`
	NewerThan string `placeholder:"TIME" help:"Written within TIME."`
}

func (f badmailFilters) filter() (control.BadmailFilter, error) {
	out := control.BadmailFilter{Cause: f.Cause, Code: f.Code, Sender: f.Sender, Recipient: f.Recipient}
	for _, age := range []struct {
		text string
		to   *time.Duration
	}{{f.OlderThan, &out.OlderThan}, {f.NewerThan, &out.NewerThan}} {
		if age.text == "" {
			continue
		}
		d, err := config.ParseTime(age.text)
		if err != nil {
			return out, &exitError{ExitUsage, err}
		}
		*age.to = d
	}
	return out, nil
}

type badmailList struct {
	badmailFilters
	Limit int `default:"100" help:"At most so many entries."`
}

// Run lists badmail, page after page until the limit.
func (c *badmailList) Run(e *env) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	filter, err := c.filter()
	if err != nil {
		return err
	}
	all, more, err := pages(c.Limit, func(cursor string, n int) ([]control.BadmailEntry, string, error) {
		page, err := client.BadmailList(e.ctx, control.BadmailQuery{BadmailFilter: filter, Cursor: cursor, Limit: n})
		return page.Messages, page.Next, err
	})
	if err != nil {
		return err
	}
	if e.json {
		e.printJSON(struct {
			Messages []control.BadmailEntry `json:"messages"`
			More     bool                   `json:"more"`
		}{all, more})
		return nil
	}
	if len(all) == 0 {
		fmt.Fprintln(e.Out, "Nothing in badmail matches.")
		return nil
	}
	now := time.Now()
	rows := make([][]string, len(all))
	for i, m := range all {
		rows[i] = []string{m.Name, ago(m.Written, now), octets(m.Size), m.Cause, cut(m.Sender, 40), cut(badmailRecipients(m), 60)}
	}
	table(e.Out, []string{"NAME", "AGE", "SIZE", "CAUSE", "SENDER", "RECIPIENTS"}, rows)
	if more {
		fmt.Fprintln(e.Out, "There are more; see --limit.")
	}
	return nil
}

func badmailRecipients(m control.BadmailEntry) string {
	switch {
	case len(m.Recipients) == 0:
		return "-"
	case m.RecipientCount > 1:
		return fmt.Sprintf("%s and %d more", m.Recipients[0].Address, m.RecipientCount-1)
	}
	return m.Recipients[0].Address
}

type badmailShow struct {
	Name string `arg:"" help:"Name of the entry."`
}

// Run shows one entry.
func (c *badmailShow) Run(e *env) error {
	return show(e, (*api.Client).BadmailShow, c.Name, e.tellBad)
}

// tellBad tells all that is known of an entry.
func (e *env) tellBad(m control.BadmailEntry) {
	e.fact("Name", m.Name)
	e.fact("Written", moment(m.Written))
	e.fact("Cause", m.Cause)
	e.fact("Reason", m.Reason)
	e.fact("Code", m.Code)
	if m.Foreign != "" {
		e.fact("Foreign", m.Foreign+"; sender and recipients are those of the header")
	}
	if m.NoMessage {
		e.fact("Message", "missing")
	} else {
		e.fact("Size", octets(m.Size))
	}
	e.fact("Subject", m.Subject)
	e.fact("Message-ID", m.MessageID)
	e.fact("Sender", m.Sender)
	e.fact("From client", m.Client)
	e.fact("Queue id", m.QueueID)
	e.fact("Reports on", m.ReportOn)
	e.fact("Belongs to", m.Linked)
	rows := make([][]string, len(m.Recipients))
	for i, r := range m.Recipients {
		state := "-"
		switch {
		case r.Failed:
			state = "failed"
		case r.Copy:
			state = "copy"
		}
		rows[i] = []string{r.Address, state, r.Host, r.Reply}
	}
	fmt.Fprintln(e.Out)
	table(e.Out, []string{"RECIPIENT", "STATE", "HOST", "LAST REPLY"}, rows)
}

type badmailResubmit struct {
	Names  []string `arg:"" name:"name" help:"Names of entries."`
	Linked bool     `help:"And the entry that belongs to each: the original of a report, the report on an original."`
	To     []string `placeholder:"ADDRESS" help:"Send to these instead of those that it could not be delivered to."`
	From   string   `placeholder:"ADDRESS" help:"Send from this sender instead; <> is the null sender."`
}

// Run sends the messages of entries once more: of all that are named, whatever becomes of one. The exit
// code is that of the first that failed.
func (c *badmailResubmit) Run(e *env) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	all := control.BadmailResubmitted{Messages: []control.BadmailSent{}, Failed: []control.BadmailUnsent{}}
	code := ExitOK
	for _, name := range c.Names {
		sent, err := client.BadmailResubmit(e.ctx, control.BadmailResubmission{Name: name, Linked: c.Linked, To: c.To, From: c.From})
		if err != nil {
			sent.Failed = []control.BadmailUnsent{{Name: name, Error: err.Error()}}
			code = cmp.Or(code, exitCode(err))
		}
		if len(sent.Failed) > 0 {
			code = cmp.Or(code, ExitFailed)
		}
		all.Messages, all.Failed = append(all.Messages, sent.Messages...), append(all.Failed, sent.Failed...)
		if !e.json {
			e.resubmitted(&sent)
		}
	}
	if e.json {
		e.printJSON(all)
	}
	if code != ExitOK {
		return &exitError{code, errQuiet}
	}
	return nil
}

// resubmitted prints what became of a name.
func (e *env) resubmitted(r *control.BadmailResubmitted) {
	for _, m := range r.Messages {
		fmt.Fprintf(e.Out, "%s is queued as %s.\n", printable(m.Name), m.QueueID)
	}
	for _, f := range r.Failed {
		fmt.Fprintf(e.Err, "mailroot: %s: %s\n", printable(f.Name), printable(f.Error))
	}
}

type badmailExport struct {
	Name string `arg:"" help:"Name of the entry."`
	Out  string `short:"o" placeholder:"FILE" help:"File to write, which must not be there yet; without it the message goes to standard output."`
}

// Run writes the message of an entry.
func (c *badmailExport) Run(e *env) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	if c.Out == "" {
		return client.BadmailExport(e.ctx, c.Name, e.Streams.Out)
	}
	f, err := os.OpenFile(c.Out, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n := &counter{w: f}
	if err := errors.Join(client.BadmailExport(e.ctx, c.Name, n), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(c.Out))
	}
	if e.json {
		e.printJSON(map[string]any{"file": c.Out, "octets": n.n})
		return nil
	}
	fmt.Fprintf(e.Streams.Out, "Wrote %d octets to %s\n", n.n, c.Out)
	return nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

type badmailDelete struct {
	Names []string `arg:"" optional:"" name:"name" help:"Names of entries."`
	badmailFilters
	All    bool `help:"All entries."`
	Linked bool `help:"With names: and the entries that belong to them."`
	DryRun bool `help:"Only say how many would be deleted."`
	Yes    bool `short:"y" help:"Delete what filters or --all choose; without it they are only counted."`
}

// Run deletes the chosen entries. Those that are not named it only counts, unless --yes says that the
// count is known.
func (c *badmailDelete) Run(e *env) error {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	s := control.BadmailSelection{Names: c.Names, BadmailFilter: filter, All: c.All, Linked: c.Linked, DryRun: c.DryRun}
	if !onlyOne(len(s.Names) > 0, s.BadmailFilter != control.BadmailFilter{}, s.All) {
		return &exitError{ExitUsage, fmt.Errorf("choose the entries by names, or by filters such as --cause, or with --all")}
	}
	client, err := e.client()
	if err != nil {
		return err
	}
	unsure := len(s.Names) == 0 && !c.Yes && !c.DryRun
	s.DryRun = s.DryRun || unsure
	n, err := client.BadmailDelete(e.ctx, s)
	if err != nil {
		return err
	}
	for _, name := range n.Unknown {
		fmt.Fprintf(e.Err, "mailroot: nothing in badmail is called %s\n", printable(name))
	}
	entries := fmt.Sprintf("%d %s", n.Messages, plural(n.Messages, "entry", "entries"))
	switch {
	case n.Messages == 0:
		return &exitError{ExitNotFound, fmt.Errorf("nothing in badmail matches")}
	case unsure:
		return &exitError{ExitUsage, fmt.Errorf("this would delete %s; add --yes if that is meant", entries)}
	case e.json:
		e.printJSON(n)
	case c.DryRun:
		fmt.Fprintf(e.Out, "%s would be deleted.\n", entries)
	default:
		fmt.Fprintf(e.Out, "%s deleted.\n", entries)
	}
	if len(n.Unknown) > 0 {
		return &exitError{ExitNotFound, errQuiet}
	}
	return nil
}

// badmailLine tells of badmail in the status.
func badmailLine(s control.BadmailStatus) string {
	text := fmt.Sprintf("%d %s, %s", s.Messages, plural(s.Messages, "message", "messages"), octets(s.Octets))
	var since []string
	for _, cause := range []string{"report", "original", "no-sender", "pickup"} {
		if n := s.Written[cause]; n > 0 {
			since = append(since, fmt.Sprintf("%d %s", n, cause))
		}
	}
	if s.Cleaned > 0 {
		since = append(since, fmt.Sprintf("%d removed", s.Cleaned))
	}
	if len(since) > 0 {
		text += "; since the start " + strings.Join(since, ", ")
	}
	return text
}
