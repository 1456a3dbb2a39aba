package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mailroot/mailroot/internal/config"
)

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
	if c.Force && c.IfMissing {
		return &exitError{ExitUsage, errors.New("--force and --if-missing exclude each other")}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	var old []byte
	if !c.Force {
		_, err = os.Lstat(path) // it need not be readable
	} else if old, err = config.ReadFile(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there := !c.Force && err == nil
	if !there {
		err = config.WriteFile(path, old, src)
		there = !c.Force && errors.Is(err, config.ErrChanged) // since a moment ago
	}
	switch {
	case there && c.IfMissing:
		return nil
	case there:
		return fmt.Errorf("%s is there already; --force replaces it", path)
	case err != nil:
		return err
	}
	if e.json {
		e.printJSON(map[string]string{"file": path})
		return nil
	}
	fmt.Fprintf(e.Out, "Wrote %s\n", path)
	return nil
}
