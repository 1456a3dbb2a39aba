//go:build unix

package adopt

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// write makes a folder of files.
func write(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("text of "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// names returns what was found in a few words: "a.BAD+a.bdr", "left: link (a link)".
func names(entries []Entry, left []Left) (out []string) {
	for _, e := range entries {
		var files []string
		for _, f := range e.Files {
			files = append(files, f.Name)
		}
		out = append(out, strings.Join(files, "+"))
	}
	for _, l := range left {
		out = append(out, "left: "+l.Name+" ("+l.Why+")")
	}
	return out
}

func TestFind(t *testing.T) {
	for _, tc := range []struct {
		kind  string
		files []string
		want  []string
	}{
		{Badmail, []string{"b.BDR", "b.bad", "B.bdp", "a.BAD", "c.bdr", "readme.txt", "a.bad", ".BAD"},
			[]string{"left: .BAD (a file without a name)", "a.BAD", "b.bad+B.bdp+b.BDR", "left: c.bdr (there is no .BAD file of its name, and so no message)", "left: a.bad (a second file of that name)", "left: readme.txt (a file of another kind)"}},
		// Two that differ in case alone: each has its own files, and what is of neither to the letter is nobody's.
		{Badmail, []string{"B.BAD", "b.BAD", "B.BDR", "b.BDR", "b.bdr", "C.BAD", "c.bdp", "D.BAD", "d.BAD", "D.bdp", "dD.bdp", "E.BAD", "e.BAD", "E.bdr", "Ee.BAD", "eE.BAD", "EE.bdp"},
			[]string{"B.BAD+B.BDR", "C.BAD+c.bdp", "D.BAD+D.bdp", "E.BAD+E.bdr", "Ee.BAD", "b.BAD+b.BDR", "d.BAD", "e.BAD", "eE.BAD", "left: EE.bdp (several .BAD files have its name but for the case, and none to the letter)",
				"left: b.bdr (a second file of that name)", "left: dD.bdp (there is no .BAD file of its name, and so no message)"}},
		{Queue, []string{"NTFS_1.EML", "ntfs_2.eml", "x.RTR", "eml"}, []string{"NTFS_1.EML", "ntfs_2.eml", "left: eml (a file of another kind)", "left: x.RTR (a file of another kind)"}},
		{Drop, []string{"1.eml", "2.Eml", "3.tmp"}, []string{"1.eml", "2.Eml", "left: 3.tmp (a file of another kind)"}},
		{Pickup, []string{"any name \x1b[31m", "b.eml"}, []string{"any name \x1b[31m", "b.eml"}},
	} {
		dir := write(t, tc.files...)
		if there, err := list(dir); err != nil || len(there) < len(tc.files) {
			t.Logf("%q: this disk knows no case: %v", tc.files, err)
			continue
		}
		entries, left, err := Find(tc.kind, dir)
		got := names(entries, left)
		slices.Sort(got)
		slices.Sort(tc.want)
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, %v\nwant %q", tc.kind, got, err, tc.want)
		}
	}
}

// What is no plain file with one name is neither opened nor followed, and what was exchanged meanwhile is not read (P1).
func TestIrregularP1(t *testing.T) {
	dir := write(t, "file.eml", "first.eml", "grown.eml", "exchanged.eml")
	secret := write(t, "secret")
	for _, err := range []error{
		os.Symlink(filepath.Join(secret, "secret"), filepath.Join(dir, "link.eml")),
		os.Link(filepath.Join(dir, "first.eml"), filepath.Join(dir, "second.eml")),
		os.Mkdir(filepath.Join(dir, "folder.eml"), 0o700),
		syscall.Mkfifo(filepath.Join(dir, "pipe.eml"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	entries, left, err := Find(Queue, dir)
	want := []string{
		"exchanged.eml", "file.eml", "grown.eml", "left: first.eml (a file with a second name (a hard link))", "left: folder.eml (a folder)",
		"left: link.eml (a link)", "left: pipe.eml (a device, pipe or socket)", "left: second.eml (a file with a second name (a hard link))",
	}
	if got := names(entries, left); err != nil || !slices.Equal(got, want) {
		t.Fatalf("%q, %v", got, err)
	}
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "grown.eml"), []byte("something else"), 0o600),
		os.Remove(filepath.Join(dir, "exchanged.eml")),
		syscall.Mkfifo(filepath.Join(dir, "exchanged.eml"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range entries {
		c, err := e.Open()
		if name := e.Files[0].Name; name != "file.eml" {
			if err == nil || err.Error() != "it was changed meanwhile" {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c)
		c.Close()
		if err != nil || string(b) != "text of file.eml" {
			t.Errorf("%q, %v", b, err)
		}
	}
}

func TestOpenJoinsAndNoticesCuts(t *testing.T) {
	dir := write(t, "a.BAD", "a.BDR")
	entries, _, err := Find(Badmail, dir)
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	c, err := entries[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	c.Close()
	if err != nil || string(b) != "text of a.BADtext of a.BDR" {
		t.Errorf("%q, %v", b, err)
	}
	if c, err = entries[0].Open(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "a.BAD"), 3); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("of a file that was cut: %q, %v", b, err)
	}
	c.Close()
	if err := entries[0].Remove(); err != nil {
		t.Error(err)
	}
	if names, err := list(dir); err != nil || len(names) != 0 {
		t.Errorf("%q, %v", names, err)
	}
}

func TestFolders(t *testing.T) {
	root := write(t, "file")
	for _, name := range []string{"BADMAIL", "drop", "Queue", "SortTemp"} {
		if err := os.Mkdir(filepath.Join(root, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Folders(root)
	if err != nil || len(got) != 3 || filepath.Base(got[Badmail]) != "BADMAIL" || filepath.Base(got[Drop]) != "drop" || filepath.Base(got[Queue]) != "Queue" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Folders(filepath.Join(root, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
