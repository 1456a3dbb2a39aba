package vfs

import "io"

// NextData returns where the octets of f go on that are not in a hole, from off on; size, which is that of the file, if nothing but
// a hole follows. Holes read as zeros and take no place on disk, so that a file with one can be longer than anybody can read.
// It returns off where holes cannot be told: f is not of OS, or the system does not say.
func NextData(f io.ReaderAt, off, size int64) int64 {
	file, ok := f.(File)
	if !ok {
		return off
	}
	if of := OSFile(file); of != nil && off < size {
		return min(max(off, nextData(of, off, size)), size)
	}
	return off
}
