package api

import (
	"context"
	"io"
	"net/url"

	"github.com/mailroot/mailroot/internal/control"
)

// BadmailList returns one page of badmail.
func (c *Client) BadmailList(ctx context.Context, q control.BadmailQuery) (control.BadmailPage, error) {
	return post[control.BadmailPage](ctx, c, "/v1/badmail/list", q)
}

// BadmailShow returns all that is known of an entry.
func (c *Client) BadmailShow(ctx context.Context, name string) (control.BadmailEntry, error) {
	return get[control.BadmailEntry](ctx, c, "/v1/badmail/"+url.PathEscape(name))
}

// BadmailResubmit sends the message of an entry once more.
func (c *Client) BadmailResubmit(ctx context.Context, r control.BadmailResubmission) (control.BadmailResubmitted, error) {
	return post[control.BadmailResubmitted](ctx, c, "/v1/badmail/resubmit", r)
}

// BadmailDelete removes entries, or counts them.
func (c *Client) BadmailDelete(ctx context.Context, s control.BadmailSelection) (control.BadmailDeleted, error) {
	return post[control.BadmailDeleted](ctx, c, "/v1/badmail/delete", s)
}

// BadmailExport writes the message of an entry to w, octet for octet. After an error w may have a
// part of it.
func (c *Client) BadmailExport(ctx context.Context, name string, w io.Writer) error {
	return c.download(ctx, "/v1/badmail/"+url.PathEscape(name)+"/message", w)
}
