//go:build unix

package pickup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// oddities makes one of each kind of name that is no plain file, outside of which they lead.
func oddities(t *testing.T, dir string) {
	t.Helper()
	outside := filepath.Join(t.TempDir(), "secret")
	write(t, outside, plainMail)
	try(t, os.Symlink(outside, filepath.Join(dir, "symlink")))
	try(t, os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "dangling")))
	try(t, os.Symlink(filepath.Dir(outside), filepath.Join(dir, "dirlink")))
	try(t, os.Link(outside, filepath.Join(dir, "hardlink")))
	try(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	try(t, os.Mkdir(filepath.Join(dir, "folder.eml"), 0o755))
}

func TestOSLook(t *testing.T) {
	dir := t.TempDir()
	oddities(t, dir)
	write(t, filepath.Join(dir, "file"), "12345")
	for name, want := range map[string]Entry{
		"file":       {Kind: KindFile, Links: 1, Size: 5},
		"hardlink":   {Kind: KindFile, Links: 2, Size: int64(len(plainMail))},
		"symlink":    {Kind: KindLink},
		"dangling":   {Kind: KindLink},
		"dirlink":    {Kind: KindLink},
		"pipe":       {Kind: KindOther},
		"folder.eml": {Kind: KindFolder},
	} {
		e, err := OS{}.Look(filepath.Join(dir, name))
		if err != nil || e.Kind != want.Kind || want.Kind == KindFile && (e.Links != want.Links || e.Size != want.Size || time.Since(e.Modified) > time.Hour) {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
		if want.Kind == KindLink {
			if f, err := (OS{}).Open(filepath.Join(dir, name)); err == nil {
				_ = f.Close()
				t.Errorf("%s: a link was followed", name)
			}
		}
	}
	// A pipe has nobody at its other end; to open it must not wait.
	f, err := OS{}.Open(filepath.Join(dir, "pipe"))
	if err == nil {
		if e, err := f.Look(); err != nil || e.Kind != KindOther {
			t.Errorf("the pipe is %+v, %v", e, err)
		}
		_ = f.Close()
	}
	if _, err := (OS{}).Look(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a name that is not there: %v", err)
	}
}

// A claim replaces nothing, by either way: the file there may be another's.
func TestOSRename(t *testing.T) {
	for way, rename := range map[string]func(from, to string) error{"rename": OS{}.Rename, "link": linkNew, "look": Plain(vfs.OS{}).Rename} {
		dir := t.TempDir()
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		write(t, from, "mine")
		write(t, to, "theirs")
		if err := rename(from, to); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", way, err)
		}
		for name, want := range map[string]string{from: "mine", to: "theirs"} {
			if b, err := os.ReadFile(name); err != nil || string(b) != want {
				t.Errorf("%s: %s has %q, %v", way, name, b, err)
			}
		}
		try(t, os.Remove(to))
		try(t, rename(from, to))
		b, err := os.ReadFile(to)
		if _, gone := os.Lstat(from); err != nil || string(b) != "mine" || !errors.Is(gone, fs.ErrNotExist) {
			t.Errorf("%s: %q, %v; the old name: %v", way, b, err, gone)
		}
	}
}

// A folder belongs to one service, until that stops; also when it was replaced meanwhile.
func TestOSLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Pickup")
	one, two := New(Options{Dir: dir, Files: OS{}}), New(Options{Dir: dir, Files: OS{}})
	refused := func() {
		t.Helper()
		if err := two.Lock(); !errors.Is(err, vfs.ErrLocked) || !strings.Contains(err.Error(), dir) {
			t.Errorf("the second service: %v", err)
		}
	}
	try(t, one.Lock())
	try(t, one.Lock())
	refused()
	try(t, os.Rename(dir, dir+".old"))
	try(t, one.folders())
	refused()
	one.Stop(t.Context())
	try(t, two.Lock())
	two.Stop(t.Context())
}

// A folder with many names is listed in portions, each name once.
func TestOSList(t *testing.T) {
	dir := t.TempDir()
	for i := range 2500 {
		write(t, filepath.Join(dir, fmt.Sprint(i)), "")
	}
	seen, portions := map[string]bool{}, 0
	try(t, OS{}.List(dir, func(names []string) bool {
		portions++
		for _, n := range names {
			seen[n] = true
		}
		return len(names) <= portion
	}))
	if len(seen) != 2500 || portions < 3 {
		t.Errorf("%d names in %d portions", len(seen), portions)
	}
}

// The folder is for the group too, whatever the umask says; that of the claimed files is not.
func TestOSFolders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "Pickup")
	for name, want := range map[string]fs.FileMode{dir: 0o770 | fs.ModeSetgid | fs.ModeDir, filepath.Join(t.TempDir(), "c"): 0o700 | fs.ModeDir} {
		made, err := OS{}.MakeFolder(name, name == dir)
		fi, serr := os.Stat(name)
		if !made || err != nil || serr != nil || fi.Mode() != want {
			t.Errorf("%v, %v: %v", made, err, fi.Mode())
		}
		if made, err := (OS{}).MakeFolder(name, true); made || err != nil {
			t.Errorf("again: %v, %v", made, err)
		}
	}
}

// P1: on Linux the kernel says whether a program has the file open for writing.
func TestOSWriter(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	write(t, name, "x")
	ask := func() Writer {
		f, err := OS{}.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return f.Writer()
	}
	if ask() == WriterUnknown {
		t.Skip("this system, or this file system, does not say who writes a file")
	}
	w, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	try(t, err)
	if got := ask(); got != WriterOpen {
		t.Errorf("while it is open for writing: %d", got)
	}
	try(t, w.Close())
	r, err := os.Open(name)
	try(t, err)
	defer r.Close()
	if got := ask(); got != WriterNone {
		t.Errorf("while it is open for reading: %d", got)
	}
	// The lease must not outlive the question: it would hold up the next writer.
	w, err = os.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	try(t, err)
	try(t, w.Close())
}

// texts collects messages.
type texts struct {
	mu  sync.Mutex
	all []string
	bad []string
	ids atomic.Uint64
}

// message is a Transaction into texts.
type textTx struct {
	sink
	t  *texts
	id mail.QueueID
}

func (m *textTx) ID() mail.QueueID { return m.id }
func (m *textTx) Enqueue() {
	m.t.mu.Lock()
	defer m.t.mu.Unlock()
	m.t.all = append(m.t.all, m.text.String())
}

func (x *texts) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.all)
}

// onDisk takes the files of a real folder.
func onDisk(t *testing.T, dir string, watch func(string) (Watcher, error), rescan time.Duration) (*texts, *Pickup) {
	t.Helper()
	x := &texts{}
	p := New(Options{
		Dir: dir, Files: OS{}, Watch: watch, Rescan: rescan, Settings: Settings{DotStuffed: true},
		Begin: func(context.Context) (Transaction, error) {
			return &textTx{t: x, id: mail.QueueID(x.ids.Add(1))}, nil
		},
		Sent: func(context.Context, mail.QueueID) (bool, error) { return false, nil },
		Badmail: func(_ context.Context, b *Bad) error {
			text, err := io.ReadAll(io.NewSectionReader(b.Body, 0, b.Size))
			x.mu.Lock()
			defer x.mu.Unlock()
			x.bad = append(x.bad, string(text))
			return err
		},
	})
	try(t, p.Recover(t.Context()))
	p.Start(t.Context())
	t.Cleanup(func() { p.Stop(context.Background()) })
	return x, p
}

func within(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(d); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", d, what)
		}
	}
}

// P1, on a real disk: a file written in place, one moved in, one that may only be read, and what is left alone.
func TestOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Pickup")
	x, p := onDisk(t, dir, Watch, time.Hour) // so that only the notification can tell
	oddities(t, dir)
	f, err := os.Create(filepath.Join(dir, "in place.eml"))
	try(t, err)
	for line := range strings.SplitAfterSeq(plainMail, "\n") {
		_, err := f.WriteString(line)
		try(t, err)
		time.Sleep(20 * time.Millisecond)
	}
	if n := x.count(); n != 0 {
		t.Fatal("a file that is open was taken")
	}
	try(t, f.Close())
	within(t, 20*time.Second, "the file written in place", func() bool { return x.count() == 1 })

	away := filepath.Join(filepath.Dir(dir), "moved.eml")
	write(t, away, plainMail)
	try(t, os.Chmod(away, 0o444)) // the original sent such a file again at every start (Q221432)
	try(t, os.Rename(away, filepath.Join(dir, "moved.eml")))
	within(t, 20*time.Second, "the file moved in", func() bool { return x.count() == 2 })
	write(t, filepath.Join(dir, "bad\x1b\n"), "bad")
	within(t, 20*time.Second, "the bad file", func() bool { return p.Stats().Bad == 1 })
	within(t, 20*time.Second, "what is left alone", func() bool {
		write(t, filepath.Join(dir, "nudge"), plainMail)
		s := p.Stats()
		return s.Skipped == 6 && s.InFlight == 0
	})
	names, err := os.ReadDir(filepath.Join(dir, claimedName))
	if err != nil || len(names) > 2 { // the lock, and a nudge
		t.Errorf("left among the claimed files: %v, %v", names, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, text := range x.all {
		if text != "Subject: hello\r\n\r\ntext\r\n" {
			t.Errorf("%q", text)
		}
	}
}

// A folder that is replaced is watched again.
func TestOnDiskReplacedFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Pickup")
	x, _ := onDisk(t, dir, Watch, time.Hour)
	write(t, filepath.Join(dir, "one"), plainMail)
	within(t, 20*time.Second, "the first file", func() bool { return x.count() == 1 })
	try(t, os.Rename(dir, dir+".old"))
	within(t, 20*time.Second, "the new folder", func() bool {
		_, err := os.Stat(filepath.Join(dir, claimedName))
		return err == nil
	})
	time.Sleep(100 * time.Millisecond) // the look that made it is over
	write(t, filepath.Join(dir, "two"), plainMail)
	within(t, 20*time.Second, "the second file", func() bool { return x.count() == 2 })
}

// Without notification the rescan finds files.
func TestOnDiskWithoutNotification(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Pickup")
	x, _ := onDisk(t, dir, func(string) (Watcher, error) { return nil, errors.New("not here") }, 50*time.Millisecond)
	write(t, filepath.Join(dir, "one"), plainMail)
	within(t, 20*time.Second, "the file", func() bool { return x.count() == 1 })
}
