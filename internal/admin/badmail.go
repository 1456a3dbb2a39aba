package admin

import (
	"context"
	"io"
	"net/http"
	"strconv"

	"github.com/mailroot/mailroot/internal/control"
)

// handleBadmail adds the calls about badmail.
func handleBadmail(mux *http.ServeMux, c *control.Control) {
	mux.HandleFunc("POST /v1/badmail/list", call(func(ctx context.Context, a control.Actor, _ *http.Request, q *control.BadmailQuery) (control.BadmailPage, error) {
		return c.BadmailList(ctx, a, *q)
	}))
	mux.HandleFunc("GET /v1/badmail/{name}", call(func(ctx context.Context, a control.Actor, r *http.Request, _ *none) (control.BadmailEntry, error) {
		return c.BadmailShow(ctx, a, r.PathValue("name"))
	}))
	mux.HandleFunc("POST /v1/badmail/resubmit", call(func(ctx context.Context, a control.Actor, _ *http.Request, r *control.BadmailResubmission) (control.BadmailResubmitted, error) {
		return c.BadmailResubmit(ctx, a, *r)
	}))
	mux.HandleFunc("POST /v1/badmail/delete", call(func(ctx context.Context, a control.Actor, _ *http.Request, s *control.BadmailSelection) (control.BadmailDeleted, error) {
		return c.BadmailDelete(ctx, a, *s)
	}))
	mux.HandleFunc("GET /v1/badmail/{name}/message", func(w http.ResponseWriter, r *http.Request) {
		actor, err := actorIn(r)
		if err != nil {
			writeError(w, err)
			return
		}
		m, err := c.BadmailExport(r.Context(), actor, r.PathValue("name"))
		if err != nil {
			writeError(w, err)
			return
		}
		defer m.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(m.Size, 10))
		// When this fails the client has fewer octets than Content-Length says, and sees it.
		_, _ = io.Copy(w, io.NewSectionReader(m, 0, m.Size))
	})
}
