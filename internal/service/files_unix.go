//go:build unix

package service

import (
	"math"
	"syscall"
)

// openFiles returns how many files the process may have open, 0 if there is no limit. At the start the Go runtime has
// raised it as far as that goes without privileges.
func openFiles() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || l.Cur > math.MaxInt32 {
		return 0
	}
	return int(l.Cur)
}
