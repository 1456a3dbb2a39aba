package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/mailroot/mailroot/internal/api"
	"github.com/mailroot/mailroot/internal/config"
)

// A running service leaves a note beside its configuration file that says where its control socket is. So
// the command line finds it when the file is in error, has been moved away, or names another socket that
// only a restart will open.

// notePath is the name of the note of a configuration file.
func notePath(configPath string) string {
	dir, base := filepath.Split(configPath)
	return filepath.Join(dir, "."+base+".running")
}

// leaveNote writes the note. It is a help, not a need: where the folder cannot be written there is none.
func leaveNote(configPath, socket string) (remove func()) {
	path := notePath(configPath)
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, []byte(socket+"\n"), 0o644); err != nil {
		return func() {}
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Remove(tmp) // it is only in the way
		return func() {}
	}
	return func() { _ = os.Remove(path) }
}

// readNote returns the socket of the service that runs with a configuration file, if it left a note.
func readNote(configPath string) (string, bool) {
	b, err := os.ReadFile(notePath(configPath))
	socket := strings.TrimSpace(string(b))
	return socket, err == nil && socket != ""
}

// client returns the way to the running service: --socket, the note that it left, or what its
// configuration says.
func (e *env) client() (*api.Client, error) {
	if e.socket != "" {
		return api.New(e.socket), nil
	}
	path, err := e.findConfig()
	if err != nil {
		return nil, err
	}
	if socket, ok := readNote(path); ok {
		if c := api.New(socket); c.Answers(e.ctx) {
			return c, nil
		} // else the service was killed, and its note is of no use
	}
	cfg, problems, err := config.Load(path)
	if err == nil {
		err = problems.Err()
	}
	if err != nil {
		return nil, &exitError{configExit(err), errors.Join(err, errors.New("where the control socket is can be told by --socket"))}
	}
	return api.New(cfg.Control.Socket), nil
}
