// Package adopt finds what an old server of the Microsoft SMTP Service left in its folders: entries of
// Badmail, files of Drop and Pickup, queued messages.
//
// It only reads, but for Entry.Remove. The folders may be a copy, on any system, so names match in any case;
// whoever could write there may have left anything, so nothing but plain files with one name is opened (bad input
// P1). What becomes of the files is decided by the service, whose call Adopt they are given to. Start
// with Find.
package adopt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The kinds of folders, as control.Adoption has them.
const (
	Badmail = "badmail"
	Drop    = "drop"
	Pickup  = "pickup"
	Queue   = "queue"
)

// Kinds returns all kinds, in the order in which they are adopted.
func Kinds() []string { return []string{Badmail, Drop, Pickup, Queue} }

// Entry is what is adopted as one: a file, or the files of an entry of Badmail.
type Entry struct {
	Kind  string
	Files []File // the first names the entry
}

// File is a file of an old folder.
type File struct {
	Path string
	Name string
	Size int64
}

// Left is a name in an old folder that is left alone.
type Left struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Folders returns the four folders of a Mailroot folder that are there, by kind.
func Folders(root string) (map[string]string, error) {
	names, err := list(root)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string)
	for _, name := range names {
		for _, kind := range Kinds() {
			if strings.EqualFold(name, kind) && out[kind] == "" {
				out[kind] = filepath.Join(root, name)
			}
		}
	}
	return out, nil
}

func list(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// Find returns what there is to be adopted in a folder of a kind, in the order of names, and what is left alone.
func Find(kind, dir string) (entries []Entry, left []Left, err error) {
	names, err := list(dir)
	if err != nil {
		return nil, nil, err
	}
	var bad []File
	for _, name := range names {
		file := File{Path: filepath.Join(dir, name), Name: name}
		why := file.look()
		if why == "" {
			why = fits(kind, name)
		}
		switch {
		case why != "":
			left = append(left, Left{kind, name, why})
		case kind == Badmail:
			bad = append(bad, file)
		default:
			entries = append(entries, Entry{kind, []File{file}})
		}
	}
	if kind == Badmail {
		var alone []Left
		entries, alone = pair(bad)
		left = append(left, alone...)
	}
	return entries, left, nil
}

// pair makes entries of the files of Badmail: each message with the files of its name. A name that is the same to the letter goes
// first, as a disk may hold two that differ in case; else one in another case belongs to the message, where there is but one.
func pair(files []File) (entries []Entry, left []Left) {
	byBase, byFold := make(map[string]int), make(map[string][]int)
	leave := func(f File, why string) { left = append(left, Left{Badmail, f.Name, why}) }
	var rest []File
	for _, f := range files {
		switch base := f.base(); {
		case !f.isMessage():
			rest = append(rest, f)
		case has(byBase, base):
			leave(f, "a second file of that name")
		default:
			byBase[base] = len(entries)
			byFold[strings.ToLower(base)] = append(byFold[strings.ToLower(base)], len(entries))
			entries = append(entries, Entry{Badmail, []File{f}})
		}
	}
	join := func(i int, f File) {
		if why := entries[i].join(f); why != "" {
			leave(f, why)
		}
	}
	var others []File
	for _, f := range rest {
		if i, ok := byBase[f.base()]; ok {
			join(i, f)
		} else {
			others = append(others, f)
		}
	}
	for _, f := range others {
		switch of := byFold[strings.ToLower(f.base())]; len(of) {
		case 0:
			leave(f, "there is no .BAD file of its name, and so no message")
		case 1:
			join(of[0], f)
		default:
			leave(f, "several .BAD files have its name but for the case, and none to the letter")
		}
	}
	return entries, left
}

func has(index map[string]int, base string) bool {
	_, ok := index[base]
	return ok
}

// base is the name without its extension.
func (f *File) base() string { return strings.TrimSuffix(f.Name, filepath.Ext(f.Name)) }

// isMessage reports whether a file of Badmail is the message of its entry.
func (f *File) isMessage() bool { return strings.EqualFold(filepath.Ext(f.Name), ".bad") }

// extensions are those of the files of a kind; none: any file is one.
var extensions = map[string][]string{Badmail: {".bad", ".bdr", ".bdp"}, Drop: {".eml"}, Queue: {".eml"}}

// fits tells why a name is none of a kind's.
func fits(kind, name string) string {
	all := extensions[kind]
	if kind != Pickup && name == filepath.Ext(name) {
		return "a file without a name"
	}
	if len(all) == 0 || slices.Contains(all, strings.ToLower(filepath.Ext(name))) {
		return ""
	}
	return "a file of another kind"
}

// join adds a file to the entry of Badmail that it belongs to, the message in front.
func (e *Entry) join(f File) string {
	for _, other := range e.Files {
		if strings.EqualFold(filepath.Ext(other.Name), filepath.Ext(f.Name)) {
			return "a second file of that name"
		}
	}
	e.Files = append(e.Files, f)
	slices.SortFunc(e.Files, func(a, b File) int {
		return strings.Compare(strings.ToLower(filepath.Ext(a.Name)), strings.ToLower(filepath.Ext(b.Name)))
	})
	return ""
}

// look finds the size of a file, or tells why it is left alone. It follows no link.
func (f *File) look() (why string) {
	info, err := os.Lstat(f.Path)
	if err != nil {
		return cause(err)
	}
	f.Size = info.Size()
	return irregular(info)
}

// irregular tells what is no plain file with one name.
func irregular(info fs.FileInfo) string {
	switch mode := info.Mode(); {
	case mode.IsDir():
		return "a folder"
	case mode&(fs.ModeSymlink|fs.ModeIrregular) != 0:
		return "a link"
	case !mode.IsRegular():
		return "a device, pipe or socket"
	case links(info) > 1:
		return "a file with a second name (a hard link)"
	}
	return ""
}

// cause leaves the path out of an error.
func cause(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return err.Error()
}

// Contents are the octets of an entry's files, one behind the other.
type Contents struct {
	io.Reader
	files []*os.File
}

// Close closes the files.
func (c *Contents) Close() {
	for _, f := range c.files {
		_ = f.Close() // they were only read
	}
}

// Open opens the files of the entry. A file that is not what Find saw any more is an error, as is one that ends
// while it is read before the size that it had.
func (e *Entry) Open() (*Contents, error) {
	c := new(Contents)
	var readers []io.Reader
	for _, file := range e.Files {
		f, err := open(file.Path)
		if err != nil {
			c.Close()
			return nil, errors.New(cause(err))
		}
		c.files = append(c.files, f)
		info, err := f.Stat()
		if err == nil && (irregular(info) != "" || info.Size() != file.Size) {
			err = errors.New("it was changed meanwhile")
		}
		if err != nil {
			c.Close()
			return nil, errors.New(cause(err))
		}
		readers = append(readers, &whole{io.LimitReader(f, file.Size), file.Size})
	}
	c.Reader = io.MultiReader(readers...)
	return c, nil
}

// whole is a reader that must give n octets.
type whole struct {
	r io.Reader
	n int64
}

// Read reads on.
func (w *whole) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.n -= int64(n)
	if errors.Is(err, io.EOF) && w.n > 0 {
		err = fmt.Errorf("it was cut while it was read: %w", io.ErrUnexpectedEOF)
	}
	return n, err
}

// Remove removes the files of the entry from the old folder.
func (e *Entry) Remove() error {
	var errs []error
	for _, f := range e.Files {
		errs = append(errs, os.Remove(f.Path))
	}
	return errors.Join(errs...)
}
