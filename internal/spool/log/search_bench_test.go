package log

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
)

// searchEnvelope is message i of a mixed queue: of a thousand senders, two hundred clients and fifty accounts, to
// a recipient of its own in one of 5,000 domains.
func searchEnvelope(i int64) *mail.Envelope {
	return &mail.Envelope{
		Sender:     mail.Sender{Addr: mail.Address{Local: fmt.Sprintf("Sender%d", i%1000), Domain: "example.com"}},
		Recipients: []mail.Recipient{{Addr: mail.Address{Local: fmt.Sprintf("first.last%d", i), Domain: fmt.Sprintf("d%d.example.org", i%5000)}}},
		Arrived:    time.Now(), Helo: "client.example.com", Protocol: "ESMTPA", DefaultDomain: "example.com",
		Peer: netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 200)}), PeerName: fmt.Sprintf("client%d.example.com", i%200), Account: fmt.Sprintf("app%d", i%50),
		Content: mail.Content{
			Size: 1000, HeaderLen: 400, MessageID: fmt.Sprintf("<20260101120000.%08x@client%d.example.com>", i*7919, i%200),
			Subject: fmt.Sprintf("=?utf-8?q?Pr=C3=BCfbericht_%d?=", i),
		},
	}
}

// searchReply is the last reply to message i, one of so many texts.
func searchReply(i, texts int64) mail.Reply {
	return mail.NewReply(451, mail.Enhanced(4, 7, 1), fmt.Sprintf("Greylisted, please try again in five minutes (reference %d)", i%texts))
}

// fillSearch queues n messages of 1 KB from many writers; two thirds are deferred, and every thousandth held.
func fillSearch(tb testing.TB, s *Store, n, texts int64) {
	var next atomic.Int64
	var wg sync.WaitGroup
	body := []byte(strings.Repeat("A line of the message, as text has them.\r\n", 24)[:1000])
	for range 64 {
		wg.Go(func() {
			var changes []mail.Change
			for {
				i := next.Add(1)
				if i > n {
					break
				}
				t, err := s.Begin(context.Background())
				if err == nil {
					_, _ = t.Write(body)
					err = t.Commit(context.Background(), searchEnvelope(i))
				}
				if err != nil {
					tb.Error(err)
					return
				}
				if i%3 > 0 {
					changes = append(changes, mail.Change{ID: t.ID(), Kind: mail.ChangeDefer, Attempts: 1, Due: time.Now(), Host: "mx.example.org", Reply: searchReply(i, texts)})
				}
				if i%1000 == 0 {
					changes = append(changes, mail.Change{ID: t.ID(), Kind: mail.ChangeHold})
				}
				if len(changes) >= 100 {
					if err := s.Report(context.Background(), changes); err != nil {
						tb.Error(err)
					}
					changes = changes[:0]
				}
			}
			if err := s.Report(context.Background(), changes); err != nil {
				tb.Error(err)
			}
		})
	}
	wg.Wait()
}

// acceptMail lets about 4,000 messages a second come in, from number n on, until the function that it returns is called.
func acceptMail(tb testing.TB, s *Store, n int64) (stop func()) {
	var wg sync.WaitGroup
	done := make(chan struct{})
	for w := range int64(40) {
		wg.Go(func() {
			pace := time.NewTicker(10 * time.Millisecond)
			defer pace.Stop()
			for i := n + w + 1; ; i += 40 {
				select {
				case <-done:
					return
				case <-pace.C:
				}
				t, err := s.Begin(context.Background())
				if err == nil {
					_, _ = t.Write(make([]byte, 4000))
					env := searchEnvelope(i)
					env.Account, env.Content.Size = "busy", 999
					err = t.Commit(context.Background(), env)
				}
				if err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	return func() {
		close(done)
		wg.Wait()
	}
}

type searchQuery struct {
	name string
	q    spool.Query
	want int // entries of the first page
}

// searchQueries are what an administrator asks.
func searchQueries() []searchQuery {
	ago := time.Now().Add(-time.Hour)
	return []searchQuery{
		{"recipient", spool.Query{Recipient: "first.last777777@d2777.example.org"}, 1},
		{"recipient-part", spool.Query{Recipient: "*last77777*"}, 11},
		{"recipient-none", spool.Query{Recipient: "*nobody*"}, 0},
		{"sender", spool.Query{Sender: "sender77@example.com"}, 100},
		{"sender-domain", spool.Query{Sender: "*@example.com"}, 100},
		{"sender-none", spool.Query{Sender: "nobody@example.com"}, 0},
		{"sender-recipient", spool.Query{Sender: "*@example.com", Recipient: "*@d77.*"}, 100},
		{"sender-held", spool.Query{Sender: "sender0@example.com", States: []spool.State{spool.Held}}, 100},
		{"domain", spool.Query{Domain: "d77.example.org"}, 100},
		{"domain-part", spool.Query{Domain: "*77.example.org"}, 100},
		{"client-address", spool.Query{Client: "10.0.0.77"}, 100},
		{"client-name", spool.Query{Client: "client77.*"}, 100},
		{"client-none", spool.Query{Client: "192.0.2.*"}, 0},
		{"account", spool.Query{Account: "app7"}, 100},
		{"account-none", spool.Query{Account: "app77"}, 0},
		{"status", spool.Query{States: []spool.State{spool.Held}}, 100},
		{"age", spool.Query{After: ago}, 100},
		{"age-none", spool.Query{Before: ago}, 0},
		{"size-none", spool.Query{Larger: 1000}, 0},
		{"subject", spool.Query{Subject: "Prüfbericht 777777"}, 1},
		{"subject-part", spool.Query{Subject: "*bericht 77777*"}, 11},
		{"subject-none", spool.Query{Subject: "*rechnung*"}, 0},
		{"message-id", spool.Query{MessageID: fmt.Sprintf("20260101120000.%08x@client177.example.com", 777777*7919)}, 1},
		{"message-id-none", spool.Query{MessageID: "*@example.net*"}, 0},
		{"reply", spool.Query{Reply: "*greylisted*"}, 100},
		{"reply-part", spool.Query{Reply: "*reference 1777)"}, 100},
		{"reply-none", spool.Query{Reply: "*user unknown*"}, 0},
		{"reply-sender", spool.Query{Reply: "*greylisted*", Sender: "sender77@*"}, 100},
	}
}

// firstPage reads until a page is full, or all was looked at.
func firstPage(tb testing.TB, s *Store, q spool.Query) (entries int) {
	for cursor := spool.Cursor(0); ; {
		page, next, err := s.Search(context.Background(), q, cursor, 100-entries)
		if err != nil {
			tb.Fatal(err)
		}
		entries += len(page)
		if cursor = next; cursor == 0 || entries >= 100 {
			return entries
		}
	}
}

// BenchmarkSearch measures the first page of a search in a queue of a million messages of one recipient each: how long
// it takes, in ms, and with what memory the queue does. One round is enough: -benchtime 1x.
func BenchmarkSearch(b *testing.B) {
	const n = 1_000_000
	for _, texts := range []int64{3000, n} {
		b.Run(fmt.Sprintf("%d-replies", texts), func(b *testing.B) {
			dir := b.TempDir()
			s, err := Open(Options{Dir: dir})
			if err != nil {
				b.Fatal(err)
			}
			fillSearch(b, s, n, texts)
			benchQueries(b, s, "filled", texts)
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			begun := time.Now()
			if s, err = Open(Options{Dir: dir}); err != nil {
				b.Fatal(err)
			}
			opened := time.Since(begun)
			benchQueries(b, s, "opened", texts)
			stop := acceptMail(b, s, n)
			benchQueries(b, s, "accepting", texts)
			stop()
			b.Run("memory", func(b *testing.B) {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				b.ReportMetric(opened.Seconds(), "s-open")
				b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MB-heap")
				b.ReportMetric(rss(b), "MB-rss")
				b.ReportMetric(float64(s.Stats().Octets)/(1<<20), "MB-disk")
			})
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func benchQueries(b *testing.B, s *Store, when string, texts int64) {
	if when != "accepting" {
		settleIndexes(b, s)
	}
	for _, tt := range searchQueries() {
		if when == "accepting" && tt.name == "size-none" { // it is 4,000 octets that come
			continue
		}
		if texts > 3000 && !strings.HasPrefix(tt.name, "reply") { // the others were measured
			continue
		}
		if texts > 3000 && tt.name == "reply-part" {
			tt.want = 1
		}
		b.Run(when+"/"+tt.name, func(b *testing.B) {
			for range b.N {
				if got := firstPage(b, s, tt.q); got != tt.want {
					b.Fatalf("%d entries, want %d", got, tt.want)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/page")
		})
	}
}

// rss returns the resident memory of the process in MB, 0 where that is not known.
func rss(tb testing.TB) float64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident float64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		tb.Fatal(err)
	}
	return resident * float64(os.Getpagesize()) / (1 << 20)
}
