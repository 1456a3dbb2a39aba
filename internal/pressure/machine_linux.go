package pressure

import "syscall"

// machine returns the memory of the machine, in octets; 0 if it is not known.
func machine() int64 {
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) != nil {
		return 0
	}
	return int64(uint64(info.Totalram) * uint64(info.Unit))
}
