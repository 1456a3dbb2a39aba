// Package cli is the command line of Mailroot: it reads arguments, asks the running service over the
// local control socket, or works on the configuration file, and prints tables for people or JSON for
// scripts. It holds no rule of the product itself. Start with Main and the type commands.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/mailroot/mailroot/internal/api"
	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/control"
	"github.com/mailroot/mailroot/internal/metabase"
)

// Version is the version of this build of Mailroot.
const Version = "0.1.0-dev"

// The exit codes. They are part of the interface: scripts may rely on them.
const (
	ExitOK         = 0
	ExitFailed     = 1 // the command was understood but failed
	ExitUsage      = 2 // wrong arguments
	ExitConfig     = 3 // the configuration file is missing or in error
	ExitNotRunning = 4 // the service does not answer
	ExitForbidden  = 5 // the account may not do that
	ExitNotFound   = 6 // no such message or setting, or nothing matched
	ExitChanged    = 7 // the file was changed by somebody else meanwhile; nothing was written
)

// Streams are what a command reads and writes besides files.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// commands is the grammar of the command line.
type commands struct {
	Config string `short:"c" placeholder:"FILE" env:"MAILROOT_CONFIG" help:"Configuration file. Default: the first of ./mailroot.hcl, ./mailroot-data/mailroot.hcl and ${system_config} that exists."`
	Socket string `placeholder:"PATH" env:"MAILROOT_SOCKET" help:"Control socket of the service. Default: told by the configuration."`
	JSON   bool   `name:"json" help:"Print JSON instead of tables."`

	Run      runCommand      `cmd:"" help:"Run the service in the foreground. SIGTERM or Ctrl-C stops it, SIGHUP reloads the configuration."`
	Import   importCommand   `cmd:"" help:"Make a configuration file of the old service's MetaBase.xml, and report what was taken, changed and not taken."`
	Init     initCommand     `cmd:"" help:"Write a commented configuration file."`
	Conf     configCommands  `cmd:"" name:"config" help:"Check, show, compare and change the configuration."`
	Status   statusCommand   `cmd:"" help:"Show how the service is."`
	Reload   reloadCommand   `cmd:"" help:"Make the service read its configuration again, without dropping a connection."`
	Queue    queueCommands   `cmd:"" help:"List and show queued messages; hold, release, retry, reroute, return and delete them; freeze destinations."`
	Badmail  badmailCommands `cmd:"" help:"List, show, resubmit, export and delete what could neither be delivered nor returned."`
	Domain   domainCommands  `cmd:"" help:"List, add, change and remove domains; choose the default domain."`
	Adopt    adoptCommand    `cmd:"" help:"Take over what an old server left in its Badmail, Drop, Pickup and Queue folders; asks before it sends."`
	Test     testCommands    `cmd:"" help:"Send a test message; explain where mail for an address would go."`
	VersionC versionCommand  `cmd:"" name:"version" help:"Print the version."`
}

// env is what every command gets: streams, flags and the way to the service.
type env struct {
	Streams
	ctx        context.Context
	configPath string // as given; "" for the default search
	socket     string // as given
	json       bool
}

// exitError carries an exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// exitPanic stops kong where it wants to exit the process; Main recovers it.
type exitPanic int

// Main runs one command and returns its exit code. ctx ends a running service or call.
func Main(ctx context.Context, args []string, s Streams) (code int) {
	defer func() {
		if r := recover(); r != nil {
			p, ok := r.(exitPanic)
			if !ok {
				panic(r)
			}
			code = int(p)
		}
	}()
	var c commands
	parser, err := kong.New(&c,
		kong.Name("mailroot"),
		kong.Description("Mailroot is a mail relay: it takes mail from applications and devices, keeps it safe, and gets it out."),
		kong.Writers(s.Out, s.Err),
		kong.Exit(func(code int) { panic(exitPanic(code)) }),
		kong.Vars{"system_config": systemConfig()},
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(s.Err, "mailroot:", err)
		return ExitFailed
	}
	switch {
	case len(args) == 0, len(args) == 1 && args[0] == "help":
		args = []string{"--help"}
	case len(args) == 1 && args[0] == "--version":
		args = []string{"version"}
	}
	k, err := parser.Parse(args)
	if err != nil {
		e := &env{Streams: s, json: wantsJSON(args)}
		return e.fail(&exitError{ExitUsage, fmt.Errorf("%w\nTry: mailroot --help", err)})
	}
	e := &env{Streams: s, ctx: ctx, configPath: c.Config, socket: c.Socket, json: c.JSON}
	if err := k.Run(e); err != nil {
		return e.fail(err)
	}
	return ExitOK
}

// wantsJSON finds --json among arguments that are wrong otherwise.
func wantsJSON(args []string) bool {
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i]
	}
	return slices.Contains(args, "--json")
}

// fail prints err and returns its exit code.
func (e *env) fail(err error) int {
	code := exitCode(err)
	if errors.Is(err, errQuiet) {
		return code
	}
	if e.json {
		e.printJSON(struct {
			Error string `json:"error"`
			Exit  int    `json:"exit"`
		}{err.Error(), code})
		return code
	}
	fmt.Fprintln(e.Err, "mailroot:", err)
	return code
}

func exitCode(err error) int {
	var withCode *exitError
	switch {
	case errors.As(err, &withCode):
		return withCode.code
	case errors.Is(err, api.ErrNotRunning):
		return ExitNotRunning
	case errors.Is(err, api.ErrNoAccess), errors.Is(err, control.ErrForbidden):
		return ExitForbidden
	case errors.Is(err, control.ErrNotFound), errors.Is(err, metabase.ErrNoServer):
		return ExitNotFound
	case errors.Is(err, config.ErrChanged):
		return ExitChanged
	case errors.Is(err, control.ErrInvalid):
		return ExitUsage
	case errors.Is(err, control.ErrBadConfig):
		return ExitConfig
	case errors.Is(err, fs.ErrPermission):
		return ExitForbidden
	}
	return ExitFailed
}

// configExit is the exit code of a configuration file that cannot be used.
func configExit(err error) int {
	if errors.Is(err, fs.ErrPermission) {
		return ExitForbidden
	}
	return ExitConfig
}

// noFile says what to do when there is no configuration file.
func noFile(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; write one with: mailroot init", err)
	}
	return err
}

// errQuiet ends a command that has said already what is wrong.
var errQuiet = errors.New("the command has failed")

// printJSON writes v, indented, with a line end.
func (e *env) printJSON(v any) {
	enc := json.NewEncoder(e.Out)
	enc.SetIndent("", "  ")
	// A failing standard output has nobody to be told to.
	_ = enc.Encode(v)
}

// findConfig returns the configuration file in use.
func (e *env) findConfig() (string, error) {
	if e.configPath != "" {
		return e.configPath, nil
	}
	places := []string{"mailroot.hcl", "mailroot-data/mailroot.hcl", systemConfig()}
	for _, p := range places {
		_, err := os.Stat(p)
		if _, running := readNote(p); err == nil || running {
			return p, nil
		}
	}
	return "", &exitError{ExitConfig, fmt.Errorf("no configuration file found (looked for %s); write one with: mailroot init", strings.Join(places, ", "))}
}

// loadConfig reads and checks the configuration file. Warnings are left to the caller.
func (e *env) loadConfig() (*config.Config, config.Problems, string, error) {
	return e.loadBy(config.Load)
}

// loadBy is loadConfig by a load that may check more.
func (e *env) loadBy(load func(path string) (*config.Config, config.Problems, error)) (*config.Config, config.Problems, string, error) {
	path, err := e.findConfig()
	if err != nil {
		return nil, nil, "", err
	}
	cfg, problems, err := load(path)
	if err != nil {
		return nil, nil, path, &exitError{configExit(err), noFile(err)}
	}
	if problems.HasErrors() {
		return nil, problems, path, &exitError{ExitConfig, fmt.Errorf("the configuration is in error:\n%s", problems)}
	}
	return cfg, problems, path, nil
}
