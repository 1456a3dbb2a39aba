package vfs

import (
	"errors"
	"io/fs"
	"testing"
)

// TestFolder: a name in a folder is durable after Sync, whoever made the folder and whatever failed before, and the
// folders above are synced once.
func TestFolder(t *testing.T) {
	m := NewMem()
	boom := errors.New("boom")
	var failing error
	syncs := map[string]int{}
	fsys := Inject(m, func(op Op, path string, _ int) error {
		if op != OpSyncDir {
			return nil
		}
		syncs[path]++
		return failing
	}, nil)
	f := &Folder{FS: fsys, Dir: "/a/b"}
	must(t, f.Make("c"))
	must(t, create(t, m, "/a/b/x", "").Close())
	failing = boom
	if err := f.Sync(); !errors.Is(err, boom) {
		t.Errorf("Sync: %v", err)
	}
	failing = fs.ErrPermission // above; the folder itself is ours
	if err := f.Sync(); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Sync: %v", err)
	}
	failing = nil
	f = &Folder{FS: fsys, Dir: "/a/b"} // of the next process
	must(t, f.Sync())
	expect(t, "after Sync", outcomes(m, func(m *Mem) string {
		if _, err := m.Stat("/a/b/x"); err != nil {
			return "lost"
		}
		return "there"
	}), "there")
	before := syncs["/a"]
	must(t, f.Sync())
	if syncs["/a"] != before || syncs["/a/b"] < 2 {
		t.Errorf("synced: %v", syncs)
	}
	must(t, f.Make("")) // somebody had removed it
	must(t, f.Sync())
	if syncs["/a"] != before+1 {
		t.Errorf("synced: %v", syncs)
	}
}
