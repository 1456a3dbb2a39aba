package control

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/service"
)

// Adoption is what an old server left, to be taken over: one file of its Drop, Pickup or Queue folder, or the
// files of one entry of its Badmail folder.
type Adoption struct {
	Server string        `json:"server,omitempty"` // the virtual server; "": the default one
	Kind   string        `json:"kind"`             // badmail, drop, pickup, queue
	Files  []AdoptedFile `json:"files"`
	// Key, if not "", is the one that Adopted told when it was looked at: other contents are not taken.
	Key  string `json:"key,omitempty"`
	Look bool   `json:"look,omitempty"` // only tell what would become of it
}

// AdoptedFile is one file of an Adoption. Its octets follow the Adoption.
type AdoptedFile struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// Adopted is what became of an Adoption.
type Adopted struct {
	Kind  string `json:"kind"`
	Name  string `json:"name"`  // in the old folder
	State string `json:"state"` // new, adopted, already, unusable
	Key   string `json:"key"`
	// As is the queue id of the message, or the name that the file or entry has here.
	As string `json:"as,omitempty"`
	// Of pickup and queue: the envelope and the fields that told it.
	Sender         string   `json:"sender,omitempty"` // "<>": the null sender
	SenderBy       string   `json:"sender_by,omitempty"`
	Recipients     []string `json:"recipients,omitempty"` // at most 100
	RecipientCount int      `json:"recipient_count,omitempty"`
	RecipientsBy   string   `json:"recipients_by,omitempty"`
	Reason         string   `json:"reason,omitempty"` // why it is unusable
}

const (
	shownAdopted = 100
	maxAddress   = 320 // octets of an address that is shown
	maxReasonLen = 1000
)

// Adopt takes over what an old server left; body is the octets of its files, one behind the other. Each is taken
// once, however often it is offered.
func (c *Control) Adopt(ctx context.Context, a Actor, r Adoption, body io.Reader) (Adopted, error) {
	if err := a.allow("adopt", RoleAdministrator); err != nil {
		return Adopted{}, err
	}
	v, err := c.virtualServer(r.Server)
	if err != nil {
		return Adopted{}, err
	}
	old := &service.Old{Kind: service.OldKind(r.Kind), Body: body, Key: r.Key, Look: r.Look}
	for _, f := range r.Files {
		old.Files = append(old.Files, service.OldFile{Name: f.Name, Size: f.Size})
	}
	got, err := v.Adopt(ctx, old)
	if errors.Is(err, service.ErrOld) {
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err != nil {
		return Adopted{}, err
	}
	out := adopted(&r, &got)
	if out.State == string(service.OldAdopted) || out.As != "" && out.State == string(service.OldUnusable) {
		c.audit(a, "adopt", "server", v.Name(), "kind", out.Kind, "name", out.Name, "as", out.As, "key", out.Key)
	}
	return out, nil
}

// virtualServer returns the virtual server of that name, "" being the default one.
func (c *Control) virtualServer(name string) (*service.Server, error) {
	if name == "" {
		return c.server(), nil
	}
	for _, v := range c.o.Service.Servers() {
		if v.Name() == name {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%w: there is no virtual server %.100q", ErrNotFound, name)
}

func adopted(r *Adoption, got *service.Adoption) Adopted {
	out := Adopted{
		Kind: r.Kind, Name: mail.Printable(r.Files[0].Name, maxReasonLen), State: string(got.State), Key: got.Key, As: got.As,
		Reason: mail.Printable(got.Reason, maxReasonLen),
	}
	if l := got.Letter; l != nil && got.Reason == "" {
		out.Sender = "<>"
		if !l.Sender.Addr.IsNull() {
			out.Sender = mail.Printable(l.Sender.Addr.String(), maxAddress)
		}
		out.SenderBy, out.RecipientsBy = mail.Printable(l.SenderBy, maxAddress), mail.Printable(l.RecipientsBy, maxAddress)
		out.RecipientCount = len(l.Recipients)
		for _, to := range l.Recipients[:min(len(l.Recipients), shownAdopted)] {
			out.Recipients = append(out.Recipients, mail.Printable(to.Addr.String(), maxAddress))
		}
	}
	return out
}
