package cli

import (
	"fmt"
	"strconv"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/control"
	"github.com/mailroot/mailroot/internal/service"
)

type domainCommands struct {
	List       domainList       `cmd:"" help:"List domains in the order in which they are asked; with a name only those that match it."`
	Add        domainAdd        `cmd:"" help:"Add an alias or a remote domain."`
	Set        domainSet        `cmd:"" help:"Change settings of a domain."`
	Remove     domainRemove     `cmd:"" help:"Remove a domain from the list."`
	SetDefault domainSetDefault `cmd:"" name:"set-default" help:"Make a domain the default; the one before becomes an alias."`
}

// currentDefault is the default domain where the file names none: that of the running service, else what
// a service would take at its start.
func (e *env) currentDefault() string {
	if api, err := e.client(); err == nil {
		if s, err := api.Status(e.ctx); err == nil {
			return s.VirtualServers[0].DefaultDomain
		}
	}
	return service.HostName(e.ctx)
}

// domains plans a change of the domain list of the file, and carries it out.
func (e *env) domains(plan func(*config.VirtualServer) ([]config.Edit, error)) error {
	return e.editBy(func(cfg *config.Config, problems config.Problems) ([]config.Edit, error) {
		if cfg == nil {
			return nil, &exitError{ExitConfig, fmt.Errorf("the configuration is in error:\n%s", problems)}
		}
		return plan(&cfg.VirtualServers[0])
	})
}

type domainList struct {
	Name string `arg:"" optional:"" help:"Only entries that match this name; the first is used."`
}

// Run lists the domains of the file.
func (c *domainList) Run(e *env) error {
	cfg, _, _, err := e.loadConfig()
	if err != nil {
		return err
	}
	v := &cfg.VirtualServers[0]
	current := v.DefaultDomain()
	if current == "" {
		current = e.currentDefault()
	}
	list, err := control.DomainList(v, current, c.Name)
	if err != nil {
		return err
	}
	if e.json {
		e.printJSON(list)
		return nil
	}
	rows := make([][]string, len(list))
	for i, d := range list {
		kind, relay, connections := d.Kind, "-", "-"
		if d.Implied {
			kind += " (host name)"
		}
		if d.NextHop == "drop" {
			rows[i] = []string{d.Name, kind, d.Matches, d.NextHop, "-", "-", "-"}
			continue
		}
		if relay = "by the relay rules"; d.AllowRelay {
			relay = "anybody"
		}
		if d.MaxConnections > 0 {
			connections = strconv.Itoa(d.MaxConnections)
		}
		rows[i] = []string{d.Name, kind, d.Matches, d.NextHop, relay, d.TLS, connections}
	}
	table(e.Out, []string{"NAME", "KIND", "MATCHES", "NEXT HOP", "RELAY", "TLS", "CONNECTIONS"}, rows)
	return nil
}

type domainAdd struct {
	Name     string   `arg:"" help:"Name of the domain; *.NAME stands for all names below it."`
	Kind     string   `arg:"" enum:"alias,remote" help:"alias or remote."`
	Settings []string `arg:"" optional:"" name:"setting" help:"setting=value, such as route=[192.0.2.7]:25 or allow_relay=true."`
}

// Run adds a domain.
func (c *domainAdd) Run(e *env) error {
	return e.domains(func(v *config.VirtualServer) ([]config.Edit, error) {
		return control.DomainAdd(v, c.Name, c.Kind, c.Settings)
	})
}

type domainSet struct {
	Name     string   `arg:"" help:"Name of the domain."`
	Settings []string `arg:"" name:"setting" help:"setting=value, setting+=entry or setting-=entry."`
}

// Run changes settings of a domain.
func (c *domainSet) Run(e *env) error {
	return e.domains(func(v *config.VirtualServer) ([]config.Edit, error) {
		return control.DomainSet(v, c.Name, c.Settings)
	})
}

type domainRemove struct {
	Name string `arg:"" help:"Name of the domain."`
}

// Run removes a domain.
func (c *domainRemove) Run(e *env) error {
	return e.domains(func(v *config.VirtualServer) ([]config.Edit, error) {
		return control.DomainRemove(v, c.Name)
	})
}

type domainSetDefault struct {
	Name string `arg:"" help:"Name of the domain; it need not be in the list."`
}

// Run makes a domain the default.
func (c *domainSetDefault) Run(e *env) error {
	return e.domains(func(v *config.VirtualServer) ([]config.Edit, error) {
		return control.DomainSetDefault(v, c.Name, e.currentDefault)
	})
}
