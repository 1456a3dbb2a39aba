//go:build linux || darwin

package vfs

import (
	"math"
	"os"
	"syscall"
)

func space(name string) (Space, error) {
	var st syscall.Statfs_t
	for {
		err := syscall.Statfs(name, &st)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return Space{}, os.NewSyscallError("statfs", err)
		}
		break
	}
	s := Space{Bytes: st.Bavail * uint64(st.Bsize), Inodes: st.Ffree}
	if st.Files == 0 { // btrfs and network file systems: no fixed number
		s.Inodes = math.MaxUint64
	}
	return s, nil
}
