package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"time"

	"github.com/mailroot/mailroot/internal/admin"
	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/control"
	"github.com/mailroot/mailroot/internal/service"
)

// stopGrace is how long a stop waits for what is under way.
const stopGrace = 30 * time.Second

// reloadGrace is how much of that it waits for a reload.
const reloadGrace = 5 * time.Second

type runCommand struct {
	LogJSON bool `name:"log-json" help:"Write the service's own log as JSON lines."`
}

// Run runs the service until the context ends.
func (c *runCommand) Run(e *env) error {
	// First of all: a SIGHUP that comes while the service starts would end it.
	hup := make(chan os.Signal, 1)
	if len(reloadSignals) > 0 {
		signal.Notify(hup, reloadSignals...)
		defer signal.Stop(hup)
	}
	cfg, problems, path, err := e.loadBy(service.Load)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(e.Err, nil))
	if c.LogJSON {
		log = slog.New(slog.NewJSONHandler(e.Err, nil))
	}
	for _, p := range problems.Warnings() {
		log.Warn(p.String())
	}
	if err := prepareFolders(cfg); err != nil {
		return err
	}
	// The control socket comes first: it also keeps a second process with this file from starting.
	socket, err := admin.Listen(cfg.Control.Socket, cfg.Control.Group)
	if err != nil {
		return err
	}
	defer socket.Close()
	svc, err := service.Open(e.ctx, cfg, service.Options{Log: log})
	if err != nil {
		return err
	}
	if err := svc.Start(e.ctx); err != nil {
		return err
	}
	ctl := control.New(control.Options{Service: svc, ConfigPath: path, Version: Version, Log: log, Warnings: problems})
	api := admin.NewServer(ctl, cfg.Control.Group)
	failed := make(chan error, 1)
	go func() { failed <- api.Serve(socket) }()
	stopReloads := reloadOnSignal(e.ctx, hup, ctl, log)
	defer leaveNote(path, cfg.Control.Socket)()
	e.printReady(cfg, path)

	var runErr error
	select {
	case <-e.ctx.Done():
	case runErr = <-failed:
		runErr = fmt.Errorf("the control socket failed: %w", runErr)
	}
	log.Info("stopping")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), stopGrace)
	defer cancel()
	if !stopReloads() {
		log.Warn("a reload of the configuration does not end; the service stops without it")
	}
	if err := errors.Join(runErr, svc.Stop(ctx), api.Shutdown(ctx)); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// prepareFolders makes the data directory and the drop folders. Others have no business in either; the
// group may enter, so that the programs that fetch mail from Drop can be given its files.
func prepareFolders(cfg *config.Config) error {
	if err := os.MkdirAll(cfg.DataDirectory, 0o750); err != nil {
		return fmt.Errorf("the data directory (setting data_directory): %w", err)
	}
	for i := range cfg.VirtualServers {
		if err := os.MkdirAll(cfg.VirtualServers[i].Folders.Drop, 0o750); err != nil {
			return fmt.Errorf("the drop folder (setting folders.drop): %w", err)
		}
	}
	return nil
}

// reloadOnSignal reloads the configuration whenever the process is told to. A signal that came before
// waits in hup. stop reports whether no reload is under way any more.
func reloadOnSignal(ctx context.Context, hup <-chan os.Signal, ctl *control.Control, log *slog.Logger) (stop func() bool) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
			}
			r, err := ctl.Reload(ctx, control.Actor{Name: "signal", Via: "SIGHUP", Role: control.RoleAdministrator})
			if err != nil {
				log.Error("the configuration was not reloaded; the one in force stays", "error", err)
				continue
			}
			log.Info("the configuration was reloaded", "changes", len(r.Changes))
		}
	}()
	return func() bool {
		cancel()
		select {
		case <-done:
			return true
		case <-time.After(reloadGrace): // a file system may not answer
			return false
		}
	}
}

// printReady tells a person at a terminal, and tests, that the service is up and what to try first.
func (e *env) printReady(cfg *config.Config, path string) {
	v := cfg.Server("default")
	fmt.Fprintf(e.Out, "mailroot: ready (version %s, process %d)\n", Version, os.Getpid())
	for _, b := range v.Bindings {
		fmt.Fprintf(e.Out, "  SMTP           %s\n", b.Address)
	}
	fmt.Fprintf(e.Out, "  Configuration  %s\n  Pickup folder  %s\n  Drop folder    %s\n  Log            %s\n", path, v.Folders.Pickup, v.Folders.Drop, v.Folders.Logs)
	to := "you@" + v.DefaultDomain()
	if v.DefaultDomain() == "" {
		to = "postmaster"
	}
	fmt.Fprintf(e.Out, "Send a first message, in another terminal:\n  %s\n", sendLine(path, to))
	if hint := curlLine(v, to); hint != "" {
		fmt.Fprintf(e.Out, "or with curl:\n  %s\n", hint)
	}
}

// sendLine is the command that sends a test message with this program.
func sendLine(path, to string) string {
	exe, err := os.Executable()
	if err != nil {
		exe = "mailroot"
	}
	return fmt.Sprintf("%s --config %s test send --to %s", shellWord(relative(exe)), shellWord(relative(path)), to)
}

// curlLine does the same with curl, for the first binding that speaks plain SMTP.
func curlLine(v *config.VirtualServer, to string) string {
	for _, b := range v.Bindings {
		if b.TLS == config.TLSImplicit || v.Access.RequireTLS {
			continue
		}
		host := "127.0.0.1"
		if b.IP.IsValid() && !b.IP.IsUnspecified() {
			host = b.IP.String()
		}
		addr := net.JoinHostPort(host, fmt.Sprint(b.Port))
		return fmt.Sprintf(`printf 'Subject: Hello\r\n\r\nIt works.\r\n' | curl -s smtp://%s --mail-from me@example.com --mail-rcpt %s -T -`, addr, to)
	}
	return ""
}
