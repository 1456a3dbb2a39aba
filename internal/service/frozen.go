package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mailroot/mailroot/internal/queue"
	"github.com/mailroot/mailroot/internal/vfs"
)

// Freeze is a destination that an operator has frozen.
type Freeze struct {
	Name   string    `json:"name"`           // of a next hop, or a recipient domain; "*": everything
	Until  time.Time `json:"until,omitzero"` // when it ends by itself; zero: never
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
}

// freezes are the frozen destinations of a virtual server. They are kept in a file, which is replaced as a
// whole and synced before a change is in force.
type freezes struct {
	fs   vfs.FS
	path string
	// trouble says why what the file held is not in force, "" if it is.
	trouble string

	mu   sync.Mutex
	list []Freeze // by name
}

// freezeVersion is the version of the file. A later one is not read.
const freezeVersion = 1

// freezeFile is the file.
type freezeFile struct {
	Version int      `json:"version"`
	Frozen  []Freeze `json:"frozen"`
}

// Limits of the file.
const (
	maxFreezes    = 10000
	maxFreezeFile = 16 << 20 // octets
)

// errManyFreezes is returned for one freeze more than maxFreezes.
var errManyFreezes = fmt.Errorf("there are %d frozen destinations already", maxFreezes)

// openFreezes reads the file. One that cannot be used is put aside, which is no reason not to start.
func openFreezes(fsys vfs.FS, path string) *freezes {
	f := &freezes{fs: fsys, path: path}
	b, err := readAll(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		return f
	}
	var file freezeFile
	if err == nil {
		err = json.Unmarshal(b, &file)
	}
	switch {
	case err != nil:
	case file.Version < 1 || file.Version > freezeVersion:
		err = fmt.Errorf("version %d is not known here", file.Version)
	case len(file.Frozen) > maxFreezes:
		err = errManyFreezes
	default:
		f.list = file.Frozen
		f.sort()
		return f
	}
	f.trouble = fmt.Sprintf("the list of frozen destinations cannot be read, none is frozen: %s: %v", path, err)
	if err := fsys.Rename(path, path+".bad"); err == nil {
		f.trouble += "; it is kept as " + path + ".bad"
	}
	return f
}

// readAll reads a file of at most maxFreezeFile octets.
func readAll(fsys vfs.FS, path string) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err == nil && size > maxFreezeFile {
		err = fmt.Errorf("it has %d octets", size)
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, 0, size))
}

func (f *freezes) sort() {
	slices.SortFunc(f.list, func(a, b Freeze) int { return strings.Compare(a.Name, b.Name) })
}

// current drops what has ended and returns the rest. f.mu is held.
func (f *freezes) current(now time.Time) []Freeze {
	f.list = slices.DeleteFunc(f.list, func(z Freeze) bool { return !z.Until.IsZero() && !z.Until.After(now) })
	return slices.Clone(f.list)
}

// replace makes list durable and then puts it in force. f.mu is held.
func (f *freezes) replace(list []Freeze, apply func([]queue.Freeze)) error {
	b, err := json.MarshalIndent(freezeFile{freezeVersion, list}, "", "  ")
	if err != nil {
		return err
	}
	if err := replaceFile(f.fs, f.path, append(b, '\n')); err != nil {
		return fmt.Errorf("the list of frozen destinations cannot be written: %w", err)
	}
	f.list = list
	f.sort()
	apply(queueFreezes(list))
	return nil
}

// replaceFile writes a file that is there as it was or as it is to be, whenever the power fails.
func replaceFile(fsys vfs.FS, path string, b []byte) error {
	dir, tmp := filepath.Dir(path), path+".tmp"
	if err := makeDir(fsys, dir); err != nil {
		return err
	}
	if err := fsys.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Create(tmp)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(b, 0); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fsys.Rename(tmp, path)
	}
	if err != nil {
		_ = fsys.Remove(tmp) // it is only in the way
		return err
	}
	return fsys.SyncDir(dir)
}

// makeDir makes a folder whose name is durable, and those of its parents.
func makeDir(fsys vfs.FS, dir string) error {
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	return vfs.SyncParents(fsys, dir)
}

// queueFreezes are the freezes as the queue knows them.
func queueFreezes(list []Freeze) []queue.Freeze {
	out := make([]queue.Freeze, len(list))
	for i, z := range list {
		out[i] = queue.Freeze{Name: z.Name, Until: z.Until, Reason: z.Reason}
	}
	return out
}

// Freeze keeps mail for a destination from being tried; one that is frozen already gets the new end and
// reason. It holds over restarts when Freeze has returned nil.
func (v *Server) Freeze(z Freeze) error {
	f := v.freezes
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.DeleteFunc(f.current(time.Now()), func(o Freeze) bool { return o.Name == z.Name })
	if len(list) >= maxFreezes {
		return errManyFreezes
	}
	return f.replace(append(list, z), v.queue.SetFrozen)
}

// Unfreeze ends the freeze of a name, or of all names when it is empty, and returns how many it ended.
func (v *Server) Unfreeze(name string) (int, error) {
	f := v.freezes
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.current(time.Now())
	n := len(list)
	list = slices.DeleteFunc(list, func(o Freeze) bool { return name == "" || o.Name == name })
	if n -= len(list); n == 0 {
		return 0, nil
	}
	return n, f.replace(list, v.queue.SetFrozen)
}

// Frozen returns what is frozen now, in order of names.
func (v *Server) Frozen() []Freeze {
	v.freezes.mu.Lock()
	defer v.freezes.mu.Unlock()
	return v.freezes.current(time.Now())
}
