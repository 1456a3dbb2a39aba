// Package api is the client of the control API: the calls that admin serves over the local socket,
// with the view structs of control as wire types. It is what the command line uses, and knows
// nothing of the service itself. Start with Client.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/control"
)

// maxAnswer bounds what is read of an answer, in octets.
const maxAnswer = 64 << 20

// Client calls the service that listens at one control socket. It may be used by several
// goroutines.
type Client struct {
	path string
	http *http.Client
}

// New returns a client for the control socket (on Windows: the pipe) at path. Nothing is dialled
// before the first call.
func New(path string) *Client {
	return &Client{path, &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, path) },
	}}}
}

// Answers reports whether a service listens at the socket. It asks nothing.
func (c *Client) Answers(ctx context.Context) bool {
	conn, err := dial(ctx, c.path)
	if err == nil {
		_ = conn.Close() // nothing was sent that could be lost
	}
	return !errors.Is(err, ErrNotRunning)
}

// Status asks how the service is.
func (c *Client) Status(ctx context.Context) (control.Status, error) {
	return get[control.Status](ctx, c, "/v1/status")
}

// Reload makes the service read its configuration file again.
func (c *Client) Reload(ctx context.Context) (control.ReloadResult, error) {
	return post[control.ReloadResult](ctx, c, "/v1/reload", nil)
}

// ConfigDiff tells what a reload would change.
func (c *Client) ConfigDiff(ctx context.Context) ([]config.Change, error) {
	return get[[]config.Change](ctx, c, "/v1/config/diff")
}

// QueueList returns one page of the queue.
func (c *Client) QueueList(ctx context.Context, q control.QueueQuery) (control.QueuePage, error) {
	return post[control.QueuePage](ctx, c, "/v1/queue/list", q)
}

// QueueShow returns all that is known of a queued message.
func (c *Client) QueueShow(ctx context.Context, id string) (control.QueueMessage, error) {
	return get[control.QueueMessage](ctx, c, "/v1/queue/"+url.PathEscape(id))
}

// TestSend sends a test message through the service.
func (c *Client) TestSend(ctx context.Context, m control.TestMessage) (control.TestSent, error) {
	return post[control.TestSent](ctx, c, "/v1/test/send", m)
}

// TestRoute explains where mail for an address would go.
func (c *Client) TestRoute(ctx context.Context, address string) (control.RouteAnswer, error) {
	return get[control.RouteAnswer](ctx, c, "/v1/test/route?address="+url.QueryEscape(address))
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	return do[T](ctx, c, http.MethodGet, path, nil)
}

func post[T any](ctx context.Context, c *Client, path string, body any) (T, error) {
	var zero T
	if body == nil {
		return do[T](ctx, c, http.MethodPost, path, nil)
	}
	b, err := json.Marshal(body)
	if err != nil {
		return zero, err
	}
	return do[T](ctx, c, http.MethodPost, path, b)
}

func do[T any](ctx context.Context, c *Client, method, path string, body []byte) (T, error) {
	var answer T
	resp, err := c.send(ctx, method, path, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer, err
	}
	return answer, json.Unmarshal(b, &answer)
}

// send makes one call. An answer that is not 200 is an error; the body of the others is the caller's to close.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	// The host is of no meaning on a local socket.
	req, err := http.NewRequestWithContext(ctx, method, "http://mailroot"+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // the URL says nothing to a person
	}
	if err != nil || resp.StatusCode == http.StatusOK {
		return resp, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	return nil, failure(resp.StatusCode, b)
}

// download writes an answer to w, octet for octet. After an error w may have a part of it.
func (c *Client) download(ctx context.Context, path string, w io.Writer) error {
	resp, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return err
}

// Failure is an error that the service answered with. It unwraps to the kinds of control.
type Failure struct {
	Text string
	kind error
}

// Error returns the text of the service.
func (f *Failure) Error() string { return f.Text }

// Unwrap returns control.ErrForbidden, ErrNotFound, ErrInvalid, ErrBadConfig, or nil.
func (f *Failure) Unwrap() error { return f.kind }

func failure(status int, body []byte) error {
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &e) != nil || e.Error == "" {
		e.Error = fmt.Sprintf("the service answered with HTTP status %d", status)
	}
	return fail(status, e.Error)
}

// fail is the error of a text with the HTTP status that it had.
func fail(status int, text string) error {
	kinds := map[int]error{
		http.StatusForbidden:           control.ErrForbidden,
		http.StatusNotFound:            control.ErrNotFound,
		http.StatusBadRequest:          control.ErrInvalid,
		http.StatusUnprocessableEntity: control.ErrBadConfig,
	}
	return &Failure{text, kinds[status]}
}
