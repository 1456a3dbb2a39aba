// Package load measures the relay as a whole: smtp-source sends, smtp-sink receives, all on
// loopback, and the same for Postfix beside it. It asserts that all mail arrives, never speed;
// `make bench` prints the figures. mailroot.sh starts the relay for other load tools.
package load

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// cell is one kind of load.
type cell struct {
	sessions int
	keep     bool // many messages on a connection
	size     int
	messages int
}

func (c cell) String() string {
	kind := "one message a connection"
	if c.keep {
		kind = "connections kept"
	}
	return fmt.Sprintf("%d sessions, %s, %d KB", c.sessions, kind, c.size>>10)
}

func (c cell) args() []string {
	args := []string{"-s", strconv.Itoa(c.sessions), "-m", strconv.Itoa(c.messages), "-l", strconv.Itoa(c.size),
		"-M", "client.test", "-f", "sender@client.test", "-t", "rcpt@remote.test"}
	if c.keep {
		args = append(args, "-d")
	}
	return args
}

var cells = []cell{
	{1, true, 4 << 10, 800},
	{20, true, 4 << 10, 3000},
	{100, false, 4 << 10, 3000},
	{20, true, 64 << 10, 1000},
	{20, true, 1 << 20, 80},
}

// target is a running relay under load.
type target struct {
	addr string
	pid  int
}

// TestLoad runs all cells for both relays when MAILROOT_BENCH is set, else one small one.
func TestLoad(t *testing.T) {
	run := cells
	if os.Getenv("MAILROOT_BENCH") == "" {
		run = []cell{{10, true, 4 << 10, 200}}
	}
	starters := []struct {
		name  string
		start func(t *testing.T, next string) target
	}{
		{"mailroot", func(t *testing.T, next string) target {
			s := harness.Start(t, harness.Options{SmartHost: []string{next}})
			return target{s.Addr(), s.PID()}
		}},
		{"postfix", func(t *testing.T, next string) target {
			p := harness.StartPostfix(t, harness.PostfixOptions{Next: next, Main: []string{
				"in_flow_delay = 0", "default_process_limit = 500", "default_destination_concurrency_limit = 50",
				"initial_destination_concurrency = 50", "smtp_connection_cache_destinations = " + next,
				"maillog_file = /dev/null", "maillog_file_prefixes = /dev",
			}})
			return target{p.Addr, p.PID()}
		}},
	}
	for _, c := range run {
		for _, s := range starters {
			t.Run(fmt.Sprintf("%s/%v", s.name, c), func(t *testing.T) {
				sink := harness.StartCountingSink(t)
				measure(t, c, s.start(t, sink.Route()), sink)
			})
		}
	}
}

func measure(t *testing.T, c cell, relay target, sink *harness.SMTPSink) {
	t.Helper()
	before, start := cpu(relay.pid), time.Now()
	if out, err := harness.SMTPSource(t, append(c.args(), relay.addr)...); err != nil {
		t.Fatalf("smtp-source: %v\n%s", err, out)
	}
	accepted := time.Since(start)
	harness.Eventually(t, 4*harness.Patience, "all at the sink", func() bool { return sink.Count() >= c.messages })
	relayed := time.Since(start)
	if n := sink.Count(); n != c.messages {
		t.Errorf("%d messages at the sink, want %d", n, c.messages)
	}
	per := func(d time.Duration) float64 { return float64(c.messages) / d.Seconds() }
	t.Logf("%5.0f messages/s accepted, %5.0f relayed, %.3f CPU-ms each", per(accepted), per(relayed),
		float64((cpu(relay.pid)-before).Microseconds())/1000/float64(c.messages))
}

// cpu returns the processor time of all processes in the session that pid leads, those that
// have ended and were waited for included (proc(5), /proc/PID/stat, in 1/100 s). Without /proc
// it is 0.
func cpu(pid int) time.Duration {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	ticks := 0
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		_, rest, ok := strings.Cut(string(b), ") ")
		f := strings.Fields(rest)
		if !ok || len(f) < 15 || f[3] != strconv.Itoa(pid) {
			continue
		}
		for _, field := range f[11:15] { // utime, stime, cutime, cstime
			n, _ := strconv.Atoi(field)
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
