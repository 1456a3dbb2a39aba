package pickup

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/intake"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	spoollog "github.com/mailroot/mailroot/internal/spool/log"
	"github.com/mailroot/mailroot/internal/vfs"
)

var _ Transaction = (*intake.Tx)(nil)

const (
	dir      = "/srv/Pickup"
	queueDir = "/srv/Queue"
)

// facts are what Mem does not know of a file.
type facts struct {
	kind     Kind
	links    int
	writer   Writer
	modified time.Time
	openErr  error
}

// testFiles are Plain with facts, which go with the file when it is renamed.
type testFiles struct {
	Files
	mu    sync.Mutex
	facts map[string]facts
	// unknown says that nobody can tell of writers or times, as with Plain.
	unknown bool
}

func (f *testFiles) of(name string) facts {
	f.mu.Lock()
	defer f.mu.Unlock()
	x, ok := f.facts[filepath.Clean(name)]
	if !ok && !f.unknown {
		x.writer, x.links = WriterNone, 1
	}
	return x
}

func (f *testFiles) set(name string, x facts) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.facts[filepath.Clean(name)] = x
}

func (f *testFiles) Look(name string) (Entry, error) {
	e, err := f.Files.Look(name)
	if err != nil {
		return e, err
	}
	x := f.of(name)
	if x.kind != KindFile {
		e.Kind = x.kind
	}
	e.Modified = x.modified
	return e, nil
}

func (f *testFiles) Open(name string) (File, error) {
	if err := f.of(name).openErr; err != nil {
		return nil, err
	}
	o, err := f.Files.Open(name)
	if err != nil {
		return nil, err
	}
	return &testFile{File: o, f: f, name: name}, nil
}

func (f *testFiles) Rename(from, to string) error {
	if err := f.Files.Rename(from, to); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if x, ok := f.facts[filepath.Clean(from)]; ok {
		delete(f.facts, filepath.Clean(from))
		f.facts[filepath.Clean(to)] = x
	}
	return nil
}

type testFile struct {
	File
	f    *testFiles
	name string
}

func (t *testFile) Look() (Entry, error) {
	e, err := t.File.Look()
	x := t.f.of(t.name)
	e.Links, e.Modified = x.links, x.modified
	return e, err
}

func (t *testFile) Writer() Writer { return t.f.of(t.name).writer }

// world is a pickup directory in memory before a real intake and a real spool.
type world struct {
	t     *testing.T
	mem   *vfs.Mem
	files *testFiles
	store spool.Store
	p     *Pickup

	mu       sync.Mutex
	queued   []*mail.Envelope
	bad      []Bad
	badText  []string
	events   []string
	beginErr error
	badErr   error
	onQueue  func(*mail.Envelope)
}

func newWorld(t *testing.T) *world { return newWorldOn(t, vfs.NewMem(), nil) }

// newWorldOn opens a world on the files of another; wrap may put something before them.
func newWorldOn(t *testing.T, mem *vfs.Mem, wrap func(vfs.FS) vfs.FS) *world {
	t.Helper()
	fs := vfs.FS(mem)
	if wrap != nil {
		fs = wrap(fs)
	}
	w := &world{t: t, mem: mem, files: &testFiles{Files: Plain(fs), facts: map[string]facts{}}}
	store, err := spoollog.Open(spoollog.Options{Dir: queueDir, FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	w.store = store
	in := intake.New(intake.Options{
		Spool: func(ctx context.Context) (intake.SpoolTx, error) {
			w.mu.Lock()
			err := w.beginErr
			w.mu.Unlock()
			if err != nil {
				return nil, err
			}
			return store.Begin(ctx)
		},
		Enqueue:       w.enqueue,
		FQDN:          func() string { return "relay.example.com" },
		DefaultDomain: func() string { return "example.com" },
		IsAlias:       func(d string) bool { return d == "alias.example" },
	})
	w.p = New(w.options(in))
	return w
}

func (w *world) options(in *intake.Intake) Options {
	return Options{
		Dir: dir, Files: w.files,
		Begin: func(ctx context.Context) (Transaction, error) {
			tx, err := in.BeginPickup(ctx)
			if err != nil {
				return nil, err
			}
			return tx, nil
		},
		Sent: func(ctx context.Context, id mail.QueueID) (bool, error) {
			_, err := w.store.Status(ctx, id)
			if errors.Is(err, spool.ErrNotFound) {
				return false, nil
			}
			return err == nil, err
		},
		Badmail:  w.toBadmail,
		Settings: Settings{DotStuffed: true},
		Workers:  4,
		Events: Events{
			Bad:     func(file, reason string) { w.note("bad " + file + ": " + reason) },
			Skipped: func(file, what string) { w.note("skipped " + file + ": " + what) },
			Late:    func(file, why string) { w.note("late " + file + ": " + why) },
			Held:    func(file string, err error) { w.note("held " + file + ": " + err.Error()) },
			Stays:   func(file string, err error) { w.note("stays " + file) },
			Trouble: func(err error) { w.note("trouble: " + err.Error()) },
			Over:    func() { w.note("over") },
			Fault:   func(v any, stack []byte) { w.t.Errorf("fault: %v\n%s", v, stack) },
		},
	}
}

func (w *world) note(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, s)
}

func (w *world) enqueue(env *mail.Envelope) {
	if w.onQueue != nil {
		w.onQueue(env)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queued = append(w.queued, env)
}

func (w *world) toBadmail(_ context.Context, b *Bad) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.badErr != nil {
		return w.badErr
	}
	text := make([]byte, b.Size)
	if n, err := b.Body.ReadAt(text, 0); int64(n) < b.Size {
		return err
	}
	w.bad, w.badText = append(w.bad, *b), append(w.badText, string(text))
	return nil
}

func (w *world) badFiles() []Bad {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.bad)
}

func (w *world) badTexts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.badText)
}

// start starts to take files and ends with the test.
func (w *world) start() {
	w.t.Helper()
	if err := w.p.Recover(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.p.Start(w.t.Context())
}

func (w *world) close() {
	w.p.Stop(context.Background())
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
}

// put writes a file as a program would that writes in place.
func (w *world) put(name, text string) {
	w.t.Helper()
	if err := w.mem.MkdirAll(dir); err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	f, err := w.mem.OpenReadWrite(path)
	if err != nil {
		f, err = w.mem.Create(path)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	size, _ := f.Size()
	if _, err := f.WriteAt([]byte(text), size); err != nil {
		w.t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close(), w.mem.SyncDir(dir), w.mem.SyncDir("/srv"), w.mem.SyncDir("/")); err != nil {
		w.t.Fatal(err)
	}
}

// left lists what is in the folder, but for the folder of claimed files, and in that.
func (w *world) left() []string {
	w.t.Helper()
	names, err := w.mem.ReadDir(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == claimedName })
	claimed, err := w.mem.ReadDir(filepath.Join(dir, claimedName))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, n := range claimed {
		if n == lockName {
			continue
		}
		names = append(names, claimedName+"/"+n)
	}
	return names
}

// text returns a stored message behind its Received field.
func (w *world) text(env *mail.Envelope) string {
	w.t.Helper()
	return cutTrace(w.t, w.stored(env))
}

func (w *world) stored(env *mail.Envelope) string {
	w.t.Helper()
	b, err := w.store.Body(w.t.Context(), env.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	defer b.Close()
	text := make([]byte, b.Size())
	if _, err := b.ReadAt(text, 0); err != nil && err != io.EOF {
		w.t.Fatal(err)
	}
	return string(text)
}

// cutTrace drops the Received field that a stored message begins with, and the Message-ID and Date
// that intake may have added.
func cutTrace(t *testing.T, s string) string {
	t.Helper()
	if !strings.HasPrefix(s, "Received: from mail pickup service by relay.example.com\r\n\tid ") {
		t.Fatalf("no trace field: %.200q", s)
	}
	for pos := 0; ; {
		f := next([]byte(s), pos)
		if f.start > 0 && !(f.is("message-id") && strings.Contains(string(f.body), "@relay.example.com>")) && !f.is("date") {
			return s[pos:]
		}
		pos = f.end
	}
}

// envelopes returns what was handed to the queue, in the order of the subjects.
func (w *world) envelopes() []*mail.Envelope {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := slices.Clone(w.queued)
	slices.SortFunc(out, func(a, b *mail.Envelope) int { return strings.Compare(a.Content.Subject, b.Content.Subject) })
	return out
}

func (w *world) sawEvent(prefix string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.events {
		if strings.HasPrefix(e, prefix) {
			n++
		}
	}
	return n
}
