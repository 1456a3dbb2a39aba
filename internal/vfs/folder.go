package vfs

import (
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
)

// SyncParents makes the name of a folder durable, and those of the folders above it, whoever made them: that a
// folder is there does not tell that it was made for good.
func SyncParents(fsys FS, dir string) error {
	dir = filepath.Clean(dir)
	for parent := filepath.Dir(dir); parent != dir; dir, parent = parent, filepath.Dir(parent) {
		// What we may not open we have not made.
		if err := fsys.SyncDir(parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

// Folder is a folder that is made when it is needed. Its own name is durable when Sync has returned nil.
type Folder struct {
	FS  FS
	Dir string

	mu    sync.Mutex
	named bool // its name is durable
}

// Make makes the folder, and one in it unless within is empty.
func (f *Folder) Make(within string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.named = false
	return f.FS.MkdirAll(filepath.Join(f.Dir, within))
}

// Sync makes the names in the folder durable, and its own.
func (f *Folder) Sync() error {
	if err := f.name(); err != nil {
		return err
	}
	return f.FS.SyncDir(f.Dir)
}

func (f *Folder) name() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.named {
		return nil
	}
	if err := SyncParents(f.FS, f.Dir); err != nil {
		return err
	}
	f.named = true
	return nil
}
