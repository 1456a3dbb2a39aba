package service

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/queue"
	"github.com/mailroot/mailroot/internal/vfs"
)

const frozenPath = "data/default/frozen.json"

// names are those in force.
func names(list []Freeze) string {
	var out []string
	for _, z := range list {
		out = append(out, z.Name)
	}
	return strings.Join(out, " ")
}

// TestFreezesSurviveAPowerCut: at each moment of a change the file has what was, or what is to be; when the change
// was acknowledged it has that; and nothing is in force that could not be written.
func TestFreezesSurviveAPowerCut(t *testing.T) {
	before, after := []Freeze{{Name: "a.test", By: "olga"}}, []Freeze{{Name: "a.test"}, {Name: "b.test", Until: time.Now().Add(time.Hour)}}
	for step := 0; ; step++ {
		mem := vfs.NewMem()
		if err := openFreezes(mem, frozenPath).replace(before, func([]queue.Freeze) {}); err != nil {
			t.Fatal(err)
		}
		n, cut := 0, errors.New("the power is gone")
		fs := vfs.Inject(mem, func(vfs.Op, string, int) error {
			if n++; n > step {
				return cut
			}
			return nil
		}, nil)
		f := openFreezes(mem, frozenPath)
		f.fs = fs
		inForce := ""
		err := f.replace(slices.Clone(after), func(list []queue.Freeze) { inForce = fmt.Sprint(len(list)) })
		for seed := range uint64(8) {
			again := openFreezes(mem.CrashClone(rand.New(rand.NewPCG(seed, 1))), frozenPath)
			got := names(again.current(time.Now()))
			if again.trouble != "" || got != "a.test" && got != "a.test b.test" || err == nil && got != "a.test b.test" {
				t.Fatalf("step %d: after a power cut %q is frozen; %v; %s", step, got, err, again.trouble)
			}
		}
		if (err == nil) != (inForce == "2") || (err == nil) != (names(f.list) == "a.test b.test") {
			t.Errorf("step %d: %v, in force: %q", step, err, inForce)
		}
		if err == nil {
			if step < 5 {
				t.Errorf("only %d operations", step)
			}
			return
		}
	}
}

// TestFreezesEnd: what has ended is not there any more, also after a start.
func TestFreezesEnd(t *testing.T) {
	mem := vfs.NewMem()
	now := time.Now()
	list := []Freeze{{Name: "b"}, {Name: "a", Until: now.Add(time.Hour)}}
	if err := openFreezes(mem, frozenPath).replace(list, func([]queue.Freeze) {}); err != nil {
		t.Fatal(err)
	}
	f := openFreezes(mem, frozenPath)
	if got := names(f.current(now)); got != "a b" {
		t.Errorf("at first %q", got)
	}
	if got := names(f.current(now.Add(time.Hour))); got != "b" {
		t.Errorf("an hour later %q", got)
	}
}

// TestFreezesThatCannotBeRead are kept under another name.
func TestFreezesThatCannotBeRead(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"version":0}`, `{"version":2,"frozen":[{"name":"a"}]}`, `{"version":1,"frozen":[{"until":"x"}]}`} {
		mem := vfs.NewMem()
		if err := replaceFile(mem, frozenPath, []byte(text)); err != nil {
			t.Fatal(err)
		}
		f := openFreezes(mem, frozenPath)
		if len(f.list) != 0 || !strings.Contains(f.trouble, "none is frozen") || !strings.HasSuffix(f.trouble, ".bad") {
			t.Errorf("%q: %+v", text, f)
		}
		if kept, err := readAll(mem, frozenPath+".bad"); err != nil || string(kept) != text {
			t.Errorf("%q: kept %q, %v", text, kept, err)
		}
	}
	if f := openFreezes(vfs.NewMem(), frozenPath); f.trouble != "" {
		t.Errorf("no file: %s", f.trouble)
	}
}

// FuzzFreezes: whatever the file holds, the service starts.
func FuzzFreezes(f *testing.F) {
	f.Add([]byte(`{"version":1,"frozen":[{"name":"a.test","until":"2026-01-02T03:04:05Z","by":"olga"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		mem := vfs.NewMem()
		if err := replaceFile(mem, frozenPath, b); err != nil {
			t.Fatal(err)
		}
		z := openFreezes(mem, frozenPath)
		if z.trouble != "" && len(z.list) > 0 {
			t.Errorf("in trouble, and in force: %+v", z)
		}
		queue.New(queue.Options{}).SetFrozen(queueFreezes(z.current(time.Now())))
	})
}
