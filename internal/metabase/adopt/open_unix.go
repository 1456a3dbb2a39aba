//go:build unix

package adopt

import (
	"io/fs"
	"os"
	"syscall"
)

// open neither follows a link nor waits for the other end of a pipe.
func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// links returns how many names a file has, 0 where it is not known.
func links(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Nlink)
	}
	return 0
}
