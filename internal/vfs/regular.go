package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ReadRegular reads a file of the operating system that a person has named, but no more than limit
// octets of it. What is no regular file is refused by what it is: a FIFO would wait for its writer, a
// device might never end, and neither may keep whoever holds a lock meanwhile. The error is an
// *fs.PathError.
func ReadRegular(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name) // first, for to open a device may be to use it
	if err != nil {
		return nil, err
	}
	if err := regular(name, info); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDONLY|nonBlocking, 0) // by now it may be another file
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if err := regular(name, info); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

// regular refuses what is no regular file.
func regular(name string, info fs.FileInfo) error {
	what := ""
	switch m := info.Mode(); {
	case m.IsRegular():
		return nil
	case m.IsDir():
		what = "folder"
	case m&fs.ModeNamedPipe != 0:
		what = "FIFO"
	case m&fs.ModeSocket != 0:
		what = "socket"
	case m&fs.ModeDevice != 0:
		what = "device"
	case m&(fs.ModeSymlink|fs.ModeIrregular) != 0:
		what = "link"
	default:
		what = "special file"
	}
	return irregular(name, what)
}

func irregular(name, what string) error {
	return &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("is a %s, %w", what, ErrIrregular)}
}
