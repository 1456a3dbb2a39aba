package service

import (
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailroot/mailroot/internal/vfs"
)

// dropSize knows about how large the drop folder is. What delivery writes is added as it comes; what
// programs that fetch mail remove is found by counting anew: now and then, and before mail is refused.
type dropSize struct {
	fs     vfs.FS
	dir    string
	octets atomic.Int64 // of the files
	added  atomic.Int64 // by us, since the start

	mu      sync.Mutex // held while it is counted
	counted time.Time
}

// recount is how often a full folder is counted anew at most, however many recipients are asked for.
const recount = time.Second

// add tells of a file that delivery wrote.
func (d *dropSize) add(octets int64) {
	d.added.Add(octets)
	d.octets.Add(octets)
}

// over reports whether the folder is over a quota, 0 being none, when coming more octets are written. A file
// that delivery has just written is counted among those as well, until the queue knows of it.
func (d *dropSize) over(quota, coming int64) bool {
	if quota <= 0 || d.octets.Load()+coming <= quota {
		return false
	}
	if d.mu.TryLock() { // else it is being counted: what was known must do
		if time.Since(d.counted) >= recount {
			d.count()
		}
		d.mu.Unlock()
	}
	return d.octets.Load()+coming > quota
}

// begin counts the folder when a quota begins to be asked for.
func (d *dropSize) begin(old, quota int64) {
	if old == 0 && quota > 0 {
		d.scan()
	}
}

// scan counts the folder.
func (d *dropSize) scan() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count()
}

// count reads the folder; folders in it are others' business. A file that is written meanwhile may be
// counted twice until the next time, never not at all.
func (d *dropSize) count() {
	d.counted = time.Now()
	before := d.added.Load()
	names, err := d.fs.ReadDir(d.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return // what was known must do
	}
	sum := int64(0)
	for _, name := range names {
		if info, err := d.fs.Stat(filepath.Join(d.dir, name)); err == nil && !info.IsDir {
			sum += info.Size
		}
	}
	d.octets.Store(sum + d.added.Load() - before)
}
