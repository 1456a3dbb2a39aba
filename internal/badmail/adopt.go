package badmail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/vfs"
)

// Old is one file of an entry that another service wrote.
type Old struct {
	Name string // with its extension, in any case
	Body io.ReaderAt
	Size int64
}

// ErrNoEntry is returned for files that make no entry.
var ErrNoEntry = errors.New("not an entry of badmail")

// OldName returns the base name of a file of an entry, and whether it is one by its extension. Unlike the names
// in our directory it may have any characters.
func OldName(file string) (base string, ok bool) {
	n := len(file) - len(ExtMessage)
	if n <= 0 {
		return "", false
	}
	for _, ext := range extensions {
		if strings.EqualFold(file[n:], ext) {
			return file[:n], true
		}
	}
	return "", false
}

// Adopt copies the files of one entry of another service into the directory, octet for octet, and returns the base
// name that the entry has here: its own, or one of ours where that is taken or could not be a name here (bad
// input P1). Files that are there already with the same contents stay as they are, so a repeat after a crash
// completes the entry. It is an entry like any that other programs leave here: nothing is invented for it, and it is never
// cleaned.
func (f *Folder) Adopt(ctx context.Context, files []Old, now time.Time) (name string, err error) {
	old, base, err := oldFiles(files)
	if err != nil {
		return "", err
	}
	f.scan.RLock()
	defer f.scan.RUnlock()
	if err := makeDir(f.fs, f.dir); err != nil {
		return "", fmt.Errorf("badmail directory: %w", err)
	}
	w := writer{fs: f.fs, dir: f.dir}
	props, err := w.claim(now) // whose temporary names go with the next scans if we do not come to an end
	if err != nil {
		return "", fmt.Errorf("badmail directory: %w", err)
	}
	defer func() {
		for _, ext := range extensions { // those that have not got their names
			_ = f.fs.Remove(w.path(ext + tmp))
		}
	}()
	octets, err := w.copyOld(ctx, props, old)
	if err != nil {
		return "", fmt.Errorf("badmail %s: %w", w.name, err)
	}
	if name, err = w.freeName(base, now, old); err != nil {
		return "", fmt.Errorf("badmail %s: %w", w.name, err)
	}
	fresh, err := w.publish(name, old)
	if err != nil {
		return "", fmt.Errorf("badmail %s: %w", name, err)
	}
	if fresh {
		f.count(1, octets)
	}
	return name, nil
}

// oldFiles sorts the files of an entry by their kind and returns the base name that they share.
func oldFiles(files []Old) (old [len(extensions)]*Old, base string, err error) {
	for i := range files {
		file := &files[i]
		b, ok := OldName(file.Name)
		if !ok || i > 0 && !strings.EqualFold(b, base) {
			return old, "", fmt.Errorf("%w: %s does not belong to it", ErrNoEntry, show(file.Name))
		}
		kind := 0
		for k, ext := range extensions {
			if strings.EqualFold(file.Name[len(b):], ext) {
				kind = k
			}
		}
		if old[kind] != nil {
			return old, "", fmt.Errorf("%w: it has two files %s", ErrNoEntry, extensions[kind])
		}
		old[kind] = file
		if i == 0 {
			base = b
		}
	}
	if old[fileMessage] == nil {
		return old, "", fmt.Errorf("%w: there is no %s file, and so no message", ErrNoEntry, ExtMessage)
	}
	return old, base, nil
}

// copyOld writes the files under temporary names. props is the one of the .BDP.
func (w *writer) copyOld(ctx context.Context, props vfs.File, old [len(extensions)]*Old) (octets int64, err error) {
	if p := old[fileProperties]; p != nil {
		err = writeFile(ctx, props, p.Body, p.Size)
	} else {
		err = props.Close()
	}
	for kind, file := range old {
		if file == nil {
			continue
		}
		octets += file.Size
		if kind != fileProperties && err == nil {
			err = w.file(ctx, extensions[kind], file.Body, file.Size)
		}
	}
	return octets, err
}

// freeName returns the name that the entry is to have: base, if it is free, else one made of the time.
func (w *writer) freeName(base string, now time.Time, old [len(extensions)]*Old) (string, error) {
	if ValidName(base) {
		if free, err := w.isFree(base, old); free || err != nil {
			return base, err
		}
	}
	for n := range uint32(maxTries) {
		name := baseName(now, n)
		if free, err := w.isFree(name, old); free || err != nil {
			return name, err
		}
	}
	return "", fs.ErrExist
}

// isFree reports whether the files that have a name, in either spelling, are what would be written.
func (w *writer) isFree(name string, old [len(extensions)]*Old) (bool, error) {
	for kind, ext := range extensions {
		for _, spelling := range []string{ext, strings.ToLower(ext)} {
			if same, err := w.same(filepath.Join(w.dir, name+spelling), old[kind]); !same || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// same reports whether a file is missing or has the contents of old.
func (w *writer) same(path string, old *Old) (bool, error) {
	if old == nil {
		_, err := w.fs.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		return false, err
	}
	same, err := vfs.Holds(w.fs, path, old.Body, old.Size)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return same, err
}

// publish gives the finished files their names, the .BDP last, and reports whether the message was not there before.
func (w *writer) publish(name string, old [len(extensions)]*Old) (fresh bool, err error) {
	for _, kinds := range [][]int{{fileMessage, fileReason}, {fileProperties}} {
		for _, kind := range kinds {
			if old[kind] == nil {
				continue
			}
			path := filepath.Join(w.dir, name+extensions[kind])
			if _, err := w.fs.Stat(path); err == nil {
				continue
			}
			fresh = fresh || kind == fileMessage
			if err := w.fs.Rename(w.path(extensions[kind]+tmp), path); err != nil {
				return fresh, err
			}
		}
		if err := w.fs.SyncDir(w.dir); err != nil {
			return fresh, err
		}
	}
	return fresh, nil
}
