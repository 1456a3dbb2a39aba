package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/mailroot/mailroot/internal/control"
)

// QueueAct does something to selected recipients. Progress, if not nil, is told now and then what is done so far;
// when ctx ends the service stops, and what it has told is done.
func (c *Client) QueueAct(ctx context.Context, act control.QueueAction, progress func(control.Acted)) (control.Acted, error) {
	body, err := json.Marshal(act)
	if err != nil {
		return control.Acted{}, err
	}
	resp, err := c.send(ctx, http.MethodPost, "/v1/queue/act", bytes.NewReader(body))
	if err != nil {
		return control.Acted{}, err
	}
	defer resp.Body.Close()
	var soFar control.Acted
	for d := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)); ; {
		var l struct {
			Progress, Result *control.Acted
			Error            string
			Status           int
		}
		err := d.Decode(&l)
		switch {
		case errors.Is(err, io.EOF):
			return soFar, io.ErrUnexpectedEOF
		case err != nil:
			return soFar, err
		case l.Result != nil:
			return *l.Result, nil
		case l.Error != "":
			return soFar, fail(l.Status, l.Error)
		case l.Progress != nil:
			soFar = *l.Progress
			if progress != nil {
				progress(soFar)
			}
		}
	}
}

// QueueFreeze keeps mail for a destination from being tried.
func (c *Client) QueueFreeze(ctx context.Context, r control.FreezeRequest) (control.Frozen, error) {
	return post[control.Frozen](ctx, c, "/v1/queue/freeze", r)
}

// QueueUnfreeze ends a freeze, or all, and returns how many it ended.
func (c *Client) QueueUnfreeze(ctx context.Context, r control.FreezeRequest) (int, error) {
	return post[int](ctx, c, "/v1/queue/unfreeze", r)
}

// QueueFrozen lists the frozen destinations.
func (c *Client) QueueFrozen(ctx context.Context) ([]control.Frozen, error) {
	return get[[]control.Frozen](ctx, c, "/v1/queue/frozen")
}

// QuarantineList lists what is in quarantine.
func (c *Client) QuarantineList(ctx context.Context) (control.AsidePage, error) {
	return get[control.AsidePage](ctx, c, "/v1/quarantine")
}

// QuarantineShow tells all that is known of one part.
func (c *Client) QuarantineShow(ctx context.Context, name string) (control.Aside, error) {
	return get[control.Aside](ctx, c, "/v1/quarantine/"+url.PathEscape(name))
}

// QuarantineDelete removes a part for good.
func (c *Client) QuarantineDelete(ctx context.Context, name string) error {
	_, err := do[struct{}](ctx, c, http.MethodDelete, "/v1/quarantine/"+url.PathEscape(name), nil)
	return err
}

// QuarantineExport writes the message of a part, as a file for the Pickup folder, to w.
func (c *Client) QuarantineExport(ctx context.Context, name string, w io.Writer) error {
	return c.download(ctx, "/v1/quarantine/"+url.PathEscape(name)+"/message", w)
}
