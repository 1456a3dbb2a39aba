package vfs

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// outcomes returns what show says of many crash clones, and how often.
func outcomes(m *Mem, show func(*Mem) string) map[string]int {
	out := map[string]int{}
	for seed := range uint64(2000) {
		out[show(m.CrashClone(rand.New(rand.NewPCG(seed, 1))))]++
	}
	return out
}

func names(m *Mem) string {
	n, err := m.ReadDir(".")
	if err != nil {
		return err.Error()
	}
	return strings.Join(n, " ")
}

func text(t *testing.T, name string) func(*Mem) string {
	return func(m *Mem) string {
		if _, err := m.Stat(name); err != nil {
			return "none"
		}
		return contents(t, m, name)
	}
}

func expect(t *testing.T, what string, got map[string]int, want ...string) {
	t.Helper()
	for _, w := range want {
		if got[w] == 0 {
			t.Errorf("%s: %q never comes out", what, w)
		}
		delete(got, w)
	}
	if len(got) > 0 {
		t.Errorf("%s: these came out as well: %v", what, got)
	}
}

func TestCrashCloneKeepsWhatWasSynced(t *testing.T) {
	m := NewMem()
	f := create(t, m, "f", "synced")
	must(t, f.Sync())
	must(t, m.SyncDir("."))
	expect(t, "contents", outcomes(m, text(t, "f")), "synced")

	_, err := f.WriteAt([]byte("S"), 0)
	must(t, err)
	expect(t, "one write", outcomes(m, text(t, "f")), "synced", "Synced")
	must(t, f.Truncate(3))
	expect(t, "write and truncate", outcomes(m, text(t, "f")), "synced", "Synced", "syn", "Syn")
	must(t, f.Sync())
	expect(t, "synced again", outcomes(m, text(t, "f")), "Syn")
	if contents(t, m, "f") != "Syn" {
		t.Error("a clone has changed the original")
	}
}

func TestCrashCloneNames(t *testing.T) {
	m := NewMem()
	a := create(t, m, "a", "A")
	must(t, a.Sync())
	expect(t, "created, contents synced", outcomes(m, names), "", "a")
	must(t, m.SyncDir("."))
	expect(t, "name synced", outcomes(m, names), "a")
	must(t, m.Rename("a", "b"))
	expect(t, "renamed", outcomes(m, names), "a", "b")
	must(t, create(t, m, "c", "").Close())
	expect(t, "renamed, another created", outcomes(m, names), "a", "b", "a c", "b c")
	must(t, m.SyncDir("."))
	must(t, m.Remove("b"))
	expect(t, "removed", outcomes(m, names), "c", "b c")

	m = NewMem()
	must(t, m.MkdirAll("d"))
	must(t, create(t, m, "f", "").Close())
	must(t, m.SyncDir("."))
	must(t, m.Rename("f", "d/f"))
	both := func(m *Mem) string {
		n, err := m.ReadDir("d")
		must(t, err)
		return names(m) + "/" + strings.Join(n, " ")
	}
	expect(t, "moved to another directory", outcomes(m, both), "d f/", "d/f")
	must(t, m.SyncDir("d"))
	expect(t, "and one of them synced", outcomes(m, both), "d/f")
}

func TestCrashCloneTears(t *testing.T) {
	m := NewMem()
	f := create(t, m, "f", strings.Repeat("o", 3*sector))
	must(t, f.Sync())
	must(t, m.SyncDir("."))
	_, err := f.WriteAt([]byte(strings.Repeat("n", 4*sector)), 0)
	must(t, err)
	// Of the first three sectors each is old or new; the fourth is new, zero or not there.
	seen := map[string]int{}
	for got, n := range outcomes(m, text(t, "f")) {
		shape := ""
		for at := 0; at < len(got); at += sector {
			s := got[at:min(len(got), at+sector)]
			if s != strings.Repeat(s[:1], sector) {
				t.Fatalf("a sector is torn: %q", s)
			}
			shape += strings.ReplaceAll(s[:1], "\x00", "0")
		}
		seen[shape] += n
	}
	var want []string
	for _, a := range []string{"o", "n"} {
		for _, b := range []string{"o", "n"} {
			for _, c := range []string{"o", "n"} {
				want = append(want, a+b+c, a+b+c+"0", a+b+c+"n")
			}
		}
	}
	expect(t, "sectors", seen, want...)
}

func TestCrashCloneOfKill(t *testing.T) {
	m := NewMem()
	f := create(t, m, "f", "12345")
	must(t, f.Truncate(4))
	_, err := f.WriteAt([]byte("x"), 8)
	must(t, err)
	must(t, m.Rename("f", "g"))
	must(t, create(t, m, "h", "").Close())
	must(t, m.Remove("h"))
	l, err := m.Lock("lock")
	must(t, err)
	defer l.Close()
	c := m.CrashClone(nil)
	if got := names(c); got != "g lock" {
		t.Errorf("names %q", got)
	}
	if got := contents(t, c, "g"); got != "1234\x00\x00\x00\x00x" {
		t.Errorf("contents %q", got)
	}
	if _, err := c.Lock("lock"); err != nil {
		t.Errorf("the clone is locked: %v", err)
	}
}

func TestCrashCloneSame(t *testing.T) {
	m := NewMem()
	for _, n := range []string{"a", "b", "c", "d"} {
		f := create(t, m, n, strings.Repeat(n, 2000))
		must(t, f.Close())
	}
	show := func(m *Mem) string {
		s := names(m)
		for _, n := range strings.Fields(s) {
			s += contents(t, m, n)
		}
		return s
	}
	for seed := range uint64(50) {
		a := show(m.CrashClone(rand.New(rand.NewPCG(seed, 2))))
		if b := show(m.CrashClone(rand.New(rand.NewPCG(seed, 2)))); a != b {
			t.Fatal("one seed, two outcomes")
		}
	}
}
