// Package vfs holds the file operations that the spool needs, as an interface with three
// implementations: OS (the real files), Mem (in memory, with CrashClone: what a power cut
// would leave) and Inject (any of them, failing on purpose).
//
// It knows nothing of mail and imports the standard library only. Start with FS and File; what
// a caller may rely on after a power cut is said at File.Sync and FS.SyncDir, and Mem takes it
// literally: what was not synced may be there, or not, or in part.
package vfs

import (
	"errors"
	"io"
	"os"
)

// FS is a tree of files. Names are those of the operating system for OS; Mem and Inject take
// whatever path/filepath makes of them. All methods may be called concurrently. Errors match
// io/fs.ErrNotExist and io/fs.ErrExist where these apply.
type FS interface {
	// Create makes a new file, opened for reading and writing. It fails with fs.ErrExist if
	// the name is taken.
	Create(name string) (File, error)
	// Open opens a file for reading. Open and OpenReadWrite follow no link and wait for nobody: what is no
	// regular file is ErrIrregular.
	Open(name string) (File, error)
	// OpenReadWrite opens a file that exists for reading and writing.
	OpenReadWrite(name string) (File, error)
	// Rename gives a file a new name in the same file system, replacing what had that name.
	Rename(from, to string) error
	// Remove removes a file or an empty directory. A file that is open stays readable where the
	// system allows it; callers that care for Windows close it first.
	Remove(name string) error
	// MkdirAll makes a directory and its parents, for the owner only (0700). One that exists is fine.
	MkdirAll(name string) error
	// ReadDir returns the names in a directory, sorted.
	ReadDir(name string) ([]string, error)
	// Stat returns what is known of a file.
	Stat(name string) (Info, error)
	// SyncDir makes the entries of a directory durable: names that were created, renamed or
	// removed. It does nothing where the system has no such call (Windows).
	SyncDir(name string) error
	// Lock takes an exclusive lock on the file of that name, made if need be, and holds it
	// until Close or the end of the process. It does not wait: ErrLocked if another has it,
	// another process or this one; ErrIrregular if a folder has the name.
	Lock(name string) (io.Closer, error)
	// Space tells how much is free in the file system that holds the directory name.
	Space(name string) (Space, error)
}

// File is an open file. ReadAt may be called concurrently with all but Close; writes and Sync are
// ordered by the caller.
type File interface {
	io.ReaderAt
	io.WriterAt
	// WritevAt writes bufs one after the other from off on, with as few system calls as the
	// system allows. It returns the octets written, fewer than asked for only with an error.
	// The slice bufs is used as scratch space; the octets are not changed.
	WritevAt(bufs [][]byte, off int64) (int64, error)
	// Sync makes the contents and the size durable (fdatasync); it says nothing of the name,
	// see FS.SyncDir. After an error it is unknown what reached the disk, and a second Sync
	// that succeeds proves nothing.
	Sync() error
	// Truncate sets the size.
	Truncate(size int64) error
	// Size returns the size.
	Size() (int64, error)
	Close() error
}

// Info is the answer of Stat.
type Info struct {
	Size  int64
	IsDir bool

	file any // tells files apart: an os.FileInfo, or the node of a Mem
}

// Same reports whether both tell of one file, whatever its name is by now.
func (i Info) Same(other Info) bool {
	a, ok := i.file.(os.FileInfo)
	b, both := other.file.(os.FileInfo)
	if ok && both {
		return os.SameFile(a, b)
	}
	return i.file != nil && i.file == other.file
}

// Space is what is free for an unprivileged process.
type Space struct {
	Bytes  uint64 // octets
	Inodes uint64 // files that can still be made; math.MaxUint64 where the file system has no such limit
}

// ErrLocked is returned by Lock when the lock is held.
var ErrLocked = errors.New("locked by another process")

// ErrIrregular is returned for a name of something other than a file: a FIFO, a link, a folder.
var ErrIrregular = errors.New("not a file")

// IsNoSpace reports whether err says that the disk or a quota is full.
func IsNoSpace(err error) bool { return errors.Is(err, ErrNoSpace) || isNoSpace(err) }

// ErrNoSpace is what Mem returns when its limit is reached; see IsNoSpace.
var ErrNoSpace = errors.New("no space left on device")
