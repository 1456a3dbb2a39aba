package badmail

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/mailroot/mailroot/internal/vfs"
)

// Folder is a badmail directory with its figures. It is safe for concurrent use. Others may add
// and remove files as they like: what is there is read each time, and Scan counts it anew.
type Folder struct {
	fs  vfs.FS
	dir string

	// scan keeps the directory as it is while it is counted.
	scan  sync.RWMutex
	mu    sync.Mutex
	stats Stats
}

// Stats are the figures of a Folder.
type Stats struct {
	Messages int              // entries that are there, those of other programs included
	Octets   int64            // of their files
	Written  map[Cause]uint64 // entries, since the start
	Cleaned  uint64           // entries that Clean removed, since the start
}

// NewFolder returns the directory dir, which need not exist. Its figures are 0 until Scan.
func NewFolder(fsys vfs.FS, dir string) *Folder {
	return &Folder{fs: fsys, dir: dir, stats: Stats{Written: make(map[Cause]uint64)}}
}

// Stats returns the figures of this moment.
func (f *Folder) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Written = maps.Clone(s.Written)
	return s
}

func (f *Folder) count(messages int, octets int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Messages += messages
	f.stats.Octets += octets
}

// Write is the function Write for this directory, and counts the entry.
func (f *Folder) Write(ctx context.Context, e *Entry) (string, error) {
	f.scan.RLock()
	defer f.scan.RUnlock()
	name, octets, err := write(ctx, f.fs, f.dir, e)
	if err != nil {
		return "", err
	}
	f.count(1, octets)
	p := Properties{Version: Version, Code: code(e.Code), Source: source(e.Env.Source), Sender: Sender{Address: e.Env.Sender.Addr.String()}}
	f.mu.Lock()
	f.stats.Written[p.Cause()]++
	f.mu.Unlock()
	return name, nil
}

// leftover is the age at which an unfinished file of ours can only be what a crash left.
const leftover = 24 * time.Hour

// Scan counts what is in the directory. It removes files of ours that a crash left unfinished a day ago or
// longer, and what an interrupted removal left of an entry of ours: its message has gone, and may have been sent.
func (f *Folder) Scan(now time.Time) error {
	f.scan.Lock()
	defer f.scan.Unlock()
	all, unfinished, err := slots(f.fs, f.dir)
	if err != nil {
		return err
	}
	for _, file := range unfinished {
		base, _, _ := cutExt(file[:len(file)-len(tmp)])
		if now.Sub(placeOf(base).time()) > leftover {
			_ = f.fs.Remove(filepath.Join(f.dir, file)) // the next scan tries again
		}
	}
	messages, octets := 0, int64(0)
	for i := range all {
		s := &all[i]
		if f.halfRemoved(s) && errors.Join(f.removeFile(s.files[fileReason]), f.removeFile(s.files[fileProperties])) == nil {
			continue // for good only some time: the next start would find it again
		}
		messages++
		octets += f.size(s)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Messages, f.stats.Octets = messages, octets
	return nil
}

// halfRemoved reports an entry of ours without its message, which is the first file to be removed.
func (f *Folder) halfRemoved(s *slot) bool {
	return s.files[fileMessage] == "" && f.properties(s).Foreign == ""
}

// size returns the octets of the files of a slot.
func (f *Folder) size(s *slot) (n int64) {
	for _, file := range s.files {
		if file == "" {
			continue
		}
		if info, err := f.fs.Stat(filepath.Join(f.dir, file)); err == nil {
			n += info.Size
		}
	}
	return n
}

// Has tells which of these names entries have, and which none has.
func (f *Folder) Has(names []string) (there, missing []string, err error) {
	byName, err := f.byName()
	for _, name := range unique(names) {
		if byName[name] != nil {
			there = append(there, name)
		} else {
			missing = append(missing, name)
		}
	}
	return there, missing, err
}

func (f *Folder) byName() (map[string]*slot, error) {
	all, _, err := slots(f.fs, f.dir)
	byName := make(map[string]*slot, len(all))
	for i := range all {
		byName[all[i].name] = &all[i]
	}
	return byName, err
}

// unique returns names without repetitions.
func unique(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// Remove removes the entries with these names, other programs' too, for good, and tells how many. A
// name that no entry has is ErrNotFound; the others are removed all the same.
func (f *Folder) Remove(ctx context.Context, names ...string) (int, error) {
	byName, err := f.byName()
	if err != nil {
		return 0, err
	}
	var list []*slot
	for _, name := range unique(names) {
		if s := byName[name]; s != nil {
			list = append(list, s)
		} else {
			err = ErrNotFound
		}
	}
	n, e := f.remove(ctx, list)
	return n, errors.Join(err, e)
}

// removedTogether is the number of entries that share the two syncs of a removal.
const removedTogether = 1000

// remove removes the files of slots, the .BDP last and only when the others are gone for good: so what a
// crash leaves of an entry of ours is known as ours, and removed another time. It stops at the
// first error and tells how many it removed.
func (f *Folder) remove(ctx context.Context, list []*slot) (n int, err error) {
	f.scan.RLock()
	defer f.scan.RUnlock()
	for part := range slices.Chunk(list, removedTogether) {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		for _, s := range part {
			octets := f.size(s)
			for _, kind := range []int{fileMessage, fileReason} {
				if err := f.removeFile(s.files[kind]); err != nil {
					return n, err
				}
			}
			f.count(0, f.size(s)-octets)
		}
		if err := f.fs.SyncDir(f.dir); err != nil {
			return n, err
		}
		for _, s := range part {
			octets := f.size(s)
			if err := f.removeFile(s.files[fileProperties]); err != nil {
				return n, err
			}
			f.count(-1, -octets)
			n++
		}
		if err := f.fs.SyncDir(f.dir); err != nil {
			return n, err
		}
	}
	return n, nil
}

// removeFile removes a file; one that is missing is fine.
func (f *Folder) removeFile(name string) error {
	if name == "" {
		return nil
	}
	if err := f.fs.Remove(filepath.Join(f.dir, name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
