package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ChangedError says that a file is no longer as it was read. It is ErrChanged.
type ChangedError struct {
	Path    string
	Current []byte // what the file holds now; nil when it is gone
	Diff    string // from what was read to what it holds now, by lines

	existed bool // a file was read
}

// Error names the file, says what to do, and tells the difference.
func (e *ChangedError) Error() string {
	switch {
	case e.Current == nil:
		return e.Path + ": the configuration file is gone since it was read; nothing was written"
	case !e.existed:
		return e.Path + ": there is a configuration file already; nothing was written"
	}
	return fmt.Sprintf("%s: %s, and nothing was written; read it again and repeat the command; what is other now:\n%s",
		e.Path, ErrChanged, strings.TrimSuffix(e.Diff, "\n"))
}

// Unwrap returns ErrChanged.
func (e *ChangedError) Unwrap() error { return ErrChanged }

// newFileMode lets the group read: a configuration will hold secrets.
const newFileMode fs.FileMode = 0o640

// WriteFile replaces a configuration file as a whole, so that a reader sees the old file or the
// new one and a crash leaves one of both. It does so only when the file still holds old, that is
// what the caller read before; nil stands for a file that does not exist. Else the error is a
// *ChangedError. Who writes by WriteFile at the same time waits; an editor does not, and the
// check comes as late as can be.
//
// Mode and owner of the file are kept where the operating system allows it. A symbolic link is
// followed. When WriteFile returns nil, the new file is safe on disk.
func WriteFile(path string, old, new []byte) error {
	target, unlock, err := lockFile(path)
	if err != nil {
		return err
	}
	defer unlock()
	return writeLocked(path, target, old, new)
}

// UpdateFile replaces a configuration file as WriteFile does by what change makes of it. Who writes by
// UpdateFile or WriteFile at the same time waits before it reads, so that none of their changes is lost or
// refused. When change returns what it got, or an error, nothing is written.
func UpdateFile(path string, change func(old []byte) (new []byte, err error)) error {
	target, unlock, err := lockFile(path)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := ReadFile(path)
	if err != nil {
		return err
	}
	new, err := change(old)
	if err != nil || bytes.Equal(old, new) {
		return err
	}
	return writeLocked(path, target, old, new)
}

// lockFile keeps other writers out until unlock, and returns the file that path leads to.
func lockFile(path string) (target string, unlock func(), err error) {
	if target, err = followLinks(path); err != nil {
		return "", nil, fmt.Errorf("configuration file: %w", err)
	}
	if unlock, err = lockDir(filepath.Dir(target)); err != nil {
		return "", nil, fmt.Errorf("configuration file %s: cannot lock its folder: %w", path, err)
	}
	return target, unlock, nil
}

// writeLocked is WriteFile while the lock is held.
func writeLocked(path, target string, old, new []byte) error {
	dir := filepath.Dir(target)
	mode := newFileMode
	info, err := os.Stat(target)
	switch {
	case err == nil:
		mode = info.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("configuration file: %w", err)
	}
	if err := unchanged(path, target, old); err != nil {
		return err
	}
	temp, err := writeTemp(dir, filepath.Base(target), new, mode, info)
	if err != nil {
		return fmt.Errorf("configuration file %s: %w", path, err)
	}
	if err := unchanged(path, target, old); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := os.Rename(temp, target); err != nil {
		return errors.Join(fmt.Errorf("configuration file: %w", err), os.Remove(temp))
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("configuration file %s: %w", path, err)
	}
	return nil
}

// unchanged checks that the file at target holds old.
func unchanged(path, target string, old []byte) error {
	current, err := ReadFile(target)
	if errors.Is(err, fs.ErrNotExist) {
		if old == nil {
			return nil
		}
		return &ChangedError{Path: path, Diff: LineDiff(old, nil)}
	}
	if err != nil {
		return err
	}
	if old != nil && bytes.Equal(current, old) {
		return nil
	}
	return &ChangedError{Path: path, Current: current, Diff: LineDiff(old, current), existed: old != nil}
}

// writeTemp writes a file beside the target, with its mode and owner, and syncs it. The name
// ends in .tmp, which nothing reads.
func writeTemp(dir, base string, content []byte, mode fs.FileMode, like fs.FileInfo) (name string, err error) {
	f, err := os.CreateTemp(dir, "."+base+".*.tmp")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	if _, err = f.Write(content); err != nil {
		return "", err
	}
	// The owner first: to change it takes set-id bits away, and the mode may forbid more.
	if like != nil {
		keepOwner(f, like)
	}
	if err = f.Chmod(mode); err != nil {
		return "", err
	}
	if err = f.Sync(); err != nil {
		return "", err
	}
	if err = f.Close(); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

const maxLinks = 40

// followLinks returns the file that a path leads to, which need not exist.
func followLinks(path string) (string, error) {
	for range maxLinks {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			if !info.Mode().IsRegular() {
				return "", fmt.Errorf("%s is not a regular file", path)
			}
			return path, nil
		}
		to, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", fmt.Errorf("%s: too many symbolic links", path)
}
