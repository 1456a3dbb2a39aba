// Package format is what stands in the files of the local spool, octet by octet: names and headers of files (names.go,
// header.go), the records of segments (record.go), the blocks of journals and checkpoints (block.go) and the entries in the blocks
// of journals (entry.go). It knows nothing of what they mean together, which is docs/decisions/0002-spool.md.
//
// Whatever a file holds is read without a panic and without more memory than it has octets. All numbers are little-endian; every part
// carries a CRC32C and, but for the file "format", the salt of its file.
package format

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

// Versions of what is written. A reader takes its own and all before.
const (
	Version       = 1 // of the folder
	FileVersion   = 1 // of a file's header
	RecordVersion = 1 // of a segment record
	BlockVersion  = 1 // of a block in a journal or checkpoint
)

// NewSalt returns what the records of a new file begin with. That nobody can guess it is what
// keeps a sender from writing records of the spool into a message.
func NewSalt() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum is the CRC32C of b.
func Sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// AddSum is the CRC32C of that of which crc is the sum, followed by b.
func AddSum(crc uint32, b []byte) uint32 { return crc32.Update(crc, castagnoli, b) }

// All numbers in files are little-endian.
var le = binary.LittleEndian

// Line is the contents of the file "format".
func Line(version int) string {
	s := fmt.Sprintf("mailroot spool %d ", version)
	return fmt.Sprintf("%s%08x\n", s, Sum([]byte(s)))
}

// ParseLine returns the version, or 0 if b is not such a line or is damaged.
func ParseLine(b []byte) int {
	f := strings.Fields(string(b))
	if len(f) != 4 {
		return 0
	}
	v, err := strconv.Atoi(f[2])
	if err != nil || Line(v) != string(b) {
		return 0
	}
	return v
}
