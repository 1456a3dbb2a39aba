package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/mailroot/mailroot/internal/control"
)

// handleQueue adds the calls that change the queue, and those of freezes and quarantine.
func handleQueue(mux *http.ServeMux, c *control.Control) {
	mux.HandleFunc("POST /v1/queue/act", stream(func(ctx context.Context, a control.Actor, act *control.QueueAction, progress func(control.Acted)) (control.Acted, error) {
		return c.QueueAct(ctx, a, *act, progress)
	}))
	mux.HandleFunc("GET /v1/queue/frozen", call(func(ctx context.Context, a control.Actor, _ *http.Request, _ *none) ([]control.Frozen, error) {
		return c.QueueFrozen(ctx, a)
	}))
	mux.HandleFunc("POST /v1/queue/freeze", call(func(ctx context.Context, a control.Actor, _ *http.Request, r *control.FreezeRequest) (control.Frozen, error) {
		return c.QueueFreeze(ctx, a, *r)
	}))
	mux.HandleFunc("POST /v1/queue/unfreeze", call(func(ctx context.Context, a control.Actor, _ *http.Request, r *control.FreezeRequest) (int, error) {
		return c.QueueUnfreeze(ctx, a, *r)
	}))
	mux.HandleFunc("GET /v1/quarantine", call(func(ctx context.Context, a control.Actor, _ *http.Request, _ *none) (control.AsidePage, error) {
		return c.QuarantineList(ctx, a)
	}))
	mux.HandleFunc("GET /v1/quarantine/{name}", call(func(ctx context.Context, a control.Actor, r *http.Request, _ *none) (control.Aside, error) {
		return c.QuarantineShow(ctx, a, r.PathValue("name"))
	}))
	mux.HandleFunc("DELETE /v1/quarantine/{name}", call(func(ctx context.Context, a control.Actor, r *http.Request, _ *none) (struct{}, error) {
		return struct{}{}, c.QuarantineDelete(ctx, a, r.PathValue("name"))
	}))
	mux.HandleFunc("GET /v1/quarantine/{name}/message", func(w http.ResponseWriter, r *http.Request) {
		who, err := accept(w, r, &none{})
		out := &begun{w: w}
		if err == nil {
			err = c.QuarantineExport(r.Context(), who, r.PathValue("name"), out)
		}
		switch {
		case err == nil:
		case out.wrote: // the client is not to take what it has for the whole
			panic(http.ErrAbortHandler)
		default:
			writeError(w, err)
		}
	})
}

// begun writes octets as the answer and knows whether it has begun.
type begun struct {
	w     http.ResponseWriter
	wrote bool
}

// Write writes to the client.
func (b *begun) Write(p []byte) (int, error) {
	if !b.wrote {
		b.wrote = true
		b.w.Header().Set("Content-Type", "application/octet-stream")
	}
	return b.w.Write(p)
}

// line is one line of an answer in portions: what is done so far, and at last either the result or an error.
type line[T any] struct {
	Progress *T     `json:"progress,omitempty"`
	Result   *T     `json:"result,omitempty"`
	Error    string `json:"error,omitempty"`
	Status   int    `json:"status,omitempty"` // that the error would have had
}

// progressEvery is the time between two lines of progress.
const progressEvery = 250 * time.Millisecond

// stream turns a verb that takes long into a handler that answers in lines of JSON. A client that goes away ends
// the verb. An error before the first line is an ordinary one.
func stream[Req, T any](verb func(context.Context, control.Actor, *Req, func(T)) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req Req
		who, err := accept(w, r, &req)
		if err != nil {
			writeError(w, err)
			return
		}
		begun, last := false, time.Now()
		write := func(l line[T]) {
			if !begun {
				begun = true
				w.Header().Set("Content-Type", "application/jsonl")
			}
			// A client that has gone ends the context.
			_ = json.NewEncoder(w).Encode(l)
			_ = http.NewResponseController(w).Flush()
		}
		result, err := verb(r.Context(), who, &req, func(so T) {
			if now := time.Now(); now.Sub(last) >= progressEvery {
				last = now
				write(line[T]{Progress: &so})
			}
		})
		switch {
		case err != nil && !begun:
			writeError(w, err)
		case err != nil:
			write(line[T]{Error: err.Error(), Status: statusOf(err)})
		default:
			write(line[T]{Result: &result})
		}
	}
}
