package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/mailroot/mailroot/internal/api"
)

// show asks the service for one thing by its name, and tells it: as JSON, or by tell.
func show[T any](e *env, ask func(*api.Client, context.Context, string) (T, error), name string, tell func(T)) error {
	client, err := e.client()
	if err != nil {
		return err
	}
	thing, err := ask(client, e.ctx, name)
	if err != nil {
		return err
	}
	if e.json {
		e.printJSON(thing)
		return nil
	}
	tell(thing)
	return nil
}

// fact prints a name and its value; nothing where there is no value.
func (e *env) fact(name, value string) {
	if value != "" {
		fmt.Fprintf(e.Out, "%-12s %s\n", name, printable(value))
	}
}

// moment writes a time, and how long ago it was; "" where there was none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime) + " (" + ago(t, time.Now()) + " ago)"
}
