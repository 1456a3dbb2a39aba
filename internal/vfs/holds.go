package vfs

import (
	"bytes"
	"errors"
	"io"
)

// Holds reports whether the file of that name holds just these size octets. What is no regular file does not;
// fs.ErrNotExist is returned as it is.
func Holds(fsys FS, name string, body io.ReaderAt, size int64) (bool, error) {
	f, err := fsys.Open(name)
	if errors.Is(err, ErrIrregular) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if n, err := f.Size(); err != nil || n != size {
		return false, err
	}
	const slice = 64 << 10
	a, b := make([]byte, slice), make([]byte, slice)
	for off := int64(0); off < size; off += slice {
		n := min(size-off, slice)
		if m, err := f.ReadAt(a[:n], off); int64(m) < n {
			return false, err
		}
		if m, err := body.ReadAt(b[:n], off); int64(m) < n {
			return false, err
		}
		if !bytes.Equal(a[:n], b[:n]) {
			return false, nil
		}
	}
	return true, nil
}
