package cli

import (
	"errors"
	"fmt"
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
	_, problems, err := service.Load(path)
	if err != nil {
		return &exitError{configExit(err), noFile(err)}
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
	Other    string `arg:"" optional:"" help:"The file to compare with; without it the settings that the running service uses."`
	Defaults bool   `help:"Compare with the defaults."`
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
	if c.Other != "" && c.Defaults {
		return nil, &exitError{ExitUsage, errors.New("a file and --defaults exclude each other")}
	}
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
