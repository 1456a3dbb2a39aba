package pickup

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/mailroot/mailroot/internal/vfs"
)

// OS are the files of the operating system.
type OS struct{}

var _ Files = OS{}

// List implements Files.
func (OS) List(dir string, each func([]string) bool) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(portion)
		if len(names) > 0 && !each(names) {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Look implements Files.
func (OS) Look(name string) (Entry, error) {
	fi, err := os.Lstat(name)
	if err != nil {
		return Entry{}, err
	}
	return entryOf(fi), nil
}

// entryOf reads what the systems have in common; system adds the rest.
func entryOf(fi fs.FileInfo) Entry {
	e := Entry{Size: fi.Size(), Modified: fi.ModTime()}
	switch mode := fi.Mode(); {
	case mode.IsDir():
		e.Kind = KindFolder
	case mode&fs.ModeSymlink != 0, mode&fs.ModeIrregular != 0:
		e.Kind = KindLink
	case !mode.IsRegular():
		e.Kind = KindOther
	}
	system(fi, &e)
	return e
}

// Open implements Files.
func (OS) Open(name string) (File, error) {
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Rename implements Files.
func (OS) Rename(from, to string) error {
	if err := renameNew(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// Lock implements Files.
func (OS) Lock(name string) (io.Closer, error) { return vfs.OS{}.Lock(name) }

// Remove implements Files. That a file is marked as read-only does not matter.
func (OS) Remove(name string) error { return os.Remove(name) }

// MakeFolder implements Files. On Windows the folder inherits its permissions.
func (OS) MakeFolder(dir string, shared bool) (bool, error) {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	mode := fs.FileMode(0o700)
	if shared {
		// The group's files are made for the group of the folder, so that we can read them.
		mode = 0o770 | fs.ModeSetgid
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return false, err
	}
	return true, os.Chmod(dir, mode) // whatever the umask is
}

// SyncDir implements Files.
func (OS) SyncDir(dir string) error { return vfs.OS{}.SyncDir(dir) }

type osFile struct{ *os.File }

// Look implements File.
func (f osFile) Look() (Entry, error) {
	fi, err := f.Stat()
	if err != nil {
		return Entry{}, err
	}
	e := entryOf(fi)
	return e, f.links(&e)
}

// Writer implements File.
func (f osFile) Writer() Writer { return writer(f.File) }
