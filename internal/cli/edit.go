package cli

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/service"
)

type configSet struct {
	Changes []string `arg:"" name:"change" help:"setting=value, setting+=entry or setting-=entry."`
}

// Run changes settings in the file.
func (c *configSet) Run(e *env) error { return e.editAll(c.Changes, config.ParseEdit) }

type configUnset struct {
	Paths []string `arg:"" name:"path" help:"Settings, or blocks such as 'domain[\"example.org\"]'."`
}

// Run takes settings and blocks out of the file.
func (c *configUnset) Run(e *env) error { return e.editAll(c.Paths, config.EditUnset) }

// editExit is the exit code of a change that cannot be made.
func editExit(err error) int {
	if errors.Is(err, config.ErrUnknownSetting) {
		return ExitNotFound
	}
	return ExitUsage
}

// editAll makes the changes that texts ask for, all or none.
func (e *env) editAll(texts []string, read func(string) (config.Edit, error)) error {
	edits := make([]config.Edit, len(texts))
	for i, text := range texts {
		edit, err := read(text)
		if err != nil {
			return &exitError{editExit(err), err}
		}
		edits[i] = edit
	}
	return e.editBy(func(*config.Config, config.Problems) ([]config.Edit, error) { return edits, nil })
}

// plan says what to change in a file. It gets nil and the reasons for a file that is in error.
type plan func(*config.Config, config.Problems) ([]config.Edit, error)

// editBy changes the file as the plan says, if it is still as it was read, and tells what that changed.
func (e *env) editBy(p plan) error {
	path, err := e.findConfig()
	if err != nil {
		return err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	ed := edited{File: path}
	read := false
	err = config.UpdateFile(path, func(src []byte) ([]byte, error) {
		read = true
		out, err := ed.apply(p, src, abs)
		ed.Written = err == nil && !bytes.Equal(src, out)
		return out, err
	})
	switch {
	case err != nil && !read:
		return &exitError{configExit(err), noFile(err)}
	case err != nil:
		return err
	}
	if e.json {
		e.printJSON(ed)
		return nil
	}
	return ed.tell(e)
}

// edited is what became of a file.
type edited struct {
	File     string          `json:"file"`
	Written  bool            `json:"written"` // false: it held all that already
	Changes  []config.Change `json:"changes"`
	Problems config.Problems `json:"problems,omitempty"`

	mended bool // it was in error, and is not any more
}

// apply returns the file as it is to be. What the file names outside of itself is checked too.
func (ed *edited) apply(p plan, src []byte, abs string) ([]byte, error) {
	before, problems := config.Parse(src, abs)
	edits, err := p(before, problems)
	if err != nil {
		return nil, err
	}
	out, problems, err := config.Apply(src, abs, edits...)
	if err == nil {
		was, _ := config.Draft(src, abs)
		is, _ := config.Draft(out, abs)
		outside := service.Check(is)
		problems = append(problems, outside...).InOrder()
		if added := outside.Beyond(service.Check(was)); len(added) > 0 {
			err = &config.RefusedError{Invalid: &config.InvalidError{Problems: added}}
		}
	}
	var refused *config.RefusedError
	var invalid *config.InvalidError
	switch {
	case errors.As(err, &refused):
		return nil, &exitError{ExitUsage, fmt.Errorf("nothing was changed, the file would be in error:\n%w", err)}
	case errors.As(err, &invalid):
		return nil, &exitError{ExitConfig, fmt.Errorf("nothing was changed, the file is in error:\n%w", err)}
	case err != nil:
		return nil, &exitError{editExit(err), err}
	}
	ed.Problems = problems
	after, _ := config.Parse(out, abs)
	if ed.mended = before == nil && after != nil; before != nil && after != nil {
		ed.Changes = config.Diff(before, after)
	}
	return out, nil
}

// tell says what was done, for people.
func (ed *edited) tell(e *env) error {
	for _, p := range ed.Problems {
		fmt.Fprintln(e.Err, p)
	}
	n := len(ed.Problems.Errors())
	switch {
	case !ed.Written:
		fmt.Fprintln(e.Out, "The file says that already; nothing was written.")
	case n > 0:
		fmt.Fprintf(e.Out, "Written. The file still has %d %s, which were there before.\n", n, plural(n, "error", "errors"))
	case ed.mended:
		fmt.Fprintln(e.Out, "Written. The file is in order now; a running service takes it with: mailroot reload")
	case len(ed.Changes) == 0:
		fmt.Fprintln(e.Out, "Written. No setting changes by that.")
	default:
		if err := config.WriteDiff(e.Out, ed.Changes); err != nil {
			return err
		}
		fmt.Fprintln(e.Out, "Written. A running service takes it with: mailroot reload")
	}
	return nil
}
