package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/control"
)

// TestStream: a verb that takes long answers in lines, not more than four a second, and ends with its result or an
// error; what fails at once is an ordinary failure.
func TestStream(t *testing.T) {
	tests := []struct {
		name   string
		steps  int
		fail   error
		status int
		want   []string
	}{
		{"quick", 2, nil, 200, []string{`{"result":3}`}},
		{"long", 9, nil, 200, []string{`{"progress":3}`, `{"progress":6}`, `{"progress":9}`, `{"result":10}`}},
		{"refused", 0, fmt.Errorf("%w: no", control.ErrInvalid), 400, []string{`{"error":"invalid request: no"}`}},
		{"fails", 4, errors.New("the disk is full"), 200, []string{`{"progress":3}`, `{"error":"the disk is full","status":500}`}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			h := stream(func(_ context.Context, a control.Actor, in *struct{ N int }, progress func(int)) (int, error) {
				if a.Name != "olga" || in.N != 7 {
					t.Errorf("%s: %v, %+v", tt.name, a, in)
				}
				for k := range tt.steps {
					time.Sleep(100 * time.Millisecond)
					progress(k + 1)
				}
				return tt.steps + 1, tt.fail
			})
			r := httptest.NewRequest("POST", "/", strings.NewReader(`{"N":7}`))
			r = r.WithContext(context.WithValue(r.Context(), actorKey{}, actorOrError{actor: control.Actor{Name: "olga"}}))
			w := httptest.NewRecorder()
			h(w, r)
			if got := w.Body.String(); w.Code != tt.status || got != strings.Join(tt.want, "\n")+"\n" {
				t.Errorf("%s: %d\n%s", tt.name, w.Code, got)
			}
		})
	}
	w := httptest.NewRecorder()
	stream(func(context.Context, control.Actor, *none, func(int)) (int, error) { return 0, nil })(w, httptest.NewRequest("POST", "/", nil))
	if w.Code != 403 {
		t.Errorf("without an actor: %d", w.Code)
	}
}
