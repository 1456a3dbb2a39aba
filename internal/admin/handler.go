// Package admin serves the control API: HTTP with JSON over a local socket (a named pipe on
// Windows), for the command line. Who is asking is told by the operating system; what they may do
// is decided in control, never here. It knows nothing of the service below control.
//
// Start with Handler, which is the list of all calls; api holds the client of the same calls.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/control"
)

// maxRequest is the size limit of a request body, in octets.
const maxRequest = 1 << 20

type actorKey struct{}

// actorOrError is what ConnContext found out about the peer of a connection.
type actorOrError struct {
	actor control.Actor
	err   error
}

// Server answers the control API on the listeners given to Serve.
type Server struct {
	http http.Server
}

// NewServer returns a server of c for the local socket. Group is the group whose members are
// administrators besides root and the account of the service; it may be empty.
func NewServer(c *control.Control, group string) *Server {
	s := &Server{}
	s.http = http.Server{
		Handler:           Handler(c),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			a, err := actorOf(conn, group)
			return context.WithValue(ctx, actorKey{}, actorOrError{a, err})
		},
	}
	return s
}

// Serve answers until Shutdown; it returns nil then.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops the server, waiting for calls under way until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }

// Handler returns the calls of the control API.
func Handler(c *control.Control) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", call(func(ctx context.Context, a control.Actor, _ *http.Request, _ *none) (control.Status, error) {
		return c.Status(ctx, a)
	}))
	mux.HandleFunc("POST /v1/reload", call(func(ctx context.Context, a control.Actor, _ *http.Request, _ *none) (control.ReloadResult, error) {
		return c.Reload(ctx, a)
	}))
	mux.HandleFunc("GET /v1/config/diff", call(func(ctx context.Context, a control.Actor, _ *http.Request, _ *none) ([]config.Change, error) {
		return c.ConfigDiff(ctx, a)
	}))
	mux.HandleFunc("POST /v1/queue/list", call(func(ctx context.Context, a control.Actor, _ *http.Request, q *control.QueueQuery) (control.QueuePage, error) {
		return c.QueueList(ctx, a, *q)
	}))
	mux.HandleFunc("GET /v1/queue/{id}", call(func(ctx context.Context, a control.Actor, r *http.Request, _ *none) (control.QueueMessage, error) {
		return c.QueueShow(ctx, a, r.PathValue("id"))
	}))
	handleQueue(mux, c)
	handleBadmail(mux, c)
	handleAdopt(mux, c)
	mux.HandleFunc("POST /v1/test/send", call(func(ctx context.Context, a control.Actor, _ *http.Request, m *control.TestMessage) (control.TestSent, error) {
		return c.TestSend(ctx, a, *m)
	}))
	mux.HandleFunc("GET /v1/test/route", call(func(ctx context.Context, a control.Actor, r *http.Request, _ *none) (control.RouteAnswer, error) {
		return c.TestRoute(ctx, a, r.URL.Query().Get("address"))
	}))
	return mux
}

// none is the request of a call without a body.
type none struct{}

// call turns a verb of control into a handler: it names the actor, reads the request, and writes
// the answer or the error.
func call[Req, Resp any](verb func(context.Context, control.Actor, *http.Request, *Req) (Resp, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req Req
		who, err := accept(w, r, &req)
		if err != nil {
			writeError(w, err)
			return
		}
		resp, err := verb(r.Context(), who, r, &req)
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, resp)
	}
}

// actorIn returns who asks.
func actorIn(r *http.Request) (control.Actor, error) {
	who, ok := r.Context().Value(actorKey{}).(actorOrError)
	if !ok {
		return control.Actor{}, control.ErrForbidden
	}
	return who.actor, who.err
}

// accept names the actor and reads the request.
func accept(w http.ResponseWriter, r *http.Request, req any) (control.Actor, error) {
	who, err := actorIn(r)
	if err != nil {
		return control.Actor{}, err
	}
	if r.Method == http.MethodPost && r.ContentLength != 0 {
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		d.DisallowUnknownFields()
		if err := d.Decode(req); err != nil {
			return control.Actor{}, errors.Join(control.ErrInvalid, err)
		}
	}
	return who, nil
}

// errorBody is the JSON form of a failure.
type errorBody struct {
	Error string `json:"error"`
}

func writeError(w http.ResponseWriter, err error) {
	writeJSON(w, statusOf(err), errorBody{err.Error()})
}

// statusOf is the HTTP status of a failure.
func statusOf(err error) int {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, control.ErrForbidden):
		status = http.StatusForbidden
	case errors.Is(err, control.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, control.ErrInvalid):
		status = http.StatusBadRequest
	case errors.Is(err, control.ErrBadConfig):
		status = http.StatusUnprocessableEntity
	}
	return status
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, `{"error":"the answer cannot be encoded"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client has gone when this fails; there is nobody left to tell.
	_, _ = w.Write(append(b, '\n'))
}
