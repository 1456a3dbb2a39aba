package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

func itoa(n int) string { return strconv.Itoa(n) }

// varied is message i of a queue with many senders, recipients, domains and subjects.
func varied(i int) envelope {
	return envelope{
		from:    fmt.Sprintf("sender%d@client.test", i%1000),
		to:      []string{fmt.Sprintf("user%d@domain%d.test", i, i%5000)},
		subject: fmt.Sprintf("Invoice %d of order %d", i, i/7),
	}
}

// TestMillion lets a queue grow to a million messages, kills the server, starts it again, searches while mail comes in, and
// drains it.
func TestMillion(t *testing.T) {
	benchmark(t)
	port := harness.FreePort(t)
	o := lifted(harness.Options{Intervals: `"2h"`})
	s := startMailroot(t, "[127.0.0.1]:"+itoa(port), o)
	total := scaled(1_000_000)
	queueDir := filepath.Join(s.Dir, "default", "Queue")
	empty := disk(queueDir)

	rates := fill(t, s, total)
	tab := newTable(t, fmt.Sprintf("A queue of %d messages of 1 KB", total), "what", "figure")
	tab.row("accepted/s, first and last tenth", fmt.Sprintf("%.0f, %.0f", rates[0], rates[len(rates)-1]))
	atLeast(t, "a million queued: A of the last tenth, part of the first", rates[len(rates)-1]/rates[0], 0.9)
	_, rss := (&usage{pid: s.PID()}).memory()
	tab.row("resident when full, MB", float64(rss)/1e6)
	atMost(t, "a million queued: resident, MB", float64(rss)/1e6, 500)

	s.Kill9()
	listening, delivering := restart(t, s, port)
	tab.row("listens after a kill and a start, s", listening.Seconds())
	tab.row("delivers, s", delivering.Seconds())
	atMost(t, "a million queued: listens after, s", listening.Seconds(), 1)
	atMost(t, "a million queued: delivers after, s", delivering.Seconds(), 10)
	harness.Eventually(t, 10*harness.Patience, "all is read", func() bool { return !s.Status().VirtualServers[0].Queue.Loading })
	_, rss = (&usage{pid: s.PID()}).memory()
	tab.row("resident after the start, MB", float64(rss)/1e6)
	atMost(t, "a million queued: resident after a start, MB", float64(rss)/1e6, 500)

	searchAll(t, tab, s, slices.Max(rates)/2)
	drainAll(t, tab, s, port, queueDir, empty)
}

// fill queues n messages and returns the rate of each tenth.
func fill(t *testing.T, s *harness.Server, n int) []float64 {
	t.Helper()
	var rates []float64
	for tenth := range 10 {
		c := client{addr: s.Addr(), sessions: 20, keep: true, size: kb, messages: n / 10,
			envelope: func(i int) envelope { return varied(tenth*n/10 + i) }}
		done, err := c.run(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		rates = append(rates, float64(n/10)/done.wall.Seconds())
	}
	if got := s.Status().VirtualServers[0].Queue.Messages; got != n {
		t.Fatalf("%d messages are queued, want %d", got, n)
	}
	return rates
}

// restart starts the server again, with its next hop up for a moment, and returns how long it took until it listened and until the
// first message was delivered.
func restart(t *testing.T, s *harness.Server, port int) (listening, delivering time.Duration) {
	t.Helper()
	sink := harness.StartCountingSinkAt(t, port)
	start := time.Now()
	heard := make(chan time.Duration, 1)
	go func() {
		for !harness.Answers(s.Addr()) && time.Since(start) < harness.Patience {
			time.Sleep(5 * time.Millisecond)
		}
		heard <- time.Since(start)
	}()
	s.Start()
	listening = <-heard
	for sink.Count() == 0 && time.Since(start) < harness.Patience {
		time.Sleep(5 * time.Millisecond)
	}
	delivering = time.Since(start)
	sink.Stop()
	return listening, delivering
}

// searchAll asks for the first page of each kind of search while mail comes in at a rate, and holds the median of seven against
// its bar.
func searchAll(t *testing.T, tab *table, s *harness.Server, rate float64) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error, 1)
	start := time.Now()
	go func() {
		c := client{addr: s.Addr(), sessions: 20, keep: true, size: kb, messages: 1 << 30, envelope: func(i int) envelope {
			time.Sleep(time.Until(start.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
			return varied(2_000_000 + i)
		}}
		_, err := c.run(ctx)
		over <- err
	}()
	ask := asker(s)
	id := firstID(t, ask)
	for _, q := range []struct {
		by, query string
		bar       float64 // ms
	}{
		{"recipient", `"recipient":"user777777@domain2777.test"`, 100},
		{"part of a recipient", `"recipient":"user77777"`, 100},
		{"sender", `"sender":"sender77@client.test"`, 100},
		{"domain", `"domain":"domain77.test"`, 100},
		{"client", `"client":"127.0.0.1"`, 100},
		{"account", `"account":"nobody"`, 100},
		{"status", `"status":"deferred"`, 100},
		{"id", `"ids":["` + id + `"]`, 100},
		{"age", `"older_than":"1s"`, 100},
		{"next hop", `"next_hop":` + strconv.Quote(s.Options.SmartHost[0]), 100},
		{"subject", `"subject":"Invoice 777777 of"`, 2000},
		{"Message-ID", `"message_id":"nobody.has.this@test"`, 2000},
		{"reply", `"reply":"refused"`, 2000},
	} {
		var took []float64
		for range 7 {
			begin := time.Now()
			if _, err := ask("{" + q.query + "}"); err != nil {
				t.Errorf("search by %s: %v", q.by, err)
				break
			}
			took = append(took, float64(time.Since(begin).Microseconds())/1000)
		}
		tab.row("search by "+q.by+", ms", median(took))
		atMost(t, "a million queued, search by "+q.by+", ms", median(took), q.bar)
	}
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// asker returns a function that lists the queue over the control socket.
func asker(s *harness.Server) func(query string) ([]byte, error) {
	h := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.Dir, "control"))
	}}}
	return func(query string) ([]byte, error) {
		r, err := h.Post("http://mailroot/v1/queue/list", "application/json", strings.NewReader(query))
		if err != nil {
			return nil, err
		}
		defer r.Body.Close()
		var b bytes.Buffer
		if _, err := b.ReadFrom(r.Body); err != nil {
			return nil, err
		}
		if r.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %s", r.Status, b.String())
		}
		return b.Bytes(), nil
	}
}

func firstID(t *testing.T, ask func(string) ([]byte, error)) string {
	t.Helper()
	b, err := ask(`{"limit":1}`)
	if err != nil {
		t.Fatal(err)
	}
	var page struct {
		Messages []struct {
			ID string `json:"id"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(b, &page); err != nil || len(page.Messages) != 1 {
		t.Fatalf("%v: %s", err, b)
	}
	return page.Messages[0].ID
}

// drainAll lets all mail go and looks at what stays on the disk.
func drainAll(t *testing.T, tab *table, s *harness.Server, port int, queueDir string, empty int64) {
	t.Helper()
	n := s.Status().VirtualServers[0].Queue.Messages
	full := disk(queueDir)
	sink := harness.StartCountingSinkAt(t, port)
	start := time.Now()
	s.CLI("queue", "retry", "--all")
	end := start.Add(20 * time.Minute)
	for sink.Count() < n && time.Now().Before(end) {
		time.Sleep(20 * time.Millisecond)
	}
	took := time.Since(start)
	if sink.Count() < n {
		t.Fatalf("%d messages at the sink, want %d", sink.Count(), n)
	}
	tab.row("drained/s", float64(n)/took.Seconds())
	left := int64(0)
	harness.Within(3*time.Minute, func() bool {
		left = disk(queueDir) - empty
		return s.Empty() && left <= 64e6
	})
	tab.row("disk, MB: full, after the drain above what it was empty", fmt.Sprintf("%.0f, %.0f", float64(full)/1e6, float64(left)/1e6))
	atMost(t, "a million drained: disk above empty, MB", float64(left)/1e6, 64)
}
