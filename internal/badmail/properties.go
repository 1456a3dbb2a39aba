package badmail

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// Version is the format version of the .BDP files that this package writes.
const Version = 1

// Properties is the content of a .BDP file: the envelope and what became of it, enough to
// submit the message again.
type Properties struct {
	Version    int         `json:"version"`
	Name       string      `json:"name"` // base name of the three files
	Code       string      `json:"code"` // "0xC00402C7"
	Reason     string      `json:"reason"`
	Written    time.Time   `json:"written"`
	Linked     string      `json:"linked,omitempty"` // base name of the entry that belongs to it
	File       string      `json:"file,omitempty"`   // in the pickup directory; .BAD then is that file, as it was
	QueueID    string      `json:"queue_id,omitempty"`
	ReportOn   string      `json:"report_on,omitempty"` // queue id of the message it reports on
	Arrived    time.Time   `json:"arrived"`
	Source     string      `json:"source"`
	Size       int64       `json:"size"`
	Subject    string      `json:"subject,omitempty"`
	Sender     Sender      `json:"sender"`
	Recipients []Recipient `json:"recipients"`
	Client     *Client     `json:"client,omitempty"`
}

// Sender is the reverse-path with its parameters. An empty address is the null reverse-path.
type Sender struct {
	Address    string `json:"address"`
	Body       string `json:"body,omitempty"` // "8BITMIME", "BINARYMIME"
	SMTPUTF8   bool   `json:"smtputf8,omitempty"`
	RequireTLS bool   `json:"requiretls,omitempty"`
	Ret        string `json:"ret,omitempty"`
	EnvID      string `json:"envid,omitempty"` // xtext
}

// NoSender reports whether nobody knows the sender: of a file of the pickup directory none was understood. One
// that was has a body type, also the null sender.
func (p *Properties) NoSender() bool {
	return p.File != "" && p.Sender.Address == "" && p.Sender.Body == ""
}

// Recipient is one forward-path with its parameters and its last result.
type Recipient struct {
	Address string `json:"address"`
	Notify  string `json:"notify,omitempty"`
	ORcpt   string `json:"orcpt,omitempty"` // xtext
	Failed  bool   `json:"failed,omitempty"`
	Reply   string `json:"reply,omitempty"`
	Host    string `json:"host,omitempty"`
}

// Client is where the message came from.
type Client struct {
	Address  string `json:"address,omitempty"`
	Name     string `json:"name,omitempty"`
	Helo     string `json:"helo,omitempty"`
	Account  string `json:"account,omitempty"`
	Protocol string `json:"protocol,omitempty"`
}

func properties(name string, e *Entry) ([]byte, error) {
	env := e.Env
	p := Properties{
		Version: Version, Name: name, Code: code(e.Code), Reason: show(e.Reason), Written: e.Time.UTC(),
		Linked: e.Linked, File: e.File, Arrived: env.Arrived.UTC(),
		Source: source(env.Source), Size: env.Content.Size, Subject: show(env.Content.Subject),
		Sender: Sender{
			Address: env.Sender.Addr.String(), Body: body(env.Sender.Body), SMTPUTF8: env.Sender.UTF8,
			RequireTLS: env.Sender.RequireTLS, Ret: ret(env.Sender.Ret), EnvID: env.Sender.EnvID,
		},
		Recipients: make([]Recipient, len(env.Recipients)),
	}
	if env.ID != 0 {
		p.QueueID = env.ID.String()
	}
	if env.Original != 0 {
		p.ReportOn = env.Original.String()
	}
	for i := range env.Recipients {
		r := &env.Recipients[i]
		p.Recipients[i] = Recipient{Address: r.Addr.String(), Notify: notify(r.Notify), ORcpt: r.ORcpt}
	}
	for i := range e.Results {
		res := &e.Results[i]
		r := &p.Recipients[res.Rcpt]
		r.Failed, r.Reply, r.Host = res.Outcome == mail.Failed, show(res.Reply.String()), show(res.Host)
	}
	if env.Peer.IsValid() {
		p.Client = &Client{Address: env.Peer.String(), Name: env.PeerName, Helo: env.Helo, Account: env.Account, Protocol: env.Protocol}
	}
	b, err := json.MarshalIndent(p, "", "  ")
	return append(b, '\n'), err
}

func code(c Code) string { return fmt.Sprintf("0x%08X", uint32(c)) }

func source(s mail.Source) string {
	switch s {
	case mail.SourcePickup:
		return "pickup"
	case mail.SourceReport:
		return "report"
	}
	return "smtp"
}

func body(b mail.BodyType) string {
	switch b {
	case mail.Body8BitMIME:
		return "8BITMIME"
	case mail.BodyBinaryMIME:
		return "BINARYMIME"
	}
	return ""
}

func ret(r mail.Ret) string {
	switch r {
	case mail.RetFull:
		return "FULL"
	case mail.RetHeaders:
		return "HDRS"
	}
	return ""
}

func notify(n mail.Notify) string {
	var s []string
	for _, v := range []struct {
		bit  mail.Notify
		name string
	}{{mail.NotifyNever, "NEVER"}, {mail.NotifySuccess, "SUCCESS"}, {mail.NotifyFailure, "FAILURE"}, {mail.NotifyDelay, "DELAY"}} {
		if n&v.bit != 0 {
			s = append(s, v.name)
		}
	}
	return strings.Join(s, ",")
}

// reason writes the .BDR: for people, in lines that end in CRLF.
func reason(name string, e *Entry) []byte {
	env := e.Env
	var b strings.Builder
	line := func(s string) { b.WriteString(s + "\r\n") }
	if e.Code == CodePickup {
		line("This file in the Pickup folder could not be used as a message. It was not sent to anybody.")
	} else {
		line("This message could be neither delivered nor returned to its sender.")
	}
	line("")
	line("Message:    " + name + ExtMessage)
	line("Reason:     " + show(e.Reason))
	line("Code:       " + code(e.Code))
	line("Date:       " + e.Time.UTC().Format(time.RFC3339))
	if e.File != "" {
		line("File:       " + show(e.File))
	}
	if env.ID != 0 {
		line("Queue ID:   " + env.ID.String())
	}
	if env.Original != 0 {
		line("Report on:  " + env.Original.String())
	}
	if e.Linked != "" {
		line("Belongs to: " + show(e.Linked) + ExtMessage)
	}
	if s := env.Content.Subject; s != "" {
		line("Subject:    " + show(s))
	}
	if e.File != "" && len(env.Recipients) == 0 { // nothing was understood
		return []byte(b.String())
	}
	line("Sender:     <" + show(env.Sender.Addr.String()) + ">")
	line("Recipients:")
	last := make(map[int]*mail.Result, len(e.Results))
	for i := range e.Results {
		last[e.Results[i].Rcpt] = &e.Results[i]
	}
	for i := range env.Recipients {
		line("    <" + show(env.Recipients[i].Addr.String()) + ">")
		if r := last[i]; r != nil && r.Reply.IsZero() {
			line("        failed; the report on it says why")
		} else if r != nil {
			who := ""
			if r.Host != "" {
				who = show(r.Host) + ": "
			}
			line("        " + who + show(r.Reply.String()))
		}
	}
	return []byte(b.String())
}

// maxShown is how much of a text is shown, in octets.
const maxShown = 1000

// show returns s for a line of text (bad input C7).
func show(s string) string { return mail.Printable(s, maxShown) }
