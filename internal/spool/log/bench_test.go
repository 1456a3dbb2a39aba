package log

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/vfs"
)

// benchEnvelope is what a usual message of one recipient has.
func benchEnvelope() *mail.Envelope {
	return &mail.Envelope{
		Sender:     mail.Sender{Addr: mail.Address{Local: "sender", Domain: "example.com"}},
		Recipients: []mail.Recipient{{Addr: mail.Address{Local: "recipient", Domain: "example.org"}}},
		Arrived:    time.Now(), Helo: "client.example.com", Protocol: "ESMTP", DefaultDomain: "example.com",
		Content: mail.Content{Size: 4096, HeaderLen: 400, MessageID: "<20260101120000.1234@client.example.com>", Subject: "a message"},
	}
}

// commitMany commits n messages from so many writers; each message is done at once, as when
// delivery keeps up.
func commitMany(tb testing.TB, s *Store, n, writers, size int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	for range writers {
		wg.Go(func() {
			ctx := context.Background()
			env := benchEnvelope()
			done := []mail.Change{{Kind: mail.ChangeDone}}
			for next.Add(1) <= int64(n) {
				t, err := s.Begin(ctx)
				if err != nil {
					tb.Error(err)
					return
				}
				for b := body; len(b) > 0; { // as it comes from a connection
					k := min(len(b), 32<<10)
					t.Write(b[:k])
					b = b[k:]
				}
				if err := t.Commit(ctx, env); err != nil {
					tb.Error(err)
					return
				}
				done[0].ID = t.ID()
				if err := s.Report(ctx, done); err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10} {
		for _, writers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%dKB/%dwriters", size>>10, writers), func(b *testing.B) {
				benchCommit(b, vfs.OS{}, writers, size)
			})
		}
	}
}

// BenchmarkCommitSlowSync is the same with 3 ms added to each sync, as a disk without a cache that survives
// has.
func BenchmarkCommitSlowSync(b *testing.B) {
	slow := vfs.Inject(vfs.OS{}, func(op vfs.Op, _ string, _ int) error {
		if op == vfs.OpSync {
			time.Sleep(3 * time.Millisecond)
		}
		return nil
	}, nil)
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("4KB/%dwriters", writers), func(b *testing.B) { benchCommit(b, slow, writers, 4<<10) })
	}
}

func benchCommit(b *testing.B, fs vfs.FS, writers, size int) {
	s, err := Open(Options{Dir: b.TempDir(), FS: fs})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	b.ResetTimer()
	commitMany(b, s, b.N, writers, size)
	b.StopTimer()
	st := s.Stats()
	b.ReportMetric(float64(st.Commits)/float64(max(1, st.Syncs)), "commits/sync")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDisk measures what the disk gives to different ways of writing, without the store: the figures behind
// docs/decisions/0002-spool.md.
func BenchmarkDisk(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10} {
		for _, batch := range []int{1, 32} {
			bufs := make([][]byte, batch)
			for i := range bufs {
				bufs[i] = make([]byte, size)
			}
			joined := make([]byte, 0, size*batch)
			writes := map[string]func(f vfs.File, off int64) error{
				"pwritev": func(f vfs.File, off int64) error {
					_, err := f.WritevAt(slices.Clone(bufs), off)
					return err
				},
				"concatenated": func(f vfs.File, off int64) error {
					joined = joined[:0]
					for _, p := range bufs {
						joined = append(joined, p...)
					}
					_, err := f.WriteAt(joined, off)
					return err
				},
			}
			for _, prewritten := range []bool{false, true} {
				for name, write := range writes {
					b.Run(fmt.Sprintf("%dKB/batch%d/prewritten=%v/%s", size>>10, batch, prewritten, name), func(b *testing.B) {
						b.SetBytes(int64(size * batch))
						benchDisk(b, prewritten, int64(size*batch), write)
						b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "records/s")
					})
				}
			}
		}
		b.Run(fmt.Sprintf("%dKB/file per message", size>>10), func(b *testing.B) {
			dir := b.TempDir()
			p := make([]byte, size)
			for i := range b.N {
				f := benchFile(b, dir, i, false)
				_, err := f.WriteAt(p, 0)
				if err := errors.Join(err, f.Sync(), f.Close(), vfs.OS{}.SyncDir(dir)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

const benchFileSize = 64 << 20

// benchDisk appends and syncs, in files of 64 MB: new ones, or one that is written over again and again.
func benchDisk(b *testing.B, prewritten bool, size int64, write func(f vfs.File, off int64) error) {
	dir := b.TempDir()
	n := 0
	f := benchFile(b, dir, n, prewritten)
	off := int64(0)
	b.ResetTimer()
	for range b.N {
		if off+size > benchFileSize {
			if off = 0; !prewritten {
				f.Close()
				_ = os.Remove(filepath.Join(dir, fmt.Sprint("f", n)))
				n++
				f = benchFile(b, dir, n, false)
			}
		}
		if err := errors.Join(write(f, off), f.Sync()); err != nil {
			b.Fatal(err)
		}
		off += size
	}
	b.StopTimer()
	f.Close()
}

func benchFile(b *testing.B, dir string, i int, prewrite bool) vfs.File {
	f, err := vfs.OS{}.Create(filepath.Join(dir, fmt.Sprint("f", i)))
	if err != nil {
		b.Fatal(err)
	}
	if prewrite {
		zeros := make([]byte, 1<<20)
		for off := int64(0); off < benchFileSize; off += int64(len(zeros)) {
			if _, err := f.WriteAt(zeros, off); err != nil {
				b.Fatal(err)
			}
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return f
}

// BenchmarkOpen measures opening and loading a queue of a million recipients, with half of them deferred, and the
// memory that it takes. One round is enough: -benchtime 1x.
func BenchmarkOpen(b *testing.B) {
	const n = 1_000_000
	dir := b.TempDir()
	s, err := Open(Options{Dir: dir, SyncInterval: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	fillQueue(b, s, n)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for _, kind := range []string{"after a clean end", "without checkpoints"} {
		b.Run(kind, func(b *testing.B) {
			for range b.N {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				begun := time.Now()
				s, err := Open(Options{Dir: dir, SyncInterval: time.Hour})
				if err != nil {
					b.Fatal(err)
				}
				opened := time.Since(begun)
				loaded := 0
				for cursor := mail.QueueID(0); ; {
					page, next, err := s.Load(context.Background(), 0, cursor, 1000)
					if err != nil {
						b.Fatal(err)
					}
					loaded += len(page)
					if cursor = next; cursor == 0 {
						break
					}
				}
				b.ReportMetric(opened.Seconds(), "s-open")
				b.ReportMetric(time.Since(begun).Seconds()-opened.Seconds(), "s-load")
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "octets/recipient")
				if loaded != n {
					b.Fatalf("%d loaded", loaded)
				}
				begun = time.Now()
				if _, _, err := s.Search(context.Background(), spool.Query{Domain: "d77.example.org"}, 0, 100); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(time.Since(begun).Seconds(), "s-search-domain")
				close(s.quit) // as if it were killed
				<-s.idle
				s.closeFiles()
				s.lock.Close()
			}
		})
		chks, err := filepath.Glob(filepath.Join(dir, "*.chk"))
		if err != nil {
			b.Fatal(err)
		}
		for _, name := range chks {
			if err := os.Remove(name); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// fillQueue queues n messages of 1 KB, every second of which is deferred.
func fillQueue(b *testing.B, s *Store, n int) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			body := make([]byte, 1000)
			env := benchEnvelope()
			env.Recipients = slices.Clone(env.Recipients)
			for {
				i := next.Add(1)
				if i > int64(n) {
					return
				}
				env.Recipients[0].Addr.Domain = fmt.Sprintf("d%d.example.org", i%5000)
				t, err := s.Begin(context.Background())
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = t.Write(body)
				if err := t.Commit(context.Background(), env); err != nil {
					b.Error(err)
					return
				}
				if i%2 == 0 {
					c := mail.Change{ID: t.ID(), Kind: mail.ChangeDefer, Attempts: 1, Due: time.Now(), Host: "mx.example.org",
						Reply: mail.NewReply(451, mail.Enhanced(4, 7, 1), "Greylisted, please try again in five minutes")}
					if err := s.Report(context.Background(), []mail.Change{c}); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
