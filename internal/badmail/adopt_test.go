package badmail

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/vfs"
)

func oldOf(files ...string) (out []Old) {
	for i := 0; i < len(files); i += 2 {
		out = append(out, Old{Name: files[i], Body: sliceReader(files[i+1]), Size: int64(len(files[i+1]))})
	}
	return out
}

// contents returns the files in the directory.
func contents(t *testing.T, fsys vfs.FS, dir string) map[string]string {
	t.Helper()
	names, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	f := NewFolder(fsys, dir)
	for _, name := range names {
		b, _, err := f.readFile(name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(b)
	}
	return out
}

var adoptTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const oldBinary = "\x01\x00\x00\x80PROP\xff\xfe\x1b[2J"

// Entries of an old server keep their contents and, if they can, their names; list and show tell of them what their files
// tell and no more (P1).
func TestAdopt(t *testing.T) {
	mem := vfs.NewMem()
	f := NewFolder(mem, "/bad")
	adopt := func(want string, files ...string) string {
		t.Helper()
		name, err := f.Adopt(t.Context(), oldOf(files...), adoptTime)
		if err != nil || want != "" && name != want || want == "" && !ValidName(name) {
			t.Fatalf("%q: %q, %v; want %q", files[0], name, err, want)
		}
		return name
	}
	const name = "5a7d2c0801ca6bc400000002"
	bad := "From: a@b.example\nTo: c@d.example\nSubject: \x1b]0;old\x07\n\ntext"
	adopt(name, name+".bad", bad, name+".Bdr", "The code was 0xC00402C7.", name+".BDP", oldBinary)
	got := contents(t, mem, "/bad")
	if want := map[string]string{name + ".BAD": bad, name + ".BDR": "The code was 0xC00402C7.", name + ".BDP": oldBinary}; !maps.Equal(got, want) {
		t.Errorf("%q", got)
	}
	e, err := f.Read(name)
	if err != nil || e.Cause() != CauseForeign || e.Code != "0xC00402C7" || e.Header.From != "a@b.example" || len(e.Recipients) != 0 || strings.ContainsRune(e.Header.Subject, '\x1b') {
		t.Errorf("%+v, %v", e, err)
	}
	if s := f.Stats(); s.Messages != 1 || s.Octets != int64(len(bad)+len("The code was 0xC00402C7.")+len(oldBinary)) {
		t.Errorf("%+v", s)
	}
	// Again it is the same entry; another one of that name gets another.
	adopt(name, name+".bad", bad, name+".bdr", "The code was 0xC00402C7.", name+".bdp", oldBinary)
	other := adopt("", name+".bad", "another")
	if other == name {
		t.Error("an entry was replaced")
	}
	for _, odd := range []string{"..\\..\\x", "../x", "a b", "\x1b[31m", strings.Repeat("n", 200), ".hidden"} {
		if got := adopt("", odd+".BAD", odd); got == odd {
			t.Errorf("%q kept its name", odd)
		}
	}
	if n := f.Stats().Messages; n != 8 {
		t.Errorf("%d entries", n)
	}
	if err := f.Scan(adoptTime.AddDate(1, 0, 0)); err != nil || f.Stats().Messages != 8 { // none of them is ours to be removed
		t.Errorf("after a scan: %+v, %v", f.Stats(), err)
	}
	for file := range contents(t, mem, "/bad") {
		if strings.HasSuffix(file, tmp) {
			t.Errorf("%s is left", file)
		}
	}
	for _, files := range [][]string{
		{name + ".bdr", "alone"}, {name + ".bad", "", "other.bdr", ""}, {name + ".bad", "", name + ".BAD", ""}, {".bad", ""}, {"x.eml", ""},
	} {
		if got, err := f.Adopt(t.Context(), oldOf(files...), adoptTime); !errors.Is(err, ErrNoEntry) {
			t.Errorf("%q: %q, %v", files, got, err)
		}
	}
}

// The power goes, or the disk fails, at any operation: the repeat makes one entry of it, complete.
func TestAdoptAgainAfterACrash(t *testing.T) {
	const name = "5a7d2c0801ca6bc400000002"
	files := []string{name + ".BAD", "message", name + ".BDR", "reason", name + ".BDP", "properties"}
	want := map[string]string{}
	for i := 0; i < len(files); i += 2 {
		want[files[i]] = files[i+1]
	}
	for n := 0; ; n++ {
		mem := vfs.NewMem()
		ops, failed := 0, false
		failing := vfs.Inject(mem, func(op vfs.Op, _ string, _ int) error {
			if ops++; ops > n {
				failed = true
				return errors.New("the disk fails")
			}
			return nil
		}, nil)
		if _, err := NewFolder(failing, "/bad").Adopt(t.Context(), oldOf(files...), adoptTime); !failed {
			if err != nil || n < 10 {
				t.Fatal(n, err)
			}
			return
		}
		left := mem.CrashClone(nil)
		f := NewFolder(left, "/bad")
		if got, err := f.Adopt(t.Context(), oldOf(files...), adoptTime.Add(time.Second)); err != nil || got != name {
			t.Fatalf("after operation %d: %q, %v", n, got, err)
		}
		got := contents(t, left, "/bad")
		maps.DeleteFunc(got, func(file, _ string) bool { return strings.HasSuffix(file, tmp) }) // a scan removes them after a day
		if !maps.Equal(got, want) {
			t.Fatalf("after operation %d: %q", n, slices.Sorted(maps.Keys(got)))
		}
	}
}

func TestOldName(t *testing.T) {
	for file, want := range map[string]string{"a.BAD": "a", "a b.bdr": "a b", "..Bdp": ".", ".BAD": "", "a.eml": "", "BAD": "", "": ""} {
		if got, ok := OldName(file); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", file, got, ok)
		}
	}
}
