package pressure

import (
	"syscall"
	"unsafe"
)

// memoryStatus is MEMORYSTATUSEX.
type memoryStatus struct {
	length, load                                                                        uint32
	totalPhys, availPhys, totalPage, availPage, totalVirtual, availVirtual, availExtend uint64
}

// machine returns the memory of the machine, in octets; 0 if it is not known.
func machine() int64 {
	var s memoryStatus
	s.length = uint32(unsafe.Sizeof(s))
	r, _, _ := syscall.NewLazyDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx").Call(uintptr(unsafe.Pointer(&s)))
	if r == 0 {
		return 0
	}
	return int64(s.totalPhys)
}
