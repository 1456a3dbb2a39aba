package admin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/mailroot/mailroot/internal/control"
)

const (
	// maxAdoption is the size limit of what stands before the octets of the files.
	maxAdoption = 64 << 10
	// adoptPatience is how long the next octets may take.
	adoptPatience = time.Minute
)

// handleAdopt adds the call that takes over what an old server left: a line of JSON (control.Adoption), then the octets
// of its files.
func handleAdopt(mux *http.ServeMux, c *control.Control) {
	mux.HandleFunc("POST /v1/adopt", func(w http.ResponseWriter, r *http.Request) {
		who, err := actorIn(r)
		if err != nil {
			writeError(w, err)
			return
		}
		// A file may take longer than the minute that other requests have.
		body := bufio.NewReaderSize(&patient{r.Body, http.NewResponseController(w)}, maxAdoption)
		line, err := body.ReadSlice('\n')
		var req control.Adoption
		if err == nil {
			d := json.NewDecoder(bytes.NewReader(line))
			d.DisallowUnknownFields()
			err = d.Decode(&req)
		}
		if err != nil {
			writeError(w, errors.Join(control.ErrInvalid, err))
			return
		}
		resp, err := c.Adopt(r.Context(), who, req, body)
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, resp)
	})
}

// patient gives each read a time of its own.
type patient struct {
	r    io.Reader
	conn *http.ResponseController
}

// Read reads on.
func (p *patient) Read(b []byte) (int, error) {
	// Where there are no deadlines, in tests, there is nothing to move.
	_ = p.conn.SetReadDeadline(time.Now().Add(adoptPatience))
	return p.r.Read(b)
}
