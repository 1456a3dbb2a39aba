package badmail

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/vfs"
)

// maxName bounds the base name of an entry, in octets.
const maxName = 100

// ValidName reports whether s can be the base name of an entry: ASCII letters, digits and
// "-_{}.", as older services name their files, with no dot at the start. None of them leads out
// of the directory.
func ValidName(s string) bool {
	if s == "" || len(s) > maxName || s[0] == '.' {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-_{}.", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// place is where an entry stands in the order of the directory. It follows from the base name
// alone, so that a page can begin behind an entry that has gone.
type place struct {
	ticks   uint64 // of 100 ns since 1601; 0 when the name tells no time
	counter uint32
	name    string
}

const (
	from1601to1970 = 11644473600 // seconds
	nameDigits     = 24
	// Names of 24 digits outside of these years do not come from a clock.
	firstYear, lastYear = 1990, 2200
)

func placeOf(name string) place {
	p := place{name: name}
	if len(name) != nameDigits {
		return p
	}
	b, err := hex.DecodeString(name)
	if err != nil {
		return p
	}
	ticks := uint64(binary.BigEndian.Uint32(b[4:]))<<32 | uint64(binary.BigEndian.Uint32(b))
	if y := timeOf(ticks).Year(); y < firstYear || y > lastYear {
		return p
	}
	p.ticks, p.counter = ticks, binary.BigEndian.Uint32(b[8:])
	return p
}

// timeOf returns the moment of a FILETIME, to the second and below.
func timeOf(ticks uint64) time.Time {
	const perSecond = 1e7
	return time.Unix(int64(ticks/perSecond)-from1601to1970, int64(ticks%perSecond)*100).UTC()
}

// time returns the moment in the name, zero if it tells none.
func (p place) time() time.Time {
	if p.ticks == 0 {
		return time.Time{}
	}
	return timeOf(p.ticks)
}

// compare orders places by time, those without one first.
func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.ticks, q.ticks), cmp.Compare(p.counter, q.counter), strings.Compare(p.name, q.name))
}

// slot is one entry by its file names.
type slot struct {
	place
	files [3]string // of message, reason and properties, as they are written; "" for those that are missing
}

// The files of a slot.
const (
	fileMessage = iota
	fileReason
	fileProperties
)

var extensions = [...]string{fileMessage: ExtMessage, fileReason: ExtReason, fileProperties: ExtProperties}

// cutExt splits the name of a file of an entry. Older services and other systems write the
// extension in either case.
func cutExt(file string) (base string, kind int, ok bool) {
	n := len(file) - len(ExtMessage)
	if n <= 0 {
		return "", 0, false
	}
	for kind, ext := range extensions {
		if strings.EqualFold(file[n:], ext) {
			return file[:n], kind, ValidName(file[:n])
		}
	}
	return "", 0, false
}

// slots reads the directory and returns its entries, oldest first, and the names of unfinished
// files. A directory that does not exist is empty. A file of another name, and a .BDR alone,
// is nobody's entry.
func slots(fsys vfs.FS, dir string) (all []slot, unfinished []string, err error) {
	files, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, file := range files {
		if base, ok := strings.CutSuffix(file, tmp); ok {
			if name, _, ok := cutExt(base); ok && placeOf(name).ticks != 0 {
				unfinished = append(unfinished, file)
			}
			continue
		}
		base, kind, ok := cutExt(file)
		if !ok {
			continue
		}
		s := slot{place: placeOf(base)}
		s.files[kind] = file
		all = append(all, s)
	}
	slices.SortStableFunc(all, func(a, b slot) int { return a.compare(b.place) })
	return join(all), unfinished, nil
}

// join makes one slot of those with one name, which stand side by side, and leaves out what is
// no entry.
func join(all []slot) []slot {
	out := all[:0]
	for i := 0; i < len(all); {
		s := all[i]
		for i++; i < len(all) && all[i].name == s.name; i++ {
			for kind, file := range all[i].files {
				s.files[kind] = cmp.Or(s.files[kind], file)
			}
		}
		if s.files[fileMessage] != "" || s.files[fileProperties] != "" {
			out = append(out, s)
		}
	}
	return out
}
