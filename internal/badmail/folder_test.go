package badmail

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// pair writes an original and the report on it, and returns their names.
func (f *Folder) pair(t *testing.T, at time.Time, body string) (original, report string) {
	t.Helper()
	o := plain(body)
	o.Env.Sender.Addr = mail.Address{Local: "ann", Domain: "corp.example"}
	original = f.must(t, o, at)
	r := entry("report")
	r.Linked = original
	return original, f.must(t, r, at.Add(3*time.Second))
}

// The figures are in step with what Write and Remove do, and Scan finds the same, and what
// others did.
func TestFigures(t *testing.T) {
	f := NewFolder(vfs.NewMem(), dir)
	check := func(when string) {
		t.Helper()
		kept := f.Stats()
		if err := f.Scan(noon); err != nil {
			t.Fatal(err)
		}
		if got := f.Stats(); got.Messages != kept.Messages || got.Octets != kept.Octets {
			t.Errorf("%s: kept %d entries, %d octets; there are %d, %d", when, kept.Messages, kept.Octets, got.Messages, got.Octets)
		}
	}
	check("empty")
	first := f.must(t, plain(strings.Repeat("x", 70_000)), noon)
	f.pair(t, noon.Add(time.Minute), "original")
	check("written")
	if s := f.Stats(); s.Messages != 3 || s.Octets < 70_000 {
		t.Errorf("%+v", s)
	}
	if _, err := f.Remove(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	check("removed")
	put(t, f.fs, "other.BAD", "12345")
	if err := f.fs.Remove(dir + "/" + first + ExtMessage); !errors.Is(err, vfs.ErrNoSpace) && err == nil {
		t.Error("the file should have been gone")
	}
	before := f.Stats()
	if err := f.Scan(noon); err != nil {
		t.Fatal(err)
	}
	if s := f.Stats(); s.Messages != before.Messages+1 || s.Octets != before.Octets+5 {
		t.Errorf("another program's entry is not counted: %+v", s)
	}
}

// What a crash left unfinished goes after a day; other programs' temporary files stay.
func TestLeftovers(t *testing.T) {
	f := NewFolder(vfs.NewMem(), dir)
	old, young := baseName(noon.Add(-25*time.Hour), 0), baseName(noon.Add(-time.Hour), 0)
	for _, name := range []string{old + ".BAD.tmp", old + ".BDP.tmp", young + ".BAD.tmp", "notes.tmp", "x.BAD.tmp"} {
		put(t, f.fs, name, "x")
	}
	if err := f.Scan(noon); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{young + ".BAD.tmp", "notes.tmp", "x.BAD.tmp"}, list(t, f.fs), cmp.Transformer("sort", func(s []string) []string {
		return slices.Sorted(slices.Values(s))
	})); d != "" {
		t.Error(d)
	}
	if f.Stats().Messages != 0 {
		t.Error("an unfinished file is no entry")
	}
}

// A removal that was interrupted behind its first step is finished: what is left would look like mail that failed
// and may have been sent. What another program has without a .BAD stays.
func TestRemovalIsFinished(t *testing.T) {
	f := NewFolder(vfs.NewMem(), dir)
	gone, kept := f.must(t, plain("sent"), noon), f.must(t, plain("kept"), noon.Add(time.Second))
	put(t, f.fs, "theirs.BDP", "x")
	if err := f.fs.Remove(dir + "/" + gone + ExtMessage); err != nil {
		t.Fatal(err)
	}
	if err := f.Scan(noon); err != nil {
		t.Fatal(err)
	}
	all, _, err := f.List(t.Context(), Query{}, "", 10)
	if err != nil || len(all) != 2 || all[0].Name != kept || all[1].Name != "theirs" {
		t.Errorf("%+v, %v", all, err)
	}
	for _, file := range list(t, f.fs) {
		if strings.HasPrefix(file, gone) {
			t.Errorf("%s is left", file)
		}
	}
	if s := f.Stats(); s.Messages != 2 {
		t.Errorf("%+v", s)
	}
}

func TestCleanByAge(t *testing.T) {
	f := NewFolder(vfs.NewMem(), dir)
	day := 24 * time.Hour
	f.must(t, plain("oldest"), noon.Add(-10*day))
	f.pair(t, noon.Add(-8*day), "old pair")
	// The original is a second over the limit, its report two seconds below: both stay.
	o, r := f.pair(t, noon.Add(-7*day-time.Second), "on the edge")
	young := f.must(t, plain("young"), noon.Add(-day))
	put(t, f.fs, "5a7d2c0801ca6bc400000001.BAD", "older than all, not ours")
	put(t, f.fs, "notes.txt", "x")
	if err := f.Scan(noon); err != nil {
		t.Fatal(err)
	}
	n, err := f.Clean(t.Context(), noon, Limits{MaxAge: 7 * day})
	if n != 3 || err != nil {
		t.Errorf("%d were removed, %v; want 3", n, err)
	}
	got, _, err := f.List(t.Context(), Query{}, "", 100)
	if d := cmp.Diff([]string{young, r, o, "5a7d2c0801ca6bc400000001"}, names(got)); d != "" || err != nil {
		t.Error(d, err)
	}
	if s := f.Stats(); s.Cleaned != 3 || s.Messages != 4 {
		t.Errorf("%+v", s)
	}
	if n, err := f.Clean(t.Context(), noon.Add(2*time.Second+time.Millisecond), Limits{MaxAge: 7 * day}); n != 2 || err != nil {
		t.Errorf("when the younger of a pair is too old, too: %d, %v; want both", n, err)
	}
	if n, err := f.Clean(t.Context(), noon, Limits{}); n != 0 || err != nil {
		t.Errorf("without limits: %d, %v", n, err)
	}
	if !slices.Contains(list(t, f.fs), "notes.txt") {
		t.Error("a file of somebody else was removed")
	}
}

func TestCleanBySize(t *testing.T) {
	f := NewFolder(vfs.NewMem(), dir)
	put(t, f.fs, "foreign.BAD", strings.Repeat("x", 500_000)) // counts for nothing
	f.pair(t, noon, strings.Repeat("x", 100_000))
	keep := f.must(t, plain(strings.Repeat("x", 100_000)), noon.Add(time.Hour))
	last := f.must(t, plain(strings.Repeat("x", 50_000)), noon.Add(2*time.Hour))
	if err := f.Scan(noon); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Clean(t.Context(), noon, Limits{MaxSize: 300_000}); n != 0 || err != nil {
		t.Errorf("what is ours is below the limit: %d, %v", n, err)
	}
	if n, err := f.Clean(t.Context(), noon, Limits{MaxSize: 200_000}); n != 2 || err != nil {
		t.Errorf("%d were removed, %v; want the oldest two, which belong together", n, err)
	}
	got, _, err := f.List(t.Context(), Query{}, "", 100)
	if d := cmp.Diff([]string{last, keep, "foreign"}, names(got)); d != "" || err != nil {
		t.Error(d, err)
	}
	// An entry that was removed in part is ours by its .BDP, and goes in the end.
	if err := f.fs.Remove(dir + "/" + keep + ExtMessage); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Clean(t.Context(), noon.Add(48*time.Hour), Limits{MaxAge: time.Hour}); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if d := cmp.Diff([]string{"foreign.BAD"}, list(t, f.fs)); d != "" {
		t.Error(d)
	}
}

// After a failed removal the rest of the entry is still known as ours.
func TestRemoveFails(t *testing.T) {
	boom := errors.New("boom")
	for k := range 3 {
		mem := vfs.NewMem()
		removed := 0
		f := NewFolder(vfs.Inject(mem, func(op vfs.Op, _ string, _ int) error {
			if op == vfs.OpRemove {
				if removed++; removed == k+1 {
					return boom
				}
			}
			return nil
		}, nil), dir)
		name := f.must(t, plain("x"), noon)
		if n, err := f.Remove(t.Context(), name); n != 0 || !errors.Is(err, boom) {
			t.Fatalf("%d, %v", n, err)
		}
		e, err := f.Read(name)
		if err != nil || e.Foreign != "" || e.NoMessage != (k > 0) {
			t.Errorf("after failure %d: %+v, %v", k, e, err)
		}
		if n, err := f.Remove(t.Context(), name); n != 1 || err != nil || len(list(t, mem)) != 0 {
			t.Errorf("again: %d, %v, left %v", n, err, list(t, mem))
		}
	}
}

func TestMissingFolderIsMadeAnew(t *testing.T) {
	fsys := vfs.NewMem()
	f := NewFolder(fsys, dir)
	name := f.must(t, plain("x"), noon)
	if _, err := f.Remove(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := fsys.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := f.Scan(noon); err != nil || f.Stats().Messages != 0 {
		t.Errorf("%v, %+v", err, f.Stats())
	}
	if f.must(t, plain("x"), noon); f.Stats().Messages != 1 {
		t.Error("not written")
	}
}

// A power cut during a removal leaves no message of ours without the .BDP that tells it is ours.
func TestPowerCutDuringRemove(t *testing.T) {
	mem, n := vfs.NewMem(), 0
	var name string
	f := NewFolder(vfs.Inject(mem, nil, func(op vfs.Op, _ string) {
		if name == "" || op != vfs.OpRemove && op != vfs.OpSyncDir {
			return
		}
		n++
		for seed := range uint64(30) {
			after := NewFolder(mem.CrashClone(rand.New(rand.NewPCG(uint64(n), seed))), dir)
			got, _, err := after.List(t.Context(), Query{}, "", 10)
			if err != nil || len(got) > 1 || len(got) == 1 && got[0].Foreign != "" {
				t.Errorf("cut after operation %d: %+v, %v", n, got, err)
			}
		}
	}), dir)
	if err := mem.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"/", "/mailroot"} {
		if err := mem.SyncDir(d); err != nil {
			t.Fatal(err)
		}
	}
	name = f.must(t, plain("x"), noon)
	if removed, err := f.Remove(t.Context(), name, name); removed != 1 || err != nil || n != 5 {
		t.Errorf("%d removed, %v, %d operations", removed, err, n)
	}
}
