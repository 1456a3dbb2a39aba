package pickup

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/mailroot/mailroot/internal/vfs"
)

// Files are the operations on the pickup directory; OS are those of the operating system. All of them
// take whole paths and may be called concurrently. Errors match fs.ErrNotExist where that applies.
type Files interface {
	// List gives the names in a folder, in portions and in no order, until each returns false.
	List(dir string, each func(names []string) bool) error
	// Look tells what has a name. It follows no link and opens nothing.
	Look(name string) (Entry, error)
	// Open opens a file for reading, at once and without following a link. It fails with ErrBusy
	// where the system refuses because a program has the file open for writing.
	Open(name string) (File, error)
	// Rename gives a file another name within the folders of one volume. It replaces nothing: it fails with
	// fs.ErrExist where that name is taken.
	Rename(from, to string) error
	// Lock is vfs.FS.Lock.
	Lock(name string) (io.Closer, error)
	// Remove removes a file.
	Remove(name string) error
	// MakeFolder makes a folder that does not exist, and reports whether it did: for the owner, and if
	// it is shared for the group.
	MakeFolder(dir string, shared bool) (made bool, err error)
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.Closer
	// Look tells what was opened.
	Look() (Entry, error)
	// Writer tells whether a program has the file open for writing.
	Writer() Writer
}

// Entry is what has a name.
type Entry struct {
	Kind     Kind
	Size     int64
	Modified time.Time // the zero Time where it is not known
	Links    int       // names of the file; 0: not known
}

// Kind is what an Entry is.
type Kind uint8

// The kinds.
const (
	KindFile   Kind = iota
	KindFolder      // never looked into
	KindLink        // a symbolic link, a junction or another reparse point
	KindOther       // a device, pipe or socket
)

// Writer is what is known of those who write a file.
type Writer uint8

// The answers.
const (
	WriterUnknown Writer = iota
	WriterNone           // no program has the file open for writing
	WriterOpen           // one has
)

// ErrBusy says that a program has a file open for writing.
var ErrBusy = errors.New("a program has the file open for writing")

// portion is how many names List gives at once.
const portion = 1000

// Plain makes Files of an FS that knows of no links, times or writers: a file is complete when its
// size no longer changes.
func Plain(files vfs.FS) Files { return plain{files} }

type plain struct{ fs vfs.FS }

func (p plain) List(dir string, each func([]string) bool) error {
	names, err := p.fs.ReadDir(dir)
	for len(names) > 0 {
		n := min(len(names), portion)
		if !each(names[:n]) {
			return nil
		}
		names = names[n:]
	}
	return err
}

func (p plain) Look(name string) (Entry, error) {
	info, err := p.fs.Stat(name)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Size: info.Size}
	if info.IsDir {
		e.Kind = KindFolder
	}
	return e, nil
}

func (p plain) Open(name string) (File, error) {
	f, err := p.fs.Open(name)
	if err != nil {
		return nil, err
	}
	return plainFile{f}, nil
}

func (p plain) Rename(from, to string) error {
	// Whoever else could take the name does not hold the lock.
	if _, err := p.fs.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		return cmp.Or(err, error(&fs.PathError{Op: "rename", Path: to, Err: fs.ErrExist}))
	}
	return p.fs.Rename(from, to)
}
func (p plain) Remove(name string) error            { return p.fs.Remove(name) }
func (p plain) Lock(name string) (io.Closer, error) { return p.fs.Lock(name) }
func (p plain) MakeFolder(dir string, _ bool) (bool, error) {
	if _, err := p.fs.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return true, p.fs.MkdirAll(dir)
}
func (p plain) SyncDir(dir string) error { return p.fs.SyncDir(dir) }

type plainFile struct{ vfs.File }

func (f plainFile) Look() (Entry, error) {
	size, err := f.Size()
	return Entry{Size: size}, err
}

func (f plainFile) Writer() Writer { return WriterUnknown }
