package log

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/vfs"
)

// damageSamples makes spools as a clean end and as a kill leave them.
func damageSamples(t *testing.T) map[string]*world {
	closed := newWorld(t, vfs.NewMem())
	closed.script()
	if err := closed.s.Close(); err != nil {
		t.Fatal(err)
	}
	closed.sure()

	mem := vfs.NewMem()
	killed := newWorld(t, mem)
	killed.open()
	a := killed.put(800, 2)
	killed.commit(killed.begin(300, 1, 0), killed.begin(1200, 1, 0), killed.begin(5000, 1, 0))
	killed.report(mail.ChangeDefer, 0, a)
	killed.tend()
	killed.report(mail.ChangeDone, 0, killed.put(400, 1), killed.put(6000, 1))
	killed.report(mail.ChangeDefer, 1, a)
	killed.tend()
	killed.commit(killed.begin(500, 1, 0), killed.begin(700, 1, 0))
	killed.put(3300, 1)
	killed.report(mail.ChangeDone, 0, a)
	killed.sure() // for a process that dies
	close(killed.s.quit)
	<-killed.s.idle
	killed.o.FS = mem.CrashClone(nil)

	mem = vfs.NewMem()
	reused := newWorld(t, mem)
	reused.script()
	reused.commit(reused.begin(500, 1, 0), reused.begin(700, 1, 0))
	reused.put(900, 1)
	reused.sure()
	if hot := reused.s.hot; hot.disk == 0 || hot.size >= hot.disk {
		t.Error("the last segment is not a spare one that is being written over")
	}
	close(reused.s.quit)
	<-reused.s.idle
	reused.o.FS = mem.CrashClone(nil)
	return map[string]*world{"closed": closed, "killed": killed, "reused": reused}
}

// queueFiles lists the files of the queue folder with their sizes.
func queueFiles(t *testing.T, fs vfs.FS) map[string]int64 {
	t.Helper()
	names, err := fs.ReadDir("queue")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for _, name := range names {
		info, err := fs.Stat(filepath.Join("queue", name))
		if err != nil {
			t.Fatal(err)
		}
		if !info.IsDir {
			out[name] = info.Size
		}
	}
	return out
}

// TestP2Damage flips octets, cuts files short and removes them, one at a time: the spool opens, keeps
// everything else, delivers nothing that is damaged, and says what it has lost.
func TestP2Damage(t *testing.T) {
	for name, w := range damageSamples(t) {
		mem := w.o.FS.(*vfs.Mem)
		files := queueFiles(t, mem)
		if len(files) < 6 {
			t.Fatalf("the sample has these files only: %v", files)
		}
		for file, size := range files {
			path := filepath.Join("queue", file)
			kind := strings.TrimLeft(filepath.Ext(file), ".")
			step := int64(1)
			if size > 1500 {
				step = 17
			}
			if testing.Short() {
				step *= 11
			}
			edits, lost := 0, 0
			edit := func(what string, mayLose int, f func(vfs.File) error) {
				t.Helper()
				clone := mem.CrashClone(nil)
				if f == nil {
					if err := clone.Remove(path); err != nil {
						t.Fatal(err)
					}
				} else {
					h, err := clone.OpenReadWrite(path)
					if err != nil {
						t.Fatal(err)
					}
					if err := f(h); err != nil {
						t.Fatal(err)
					}
					h.Close()
				}
				n, err := w.l.checkDamaged(w.o, clone, mayLose, kind)
				if err != nil {
					t.Errorf("%s: %s %s: %v", name, file, what, err)
				}
				edits++
				lost += n
			}
			t.Run(name+" "+kind, func(t *testing.T) {
				flip, short := 0, 0
				switch kind {
				case "seg", "dat":
					flip, short = 1, len(w.l.msgs)
				}
				for off := int64(0); off < size; off += step {
					edit(fmt.Sprintf("octet %d changed", off), flip, func(f vfs.File) error {
						var b [1]byte
						if _, err := f.ReadAt(b[:], off); err != nil {
							return err
						}
						b[0] ^= 0x10
						_, err := f.WriteAt(b[:], off)
						return err
					})
				}
				for n := int64(0); n < size; n += 1 + size/40 {
					edit(fmt.Sprintf("cut to %d of %d octets", n, size), short, func(f vfs.File) error { return f.Truncate(n) })
				}
				edit("filled with zeros", short, func(f vfs.File) error {
					_, err := f.WriteAt(make([]byte, size), 0)
					return err
				})
				edit("removed", short, nil)
				if t.Logf("%s: %d kinds of damage, %d messages lost", file, edits, lost); lost == 0 && kind == "dat" {
					t.Error("a damaged message was not noticed")
				}
			})
		}
	}
}

// checkDamaged opens a damaged spool, at most mayLose of whose messages may be lost. kind is that of the damaged file.
func (l *ledger) checkDamaged(o Options, clone *vfs.Mem, mayLose int, kind string) (lost int, err error) {
	o.FS = clone
	s, err := Open(o)
	if err != nil {
		return lost, fmt.Errorf("opening: %w", err)
	}
	back := 0
	deferred := 0 // of what is lost, what a journal or the checkpoint says to wait
	for id, k := range l.msgs {
		status, err := s.Status(context.Background(), id)
		gone := errors.Is(err, spool.ErrNotFound)
		if err == nil {
			err = k.compareOctets(s, id)
			gone = errors.Is(err, spool.ErrNotFound)
		}
		if err != nil && !gone {
			return lost, fmt.Errorf("message %v: %w", id, err)
		}
		switch wanted := k.there == yes && !k.gone(maybe); {
		case gone && wanted:
			if lost++; k.attempts[0] == yes && k.done[0] == no {
				deferred++
			}
			continue
		case gone:
			continue
		case !wanted:
			back++
		}
		for i, r := range status {
			if r.State == spool.Done && k.done[i] == no {
				return lost, fmt.Errorf("message %v: recipient %d is done though nobody said so", id, i)
			}
			if r.State != spool.Done && k.done[i] == yes {
				back++
			}
		}
	}
	st := s.Stats()
	if lost > mayLose {
		return lost, fmt.Errorf("%d messages lost: %q", lost, st.Notes)
	}
	if (lost > 0 || back > 0) && len(st.Notes)+len(st.Unfinished) == 0 {
		return lost, fmt.Errorf("%d messages lost, %d come back, and no note of it", lost, back)
	}
	if lost > 0 && st.Lost+st.Torn == 0 {
		return lost, fmt.Errorf("%d messages lost, and not counted: %+v", lost, st)
	}
	if kind == "seg" && int(st.Lost) < deferred {
		return lost, fmt.Errorf("%d messages lost that were deferred, %d counted: %q", deferred, st.Lost, st.Notes)
	}
	if (kind == "seg" || kind == "dat") && int(st.Lost) > max(1, lost) { // one that was done counts if it is not known to be
		return lost, fmt.Errorf("%d messages lost, %d counted: %q", lost, st.Lost, st.Notes)
	}
	if err := s.Close(); err != nil {
		return lost, err
	}
	for id, k := range l.msgs {
		if err := l.bodyKept(clone, id, k); err != nil && kind == "seg" {
			return lost, err
		}
	}
	// What was dealt with is not found again, and nothing more is lost.
	s, err = Open(o)
	if err != nil {
		return lost, fmt.Errorf("second opening: %w", err)
	}
	if st := s.Stats(); st.Lost+st.Quarantined > 0 {
		return lost, fmt.Errorf("second opening: %q", st.Notes)
	}
	return lost, s.Close()
}

// TestP2ManyDamaged damages each record of a segment: the first are named, all are counted and have their reason in quarantine.
func TestP2ManyDamaged(t *testing.T) {
	mem := vfs.NewMem()
	w := newWorld(t, mem)
	w.o.SegmentSize = 1 << 20
	w.open()
	const n = 60
	for range n {
		w.put(600, 1)
	}
	w.s.must = w.s.mustDone // no checkpoint knows them
	w.tend()
	close(w.s.quit)
	<-w.s.idle
	clone := mem.CrashClone(nil)
	for name, size := range queueFiles(t, clone) {
		if filepath.Ext(name) != ".seg" {
			continue
		}
		f, err := clone.OpenReadWrite(filepath.Join("queue", name))
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, size)
		f.ReadAt(b, 0)
		for id := range w.l.msgs {
			at := bytes.Index(b, w.l.msgs[id].body)
			if _, err := f.WriteAt([]byte{b[at] ^ 1}, int64(at)); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
	}
	w.o.FS = clone
	s := openDamaged(t, w.o)
	for _, k := range w.l.msgs {
		_ = k.compareOctets(s, k.env.ID) // damage of what was synced is found by who reads it
	}
	st := s.Stats()
	reasons := 0
	names, err := clone.ReadDir(filepath.Join("queue", quarantineName))
	for _, name := range names {
		if strings.HasSuffix(name, ".txt") {
			reasons++
		}
	}
	if all := int(st.Quarantined + st.Torn); err != nil || all < n || reasons != all {
		t.Errorf("%d put aside, %d reasons, %v; want %d at least", all, reasons, err, n)
	}
	if named := len(st.Notes) + len(st.Unfinished); named > maxAlike+2 || int64(len(st.Notes))+st.MoreNotes != st.Quarantined {
		t.Errorf("%d named, %d more, of %d: %q", named, st.MoreNotes, st.Quarantined, st.Unfinished)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestP2LockIsNoFile: what cannot be locked might be in use, so that the error says what to do.
func TestP2LockIsNoFile(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"queue": vfs.NewMem(), filepath.Join(t.TempDir(), "queue"): vfs.OS{}} {
		lock := filepath.Join(name, lockName)
		if err := fs.MkdirAll(lock); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Options{Dir: name, FS: fs}); err == nil || !strings.Contains(err.Error(), lock+": is a folder, not a file; move it away") {
			t.Errorf("opening: %v", err)
		}
		if err := fs.Remove(lock); err != nil {
			t.Fatal(err)
		}
		mustOpen(t, Options{Dir: name, FS: fs}).Close()
	}
}
