package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Mem is a file system in memory that remembers what was synced; see CrashClone. It is meant for
// tests. NewMem makes one.
type Mem struct {
	mu    sync.Mutex
	root  *memNode
	locks map[*memNode]bool
	free  Space
}

// memNode is a file or a directory.
type memNode struct {
	dir map[string]*memNode // nil for a file
	// durable is what a power cut leaves of dir at least; changes came since.
	durable map[string]*memNode
	changes []*memChange

	data   []byte
	writes []memWrite // since the last Sync
}

// memChange is a change of names: take one away, add one, or both (rename). It stands in the
// list of each directory that it touches.
type memChange struct {
	fromDir, toDir *memNode
	from, to       string
	node           *memNode
}

// memWrite is a write with what it replaced, or, with cut set, a truncation.
type memWrite struct {
	off      int64
	old, new []byte
	oldSize  int64
	newSize  int64
	cut      bool
}

var _ FS = (*Mem)(nil)

// NewMem returns an empty file system without limits.
func NewMem() *Mem {
	return &Mem{root: newDir(), locks: map[*memNode]bool{}, free: Space{math.MaxInt64, math.MaxUint64}}
}

func newDir() *memNode {
	return &memNode{dir: map[string]*memNode{}, durable: map[string]*memNode{}}
}

// SetFree sets what is free from now on. Writes that make files longer use it up, and fail with
// ErrNoSpace in the middle when it is gone; new files use up Inodes.
func (m *Mem) SetFree(s Space) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free = s
}

// Used returns the octets of all files.
func (m *Mem) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.root.used()
}

func (n *memNode) used() int64 {
	sum := int64(len(n.data))
	for _, c := range n.dir {
		sum += c.used()
	}
	return sum
}

func split(name string) []string {
	name = filepath.ToSlash(filepath.Clean(name))
	if i := strings.IndexByte(name, ':'); i == 1 { // a Windows drive
		name = name[2:]
	}
	if name == "." {
		return nil
	}
	return strings.FieldsFunc(name, func(r rune) bool { return r == '/' })
}

// find returns the node of that name, its directory and its last name; the node is nil if only
// the directory exists.
func (m *Mem) find(op, name string) (node, dir *memNode, base string, err error) {
	node = m.root
	parts := split(name)
	for i, p := range parts {
		if dir = node; dir == nil || dir.dir == nil {
			return nil, nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		node, base = dir.dir[p], parts[i]
	}
	return node, dir, base, nil
}

func (m *Mem) existing(op, name string) (node, dir *memNode, base string, err error) {
	node, dir, base, err = m.find(op, name)
	if err == nil && node == nil {
		err = &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return node, dir, base, err
}

// change records c in the directories that it touches and does it.
func (c *memChange) do() {
	c.apply(func(d *memNode) map[string]*memNode { return d.dir })
	for _, d := range []*memNode{c.fromDir, c.toDir} {
		if d != nil && (len(d.changes) == 0 || d.changes[len(d.changes)-1] != c) {
			d.changes = append(d.changes, c)
		}
	}
}

func (c *memChange) apply(entries func(*memNode) map[string]*memNode) {
	if c.fromDir != nil {
		if e := entries(c.fromDir); e[c.from] == c.node {
			delete(e, c.from)
		}
	}
	if c.toDir != nil {
		entries(c.toDir)[c.to] = c.node
	}
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, dir, base, err := m.find("create", name)
	if err != nil {
		return nil, err
	}
	if node != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	if m.free.Inodes == 0 {
		return nil, &fs.PathError{Op: "create", Path: name, Err: ErrNoSpace}
	}
	m.free.Inodes--
	node = &memNode{}
	(&memChange{toDir: dir, to: base, node: node}).do()
	return &memFile{m: m, n: node, name: name, write: true}, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) { return m.open(name, false) }

// OpenReadWrite implements FS.
func (m *Mem) OpenReadWrite(name string) (File, error) { return m.open(name, true) }

func (m *Mem) open(name string, write bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, _, _, err := m.existing("open", name)
	if err != nil {
		return nil, err
	}
	if node.dir != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errIsDir}
	}
	return &memFile{m: m, n: node, name: name, write: write}, nil
}

var (
	errIsDir    = errors.New("is a directory")
	errNotEmpty = errors.New("directory not empty")
)

// Rename implements FS.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, dir, base, err := m.existing("rename", from)
	if err != nil {
		return err
	}
	old, toDir, toBase, err := m.find("rename", to)
	if err != nil {
		return err
	}
	if old == node {
		return nil
	}
	if old != nil {
		m.release(old)
	}
	(&memChange{fromDir: dir, from: base, toDir: toDir, to: toBase, node: node}).do()
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, dir, base, err := m.existing("remove", name)
	if err != nil {
		return err
	}
	if len(node.dir) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: errNotEmpty}
	}
	m.release(node)
	(&memChange{fromDir: dir, from: base, node: node}).do()
	return nil
}

func (m *Mem) release(n *memNode) {
	m.free.Bytes += uint64(len(n.data))
	m.free.Inodes = max(m.free.Inodes, m.free.Inodes+1)
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.root
	for _, p := range split(name) {
		next := d.dir[p]
		if next == nil {
			next = newDir()
			(&memChange{toDir: d, to: p, node: next}).do()
		}
		if next.dir == nil {
			return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
		}
		d = next
	}
	return nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(name string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, _, _, err := m.existing("readdir", name)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(node.dir))
	for n := range node.dir {
		names = append(names, n)
	}
	slices.Sort(names)
	return names, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, _, _, err := m.existing("stat", name)
	if err != nil {
		return Info{}, err
	}
	return Info{Size: int64(len(node.data)), IsDir: node.dir != nil, file: node}, nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, _, _, err := m.existing("syncdir", name)
	if err != nil {
		return err
	}
	for _, c := range node.changes {
		c.apply(func(d *memNode) map[string]*memNode { return d.durable })
		// A rename is one change: it is durable in both directories or in neither.
		for _, d := range []*memNode{c.fromDir, c.toDir} {
			if d != nil && d != node {
				d.changes = slices.DeleteFunc(d.changes, func(x *memChange) bool { return x == c })
			}
		}
	}
	node.changes = nil
	return nil
}

type memLock struct {
	m *Mem
	n *memNode
}

// Lock implements FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, dir, base, err := m.find("lock", name)
	if err != nil {
		return nil, err
	}
	if node == nil {
		node = &memNode{}
		(&memChange{toDir: dir, to: base, node: node}).do()
	}
	if node.dir != nil {
		return nil, fmt.Errorf("lock %s: is a folder, %w", name, ErrIrregular)
	}
	if m.locks[node] {
		return nil, ErrLocked
	}
	m.locks[node] = true
	return &memLock{m, node}, nil
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.n)
	return nil
}

// Space implements FS.
func (m *Mem) Space(string) (Space, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.free, nil
}

type memFile struct {
	m      *Mem
	n      *memNode
	name   string
	write  bool
	closed bool
}

func (f *memFile) check(op string, write bool) error {
	switch {
	case f.closed:
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	case write && !f.write:
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrPermission}
	}
	return nil
}

// ReadAt implements File.
func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("read", false); err != nil {
		return 0, err
	}
	if off < 0 || off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements File.
func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("write", true); err != nil {
		return 0, err
	}
	size := int64(len(f.n.data))
	var short error
	if grow := off + int64(len(p)) - size; grow > 0 && uint64(grow) > f.m.free.Bytes {
		short = &fs.PathError{Op: "write", Path: f.name, Err: ErrNoSpace}
		p = p[:max(0, int64(len(p))-(grow-int64(f.m.free.Bytes)))]
	}
	if len(p) > 0 {
		f.n.write(p, off)
		f.m.free.Bytes -= uint64(int64(len(f.n.data)) - size)
	}
	return len(p), short
}

func (n *memNode) write(p []byte, off int64) {
	w := memWrite{off: off, new: slices.Clone(p), oldSize: int64(len(n.data))}
	end := off + int64(len(p))
	if off < w.oldSize {
		w.old = slices.Clone(n.data[off:min(end, w.oldSize)])
	}
	n.resize(max(end, w.oldSize))
	copy(n.data[off:], p)
	w.newSize = int64(len(n.data))
	n.writes = append(n.writes, w)
}

func (n *memNode) resize(size int64) {
	if old := int64(len(n.data)); size > old {
		n.data = slices.Grow(n.data, int(size-old))[:size]
		clear(n.data[old:])
	}
	n.data = n.data[:size]
}

// WritevAt implements File.
func (f *memFile) WritevAt(bufs [][]byte, off int64) (int64, error) {
	return writeSeq(f, bufs, off)
}

// Sync implements File.
func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("sync", true); err != nil {
		return err
	}
	f.n.writes = nil
	return nil
}

// Truncate implements File.
func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("truncate", true); err != nil {
		return err
	}
	n := f.n
	w := memWrite{cut: true, off: size, oldSize: int64(len(n.data)), newSize: size}
	if size < w.oldSize {
		w.old = slices.Clone(n.data[size:])
		f.m.free.Bytes += uint64(w.oldSize - size)
	}
	n.resize(size)
	n.writes = append(n.writes, w)
	return nil
}

// Size implements File.
func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), f.check("size", false)
}

// Close implements File.
func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.check("close", false)
	f.closed = true
	return err
}
