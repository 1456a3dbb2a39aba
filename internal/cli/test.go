package cli

import (
	"errors"
	"fmt"

	"github.com/mailroot/mailroot/internal/control"
)

type testCommands struct {
	Send  testSend  `cmd:"" help:"Send a test message by SMTP to the service's first binding and show the dialog."`
	Route testRoute `cmd:"" help:"Explain, step by step, where mail for an address would go. Nothing is sent."`
}

type testSend struct {
	To      string `required:"" placeholder:"ADDRESS" help:"Recipient."`
	From    string `placeholder:"ADDRESS" help:"Sender; the postmaster by default, <> for the null sender."`
	Subject string `placeholder:"TEXT" help:"Subject."`
}

// Run sends a test message.
func (c *testSend) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	sent, err := api.TestSend(e.ctx, control.TestMessage{From: c.From, To: c.To, Subject: c.Subject})
	if err != nil {
		return err
	}
	if e.json {
		e.printJSON(sent)
	} else {
		for _, l := range sent.Dialog {
			fmt.Fprintln(e.Out, printable(l))
		}
		fmt.Fprintln(e.Out, printable(sent.Result))
	}
	if !sent.OK {
		return &exitError{ExitFailed, errors.New("the test message was not accepted")}
	}
	return nil
}

type testRoute struct {
	Address string `arg:"" help:"Address or local-part; a domain alone with a dot in it, or as @DOMAIN."`
}

// Run explains a route.
func (c *testRoute) Run(e *env) error {
	api, err := e.client()
	if err != nil {
		return err
	}
	r, err := api.TestRoute(e.ctx, c.Address)
	if err != nil {
		return err
	}
	if e.json {
		e.printJSON(r)
		return nil
	}
	for i, s := range r.Steps {
		fmt.Fprintf(e.Out, "%2d. %s\n", i+1, printable(s))
	}
	if r.Error != "" {
		return &exitError{ExitFailed, fmt.Errorf("no way for %s at present: %s\n%s", printable(r.Address), printable(r.Error), r.Outcome)}
	}
	fmt.Fprintf(e.Out, "Next hop: %s\n", printable(r.NextHop))
	return nil
}
