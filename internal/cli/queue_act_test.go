package cli

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

// Only yes is yes. An interrupt is no, and does not wait for the answer.
func TestAgreed(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, " YES \n": true, "n\n": false, "\n": false, "": false, "yesterday\n": false} {
		e := &env{ctx: t.Context(), Streams: Streams{In: strings.NewReader(answer), Err: new(bytes.Buffer)}}
		if got := e.agreed(); got != want {
			t.Errorf("%q: %v, want %v", answer, got, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	silent, end := io.Pipe()
	defer end.Close()
	e := &env{ctx: ctx, Streams: Streams{In: silent, Err: new(bytes.Buffer)}}
	time.AfterFunc(10*time.Millisecond, cancel)
	if e.agreed() {
		t.Error("an interrupt is no answer")
	}
}
