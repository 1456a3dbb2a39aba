package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/metabase"
)

type importCommand struct {
	File   string `arg:"" help:"MetaBase.xml of the old service, or text of adsutil ENUM; - is standard input."`
	Out    string `short:"o" placeholder:"FILE" help:"File to write; without it the configuration goes to standard output, the report to standard error."`
	Data   string `placeholder:"DIR" help:"Data directory; the system's by default."`
	Server int    `placeholder:"N" help:"Number of the virtual server that becomes the one in force; the lowest by default."`
	Enum   bool   `help:"The file is text of adsutil ENUM, whatever it begins with."`
	Force  bool   `help:"Replace the file that is there without asking."`
}

// Run makes a configuration of an old one.
func (c *importCommand) Run(e *env) error {
	switch {
	case c.Force && c.Out == "":
		return &exitError{ExitUsage, errors.New("--force is for --out")}
	case c.Server < 0:
		return &exitError{ExitUsage, errors.New("--server is the number of a virtual server, as in /LM/SmtpSvc/1: 1 or more")}
	}
	in, err := c.open(e)
	if err != nil {
		return err
	}
	defer in.Close()
	o := metabase.Options{Source: filepath.Base(c.File), Windows: runtime.GOOS == "windows", Env: os.Getenv, Server: c.Server, Enum: c.Enum}
	if c.Out != "" {
		o.ConfigFile = shellWord(c.Out)
	}
	if c.File == "-" {
		o.Source = ""
	}
	if c.Data != "" {
		if o.DataDirectory, err = filepath.Abs(c.Data); err != nil {
			return err
		}
	}
	r, err := metabase.Import(&stoppable{ctx: e.ctx, in: in}, o)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.Out == "" {
		return c.print(e, r)
	}
	return c.write(e, r)
}

// open opens the file. What is no file is refused, without waiting for it.
func (c *importCommand) open(e *env) (io.ReadCloser, error) {
	if c.File == "-" {
		return io.NopCloser(e.In), nil
	}
	info, err := os.Stat(c.File)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", c.File)
	}
	return os.Open(c.File)
}

// stoppable is a reader that ends when the command is interrupted.
type stoppable struct {
	ctx context.Context
	in  io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.in.Read(p)
}

// imported is what --json prints.
type imported struct {
	File          string           `json:"file,omitempty"`
	Written       bool             `json:"written"`
	Changes       []config.Change  `json:"changes,omitempty"` // to the file that was there
	Configuration string           `json:"configuration,omitempty"`
	Report        *metabase.Report `json:"report"`
}

func (c *importCommand) print(e *env, r *metabase.Result) error {
	if e.json {
		e.printJSON(imported{Configuration: string(r.Config), Report: r.Report})
		return nil
	}
	if _, err := e.Out.Write(r.Config); err != nil {
		return err
	}
	return r.Report.Write(e.Err)
}

// write writes the file. One that is there is replaced only by who says so, after seeing what differs.
func (c *importCommand) write(e *env, r *metabase.Result) error {
	done := imported{File: c.Out, Report: r.Report}
	old, err := config.ReadFile(c.Out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		old = nil
		if err := os.MkdirAll(filepath.Dir(c.Out), 0o755); err != nil {
			return err
		}
	case err != nil:
		return err
	case bytes.Equal(old, r.Config):
		return done.tell(e, "The file says that already; nothing was written.")
	default:
		if done.Changes, err = c.differs(e, old, r.Config); err != nil {
			return err
		}
	}
	if err := config.WriteFile(c.Out, old, r.Config); err != nil {
		return err
	}
	done.Written = true
	return done.tell(e, "Wrote "+c.Out)
}

// tell prints the report, and what became of the file.
func (i *imported) tell(e *env, last string) error {
	if e.json {
		e.printJSON(i)
		return nil
	}
	if err := i.Report.Write(e.Out); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.Out, "\n%s\n", last)
	return err
}

// differs shows what would change, and asks.
func (c *importCommand) differs(e *env, old, new []byte) ([]config.Change, error) {
	path, err := filepath.Abs(c.Out)
	if err != nil {
		return nil, err
	}
	before, _ := config.Parse(old, path)
	after, problems := config.Parse(new, path)
	if after == nil {
		return nil, problems.Err()
	}
	var changes []config.Change
	if before != nil {
		changes = config.Diff(before, after)
	}
	if !e.json {
		switch {
		case before == nil:
			fmt.Fprintf(e.Err, "%s is in error, so that it cannot be compared: mailroot --config %s config check says where.\n", c.Out, c.Out)
		case len(changes) == 0:
			fmt.Fprintf(e.Err, "%s differs in its comments and order only.\n", c.Out)
		default:
			fmt.Fprintf(e.Err, "In %s this would change:\n", c.Out)
			if err := config.WriteDiff(e.Err, changes); err != nil {
				return nil, err
			}
		}
	}
	if c.Force {
		return changes, nil
	}
	if e.json || !isTerminal(e.In) || c.File == "-" {
		return nil, &exitError{ExitUsage, fmt.Errorf("%s is there already; nothing was written; --force replaces it", c.Out)}
	}
	fmt.Fprintf(e.Err, "What was changed in it by hand is lost. Replace %s? [y/N] ", c.Out)
	if !e.agreed() {
		return nil, &exitError{ExitFailed, errors.New("nothing was written")}
	}
	return changes, nil
}
