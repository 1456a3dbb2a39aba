//go:build unix

package admin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Listen opens the control socket. Its folder is made if it is missing; the socket is 0660 and, when
// group is set, belongs to that group, which then may also enter the folder. A socket that a dead
// process left is removed; one that answers is an error.
func Listen(path, group string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// The umask keeps the socket closed to others between bind and chmod.
	old := syscall.Umask(0o117)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	if err := setGroup(path, group); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// setGroup gives the socket to a group and lets the group reach it.
func setGroup(path, group string) error {
	if group == "" {
		return nil
	}
	gid, err := groupID(group)
	if err != nil {
		return fmt.Errorf("setting control.group: %w", err)
	}
	if err := os.Chown(path, -1, gid); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	fi, err := os.Stat(dir)
	if err != nil || fi.Mode().Perm()&0o001 != 0 {
		return err // everybody may pass
	}
	if err := os.Chown(dir, -1, gid); err != nil {
		return err
	}
	return os.Chmod(dir, fi.Mode().Perm()|0o010)
}

// groupID returns the number of a group; that of the service's own group for "".
func groupID(group string) (int, error) {
	if group == "" {
		return os.Getegid(), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}

// removeStale removes a socket at path that nobody listens on any more.
func removeStale(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("control socket %s: something that is not a socket is in its place", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("control socket %s: another Mailroot is running with this configuration", path)
	}
	return os.Remove(path)
}
