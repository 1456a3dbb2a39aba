package service

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/mailroot/mailroot/internal/badmail"
	"github.com/mailroot/mailroot/internal/vfs"
)

const (
	// dropExt is what files of a drop folder are called.
	dropExt = ".eml"
	// dropMode lets the group of the folder read a file, as those that delivery writes.
	dropMode = 0o640
	// dropPartial is the folder within the drop folder where delivery, too, writes files before they get their names.
	dropPartial = ".partial"
	// dropDigits is how many digits of its key a file gets for a name that cannot be its own: as many as delivery's have.
	dropDigits = 24
)

// adopt copies a file of another drop folder into ours, as it is, and returns its name: its own, or one
// made of key where that is taken by another file or could not be a name here (bad input P1). A file of that name
// with the same contents is taken for an earlier copy.
func (d *dropSize) adopt(body io.ReaderAt, file OldFile, key string) (string, error) {
	dir := filepath.Join(d.dir, dropPartial)
	if err := makeDir(d.fs, dir); err != nil {
		return "", err
	}
	temp := filepath.Join(dir, "adopted-"+key)
	if err := d.fs.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := d.copy(temp, io.NewSectionReader(body, 0, file.Size)); err != nil {
		_ = d.fs.Remove(temp) // the next attempt would replace it
		return "", err
	}
	names := []string{key[:dropDigits] + dropExt}
	if own := file.Name[:len(file.Name)-len(dropExt)]; badmail.ValidName(own) {
		names = append([]string{own + dropExt}, names...)
	}
	for _, name := range names {
		path := filepath.Join(d.dir, name)
		switch same, err := vfs.Holds(d.fs, path, body, file.Size); {
		case errors.Is(err, fs.ErrNotExist):
			if err := d.fs.Rename(temp, path); err != nil {
				return "", err
			}
			d.add(file.Size)
			return name, d.fs.SyncDir(d.dir)
		case err != nil:
			return "", err
		case same:
			return name, d.fs.Remove(temp)
		}
	}
	return "", errors.Join(&fs.PathError{Op: "rename", Path: names[len(names)-1], Err: fs.ErrExist}, d.fs.Remove(temp))
}

// copy writes a file, for good but for its name.
func (d *dropSize) copy(path string, body io.Reader) (err error) {
	f, err := d.fs.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.Copy(io.NewOffsetWriter(f, 0), body); err != nil {
		return err
	}
	if file := vfs.OSFile(f); file != nil {
		if err := file.Chmod(dropMode); err != nil {
			return err
		}
	}
	return f.Sync()
}
