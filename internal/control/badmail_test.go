package control

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// putBadmail leaves entries of an older service in badmail.
func putBadmail(t *testing.T, c *Control, names ...string) {
	t.Helper()
	dir := c.server().Config().Folders.Badmail
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := os.WriteFile(filepath.Join(dir, n+".BAD"), []byte("From: a@b.test\r\nSubject: "+n+"\r\n\r\nx\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBadmailVerbsCheckTheRole(t *testing.T) {
	c, _ := start(t, "")
	ctx := t.Context()
	for name, v := range map[string]struct {
		need Role
		call func(Actor) error
	}{
		"list":     {RoleViewer, func(a Actor) error { _, err := c.BadmailList(ctx, a, BadmailQuery{}); return err }},
		"show":     {RoleViewer, func(a Actor) error { _, err := c.BadmailShow(ctx, a, "x"); return err }},
		"export":   {RoleOperator, func(a Actor) error { _, err := c.BadmailExport(ctx, a, "x"); return err }},
		"resubmit": {RoleOperator, func(a Actor) error { _, err := c.BadmailResubmit(ctx, a, BadmailResubmission{Name: "x"}); return err }},
		"delete":   {RoleOperator, func(a Actor) error { _, err := c.BadmailDelete(ctx, a, BadmailSelection{All: true}); return err }},
	} {
		for role := RoleNone; role <= RoleAdministrator; role++ {
			err := v.call(Actor{Name: "x", Via: "test", Role: role})
			if forbidden := errors.Is(err, ErrForbidden); forbidden != (role < v.need) {
				t.Errorf("badmail %s as %s: %v", name, role, err)
			}
		}
	}
}

func TestBadmailRefusesWhatMeansNothing(t *testing.T) {
	c, _ := start(t, "")
	putBadmail(t, c, "one")
	for _, s := range []BadmailSelection{
		{}, {All: true, Names: []string{"one"}}, {Names: []string{"one"}, BadmailFilter: BadmailFilter{Cause: "foreign"}},
		{All: true, BadmailFilter: BadmailFilter{Cause: "foreign"}}, {BadmailFilter: BadmailFilter{Cause: "bad"}},
		{BadmailFilter: BadmailFilter{Sender: strings.Repeat("x", maxFilterText+1)}}, {BadmailFilter: BadmailFilter{OlderThan: -1}},
		{Names: make([]string, maxSelected+1)},
	} {
		if _, err := c.BadmailDelete(t.Context(), admin, s); !errors.Is(err, ErrInvalid) {
			t.Errorf("delete %.100v: %v", s, err)
		}
	}
	for _, r := range []BadmailResubmission{
		{Name: "one"}, {Name: "one", From: "a@b.test"}, {Name: "one", To: []string{"x@y.test"}}, {Name: "one", From: "a\r\nb", To: []string{"x@y.test"}},
		{Name: "one", From: "a@b.test", To: []string{"<>"}}, {Name: "one", From: "a@b.test", To: []string{"x@y.test>", "z@y.test"}},
	} {
		if _, err := c.BadmailResubmit(t.Context(), admin, r); !errors.Is(err, ErrInvalid) {
			t.Errorf("resubmit %+v: %v", r, err)
		}
	}
	if _, err := c.BadmailResubmit(t.Context(), admin, BadmailResubmission{Name: "one", Linked: true}); !errors.Is(err, ErrNotFound) {
		t.Errorf("resubmit of what belongs to it: %v", err)
	}
	if _, err := c.BadmailList(t.Context(), viewer, BadmailQuery{Cursor: "../x"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a cursor that is no name: %v", err)
	}
	if s, err := c.BadmailShow(t.Context(), viewer, "one"); err != nil || s.Cause != "foreign" || s.Subject != "one" {
		t.Errorf("the entry must still be there: %+v, %v", s, err)
	}
}

func TestBadmailDelete(t *testing.T) {
	c, _ := start(t, "")
	putBadmail(t, c, "one", "two", "three")
	d, err := c.BadmailDelete(t.Context(), admin, BadmailSelection{All: true, DryRun: true})
	if err != nil || d.Messages != 3 {
		t.Errorf("dry run: %+v, %v", d, err)
	}
	d, err = c.BadmailDelete(t.Context(), admin, BadmailSelection{Names: []string{"one", "nobody", "../one"}})
	if err != nil || d.Messages != 1 || len(d.Unknown) != 2 {
		t.Errorf("by name: %+v, %v", d, err)
	}
	d, err = c.BadmailDelete(t.Context(), admin, BadmailSelection{BadmailFilter: BadmailFilter{OlderThan: time.Hour}})
	if err != nil || d.Messages != 0 {
		t.Errorf("entries without a time are not old: %+v, %v", d, err)
	}
	d, err = c.BadmailDelete(t.Context(), admin, BadmailSelection{BadmailFilter: BadmailFilter{Sender: "A@b"}})
	if err != nil || d.Messages != 2 {
		t.Errorf("by sender: %+v, %v", d, err)
	}
	page, err := c.BadmailList(t.Context(), viewer, BadmailQuery{})
	if err != nil || len(page.Messages) != 0 {
		t.Errorf("left: %+v, %v", page, err)
	}
}

// A reload puts the settings of badmail into force; the warning is in the status.
func TestBadmailSettingsAreReloaded(t *testing.T) {
	c, path := start(t, "")
	putBadmail(t, c, "one", "two")
	if err := c.server().Badmail().Scan(time.Now()); err != nil {
		t.Fatal(err)
	}
	warned := func() bool {
		s, err := c.Status(t.Context(), viewer)
		if err != nil || s.VirtualServers[0].Badmail.Messages != 2 {
			t.Fatalf("%+v, %v", s, err)
		}
		return strings.Contains(strings.Join(s.Warnings, "\n"), "the badmail folder holds 2 messages")
	}
	if warned() {
		t.Error("a warning at two messages, with the limit of 1,000")
	}
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(src), "  delivery {", "  badmail {\n    warn_messages = 2\n  }\n  delivery {", 1)
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := c.Reload(t.Context(), admin); err != nil || len(r.Changes) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if !warned() {
		t.Error("no warning after the reload")
	}
}
