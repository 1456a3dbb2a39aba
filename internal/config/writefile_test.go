package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mailroot.hcl")
	if err := WriteFile(file, nil, []byte("version = 1\n")); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(file, nil, []byte("x")); !errors.Is(err, ErrChanged) {
		t.Errorf("a file that exists is taken for new: %v", err)
	}
	if err := os.Chmod(file, 0o604); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(file, []byte("version = 1\n"), []byte("version = 1 # two\n")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o604 {
		t.Errorf("mode %v", info.Mode())
	}
	var changed *ChangedError
	err = WriteFile(file, []byte("version = 1\n"), []byte("lost"))
	if !errors.As(err, &changed) || !errors.Is(err, ErrChanged) || string(changed.Current) != "version = 1 # two\n" {
		t.Fatalf("%v", err)
	}
	if want := "-version = 1\n+version = 1 # two\n"; noPlaces(changed.Diff) != want {
		t.Errorf("diff %q", changed.Diff)
	}
	if text := changed.Error(); !strings.HasPrefix(text, file+": the configuration file was changed meanwhile, and nothing was written; read it again and repeat the command") ||
		!strings.HasSuffix(text, "\n-version = 1\n+version = 1 # two") {
		t.Errorf("says %s", text)
	}
	if err := WriteFile(file, nil, []byte("x")); err == nil || !strings.Contains(err.Error(), "there is a configuration file already") || strings.Contains(err.Error(), "two") {
		t.Errorf("a file that exists: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(file, []byte("version = 1\n"), []byte("x")); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("a file that is gone: %v", err)
	}
	if err := WriteFile(filepath.Join(dir, "none", "x.hcl"), nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	onlyFiles(t, dir)
}

// onlyFiles checks that a folder holds these and nothing else, so no temporary file.
func onlyFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(names) {
		t.Errorf("the folder holds %v, not %v", got, names)
	}
}

// TestWriteFileLinks: a link stays one, and its target is replaced where it is.
func TestWriteFileLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "mailroot.hcl")
	if err := os.Symlink(filepath.Join("real", "a.hcl"), link); err != nil {
		if runtime.GOOS == "windows" {
			t.Skip("links need a privilege on Windows: ", err)
		}
		t.Fatal(err)
	}
	for i, old := range [][]byte{nil, []byte("0"), []byte("1")} {
		if err := WriteFile(link, old, []byte(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v %v", info, err)
	}
	onlyFiles(t, filepath.Join(dir, "real"), "a.hcl")
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "loop"), nil, nil); err == nil {
		t.Error("a loop of links is followed")
	}
	if err := WriteFile(filepath.Join(dir, "real"), nil, nil); err == nil {
		t.Error("a folder is replaced")
	}
}

// TestWriteFileTogether: of writers at the same time each builds on what it read, so that none
// is lost, and a reader never sees a part.
func TestWriteFileTogether(t *testing.T) {
	const writers, rounds = 4, 15
	file := filepath.Join(t.TempDir(), "mailroot.hcl")
	if err := WriteFile(file, nil, counted(0)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < rounds; {
				old, err := os.ReadFile(file)
				if err != nil {
					t.Error(err)
					return
				}
				n, err := strconv.Atoi(strings.TrimSpace(string(old[:10])))
				if err != nil || len(old) != len(counted(n)) {
					t.Errorf("a part of the file: %d octets, %v", len(old), err)
					return
				}
				switch err := WriteFile(file, old, counted(n+1)); {
				case err == nil:
					done++
				case !errors.Is(err, ErrChanged):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	got, err := os.ReadFile(file)
	if err != nil || string(got) != string(counted(writers*rounds)) {
		t.Errorf("counted to %.10s, want %d: %v", got, writers*rounds, err)
	}
	onlyFiles(t, filepath.Dir(file), "mailroot.hcl")
}

func counted(n int) []byte { return fmt.Appendf(nil, "%10d%s", n, strings.Repeat(" ", 100_000+n)) }

func TestLineDiff(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"", "", ""},
		{"a\nb\n", "a\nb\n", ""},
		{"", "a\n", "@@ line 1\n+a\n"},
		{"a\n", "", "@@ line 1\n-a\n"},
		{"a\nb\nc\nd\n", "a\nx\nc\nd\ne\n", "@@ line 2\n-b\n+x\n@@ line 5\n+e\n"},
		{"a\nb\nc\n", "c\nb\na\n", "@@ line 1\n-a\n-b\n@@ line 2\n+b\n+a\n"},
	} {
		if got := LineDiff([]byte(c.a), []byte(c.b)); got != c.want {
			t.Errorf("%q → %q: %q, want %q", c.a, c.b, got, c.want)
		}
	}
	// Beyond the table's bound all is told, without a search for what is common.
	a := strings.Repeat("a\n", 3000)
	if got := LineDiff([]byte("x\n"+a+"y\n"), []byte("z\n"+a+"z\n")); strings.Count(got, "\n") != 1+2*3002 {
		t.Errorf("%d lines", strings.Count(got, "\n"))
	}
}

// TestUpdateFileTogether: changes at the same time are made one after the other; none is refused. One
// from outside, between reading and writing, wins.
func TestUpdateFileTogether(t *testing.T) {
	const writers = 40
	file := filepath.Join(t.TempDir(), "mailroot.hcl")
	if err := os.WriteFile(file, []byte("version = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			err := UpdateFile(file, func(old []byte) ([]byte, error) {
				out, _, err := Apply(old, file, Edit{Op: OpAppend, Path: "access.relay.list", Value: fmt.Sprintf("192.0.2.%d", i)})
				return out, err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	cfg, problems, err := Load(file)
	if err != nil || cfg == nil || len(cfg.VirtualServers[0].Access.Relay.List) != writers {
		t.Fatalf("%v %v", err, problems)
	}
	err = UpdateFile(file, func(old []byte) ([]byte, error) {
		return []byte("version = 1\n"), os.WriteFile(file, []byte("version = 1 # by hand\n"), 0o600)
	})
	if src, readErr := os.ReadFile(file); !errors.Is(err, ErrChanged) || readErr != nil || string(src) != "version = 1 # by hand\n" {
		t.Errorf("%v, %v: %s", err, readErr, src)
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := UpdateFile(file, func(old []byte) ([]byte, error) { return old, nil }); err != nil {
		t.Error(err)
	}
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
		t.Errorf("what is the same is written: %v", err)
	}
	onlyFiles(t, filepath.Dir(file), "mailroot.hcl")
}
