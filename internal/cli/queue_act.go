package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/mailroot/mailroot/internal/control"
)

// filters are the flags that choose messages: all that are given must be true.
type filters struct {
	Sender    string `placeholder:"TEXT" help:"Sender contains TEXT; <> is the null sender. In each TEXT a * stands for anything, and then it is the whole."`
	Recipient string `placeholder:"TEXT" help:"A waiting recipient contains TEXT."`
	Domain    string `placeholder:"NAME" help:"A waiting recipient is in the domain NAME."`
	Status    string `placeholder:"STATUS" help:"waiting, ready, in-flight, deferred, held, frozen or failing."`
	NextHop   string `placeholder:"HOP" help:"The next hop, as status and queue show write it."`
	Client    string `placeholder:"TEXT" help:"The client's address or confirmed name contains TEXT."`
	Account   string `placeholder:"TEXT" help:"Authenticated as an account that contains TEXT."`
	Subject   string `placeholder:"TEXT" help:"Subject contains TEXT."`
	MessageID string `name:"message-id" placeholder:"TEXT" help:"Message-ID contains TEXT."`
	Reply     string `placeholder:"TEXT" help:"The last reply to a waiting recipient contains TEXT."`
	OlderThan string `placeholder:"TIME" help:"Arrived longer ago than TIME: 30m, 12h, 2d."`
	NewerThan string `placeholder:"TIME" help:"Arrived less long ago than TIME."`
	Larger    string `placeholder:"SIZE" help:"Larger than SIZE: 500, 100KB, 2MB."`
	Smaller   string `placeholder:"SIZE" help:"Smaller than SIZE."`
}

func (f filters) selection(ids []string) control.Selection {
	return control.Selection{
		IDs: ids, Sender: f.Sender, Recipient: f.Recipient, Domain: f.Domain, Status: f.Status, NextHop: f.NextHop,
		Client: f.Client, Account: f.Account, Subject: f.Subject, MessageID: f.MessageID, Reply: f.Reply,
		OlderThan: f.OlderThan, NewerThan: f.NewerThan, Larger: f.Larger, Smaller: f.Smaller,
	}
}

// targets are the messages that a verb is for.
type targets struct {
	IDs []string `arg:"" optional:"" name:"id" help:"Queue ids."`
	filters
	All    bool `help:"All messages."`
	DryRun bool `help:"Only count, and show the first messages."`
}

// action is the verb for the chosen messages.
func (t targets) action(verb string) control.QueueAction {
	s := t.filters.selection(t.IDs)
	s.All = t.All
	return control.QueueAction{Selection: s, Verb: verb, DryRun: t.DryRun}
}

type queueHold struct{ targets }

// Run holds the chosen messages.
func (c *queueHold) Run(e *env) error { return e.act(c.action("hold"), "held") }

type queueRelease struct{ targets }

// Run releases the chosen messages.
func (c *queueRelease) Run(e *env) error { return e.act(c.action("release"), "released") }

type queueRetry struct{ targets }

// Run makes the chosen messages due now.
func (c *queueRetry) Run(e *env) error { return e.act(c.action("retry"), "due now") }

type queueReroute struct {
	targets
	confirmed
	To string `required:"" placeholder:"HOST[:PORT]" help:"The next hop: host, host:port, ip or [ip]:port; default: as the routes say."`
}

// Run sends the chosen messages by another next hop.
func (c *queueReroute) Run(e *env) error {
	a := c.action("reroute")
	a.To = c.To
	done := "rerouted to " + c.To
	if c.To == "default" {
		done = "sent as the routes say again"
	}
	return e.confirmAndAct(a, c.Yes, "reroute", done)
}

// confirmed is the flag of verbs that ask.
type confirmed struct {
	Yes bool `short:"y" help:"Do not ask, whatever filters or --all choose."`
}

type queueReturn struct {
	targets
	confirmed
	Reason        string `placeholder:"TEXT" help:"What the report says besides, to the sender."`
	WithoutReport bool   `help:"Tell nobody: the messages are deleted."`
}

// Run returns the chosen messages to their senders.
func (c *queueReturn) Run(e *env) error {
	a := c.action("return")
	a.Reason, a.WithoutReport = c.Reason, c.WithoutReport
	if c.WithoutReport {
		return e.confirmAndAct(a, c.Yes, "delete", "deleted without a report")
	}
	return e.confirmAndAct(a, c.Yes, "return", "returned")
}

type queueDelete struct {
	targets
	confirmed
	Reason string `placeholder:"TEXT" help:"For the audit record."`
}

// Run deletes the chosen messages.
func (c *queueDelete) Run(e *env) error {
	a := c.action("delete")
	a.Reason = c.Reason
	return e.confirmAndAct(a, c.Yes, "delete", "deleted")
}

// confirmAndAct asks before it does something to messages that are not named one by one: at a terminal; elsewhere
// --yes must say so.
func (e *env) confirmAndAct(a control.QueueAction, yes bool, verb, done string) error {
	named := a.Selection
	named.IDs = nil
	if named.String() == "" && len(a.IDs) > 0 || yes || a.DryRun {
		return e.act(a, done)
	}
	if err := a.Meant(); err != nil {
		return err
	}
	api, err := e.client()
	if err != nil {
		return err
	}
	count := a
	count.DryRun = true
	n, err := api.QueueAct(e.ctx, count, nil)
	if err != nil {
		return err
	}
	if n.Recipients == 0 {
		return e.acted(a, done, n)
	}
	text := fmt.Sprintf("%s of %s", recipientCount(n.Recipients), messageCount(n.Messages))
	if !isTerminal(e.In) {
		return &exitError{ExitUsage, fmt.Errorf("this would %s %s; add --yes if that is meant", verb, text)}
	}
	fmt.Fprintf(e.Err, "This will %s %s. Go on? [y/N] ", verb, text)
	if !e.agreed() {
		return &exitError{ExitFailed, errors.New("nothing was done")}
	}
	return e.act(a, done)
}

// agreed reads an answer from the terminal. No answer is no, and so is Ctrl-C, which does not wait for one.
func (e *env) agreed() bool {
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(e.In).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case a := <-answer:
		return a == "y" || a == "yes"
	case <-e.ctx.Done():
		fmt.Fprintln(e.Err)
		return false
	}
}

// isTerminal reports whether a stream is a terminal: a device, but not the one that is nothing.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	fi, err := f.Stat()
	if err != nil || fi.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(fi, null)
}

// act has the service do something to messages. At a terminal it shows how far it is.
func (e *env) act(a control.QueueAction, done string) error {
	if err := a.Meant(); err != nil {
		return err
	}
	api, err := e.client()
	if err != nil {
		return err
	}
	shown := false
	progress := func(n control.Acted) {
		if isTerminal(e.Err) {
			shown = true
			fmt.Fprintf(e.Err, "\r%s so far", recipientCount(n.Recipients))
		}
	}
	n, err := api.QueueAct(e.ctx, a, progress)
	if shown {
		fmt.Fprint(e.Err, "\r\x1b[K")
	}
	switch {
	case errors.Is(err, context.Canceled) || e.ctx.Err() != nil:
		return fmt.Errorf("interrupted after at least %s; what was done stays so", recipientCount(n.Recipients))
	case err != nil && n.Recipients > 0:
		return fmt.Errorf("after at least %s: %w", recipientCount(n.Recipients), err)
	case err != nil:
		return err
	}
	return e.acted(a, done, n)
}

// acted prints what a verb has touched; nothing is an exit code of its own.
func (e *env) acted(a control.QueueAction, done string, n control.Acted) error {
	for _, id := range n.Unknown {
		fmt.Fprintf(e.Err, "mailroot: no message %s is queued\n", id)
	}
	if n.Recipients == 0 && n.Later == 0 && n.Already == 0 {
		return &exitError{ExitNotFound, fmt.Errorf("no queued recipient matches")}
	}
	switch {
	case e.json:
		e.printJSON(n)
	case n.Recipients == 0 && n.Already > 0:
		so := map[string]string{"hold": "held already", "release": "not held", "reroute": "on that way already"}[a.Verb]
		fmt.Fprintf(e.Out, "Nothing to do: %s %s %s.\n", recipientCount(n.Already), plural(n.Already, "is", "are"), so)
	case a.DryRun:
		fmt.Fprintf(e.Out, "%s of %s would be %s.\n", recipientCount(n.Recipients), messageCount(n.Messages), done)
		e.printEntries(n.First)
		if more := n.Messages - len(n.First); more > 0 {
			fmt.Fprintf(e.Out, "and %d more\n", more)
		}
	default:
		if n.Recipients > 0 {
			fmt.Fprintf(e.Out, "%s of %s %s.\n", recipientCount(n.Recipients), messageCount(n.Messages), done)
		}
		if n.Later > 0 {
			fmt.Fprintf(e.Out, "%s in flight; what still waits when it comes back is %s then.\n", recipientCount(n.Later), done)
		}
	}
	if len(n.Unknown) > 0 && !a.DryRun {
		return &exitError{ExitNotFound, errQuiet}
	}
	return nil
}

func recipientCount(n int) string {
	return strconv.Itoa(n) + " " + plural(n, "recipient", "recipients")
}

func messageCount(n int) string { return strconv.Itoa(n) + " " + plural(n, "message", "messages") }
