package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

// each runs f with each file system and an empty directory in it.
func each(t *testing.T, f func(t *testing.T, fs FS, dir string)) {
	t.Run("os", func(t *testing.T) { f(t, OS{}, t.TempDir()) })
	t.Run("mem", func(t *testing.T) {
		m := NewMem()
		must(t, m.MkdirAll("a/b"))
		f(t, m, filepath.Join("a", "b"))
	})
	t.Run("inject", func(t *testing.T) { f(t, Inject(OS{}, nil, nil), t.TempDir()) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, fs FS, name, contents string) File {
	t.Helper()
	f, err := fs.Create(name)
	must(t, err)
	n, err := f.WriteAt([]byte(contents), 0)
	if must(t, err); n != len(contents) {
		t.Fatalf("wrote %d of %d", n, len(contents))
	}
	return f
}

func contents(t *testing.T, fs FS, name string) string {
	t.Helper()
	f, err := fs.Open(name)
	must(t, err)
	defer f.Close()
	size, err := f.Size()
	must(t, err)
	b, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	must(t, err)
	return string(b)
}

func TestFiles(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "f")
		f := create(t, fsys, name, "hello")
		if _, err := fsys.Create(name); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create of a name that is taken: %v", err)
		}
		_, err := f.WriteAt([]byte("world"), 8)
		must(t, err)
		must(t, f.Sync())
		if got := contents(t, fsys, name); got != "hello\x00\x00\x00world" {
			t.Errorf("contents %q", got)
		}
		b := make([]byte, 4)
		if n, err := f.ReadAt(b, 11); n != 2 || !errors.Is(err, io.EOF) {
			t.Errorf("ReadAt across the end: %d, %v", n, err)
		}
		must(t, f.Truncate(3))
		must(t, f.Truncate(5))
		if got := contents(t, fsys, name); got != "hel\x00\x00" {
			t.Errorf("contents after Truncate %q", got)
		}
		info, err := fsys.Stat(name)
		if must(t, err); info.Size != 5 || info.IsDir {
			t.Errorf("Stat: %+v", info)
		}
		must(t, f.Close())
		must(t, fsys.Rename(name, name+".moved"))
		moved, err := fsys.Stat(name + ".moved")
		if must(t, err); !moved.Same(info) {
			t.Error("a file is another one under another name")
		}
		other, err := fsys.Create(name)
		must(t, err)
		must(t, other.Close())
		another, err := fsys.Stat(name)
		if must(t, err); another.Same(info) || (Info{}).Same(Info{}) {
			t.Error("two files are the same")
		}
		must(t, fsys.Rename(name+".moved", name))
		if _, err := f.WriteAt(b, 0); err == nil {
			t.Error("a write to a closed file has succeeded")
		}
		f, err = fsys.Open(name)
		must(t, err)
		if _, err := f.WriteAt(b, 0); err == nil {
			t.Error("a write to a file opened for reading has succeeded")
		}
		must(t, f.Close())
		f, err = fsys.OpenReadWrite(name)
		must(t, err)
		_, err = f.WriteAt([]byte("J"), 0)
		must(t, err)
		must(t, f.Close())
		if got := contents(t, fsys, name); got != "Jel\x00\x00" {
			t.Errorf("contents after OpenReadWrite %q", got)
		}
	})
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		sub := filepath.Join(dir, "x", "y")
		must(t, fsys.MkdirAll(sub))
		must(t, fsys.MkdirAll(sub))
		info, err := fsys.Stat(sub)
		if must(t, err); !info.IsDir {
			t.Error("a directory is none")
		}
		must(t, create(t, fsys, filepath.Join(sub, "b"), "1").Close())
		must(t, create(t, fsys, filepath.Join(sub, "a"), "2").Close())
		names, err := fsys.ReadDir(sub)
		if must(t, err); !reflect.DeepEqual(names, []string{"a", "b"}) {
			t.Errorf("ReadDir: %q", names)
		}
		must(t, fsys.Rename(filepath.Join(sub, "a"), filepath.Join(sub, "b"))) // replaces
		must(t, fsys.Rename(filepath.Join(sub, "b"), filepath.Join(dir, "c")))
		must(t, fsys.SyncDir(dir))
		if got := contents(t, fsys, filepath.Join(dir, "c")); got != "2" {
			t.Errorf("contents after two renames %q", got)
		}
		if err := fsys.Remove(filepath.Join(dir, "x")); err == nil {
			t.Error("a directory that is not empty was removed")
		}
		must(t, fsys.Remove(filepath.Join(dir, "c")))
		must(t, fsys.Remove(sub))
		missing := filepath.Join(dir, "c")
		_, e1 := fsys.Open(missing)
		_, e2 := fsys.OpenReadWrite(missing)
		_, e3 := fsys.Stat(missing)
		_, e4 := fsys.ReadDir(missing)
		_, e5 := fsys.Create(filepath.Join(missing, "d"))
		for i, err := range []error{e1, e2, e3, e4, e5, fsys.Remove(missing), fsys.Rename(missing, sub)} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("operation %d on a name that is not there: %v", i, err)
			}
		}
	})
}

func TestWritevAt(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		f := create(t, fsys, filepath.Join(dir, "f"), "0123456789")
		defer f.Close()
		var bufs [][]byte
		var want bytes.Buffer
		for i := range 2500 { // more than one system call takes
			b := bytes.Repeat([]byte{byte(i)}, i%7)
			bufs = append(bufs, b)
			want.Write(b)
		}
		big := bytes.Repeat([]byte("big"), 700_000)
		bufs = append(bufs, big, []byte("end"))
		want.Write(big)
		want.WriteString("end")
		n, err := f.WritevAt(bufs, 5)
		if must(t, err); n != int64(want.Len()) {
			t.Errorf("%d octets written of %d", n, want.Len())
		}
		if got := contents(t, fsys, filepath.Join(dir, "f")); got != "01234"+want.String() {
			t.Errorf("other contents: %d octets", len(got))
		}
		if n, err := f.WritevAt(nil, 5); n != 0 || err != nil {
			t.Errorf("nothing to write: %d, %v", n, err)
		}
	})
}

func TestLock(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "lock")
		l, err := fsys.Lock(name)
		must(t, err)
		if _, err := fsys.Lock(name); !errors.Is(err, ErrLocked) {
			t.Errorf("second lock: %v", err)
		}
		must(t, l.Close())
		l, err = fsys.Lock(name)
		must(t, err)
		must(t, l.Close())
		folder := filepath.Join(dir, "folder")
		must(t, fsys.MkdirAll(folder))
		if _, err := fsys.Lock(folder); !errors.Is(err, ErrIrregular) || !strings.Contains(err.Error(), folder) {
			t.Errorf("lock of a folder: %v", err)
		}
		if _, err := fsys.Lock(filepath.Join(dir, "no", "lock")); err == nil || errors.Is(err, ErrLocked) {
			t.Errorf("lock in a directory that is not there: %v", err)
		}
	})
}

func TestSpace(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		s, err := fsys.Space(dir)
		if must(t, err); s.Bytes == 0 || s.Inodes == 0 {
			t.Errorf("%+v", s)
		}
	})
	m := NewMem()
	m.SetFree(Space{Bytes: 10, Inodes: 2})
	f := create(t, m, "a", "1234")
	n, err := f.WriteAt([]byte("5678901"), 4)
	if n != 6 || !IsNoSpace(err) {
		t.Errorf("write beyond the end of the disk: %d, %v", n, err)
	}
	_, err = f.WriteAt([]byte("x"), 3) // in place
	must(t, err)
	must(t, create(t, m, "b", "").Close())
	if _, err := m.Create("c"); !IsNoSpace(err) {
		t.Errorf("create without inodes: %v", err)
	}
	must(t, f.Truncate(2))
	if s, _ := m.Space("."); s != (Space{Bytes: 8}) {
		t.Errorf("after Truncate: %+v", s)
	}
	must(t, m.Remove("a"))
	if s, _ := m.Space("."); s != (Space{Bytes: 10, Inodes: 1}) {
		t.Errorf("after Remove: %+v", s)
	}
	if m.Used() != 0 {
		t.Errorf("%d octets used", m.Used())
	}
	m.SetFree(Space{math.MaxInt64, math.MaxUint64})
	must(t, m.Remove("b"))
	if s, _ := m.Space("."); s.Inodes != math.MaxUint64 {
		t.Errorf("inodes without limit: %+v", s)
	}
	for _, err := range []error{ErrNoSpace, fmt.Errorf("x: %w", ErrNoSpace)} {
		if !IsNoSpace(err) {
			t.Errorf("%v is not recognised", err)
		}
	}
	if IsNoSpace(nil) || IsNoSpace(io.EOF) || IsNoSpace(syscall.ENOENT) {
		t.Error("another error is taken for a full disk")
	}
}

func TestOSFile(t *testing.T) {
	f := create(t, Inject(OS{}, nil, nil), filepath.Join(t.TempDir(), "f"), "x")
	defer f.Close()
	if OSFile(f) == nil {
		t.Error("no *os.File under a file of OS")
	}
	if OSFile(create(t, NewMem(), "f", "")) != nil {
		t.Error("an *os.File under a file of Mem")
	}
}

func TestInject(t *testing.T) {
	var did []Op
	var failing Op
	boom := errors.New("boom")
	m := NewMem()
	fsys := Inject(m, func(op Op, _ string, n int) error {
		if op == failing {
			return boom
		}
		if op == OpWrite && n == 7 {
			return &Short{N: 4, Err: boom}
		}
		return nil
	}, func(op Op, _ string) { did = append(did, op) })
	f := create(t, fsys, "f", "0123456789")
	if n, err := f.WritevAt([][]byte{[]byte("ab"), []byte("cde"), []byte("fg")}, 0); n != 4 || !errors.Is(err, boom) {
		t.Errorf("short write: %d, %v", n, err)
	}
	if got := contents(t, m, "f"); got != "abcd456789" {
		t.Errorf("after a short write: %q", got)
	}
	ops := map[Op]func() error{
		OpCreate:   func() error { _, err := fsys.Create("g"); return err },
		OpOpen:     func() error { _, err := fsys.Open("f"); return err },
		OpRename:   func() error { return fsys.Rename("f", "h") },
		OpRemove:   func() error { return fsys.Remove("f") },
		OpMkdir:    func() error { return fsys.MkdirAll("d") },
		OpReadDir:  func() error { _, err := fsys.ReadDir("."); return err },
		OpStat:     func() error { _, err := fsys.Stat("f"); return err },
		OpSyncDir:  func() error { return fsys.SyncDir(".") },
		OpLock:     func() error { _, err := fsys.Lock("l"); return err },
		OpSpace:    func() error { _, err := fsys.Space("."); return err },
		OpRead:     func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		OpWrite:    func() error { _, err := f.WriteAt([]byte("!"), 0); return err },
		OpSync:     f.Sync,
		OpTruncate: func() error { return f.Truncate(1) },
		OpSize:     func() error { _, err := f.Size(); return err },
	}
	did = nil
	for op, do := range ops {
		failing = op
		if err := do(); !errors.Is(err, boom) {
			t.Errorf("%s: %v", op, err)
		}
	}
	if len(did) != 0 {
		t.Errorf("done although they failed: %v", did)
	}
	names, err := m.ReadDir(".")
	if must(t, err); !reflect.DeepEqual(names, []string{"f"}) || contents(t, m, "f") != "abcd456789" {
		t.Errorf("an operation that failed has changed something: %q", names)
	}
	failing = ""
	must(t, f.Sync())
	must(t, f.Close())
	if !reflect.DeepEqual(did, []Op{OpSync, OpClose}) {
		t.Errorf("done: %v", did)
	}
}

func TestNextData(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		const hole, size = 1 << 20, 4 << 20
		f, err := fsys.Create(filepath.Join(dir, "holes"))
		must(t, err)
		defer f.Close()
		_, err = f.WriteAt([]byte("begin"), 0)
		must(t, err)
		_, err = f.WriteAt([]byte("middle"), 2*hole)
		must(t, err)
		must(t, f.Truncate(size))
		// Where holes can be told, the second call goes to "middle" and the last to the end; anywhere else all stay.
		told := false
		for _, c := range []struct{ off, data int64 }{{0, 0}, {hole, 2 * hole}, {2*hole + 3, 2*hole + 3}, {3 * hole, size}} {
			got := NextData(f, c.off, size)
			if got != c.off && got != c.data {
				t.Errorf("from %d: data at %d, want %d", c.off, got, c.data)
			}
			told = told || got != c.off
		}
		b := make([]byte, 6)
		if _, err := f.ReadAt(b, 2*hole); err != nil || string(b) != "middle" {
			t.Errorf("%q, %v", b, err)
		}
		if OSFile(f) == nil && told {
			t.Error("holes in a file in memory")
		}
	})
}
