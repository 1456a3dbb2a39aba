package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/mailroot/mailroot/internal/control"
)

type queueFreeze struct {
	Name   string `arg:"" optional:"" name:"hop|domain" help:"A next hop as status writes it, or a recipient domain."`
	All    bool   `help:"All delivery."`
	For    string `placeholder:"TIME" help:"End by itself after TIME: 30m, 2h, 1d."`
	Reason string `placeholder:"TEXT" help:"Shown with each message that waits for it."`
}

// Run freezes a destination.
func (c *queueFreeze) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	z, err := api.QueueFreeze(e.ctx, control.FreezeRequest{Name: c.Name, All: c.All, For: c.For, Reason: c.Reason})
	if err != nil {
		return err
	}
	if e.json {
		e.printJSON(z)
		return nil
	}
	fmt.Fprintf(e.Out, "Frozen: %s\n", printable(frozenText(z, time.Now())))
	if z.Idle {
		fmt.Fprintln(e.Err, "mailroot: no next hop and no domain of that name has mail at present; names are as status writes them")
	}
	return nil
}

// frozenText says what is frozen, for how long, by whom and why.
func frozenText(z control.Frozen, now time.Time) string {
	s := z.Name
	if s == "*" {
		s = "all delivery"
	}
	if z.Until.IsZero() {
		s += ", until it is unfrozen"
	} else {
		s += ", ends " + until(z.Until, now)
	}
	s += fmt.Sprintf(", %s ready or due", recipientCount(z.Waiting))
	if s += ", by " + z.By; z.Reason != "" {
		s += ": " + z.Reason
	}
	return s
}

type queueUnfreeze struct {
	Name string `arg:"" optional:"" name:"hop|domain" help:"What was frozen."`
	All  bool   `help:"All that is frozen."`
}

// Run ends a freeze.
func (c *queueUnfreeze) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	n, err := api.QueueUnfreeze(e.ctx, control.FreezeRequest{Name: c.Name, All: c.All})
	if err != nil {
		return err
	}
	if e.json {
		e.printJSON(map[string]int{"ended": n})
		return nil
	}
	fmt.Fprintf(e.Out, "%d %s ended.\n", n, plural(n, "freeze", "freezes"))
	return nil
}

type queueFrozen struct{}

// Run lists what is frozen.
func (queueFrozen) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	list, err := api.QueueFrozen(e.ctx)
	if err != nil {
		return err
	}
	if e.json {
		e.printJSON(list)
		return nil
	}
	if len(list) == 0 {
		fmt.Fprintln(e.Out, "Nothing is frozen.")
		return nil
	}
	now := time.Now()
	rows := make([][]string, len(list))
	for i, z := range list {
		ends := "-"
		if !z.Until.IsZero() {
			ends = until(z.Until, now)
		}
		rows[i] = []string{z.Name, ago(z.Since, now), ends, strconv.Itoa(z.Waiting), z.By, z.Reason}
	}
	table(e.Out, []string{"NAME", "SINCE", "ENDS", "WAITING", "BY", "REASON"}, rows)
	return nil
}
