package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mailroot/mailroot/internal/spool"
)

// maxAside bounds the parts of the quarantine that are listed.
const maxAside = 1000

// Aside is a part of the queue that was put into quarantine because it is damaged.
type Aside struct {
	Name   string    `json:"name"`
	Size   int64     `json:"size"`
	Time   time.Time `json:"time,omitzero"`
	Reason string    `json:"reason,omitempty"`
	ID     string    `json:"id,omitempty"` // of the message that it belongs to, if that is known
	// Envelope says that sender and recipients could be read.
	Envelope   bool      `json:"envelope"`
	Sender     string    `json:"sender,omitempty"`
	Recipients []string  `json:"recipients,omitempty"` // also those that had the message already
	Subject    string    `json:"subject,omitempty"`
	Arrived    time.Time `json:"arrived,omitzero"`
	// Octets is how many octets of the message can be exported; -1: none.
	Octets int64 `json:"octets"`
	// Whole says, of show, that these are the octets as they were committed.
	Whole bool `json:"whole"`
}

// AsidePage is what is in quarantine.
type AsidePage struct {
	Parts []Aside `json:"parts"`
	Total int     `json:"total"` // there may be more than are listed
}

// QuarantineList lists what is in quarantine.
func (c *Control) QuarantineList(ctx context.Context, a Actor) (AsidePage, error) {
	if err := a.allow("queue quarantine list", RoleViewer); err != nil {
		return AsidePage{}, err
	}
	q := c.server().Quarantine()
	total, err := q.Count()
	if err != nil {
		return AsidePage{}, err
	}
	list, err := q.List(ctx, maxAside)
	page := AsidePage{Parts: make([]Aside, len(list)), Total: total}
	for i := range list {
		page.Parts[i] = asideView(&list[i])
	}
	return page, err
}

// QuarantineShow tells all that is known of one part.
func (c *Control) QuarantineShow(ctx context.Context, a Actor, name string) (Aside, error) {
	if err := a.allow("queue quarantine show", RoleViewer); err != nil {
		return Aside{}, err
	}
	p, err := c.server().Quarantine().Show(ctx, name)
	if err != nil {
		return Aside{}, asideError(name, err)
	}
	return asideView(&p), nil
}

// QuarantineExport writes the message of a part as a file for the Pickup folder.
func (c *Control) QuarantineExport(ctx context.Context, a Actor, name string, w io.Writer) error {
	if err := a.allow("queue quarantine export", RoleOperator); err != nil {
		return err
	}
	err := c.server().ExportAside(ctx, w, name)
	c.audit(a, "queue quarantine export", withError(err, "name", name)...)
	return asideError(name, err)
}

// QuarantineDelete removes a part for good.
func (c *Control) QuarantineDelete(ctx context.Context, a Actor, name string) error {
	if err := a.allow("queue quarantine delete", RoleOperator); err != nil {
		return err
	}
	err := c.server().Quarantine().Remove(ctx, name)
	c.audit(a, "queue quarantine delete", withError(err, "name", name)...)
	return asideError(name, err)
}

func asideError(name string, err error) error {
	if errors.Is(err, spool.ErrNotFound) {
		return fmt.Errorf("%w: %.200q is not in quarantine, or holds no message that can be read", ErrNotFound, name)
	}
	return err
}

func asideView(p *spool.Aside) Aside {
	out := Aside{Name: p.Name, Size: p.Size, Time: p.Time, Reason: p.Reason, Octets: p.Octets, Whole: p.Whole}
	if p.ID != 0 {
		out.ID = p.ID.String()
	}
	if env := p.Envelope; env != nil {
		out.Envelope, out.Arrived, out.Subject = true, env.Arrived, env.Content.Subject
		if out.Sender = env.Sender.Addr.String(); env.Sender.Addr.IsNull() {
			out.Sender = "<>"
		}
		for _, r := range env.Recipients {
			out.Recipients = append(out.Recipients, r.Addr.String())
		}
	}
	return out
}
