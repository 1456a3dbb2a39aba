package delivery

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var dropHop = &mail.Hop{Key: "drop", Kind: mail.HopDrop}

const dropDir = "/data/Drop"

// dropper returns a Deliverer that writes the given texts into fs.
func dropper(fs vfs.FS, texts map[mail.QueueID]string) *Deliverer {
	return New(Options{
		Drop: Drop{FS: fs, Dir: dropDir},
		Body: func(_ context.Context, id mail.QueueID) (Body, error) {
			text, ok := texts[id]
			if !ok {
				return nil, errNoSpool
			}
			return stored(text), nil
		},
		CompleteHeader: true,
	})
}

// files reads the drop directory.
func files(t *testing.T, fs vfs.FS) map[string]string {
	t.Helper()
	names, err := fs.ReadDir(dropDir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range names {
		if name == partial {
			continue
		}
		out[name] = content(t, fs, filepath.Join(dropDir, name))
	}
	return out
}

func content(t *testing.T, fs vfs.FS, path string) string {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func partials(fs vfs.FS) []string {
	names, _ := fs.ReadDir(filepath.Join(dropDir, partial))
	return names
}

// id1 is 2026-01-02 03:04:05.678 UTC, number 9 of its millisecond.
var id1 = mail.QueueID(uint64(time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC).UnixMilli())<<20 | 9)

func TestDropGolden(t *testing.T) {
	const text = "Received: from client.example.com ([192.0.2.7])\r\n\tby relay.example.com with ESMTP\r\n\tid 1; Fri, 2 Jan 2026 03:04:05 +0000\r\n" +
		"From: root\r\nTo: r0@example.org\r\nSubject: dots\r\n\r\n.\r\n..two\r\n"
	fs := vfs.NewMem()
	b := batch(id1, "r0@example.org", "other@example.net", "r2@example.org")
	b.Rcpts = []int{0, 2}
	b.Env.DefaultDomain = "example.org"
	b.Env.Content.Edits = []mail.Edit{{Offset: uint32(strings.Index(text, "root") + 4), Kind: mail.EditBareDomain}}
	q := newWork(t, b)
	q.run(dropper(fs, map[mail.QueueID]string{id1: text}), dropHop)
	q.expect(id1, "delivered 250 2.0.0 ours", "delivered 250 2.0.0 ours")
	got := files(t, fs)
	if len(got) != 1 {
		t.Fatalf("%d files, want 1", len(got))
	}
	for name, file := range got {
		golden := filepath.Join("testdata", "drop.golden")
		out := name + "\n" + strings.ReplaceAll(file, "\r\n", "\n")
		if strings.Count(file, "\r\n") != strings.Count(out, "\n")-1 {
			t.Errorf("a line does not end with CRLF: %q", file)
		}
		if *update {
			if err := os.WriteFile(golden, []byte(out), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if out != string(want) {
			t.Errorf("got\n%q\nwant\n%q", out, want)
		}
	}
	if left := partials(fs); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDropNullSender(t *testing.T) {
	fs := vfs.NewMem()
	b := batch(1, "r0@example.org")
	b.Env.Sender.Addr = mail.Address{}
	q := newWork(t, b)
	q.run(dropper(fs, map[mail.QueueID]string{1: "x\r\n"}), dropHop)
	for _, file := range files(t, fs) {
		if want := "x-sender: <>\r\nx-receiver: r0@example.org\r\nReturn-Path: <>\r\nx\r\n"; file != want {
			t.Errorf("got %q, want %q", file, want)
		}
	}
}

var nameForm = regexp.MustCompile(`^[0-9a-f]{24}\.eml$`)

func TestE16DropNames(t *testing.T) {
	// E16: nothing that a peer chose is in a file name, and no address begins a line.
	for _, local := range []string{"../../etc/passwd", "CON", "a:b", "$(reboot)", "`x`;|&", strings.Repeat("n", 300), "a\r\nx-receiver: evil@example.com", "\x00"} {
		fs := vfs.NewMem()
		b := batch(id1, "x@example.org")
		b.Env.Recipients[0].Addr.Local, b.Env.Sender.Addr.Local = local, local
		q := newWork(t, b)
		q.run(dropper(fs, map[mail.QueueID]string{id1: "x\r\n"}), dropHop)
		got := files(t, fs)
		if len(got) != 1 {
			t.Errorf("%q: %d files", local, len(got))
		}
		for name, file := range got {
			if !nameForm.MatchString(name) {
				t.Errorf("%q: name %q", local, name)
			}
			if n := strings.Count(file, "\r\n"); n != 4 || strings.ContainsAny(strings.ReplaceAll(file, "\r\n", ""), "\r\n\x00") {
				t.Errorf("%q: %q", local, file)
			}
		}
	}
}

func TestDropNamesUnique(t *testing.T) {
	seen := map[string]string{}
	note := func(id mail.QueueID, first, n int) {
		name, what := fileName(id, first, n), fmt.Sprint(id, " ", first, " ", n)
		if !nameForm.MatchString(name) {
			t.Fatalf("name %q", name)
		}
		if other, ok := seen[name]; ok {
			t.Fatalf("%s and %s have one name, %s", what, other, name)
		}
		seen[name] = what
	}
	for _, id := range []mail.QueueID{id1, id1 + 1, id1 + 1<<20, id1 | 0xfffff} {
		for _, first := range []int{0, 1, 99, 100, 4095, 4096, 8191, 8192, 1 << 20, 4095999} {
			for n := range maxNames {
				note(id, first, n)
			}
		}
	}
	ft := (uint64(id1)>>20 + epochFiletime) * ticks
	if got, want := int64(ft/10_000_000)-11644473600, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Unix(); got != want {
		t.Errorf("the FILETIME is of Unix time %d, want %d", got, want)
	}
	if got, want := fileName(id1, 3, 0), fmt.Sprintf("%08x%08x%08x.eml", uint32(ft), uint32(ft>>32), 9<<12|3); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDropBatchesOfOneMessage(t *testing.T) {
	fs := vfs.NewMem()
	all := batch(id1, "a@example.org", "b@example.org", "c@example.org")
	first, second := *all, *all
	first.Rcpts, second.Rcpts = []int{0, 1}, []int{2}
	q := newWork(t, &first)
	q.run(dropper(fs, map[mail.QueueID]string{id1: "x\r\n"}), dropHop)
	q = newWork(t, &second)
	q.run(dropper(fs, map[mail.QueueID]string{id1: "x\r\n"}), dropHop)
	got := files(t, fs)
	var receivers []string
	for _, file := range got {
		receivers = append(receivers, regexp.MustCompile(`x-receiver: \S+`).FindAllString(file, -1)...)
	}
	slices.Sort(receivers)
	if want := "x-receiver: a@example.org x-receiver: b@example.org x-receiver: c@example.org"; len(got) != 2 || strings.Join(receivers, " ") != want {
		t.Errorf("%d files with %v", len(got), receivers)
	}
}

func TestDropRepeated(t *testing.T) {
	fs := vfs.NewMem()
	texts := map[mail.QueueID]string{id1: strings.Repeat("0123456789abcdef\r\n", 10000)}
	drop := func(b *mail.Batch) string {
		q := newWork(t, b)
		q.run(dropper(fs, texts), dropHop)
		if r := q.results[id1][0]; r.Outcome != mail.Delivered {
			t.Fatalf("got %+v", r)
		}
		return q.results[id1][0].Reply.Text
	}
	b := batch(id1, "a@example.org", "b@example.org")
	first := drop(b)
	if again := drop(b); again != first || len(files(t, fs)) != 1 {
		t.Errorf("a repeat after a lost mark made %q beside %q, %d files", again, first, len(files(t, fs)))
	}
	// Of the marks only the second recipient's survived: the file with both must stay.
	before := files(t, fs)
	one := *b
	one.Rcpts = []int{0}
	if again := drop(&one); again == first {
		t.Errorf("another file has the name %q", again)
	}
	after := files(t, fs)
	for name, file := range before {
		if after[name] != file {
			t.Errorf("%s was changed", name)
		}
	}
	if len(after) != 2 || len(partials(fs)) != 0 {
		t.Errorf("%d files, partial %v", len(after), partials(fs))
	}
}

func TestDropLeftovers(t *testing.T) {
	// A crash left half a file: the next attempt replaces it.
	fs := vfs.NewMem()
	if err := fs.MkdirAll(filepath.Join(dropDir, partial)); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create(filepath.Join(dropDir, partial, fileName(id1, 0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(strings.Repeat("half", 100)), 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	q := newWork(t, batch(id1, "a@example.org"))
	q.run(dropper(fs, map[mail.QueueID]string{id1: "x\r\n"}), dropHop)
	q.expect(id1, "delivered 250 2.0.0 ours")
	for _, file := range files(t, fs) {
		if strings.Contains(file, "half") {
			t.Errorf("got %q", file)
		}
	}
	if len(partials(fs)) != 0 {
		t.Errorf("left behind: %v", partials(fs))
	}
}

func TestDropSizes(t *testing.T) {
	for _, size := range []int{0, 1, 65000, 65536, 65537, 300000} {
		for _, rcpts := range []int{1, 1000, 5000} {
			fs := vfs.NewMem()
			text := strings.Repeat("0123456789abcd\r\n", size/16+1)[:size]
			var to []string
			want := "x-sender: a@example.com\r\n"
			for i := range rcpts {
				to = append(to, fmt.Sprintf("r%d@example.org", i))
				want += "x-receiver: " + to[i] + "\r\n"
			}
			want += "Return-Path: <a@example.com>\r\n" + text
			q := newWork(t, batch(id1, to...))
			q.run(dropper(fs, map[mail.QueueID]string{id1: text}), dropHop)
			for _, file := range files(t, fs) {
				if file != want {
					t.Errorf("%d octets, %d recipients: the file is wrong (%d octets)", size, rcpts, len(file))
				}
			}
			if len(files(t, fs)) != 1 {
				t.Errorf("%d octets, %d recipients: %d files", size, rcpts, len(files(t, fs)))
			}
		}
	}
}

func TestDropGroupSharesOneSync(t *testing.T) {
	const n = 10
	texts := map[mail.QueueID]string{}
	var batches []*mail.Batch
	for i := range n {
		id := id1 + mail.QueueID(i)
		texts[id] = "x\r\n"
		batches = append(batches, batch(id, "a@example.org"))
	}
	dirSyncs, fileSyncs, renames := 0, 0, 0
	q := newWork(t, batches...)
	fs := vfs.Inject(vfs.NewMem(), nil, func(op vfs.Op, path string) {
		switch {
		case op == vfs.OpSyncDir && path == dropDir:
			dirSyncs++
			if len(q.results) != 0 || renames != n {
				t.Errorf("the sync came after %d results and %d renames", len(q.results), renames)
			}
		case op == vfs.OpRename:
			renames++
			if fileSyncs != renames {
				t.Errorf("%d renames after %d syncs", renames, fileSyncs)
			}
		case op == vfs.OpSync:
			fileSyncs++
		}
	})
	q.run(dropper(fs, texts), dropHop)
	if dirSyncs != 1 || len(q.results) != n {
		t.Errorf("%d syncs of the directory for %d messages", dirSyncs, len(q.results))
	}
}

func TestDropCrash(t *testing.T) {
	// Whatever a power cut leaves: files are complete or absent, and what was reported as
	// delivered is there.
	const n = 5
	texts := map[mail.QueueID]string{}
	want := map[string]string{}
	for i := range n {
		id := id1 + mail.QueueID(i)
		texts[id] = strings.Repeat(fmt.Sprintf("message %d\r\n", i), 200*(i+1))
		want[fileName(id, 0, 0)] = "x-sender: a@example.com\r\nx-receiver: a@example.org\r\nReturn-Path: <a@example.com>\r\n" + texts[id]
	}
	steps := 0
	for seed := range uint64(6) {
		for cut := 1; ; cut++ {
			mem := vfs.NewMem()
			if err := mem.MkdirAll("/data"); err != nil {
				t.Fatal(err)
			}
			if err := mem.SyncDir("/"); err != nil {
				t.Fatal(err)
			}
			var clone *vfs.Mem
			var reported int
			ops := 0
			var q *work
			fs := vfs.Inject(mem, nil, func(vfs.Op, string) {
				if ops++; ops == cut {
					clone, reported = mem.CrashClone(rand.New(rand.NewPCG(seed, uint64(cut)))), len(q.results)
				}
			})
			var batches []*mail.Batch
			for i := range n {
				batches = append(batches, batch(id1+mail.QueueID(i), "a@example.org"))
			}
			q = newWork(t, batches...)
			q.run(dropper(fs, texts), dropHop)
			if clone == nil {
				break
			}
			steps++
			got := map[string]string{}
			if _, err := clone.Stat(dropDir); err == nil {
				got = files(t, clone)
			}
			for name, file := range got {
				if want[name] != file {
					t.Fatalf("seed %d, cut after %d operations: %s is %d octets, not whole", seed, cut, name, len(file))
				}
			}
			if len(got) < reported {
				t.Fatalf("seed %d, cut after %d operations: %d were reported, %d are there", seed, cut, reported, len(got))
			}
			// The restart delivers all again: nothing is doubled.
			q = newWork(t, batches...)
			q.run(dropper(clone, texts), dropHop)
			if got := files(t, clone); len(got) != n {
				t.Fatalf("seed %d, cut after %d operations: %d files after the repeat, want %d", seed, cut, len(got), n)
			}
		}
	}
	if steps < 100 {
		t.Errorf("only %d crashes were tried", steps)
	}
}

func TestDropTrouble(t *testing.T) {
	for _, c := range []struct {
		name string
		op   vfs.Op
		err  error
		want string
	}{
		{"disk full", vfs.OpWrite, vfs.ErrNoSpace, "deferred 452 4.3.1 ours down"},
		{"short write", vfs.OpWrite, &vfs.Short{N: 5, Err: vfs.ErrNoSpace}, "deferred 452 4.3.1 ours down"},
		{"write error", vfs.OpWrite, errNoSpool, "deferred 451 4.3.0 ours down"},
		{"sync error", vfs.OpSync, errNoSpool, "deferred 451 4.3.0 ours down"},
		{"no right to create", vfs.OpCreate, os.ErrPermission, "deferred 451 4.3.0 ours down"},
		{"rename", vfs.OpRename, errNoSpool, "deferred 451 4.3.0 ours down"},
		{"stat", vfs.OpStat, errNoSpool, "deferred 451 4.3.0 ours down"},
		{"close", vfs.OpClose, errNoSpool, "deferred 451 4.3.0 ours down"},
		{"directory sync", vfs.OpSyncDir, errNoSpool, "deferred 451 4.3.0 ours down"},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := vfs.NewMem()
			if err := mem.MkdirAll(filepath.Join(dropDir, partial)); err != nil {
				t.Fatal(err)
			}
			broken := true
			fs := vfs.Inject(mem, func(op vfs.Op, path string, _ int) error {
				if broken && op == c.op {
					return fmt.Errorf("at %s: %w", path, c.err)
				}
				return nil
			}, nil)
			texts := map[mail.QueueID]string{1: "x\r\n", 2: "x\r\n"}
			q := newWork(t, batch(1, "a@example.org"), batch(2, "a@example.org"))
			q.run(dropper(fs, texts), dropHop)
			q.expect(1, c.want)
			if c.op != vfs.OpSyncDir && len(q.left) != 1 {
				t.Errorf("%d batches were taken, want 1", 2-len(q.left))
			}
			if text := q.results[1][0].Reply.Text; strings.Contains(text, dropDir) {
				t.Errorf("the path is in the reply: %q", text)
			}
			if c.op != vfs.OpSyncDir && len(files(t, mem)) != 0 {
				t.Errorf("a file is there: %v", files(t, mem))
			}
			broken = false
			q = newWork(t, batch(1, "a@example.org"))
			q.run(dropper(fs, texts), dropHop)
			q.expect(1, "delivered 250 2.0.0 ours")
			if len(partials(mem)) != 0 {
				t.Errorf("left behind: %v", partials(mem))
			}
		})
	}
}

func TestDropUnreadableMessage(t *testing.T) {
	// The message is at fault, not the directory: others go on.
	fs := vfs.NewMem()
	d := dropper(fs, map[mail.QueueID]string{2: "x\r\n"})
	body := d.o.Body
	d.o.Body = func(ctx context.Context, id mail.QueueID) (Body, error) {
		if id == 3 {
			return unreadable{}, nil
		}
		return body(ctx, id)
	}
	q := newWork(t, batch(1, "a@example.org"), batch(3, "a@example.org"), batch(2, "a@example.org"))
	q.run(d, dropHop)
	q.expect(1, "deferred 451 4.3.0 ours local")
	q.expect(3, "deferred 451 4.3.0 ours local")
	q.expect(2, "delivered 250 2.0.0 ours")
	if len(files(t, fs)) != 1 || len(partials(fs)) != 0 {
		t.Errorf("%d files, partial %v", len(files(t, fs)), partials(fs))
	}
}

func TestDropCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := dropper(vfs.NewMem(), nil)
	d.o.Body = func(ctx context.Context, _ mail.QueueID) (Body, error) {
		cancel()
		return nil, ctx.Err()
	}
	q := newWork(t, batch(1, "a@example.org"), batch(2, "a@example.org"))
	q.runCtx(ctx, d, dropHop)
	q.expect(1, "deferred 451 4.3.2 ours")
	if len(q.left) != 1 {
		t.Error("work was taken after the end")
	}
}

func TestDropMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has lists of rights, which are inherited, not modes")
	}
	dir := filepath.Join(t.TempDir(), "Drop")
	for mode, want := range map[os.FileMode]os.FileMode{0: 0o600, 0o640: 0o640} {
		d := New(Options{Drop: Drop{Dir: dir, Mode: mode}, Body: func(context.Context, mail.QueueID) (Body, error) { return stored("x\r\n"), nil }})
		id := id1 + mail.QueueID(mode)
		q := newWork(t, batch(id, "a@example.org"))
		q.run(d, dropHop)
		q.expect(id, "delivered 250 2.0.0 ours")
		fi, err := os.Stat(filepath.Join(dir, fileName(id, 0, 0)))
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != want {
			t.Errorf("mode %v, want %v", fi.Mode().Perm(), want)
		}
	}
}
