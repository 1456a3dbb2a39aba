package vfs

import (
	"io"
)

// Op names an operation to an injecting function.
type Op string

// The operations.
const (
	OpCreate   Op = "create"
	OpOpen     Op = "open"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpMkdir    Op = "mkdir"
	OpReadDir  Op = "readdir"
	OpStat     Op = "stat"
	OpSyncDir  Op = "syncdir"
	OpLock     Op = "lock"
	OpSpace    Op = "space"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpSync     Op = "sync"
	OpTruncate Op = "truncate"
	OpSize     Op = "size"
	OpClose    Op = "close"
)

// Short is an error for an injecting function to return at OpWrite: the first N octets are
// written, then the write fails with Err.
type Short struct {
	N   int
	Err error
}

// Error implements error.
func (s *Short) Error() string { return "short write: " + s.Err.Error() }

// Unwrap returns Err.
func (s *Short) Unwrap() error { return s.Err }

// Inject returns fs with fail called before each operation: op on path, with n octets for reads
// and writes. What it returns, if not nil, is the operation's error, and the operation is not
// done; but see Short, and note that OpClose closes in any case. After, if not nil, is called after each
// operation that was done. Both may be called concurrently.
func Inject(fs FS, fail func(op Op, path string, n int) error, after func(op Op, path string)) FS {
	if fail == nil {
		fail = func(Op, string, int) error { return nil }
	}
	if after == nil {
		after = func(Op, string) {}
	}
	return &injectFS{fs, fail, after}
}

type injectFS struct {
	fs    FS
	fail  func(Op, string, int) error
	after func(Op, string)
}

func (i *injectFS) do(op Op, path string, f func() error) error {
	if err := i.fail(op, path, 0); err != nil {
		return err
	}
	defer i.after(op, path)
	return f()
}

func (i *injectFS) file(op Op, name string, open func(string) (File, error)) (f File, err error) {
	err = i.do(op, name, func() (err error) {
		f, err = open(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &injectFile{i, f, name}, nil
}

func (i *injectFS) Create(name string) (File, error) { return i.file(OpCreate, name, i.fs.Create) }
func (i *injectFS) Open(name string) (File, error)   { return i.file(OpOpen, name, i.fs.Open) }
func (i *injectFS) OpenReadWrite(name string) (File, error) {
	return i.file(OpOpen, name, i.fs.OpenReadWrite)
}

func (i *injectFS) Rename(from, to string) error {
	return i.do(OpRename, from, func() error { return i.fs.Rename(from, to) })
}

func (i *injectFS) Remove(name string) error {
	return i.do(OpRemove, name, func() error { return i.fs.Remove(name) })
}

func (i *injectFS) MkdirAll(name string) error {
	return i.do(OpMkdir, name, func() error { return i.fs.MkdirAll(name) })
}

func (i *injectFS) ReadDir(name string) (names []string, err error) {
	err = i.do(OpReadDir, name, func() (err error) {
		names, err = i.fs.ReadDir(name)
		return err
	})
	return names, err
}

func (i *injectFS) Stat(name string) (info Info, err error) {
	err = i.do(OpStat, name, func() (err error) {
		info, err = i.fs.Stat(name)
		return err
	})
	return info, err
}

func (i *injectFS) SyncDir(name string) error {
	return i.do(OpSyncDir, name, func() error { return i.fs.SyncDir(name) })
}

func (i *injectFS) Lock(name string) (c io.Closer, err error) {
	err = i.do(OpLock, name, func() (err error) {
		c, err = i.fs.Lock(name)
		return err
	})
	return c, err
}

func (i *injectFS) Space(name string) (s Space, err error) {
	err = i.do(OpSpace, name, func() (err error) {
		s, err = i.fs.Space(name)
		return err
	})
	return s, err
}

type injectFile struct {
	i    *injectFS
	f    File
	name string
}

func (f *injectFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.i.fail(OpRead, f.name, len(p)); err != nil {
		return 0, err
	}
	defer f.i.after(OpRead, f.name)
	return f.f.ReadAt(p, off)
}

func (f *injectFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.WritevAt([][]byte{p}, off)
	return int(n), err
}

func (f *injectFile) WritevAt(bufs [][]byte, off int64) (int64, error) {
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	err := f.i.fail(OpWrite, f.name, total)
	if err == nil {
		defer f.i.after(OpWrite, f.name)
		return f.f.WritevAt(bufs, off)
	}
	short, ok := err.(*Short)
	if !ok {
		return 0, err
	}
	defer f.i.after(OpWrite, f.name)
	n, werr := writeSeq(f.f, cut(bufs, short.N), off)
	if werr != nil {
		return n, werr
	}
	return n, err
}

// cut returns the first n octets of bufs.
func cut(bufs [][]byte, n int) [][]byte {
	var out [][]byte
	for _, b := range bufs {
		if len(b) >= n {
			return append(out, b[:n])
		}
		out, n = append(out, b), n-len(b)
	}
	return out
}

func (f *injectFile) Sync() error { return f.i.do(OpSync, f.name, f.f.Sync) }

func (f *injectFile) Truncate(size int64) error {
	return f.i.do(OpTruncate, f.name, func() error { return f.f.Truncate(size) })
}

func (f *injectFile) Size() (n int64, err error) {
	err = f.i.do(OpSize, f.name, func() (err error) {
		n, err = f.f.Size()
		return err
	})
	return n, err
}

func (f *injectFile) Close() error {
	if err := f.i.fail(OpClose, f.name, 0); err != nil {
		f.f.Close()
		return err
	}
	defer f.i.after(OpClose, f.name)
	return f.f.Close()
}
