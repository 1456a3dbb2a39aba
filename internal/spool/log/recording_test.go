package log

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// reserveNames lists the files of the reserve that are in the folder.
func reserveNames(t *testing.T, fs vfs.FS) (list []string) {
	t.Helper()
	names, err := fs.ReadDir("queue")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if format.IsReserveName(name) {
			list = append(list, name)
		}
	}
	return list
}

// bare opens a spool that is full and has no reserve, with mail that waits.
func (d *fullDisk) bare(t *testing.T) (*world, []mail.QueueID) {
	w := newWorld(t, d.fs())
	d.w = w
	w.o.MinFree, w.o.MinInodes = -1, -1
	w.o.SyncInterval, w.o.reserve = time.Second, 4<<10
	w.open()
	var ids []mail.QueueID
	for range 10 {
		ids = append(ids, w.put(1000, 1))
	}
	if err := w.s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range reserveNames(t, d.Mem) {
		if err := d.Remove("queue/" + name); err != nil {
			t.Fatal(err)
		}
	}
	d.fill(true)
	return w, ids
}

// TestF28NoRoomToRecord: opened on a full disk without a reserve the store says that it cannot record, takes no mail though there is
// no floor, and says so by itself when there is room. Each is told once.
func TestF28NoRoomToRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fullDisk{Mem: vfs.NewMem()}
		w, ids := d.bare(t)
		var told []string
		w.o.Unrecordable = func(why error) { told = append(told, fmt.Sprint(why)) }
		w.open()
		start := time.Now()
		for range 60 {
			if w.s.CanRecord() {
				t.Fatal("it can record")
			}
			time.Sleep(time.Second)
		}
		_, err := w.s.Begin(context.Background())
		if r := mail.ReplyOf(err).String(); !strings.HasPrefix(r, "452 4.3.1 ") {
			t.Errorf("Begin: %v", err)
		}
		st := w.s.Stats()
		if !strings.Contains(st.Unrecordable, "the reserve is used up") || !st.UnrecordableSince.Equal(start) || st.Refusing == "" {
			t.Errorf("%+v", st)
		}
		d.fill(false)
		time.Sleep(2 * calm)
		synctest.Wait()
		if st := w.s.Stats(); !w.s.CanRecord() || st.Unrecordable != "" || !st.UnrecordableSince.IsZero() || st.Refusing != "" {
			t.Errorf("with room: %+v", st)
		}
		if n := len(reserveNames(t, d.Mem)); n != reserveFiles {
			t.Errorf("%d files of the reserve", n)
		}
		if len(told) != 2 || told[1] != "<nil>" {
			t.Errorf("told %q", told)
		}
		w.report(mail.ChangeDone, 0, ids...)
		w.die()
		if n := w.s.Stats().Messages; n != 0 {
			t.Errorf("%d messages are there again", n)
		}
		if err := w.s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestF28RoomOfASpare: a spare segment is room for the journal, and stays ours while it is cut.
func TestF28RoomOfASpare(t *testing.T) {
	d := &fullDisk{Mem: vfs.NewMem()}
	w, ids := d.bare(t)
	w.o.SyncInterval = time.Hour
	d.fill(false)
	f, err := d.Create("queue/" + format.SpareName(1))
	if err == nil {
		_, err = f.WriteAt(make([]byte, 16<<10), 0)
	}
	if err := errors.Join(err, f.Sync(), f.Close(), d.SyncDir("queue")); err != nil {
		t.Fatal(err)
	}
	d.fill(true)
	w.open()
	if !w.s.CanRecord() || w.s.journal == nil || w.s.journal.Reserved != w.o.reserve {
		t.Fatalf("no room: %v, journal %+v", w.s.Stats().Unrecordable, w.s.journal)
	}
	w.report(mail.ChangeDone, 0, ids...)
	w.faulty = true // there is no room for a checkpoint
	w.tend()
	for range 5 {
		w.die()
		if err := w.l.compare(w.s, true); err != nil {
			t.Error(err)
		}
		if st := w.s.Stats(); st.Messages != 0 || st.Lost+st.Torn+st.Quarantined > 0 || len(st.Notes) > 0 || !w.s.CanRecord() {
			t.Errorf("after a restart: %+v", st)
		}
	}
	if err := w.s.Close(); err != nil {
		t.Error(err)
	}
}

// TestF28ReserveUsedUp: before the last of the reserve is full nothing more is to be delivered, so that what is under way is still
// written down; and restarts cost nothing of it.
func TestF28ReserveUsedUp(t *testing.T) {
	d := &fullDisk{Mem: vfs.NewMem()}
	w := newWorld(t, d.fs())
	w.o.MinFree, w.o.MinInodes = -1, -1
	w.o.reserve, w.o.SegmentSize = 4<<10, 1<<20
	w.open()
	var ids []mail.QueueID
	for range 600 {
		ids = append(ids, w.put(100, 1))
	}
	w.tend()
	d.fill(true)
	w.faulty = true // there is no room for a checkpoint
	for range 5 {   // the first fills what the journal may have
		w.report(mail.ChangeDone, 0, ids[0])
		ids = ids[1:]
		w.tend()
		w.die()
	}
	if n := len(reserveNames(t, d.Mem)); n < reserveFiles-1 {
		t.Errorf("after restarts the reserve has %d files", n)
	}
	n := 0
	for ; w.s.CanRecord(); n++ {
		if len(ids) < 20 {
			t.Fatal("it does not end")
		}
		w.report(mail.ChangeDone, 0, ids[0])
		ids = ids[1:]
	}
	if n < 100 {
		t.Errorf("%d marks use up the reserve", n)
	}
	for range 10 { // what is under way
		w.report(mail.ChangeDone, 0, ids[0])
		ids = ids[1:]
	}
	if len(w.s.reserves) > 0 || w.s.marks != w.s.marksDone {
		t.Errorf("%d files of the reserve are left, marks %d of %d", len(w.s.reserves), w.s.marksDone, w.s.marks)
	}
	w.die()
	if err := w.l.compare(w.s, true); err != nil {
		t.Error(err)
	}
	if w.s.CanRecord() {
		t.Error("it can record after a restart")
	}
	d.fill(false)
	w.tend()
	w.s.recording.last = time.Time{} // long ago
	w.tend()
	if !w.s.CanRecord() {
		t.Error("with room:", w.s.Stats().Unrecordable)
	}
	if err := w.s.Close(); err != nil {
		t.Error(err)
	}
}

// TestF28DoneSegmentsAreRoom: where the reserve was used up before a restart, what is left in the newest journal is enough to let
// segments go that are done with; they become reserve, and the disk may stay full.
func TestF28DoneSegmentsAreRoom(t *testing.T) {
	d := &fullDisk{Mem: vfs.NewMem()}
	w := newWorld(t, d.fs())
	w.o.MinFree, w.o.MinInodes = -1, -1
	w.o.reserve = 4 << 10
	w.open()
	last := w.put(1000, 1)
	var ids []mail.QueueID
	for range 20 {
		ids = append(ids, w.put(2900, 1))
	}
	w.tend()
	d.fill(true)
	w.faulty = true
	for w.s.CanRecord() {
		w.report(mail.ChangeDefer, 0, last)
	}
	w.report(mail.ChangeDone, 0, ids...)
	w.die()
	if w.s.CanRecord() || w.s.journal == nil {
		t.Fatalf("journal %v", w.s.journal)
	}
	w.tend()
	w.s.recording.last = time.Time{} // long ago
	w.tend()
	if !w.s.CanRecord() || len(reserveNames(t, d.Mem)) == 0 {
		t.Errorf("no room: %v", w.s.Stats().Unrecordable)
	}
	w.report(mail.ChangeDone, 0, last)
	w.die()
	if st := w.s.Stats(); st.Messages != 0 || st.Lost+st.Torn+st.Quarantined > 0 || len(st.Notes) > 0 {
		t.Errorf("after a restart: %+v", st)
	}
	if err := w.s.Close(); err != nil {
		t.Error(err)
	}
}

// TestF28RestartsWithoutInodes: no file can be made, and restarts still cost nothing of the reserve.
func TestF28RestartsWithoutInodes(t *testing.T) {
	d := vfs.NewMem()
	w := newWorld(t, d)
	w.o.MinFree, w.o.MinInodes = -1, -1
	w.o.reserve, w.o.SegmentSize = 4<<10, 1<<20
	w.open()
	var ids []mail.QueueID
	for range 20 {
		ids = append(ids, w.put(100, 1))
	}
	w.tend()
	d.SetFree(vfs.Space{Bytes: math.MaxInt64})
	w.faulty = true // no checkpoint can be made
	for _, id := range ids[:10] {
		w.die()
		w.report(mail.ChangeDone, 0, id)
		w.tend()
	}
	w.die()
	if n, st := len(reserveNames(t, d)), w.s.Stats(); n < reserveFiles-1 || st.Messages != 10 || !w.s.CanRecord() {
		t.Errorf("after restarts the reserve has %d files; %+v", n, st)
	}
	d.SetFree(vfs.Space{Bytes: math.MaxInt64, Inodes: math.MaxUint64})
	if err := w.s.Close(); err != nil {
		t.Error(err)
	}
}

// TestFailingJournal: a journal that fails keeps nothing from being delivered while the next can be made: a mark that is lost is a
// duplicate. Where none can be made for whatever reason nothing is delivered as long as that is so; new mail is taken all the same.
func TestFailingJournal(t *testing.T) {
	for _, fault := range []error{syscall.EIO, syscall.EROFS} {
		t.Run(fault.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var failing atomic.Int64
				var told []string
				s := mustOpen(t, Options{
					Dir: "queue",
					FS: vfs.Inject(vfs.NewMem(), func(op vfs.Op, path string, _ int) error {
						if strings.Contains(path, "state-") && (op == vfs.OpWrite || op == vfs.OpCreate || op == vfs.OpSync) && failing.Add(-1) >= 0 {
							return fault
						}
						return nil
					}, nil),
					Unrecordable: func(why error) { told = append(told, fmt.Sprint(why)) },
				})
				id := commitOne(t, s, make([]byte, 1000), "a@example.com", "b@example.com", "c@example.com", "d@example.com")
				report := func(rcpt int, fails bool) {
					err := s.Report(t.Context(), []mail.Change{{ID: id, Rcpt: rcpt, Kind: mail.ChangeDone}})
					if (err != nil) != fails {
						t.Errorf("report: %v", err)
					}
				}
				failing.Store(1)
				report(0, true)
				report(1, false)
				if !s.CanRecord() {
					t.Error("an error that passes keeps mail from being delivered")
				}
				failing.Store(math.MaxInt64)
				report(2, true)
				time.Sleep(time.Minute)
				synctest.Wait()
				st := s.Stats()
				if s.CanRecord() || !strings.Contains(st.Unrecordable, fault.Error()) || len(told) != 1 {
					t.Errorf("an error that stays: %q, told %q", st.Unrecordable, told)
				}
				commitOne(t, s, make([]byte, 100), "e@example.com")
				hold := spool.Action{Kind: spool.Hold}
				if n, err := s.Change(t.Context(), spool.Selection{All: true}, hold); n != 0 || err == nil || s.Stats().Held > 0 {
					t.Errorf("a hold that would be taken back: %d, %v", n, err)
				}
				failing.Store(0)
				time.Sleep(calm + 3*s.o.SyncInterval)
				synctest.Wait()
				if !s.CanRecord() || len(told) != 2 || !s.recorded() {
					t.Errorf("the error has gone: %q, told %q, recorded %v", s.Stats().Unrecordable, told, s.recorded())
				}
				report(3, false)
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestSegmentBecomesReserve: a segment that is done with becomes a part of the reserve that lacks one, and a power cut meanwhile leaves no
// segment without its end.
func TestSegmentBecomesReserve(t *testing.T) {
	d := vfs.NewMem()
	var after func(what string)
	w := newWorld(t, vfs.Inject(d, nil, func(op vfs.Op, path string) {
		if after != nil && op != vfs.OpRead && op != vfs.OpSpace && op != vfs.OpClose {
			after(fmt.Sprint(op, " ", path))
		}
	}))
	w.o.reserve, w.o.CheckpointSize = 2<<10, 1<<20
	w.o.MinFree, w.o.MinInodes = -1, -1
	w.open()
	w.tend() // no checkpoint covers what comes after this
	var ids []mail.QueueID
	for range 18 {
		ids = append(ids, w.put(2000, 1))
	}
	w.s.mu.Lock()
	clear(w.s.reserves) // as if they had been used up
	w.s.mu.Unlock()
	for _, name := range reserveNames(t, d) {
		if err := d.Remove("queue/" + name); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.SyncDir("queue"); err != nil {
		t.Fatal(err)
	}
	d.SetFree(vfs.Space{Bytes: 2000, Inodes: 1000}) // for the journal
	w.report(mail.ChangeDone, 0, ids[:17]...)
	crashes := 0
	after = func(what string) {
		for seed := range uint64(4) {
			crashes++
			o := w.o
			clone := d.CrashClone(newRand(uint64(crashes)))
			clone.SetFree(vfs.Space{Bytes: 1 << 40, Inodes: 1000})
			o.FS = clone
			s, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			if notes := fmt.Sprint(s.Stats().Notes); strings.Contains(notes, "seg") || s.Stats().Lost > 0 {
				t.Fatalf("%s, seed %d: %s", what, seed, notes)
			}
			_ = s.Close()
		}
	}
	w.faulty = true
	w.tend()
	if n := len(w.s.reserves); n == 0 || crashes < 20 {
		t.Errorf("%d files of the reserve after %d crashes", n, crashes)
	}
	after = nil
	d.SetFree(vfs.Space{Bytes: 1 << 40, Inodes: 1000})
	w.s.recording.last = time.Time{}
	w.tend()
	if err := w.s.Close(); err != nil {
		t.Error(err)
	}
}

// TestReserveIsBounded: however a file of the reserve is made, taken or returned, and whenever the process or the power goes, there are
// never more of them than there are to be, and an opening on a disk with room has them all.
func TestReserveIsBounded(t *testing.T) {
	d := &fullDisk{Mem: vfs.NewMem()}
	crashes, busy := 0, false
	check := func(what string) {
		if busy || d.w.s == nil { // the folder is being made
			return
		}
		busy = true
		defer func() { busy = false }()
		if list := reserveNames(t, d.Mem); len(list) > reserveFiles {
			t.Fatalf("%s: %q", what, list)
		}
		for seed := range uint64(2) {
			clone := d.CrashClone(nil)
			if seed > 0 {
				clone = d.CrashClone(newRand(uint64(crashes)))
			}
			crashes++
			free := vfs.Space{Bytes: 1 << 40, Inodes: 1000}
			if crashes%3 == 0 {
				free.Bytes = 0
			}
			clone.SetFree(free)
			o := d.w.o
			o.FS = clone
			s, err := Open(o)
			if err != nil {
				t.Fatal(what, err)
			}
			list := reserveNames(t, clone)
			if n := len(list); n > reserveFiles || n != len(s.reserves) || free.Bytes > 0 && n != reserveFiles {
				t.Fatalf("%s, seed %d: %q after the opening, %d known", what, seed, list, len(s.reserves))
			}
			for _, name := range list {
				if info, err := clone.Stat("queue/" + name); err != nil || info.Size != o.reserve {
					t.Fatalf("%s: %s has %d octets, %v", what, name, info.Size, err)
				}
			}
			_ = s.Close()
		}
	}
	w := newWorld(t, vfs.Inject(d.fs(), nil, func(op vfs.Op, path string) {
		switch op {
		case vfs.OpRead, vfs.OpStat, vfs.OpSize, vfs.OpReadDir, vfs.OpSpace, vfs.OpOpen, vfs.OpClose, vfs.OpLock:
		default:
			check(fmt.Sprint(op, " ", path))
		}
	}))
	d.w = w
	w.o.MinFree, w.o.MinInodes = -1, -1
	w.o.reserve = 2 << 10
	w.open()
	w.faulty = true
	for round := range 3 {
		var ids []mail.QueueID
		for i := range 24 { // several segments, some in files of their own
			ids = append(ids, w.put(1000+i%4*900, 1))
		}
		w.tend()
		d.fill(true)
		w.s.marks++ // a checkpoint must take of the reserve
		w.s.must++
		for _, id := range ids {
			w.report(mail.ChangeDone, 0, id)
		}
		w.tend()
		w.tend()
		if round == 1 {
			w.die()
		}
		d.fill(false)
		w.tend()
		w.tend()
		w.s.recording.last = time.Time{}
		w.tend()
	}
	if err := w.s.Close(); err != nil || crashes < 200 {
		t.Errorf("%d crashes, close: %v", crashes, err)
	}
}
