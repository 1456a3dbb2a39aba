package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/service"
)

type configCommands struct {
	Check configCheck `cmd:"" help:"Read the file and print every error and warning."`
	Show  configShow  `cmd:"" help:"Print every setting, its value and where it comes from."`
	Diff  configDiff  `cmd:"" help:"Show what the file would change in the running service, or against another file."`
	Set   configSet   `cmd:"" help:"Change settings in the file, keeping comments and order: setting=value, setting+=entry, setting-=entry."`
	Unset configUnset `cmd:"" help:"Take settings out of the file, so that they have their defaults."`
}

type configCheck struct{}

// Run checks the file. Warnings do not change the exit code.
func (configCheck) Run(e *env) error {
	path, err := e.findConfig()
	if err != nil {
		return err
	}
	cfg, problems, err := config.Load(path)
	if err != nil {
		return &exitError{configExit(err), noFile(err)}
	}
	if cfg != nil {
		for _, err := range service.Check(cfg) {
			problems = append(problems, config.Problem{Severity: config.SeverityError, File: path, Message: err.Error()})
		}
	}
	if e.json {
		if problems == nil {
			problems = config.Problems{}
		}
		e.printJSON(struct {
			File     string          `json:"file"`
			OK       bool            `json:"ok"`
			Problems config.Problems `json:"problems"`
		}{path, !problems.HasErrors(), problems})
		if problems.HasErrors() {
			return &exitError{ExitConfig, errQuiet}
		}
		return nil
	}
	for _, p := range problems {
		fmt.Fprintln(e.Err, p)
	}
	if n := len(problems.Errors()); n > 0 {
		return &exitError{ExitConfig, fmt.Errorf("%s has %d %s", path, n, plural(n, "error", "errors"))}
	}
	fmt.Fprintf(e.Out, "%s is in order.\n", path)
	return nil
}

type configShow struct {
	Setting string `arg:"" optional:"" help:"Only settings whose path contains this text."`
}

// Run prints the settings.
func (c *configShow) Run(e *env) error {
	cfg, _, _, err := e.loadConfig()
	if err != nil {
		return err
	}
	all := filterShown(config.Show(cfg), c.Setting)
	if len(all) == 0 {
		return &exitError{ExitNotFound, fmt.Errorf("no setting has %q in its path", c.Setting)}
	}
	if e.json {
		e.printJSON(all)
		return nil
	}
	return config.WriteShow(e.Out, all)
}

type configDiff struct {
	Other    string `arg:"" optional:"" xor:"what" help:"The file to compare with; without it the settings that the running service uses."`
	Defaults bool   `xor:"what" help:"Compare with the defaults."`
}

// Run compares the file with the running service, another file, or the defaults.
func (c *configDiff) Run(e *env) error {
	changes, err := c.changes(e)
	if err != nil {
		return err
	}
	if e.json {
		if changes == nil {
			changes = []config.Change{}
		}
		e.printJSON(changes)
		return nil
	}
	if len(changes) == 0 {
		fmt.Fprintln(e.Out, "No setting differs.")
		return nil
	}
	return config.WriteDiff(e.Out, changes)
}

// changes lists what would change if the file took the place of what it is compared with.
func (c *configDiff) changes(e *env) ([]config.Change, error) {
	if c.Other == "" && !c.Defaults {
		api, err := e.client()
		if err != nil {
			return nil, err
		}
		return api.ConfigDiff(e.ctx)
	}
	cfg, _, _, err := e.loadConfig()
	if err != nil {
		return nil, err
	}
	if c.Defaults {
		return config.Diff(config.Default(), cfg), nil
	}
	old, problems, err := config.Load(c.Other)
	if err == nil {
		err = problems.Err()
	}
	if err != nil {
		return nil, &exitError{ExitConfig, err}
	}
	return config.Diff(old, cfg), nil
}

type configSet struct {
	Changes []string `arg:"" name:"change" help:"setting=value, setting+=entry or setting-=entry."`
}

// Run changes settings in the file.
func (c *configSet) Run(e *env) error {
	edits := make([]config.Edit, len(c.Changes))
	for i, text := range c.Changes {
		edit, err := config.ParseEdit(text)
		if err != nil {
			return &exitError{ExitUsage, err}
		}
		edits[i] = edit
	}
	return e.edit(edits)
}

type configUnset struct {
	Paths []string `arg:"" name:"path" help:"Settings, or blocks such as 'domain[\"example.org\"]'."`
}

// Run takes settings and blocks out of the file.
func (c *configUnset) Run(e *env) error {
	edits := make([]config.Edit, len(c.Paths))
	for i, path := range c.Paths {
		edit, err := config.EditUnset(path)
		if err != nil {
			return &exitError{editExit(err), err}
		}
		edits[i] = edit
	}
	return e.edit(edits)
}

// editExit is the exit code of a change that cannot be made.
func editExit(err error) int {
	if errors.Is(err, config.ErrUnknownSetting) {
		return ExitNotFound
	}
	return ExitUsage
}

// edit changes the file if it is still as it was read, and tells what that changed.
func (e *env) edit(edits []config.Edit) error {
	return e.editBy(func(*config.Config, config.Problems) ([]config.Edit, error) { return edits, nil })
}

// editBy is edit with changes that depend on what the file says. The plan gets nil and the reasons for a
// file that is in error.
func (e *env) editBy(plan func(*config.Config, config.Problems) ([]config.Edit, error)) error {
	path, err := e.findConfig()
	if err != nil {
		return err
	}
	src, err := config.ReadFile(path)
	if err != nil {
		return &exitError{configExit(err), noFile(err)}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	before, problems := config.Parse(src, abs)
	edits, err := plan(before, problems)
	if err != nil {
		return err
	}
	out, problems, err := config.Apply(src, abs, edits...)
	if err != nil {
		var invalid *config.InvalidError
		if errors.As(err, &invalid) {
			return &exitError{ExitConfig, fmt.Errorf("nothing was changed, the file would be in error:\n%w", err)}
		}
		return &exitError{editExit(err), err}
	}
	if err := config.WriteFile(path, src, out); err != nil {
		return err
	}
	after, _ := config.Parse(out, abs)
	var changes []config.Change
	if before != nil && after != nil {
		changes = config.Diff(before, after)
	}
	if e.json {
		e.printJSON(struct {
			File     string          `json:"file"`
			Changes  []config.Change `json:"changes"`
			Problems config.Problems `json:"problems,omitempty"`
		}{path, changes, problems})
		return nil
	}
	for _, p := range problems {
		fmt.Fprintln(e.Err, p)
	}
	if n := len(problems.Errors()); n > 0 {
		fmt.Fprintf(e.Out, "Written. The file still has %d %s, which were there before.\n", n, plural(n, "error", "errors"))
		return nil
	}
	if before == nil {
		fmt.Fprintln(e.Out, "Written. The file is in order now; a running service takes it with: mailroot reload")
		return nil
	}
	if len(changes) == 0 {
		fmt.Fprintln(e.Out, "No setting changes by that.")
		return nil
	}
	if err := config.WriteDiff(e.Out, changes); err != nil {
		return err
	}
	fmt.Fprintln(e.Out, "Written. A running service takes it with: mailroot reload")
	return nil
}

// loopbackName is server name and default domain of a first try.
const loopbackName = "mailroot.test"

type initCommand struct {
	Out       string   `short:"o" placeholder:"FILE" help:"File to write; the system's by default."`
	Data      string   `placeholder:"DIR" help:"Data directory."`
	Listen    []string `placeholder:"ADDRESS:PORT" help:"Bindings; all addresses, port 25, by default."`
	FQDN      string   `name:"fqdn" placeholder:"NAME" help:"Name of this server; the host's DNS name by default."`
	Domain    string   `placeholder:"NAME" help:"Default domain; the host's DNS name by default."`
	Relay     []string `placeholder:"NETWORK" help:"Addresses and networks that may relay; none by default."`
	Loopback  bool     `help:"For a first try: listen on 127.0.0.1:2525, unless --listen says otherwise, let this host relay, and be called mailroot.test."`
	IfMissing bool     `help:"Do nothing when the file is there."`
	Force     bool     `help:"Replace the file when it is there."`
}

// Run writes a first configuration file.
func (c *initCommand) Run(e *env) error {
	path := c.Out
	if path == "" {
		if path = e.configPath; path == "" {
			path = systemConfig()
		}
	}
	o := config.InitOptions{DataDirectory: c.Data, FQDN: c.FQDN, DefaultDomain: c.Domain, Relay: c.Relay}
	for _, l := range c.Listen {
		o.Bindings = append(o.Bindings, config.InitBinding{Address: l})
	}
	if c.Loopback {
		if len(o.Bindings) == 0 {
			o.Bindings = []config.InitBinding{{Address: "127.0.0.1:2525", TLS: config.TLSNone}}
		}
		// A name that is nobody's (RFC 6761 §6.2), so that a first try asks no DNS server.
		o.FQDN, o.DefaultDomain = cmp.Or(o.FQDN, loopbackName), cmp.Or(o.DefaultDomain, loopbackName)
		o.Relay = append(o.Relay, "127.0.0.1")
	}
	if o.DataDirectory != "" {
		abs, err := filepath.Abs(o.DataDirectory)
		if err != nil {
			return err
		}
		o.DataDirectory = abs
	}
	src, err := config.InitFile(o)
	if err != nil {
		return &exitError{ExitUsage, err}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if c.Force && c.IfMissing {
		return &exitError{ExitUsage, errors.New("--force and --if-missing exclude each other")}
	}
	flags := os.O_CREATE | os.O_WRONLY | os.O_EXCL
	if c.Force {
		flags = os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o640)
	if errors.Is(err, os.ErrExist) {
		if c.IfMissing {
			return nil
		}
		return fmt.Errorf("%s is there already; --force replaces it", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(src)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if e.json {
		e.printJSON(map[string]string{"file": path})
		return nil
	}
	fmt.Fprintf(e.Out, "Wrote %s\n", path)
	return nil
}

func filterShown(all []config.Shown, text string) []config.Shown {
	if text == "" {
		return all
	}
	var out []config.Shown
	for _, s := range all {
		if strings.Contains(strings.ToLower(s.Path), strings.ToLower(text)) {
			out = append(out, s)
		}
	}
	return out
}
