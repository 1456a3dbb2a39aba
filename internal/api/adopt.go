package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/mailroot/mailroot/internal/control"
)

// Adopt offers what an old server left. body is the octets of its files, one behind the other.
func (c *Client) Adopt(ctx context.Context, r control.Adoption, body io.Reader) (control.Adopted, error) {
	var answer control.Adopted
	line, err := json.Marshal(r)
	if err != nil {
		return answer, err
	}
	resp, err := c.send(ctx, http.MethodPost, "/v1/adopt", io.MultiReader(bytes.NewReader(append(line, '\n')), body))
	if err != nil {
		return answer, err
	}
	defer resp.Body.Close()
	return answer, json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer)
}
