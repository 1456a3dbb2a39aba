package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/api"
	"github.com/mailroot/mailroot/internal/control"
)

type quarantineCommands struct {
	List   quarantineList   `cmd:"" help:"List what was put aside, when and why."`
	Show   quarantineShow   `cmd:"" help:"Show one part, and whether its message is whole."`
	Export quarantineExport `cmd:"" help:"Write the message of a part as a file for the Pickup folder."`
	Delete quarantineDelete `cmd:"" help:"Delete a part for good."`
}

type quarantineList struct{}

// Run lists the quarantine.
func (quarantineList) Run(e *env) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	page, err := client.QuarantineList(e.ctx)
	if err != nil {
		return err
	}
	if e.json {
		e.printJSON(page)
		return nil
	}
	if page.Total == 0 {
		fmt.Fprintln(e.Out, "Nothing is in quarantine.")
		return nil
	}
	now := time.Now()
	rows := make([][]string, len(page.Parts))
	for i, p := range page.Parts {
		envelope := "no"
		if p.Envelope {
			envelope = p.Sender + ", " + recipientCount(len(p.Recipients))
		}
		rows[i] = []string{p.Name, ago(p.Time, now), octets(p.Size), cut(envelope, 60), cut(p.Reason, 100)}
	}
	table(e.Out, []string{"NAME", "SINCE", "SIZE", "ENVELOPE", "WHY"}, rows)
	if more := page.Total - len(page.Parts); more > 0 {
		fmt.Fprintf(e.Out, "and %d more\n", more)
	}
	return nil
}

type quarantineShow struct {
	Name string `arg:"" help:"Name of the part, from list."`
}

// Run shows one part.
func (c *quarantineShow) Run(e *env) error {
	return show(e, (*api.Client).QuarantineShow, c.Name, e.tellAside)
}

// tellAside tells all that is known of a part.
func (e *env) tellAside(p control.Aside) {
	e.fact("Name", p.Name)
	e.fact("Size", octets(p.Size))
	e.fact("Put aside", moment(p.Time))
	for why := range strings.SplitSeq(p.Reason, "\n") {
		e.fact("Why", why)
	}
	e.fact("Message", p.ID)
	e.fact("Sender", p.Sender)
	for _, r := range p.Recipients {
		e.fact("Recipient", r)
	}
	e.fact("Subject", p.Subject)
	e.fact("Can be saved", saved(p))
}

// saved says what export would write.
func saved(p control.Aside) string {
	switch {
	case p.Octets < 0:
		return "no: no message can be found in it"
	case p.Whole && p.Envelope:
		return "yes: the message is whole, and its envelope can be read"
	case p.Whole:
		return "the message is whole; its envelope cannot be read, so that sender and recipients are to be written by hand"
	case p.Envelope:
		return strconv.FormatInt(p.Octets, 10) + " octets, which are not those that came in, and the envelope"
	}
	return strconv.FormatInt(p.Octets, 10) + " octets, which may be damaged, without an envelope"
}

type quarantineExport struct {
	Name string `arg:"" help:"Name of the part, from list."`
	Out  string `required:"" placeholder:"FILE" help:"New file to write; - is standard output."`
}

// Run writes the message of a part to a file.
func (c *quarantineExport) Run(e *env) (err error) {
	client, err := e.client()
	if err != nil {
		return err
	}
	p, err := client.QuarantineShow(e.ctx, c.Name)
	if err != nil {
		return err
	}
	var w io.Writer = e.Out
	if c.Out != "-" {
		f, err := os.OpenFile(c.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer func() {
			if err = errors.Join(err, f.Close()); err != nil {
				_ = os.Remove(c.Out) // half of a message is no message
			}
		}()
		w = f
	}
	if err := client.QuarantineExport(e.ctx, c.Name, w); err != nil {
		return err
	}
	if c.Out == "-" {
		return nil
	}
	if p.Envelope {
		fmt.Fprintf(e.Err, "Written to %s. Its x-receiver lines name all recipients, also those that had the message already.\n", c.Out)
	} else {
		fmt.Fprintf(e.Err, "Written to %s, without x-sender and x-receiver lines: the envelope cannot be read. Write them by hand.\n", c.Out)
	}
	return nil
}

type quarantineDelete struct {
	Names []string `arg:"" name:"name" help:"Names of the parts, from list."`
}

// Run deletes parts.
func (c *quarantineDelete) Run(e *env) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	for _, name := range c.Names {
		if err := client.QuarantineDelete(e.ctx, name); err != nil {
			return err
		}
	}
	if e.json {
		e.printJSON(map[string]int{"deleted": len(c.Names)})
		return nil
	}
	fmt.Fprintf(e.Out, "%d %s deleted.\n", len(c.Names), plural(len(c.Names), "part", "parts"))
	return nil
}
