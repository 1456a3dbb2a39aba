package control

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/queue"
	"github.com/mailroot/mailroot/internal/route"
	"github.com/mailroot/mailroot/internal/service"
)

// FreezeRequest names a destination to be frozen, or no longer.
type FreezeRequest struct {
	// Name is a next hop as status writes it, or a recipient domain.
	Name string `json:"name,omitempty"`
	All  bool   `json:"all,omitempty"` // all delivery; of unfreeze: all that is frozen
	// For is how long: 30m, 2h, 1d; empty: until it is unfrozen.
	For    string `json:"for,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Frozen is a frozen destination.
type Frozen struct {
	Name    string    `json:"name"` // "*": all delivery
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until,omitzero"`
	By      string    `json:"by"`
	Reason  string    `json:"reason,omitempty"`
	Waiting int       `json:"waiting"` // recipients that it keeps now
	// Idle is set by freeze when the queue has nothing for a destination of that name: it may be misspelt.
	Idle bool `json:"idle,omitempty"`
}

// QueueFreeze keeps mail for a destination from being tried. What is in flight ends.
func (c *Control) QueueFreeze(_ context.Context, a Actor, r FreezeRequest) (Frozen, error) {
	if err := a.allow("queue freeze", RoleOperator); err != nil {
		return Frozen{}, err
	}
	name, err := c.destination(r)
	if err == nil {
		err = checkReason(r.Reason)
	}
	if err != nil {
		return Frozen{}, err
	}
	z := service.Freeze{Name: name, Reason: r.Reason, By: a.Name, Since: time.Now().Round(0)}
	if r.For != "" {
		d, err := config.ParseTime(r.For)
		if err == nil && d == 0 {
			err = errors.New("no time at all")
		}
		if err != nil {
			return Frozen{}, fmt.Errorf("%w: for: %w", ErrInvalid, err)
		}
		z.Until = z.Since.Add(d)
	}
	err = c.server().Freeze(z)
	c.audit(a, "queue freeze", withError(err, "name", name, "for", r.For, "reason", r.Reason)...)
	if err != nil {
		return Frozen{}, err
	}
	q := c.server().Queue()
	out := frozenView(z, q.Kept())
	out.Idle = !r.All && !anyFor(q, name)
	return out, nil
}

// anyFor reports whether the queue has mail for a next hop or a domain, by the name of a freeze.
func anyFor(q *queue.Queue, name string) bool {
	for _, s := range [...]queue.Selection{{Hop: name}, {Domain: name}} {
		if refs, _ := q.Select(s, 0, 1); len(refs) > 0 {
			return true
		}
	}
	return false
}

// QueueUnfreeze ends a freeze, or all, and returns how many it ended.
func (c *Control) QueueUnfreeze(_ context.Context, a Actor, r FreezeRequest) (int, error) {
	if err := a.allow("queue unfreeze", RoleOperator); err != nil {
		return 0, err
	}
	name, err := c.destination(FreezeRequest{Name: r.Name, All: r.All})
	if err != nil {
		return 0, err
	}
	if r.All {
		name = ""
	}
	n, err := c.server().Unfreeze(name)
	c.audit(a, "queue unfreeze", withError(err, "name", r.Name, "ended", n)...)
	switch {
	case err != nil || n > 0:
	case r.All:
		err = fmt.Errorf("%w: nothing is frozen", ErrNotFound)
	default:
		err = fmt.Errorf("%w: %s is not frozen", ErrNotFound, r.Name)
	}
	return n, err
}

// QueueFrozen lists the frozen destinations.
func (c *Control) QueueFrozen(_ context.Context, a Actor) ([]Frozen, error) {
	if err := a.allow("queue frozen", RoleViewer); err != nil {
		return nil, err
	}
	return append([]Frozen{}, frozen(c.server())...), nil
}

// frozen lists the frozen destinations of a virtual server.
func frozen(v *service.Server) (out []Frozen) {
	list := v.Frozen()
	if len(list) == 0 {
		return nil
	}
	kept := v.Queue().Kept()
	for _, z := range list {
		out = append(out, frozenView(z, kept))
	}
	return out
}

func frozenView(z service.Freeze, kept map[string]int) Frozen {
	return Frozen{Name: z.Name, Since: z.Since, Until: z.Until, By: z.By, Reason: z.Reason, Waiting: kept[z.Name]}
}

// cutTerms parts a place from the terms that follow it in the key of a next hop.
func cutTerms(name string) (place, terms string, err error) {
	place, terms, _ = strings.Cut(mail.LowerASCII(name), " ")
	for word := range strings.FieldsSeq(terms) {
		if word != "helo" && !strings.HasPrefix(word, "tls=") && !strings.HasPrefix(word, "connections=") {
			return "", "", fmt.Errorf("%w: %.100q is neither a next hop nor a domain", ErrInvalid, name)
		}
	}
	if terms != "" {
		terms = " " + terms
	}
	return place, terms, nil
}

// destination brings what a person writes into the form that the queue compares: the key of a next hop, its place
// alone, which stands for the place under any terms, or a domain.
func (c *Control) destination(r FreezeRequest) (string, error) {
	name := strings.TrimSpace(r.Name)
	if (name == "") != r.All || len(name) > maxFilterText {
		return "", fmt.Errorf("%w: name one next hop or domain, or say that all is meant", ErrInvalid)
	}
	if r.All {
		return "*", nil
	}
	v := c.server()
	for _, h := range v.Queue().Hops() {
		if mail.EqualFoldASCII(h.Key, name) {
			return mail.LowerASCII(h.Key), nil
		}
	}
	for _, z := range v.Frozen() {
		if mail.EqualFoldASCII(z.Name, name) {
			return z.Name, nil
		}
	}
	name, terms, err := cutTerms(name)
	if err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(name); err == nil || strings.ContainsAny(name, ":[") {
		h, err := v.Routes().HopTo(name)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		return mail.LowerASCII(h.Place()) + terms, nil
	}
	domain, err := route.NormalizeDomain(strings.TrimSuffix(name, "."))
	if err != nil {
		return "", fmt.Errorf("%w: %.100q: %w", ErrInvalid, name, err)
	}
	return domain + terms, nil
}
