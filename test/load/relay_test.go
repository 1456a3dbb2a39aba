package load

import (
	"bytes"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

// relay is a server under load, with a sink of its own that takes all its mail.
type relay struct {
	name  string
	addr  string
	usage *usage
	sink  *harness.SMTPSink
}

// lifted is what a load test needs of Mailroot beyond its defaults; all else, the log with all fields and the
// sync before each 250 among it, is as delivered.
func lifted(o harness.Options) harness.Options {
	o.Connections += "\n    inbound_limit = \"unlimited\"\n"
	o.Messages += "\n    max_per_connection = \"unlimited\"\n"
	o.MaxSize = "50MB"
	return o
}

// startMailroot starts Mailroot with a smart host, next.
func startMailroot(t *testing.T, next string, o harness.Options, wrap ...string) *harness.Server {
	t.Helper()
	o.SmartHost = []string{next}
	s := harness.New(t, o)
	s.Wrap = wrap
	s.Start()
	return s
}

// tuned are the lines that make Postfix fast, and let it write no mail log.
func tuned(next string) []string {
	return append(logging(next), "maillog_file = /dev/null", "maillog_file_prefixes = /dev")
}

// logging is tuned, with the mail log.
func logging(next string) []string {
	return []string{
		"in_flow_delay = 0", "default_process_limit = 500", "default_destination_concurrency_limit = 50",
		"initial_destination_concurrency = 50", "smtp_connection_cache_destinations = " + next, "max_use = 10000",
		"minimal_backoff_time = 300s", "maximal_backoff_time = 4000s", "queue_run_delay = 300s",
	}
}

func mailroot(t *testing.T, name string, o harness.Options, wrap ...string) *relay {
	t.Helper()
	sink := harness.StartCountingSink(t)
	s := startMailroot(t, sink.Route(), o, wrap...)
	return &relay{name, s.Addr(), watch(t, s.PID()), sink}
}

func postfix(t *testing.T, name string, lines func(string) []string, wrap ...string) *relay {
	t.Helper()
	sink := harness.StartCountingSink(t)
	p := harness.StartPostfix(t, harness.PostfixOptions{Next: sink.Route(), Main: lines(sink.Route()), Wrap: wrap})
	return &relay{name, p.Addr, watch(t, p.PID()), sink}
}

// cell is one kind of load.
type cell struct {
	sessions int
	keep     bool // many messages on a connection
	size     int  // octets
	messages int
}

// String names the cell: s20d-4k is 20 sessions that keep their connections, with messages of 4 KB.
func (c cell) String() string {
	kept := ""
	if c.keep {
		kept = "d"
	}
	size := fmt.Sprintf("%dk", c.size>>10)
	if c.size >= 1<<20 {
		size = fmt.Sprintf("%dm", c.size>>20)
	}
	return fmt.Sprintf("s%d%s-%s", c.sessions, kept, size)
}

func (c cell) args(addr string) []string {
	args := []string{"-s", strconv.Itoa(c.sessions), "-m", strconv.Itoa(c.messages), "-l", strconv.Itoa(c.size),
		"-M", "client.test", "-f", "sender@client.test", "-t", "rcpt@remote.test"}
	if c.keep {
		args = append(args, "-d")
	}
	return append(args, addr)
}

// sample is what one run of a cell showed.
type sample struct {
	accepted float64 // messages a second, until the last 250 was read
	relayed  float64 // messages a second, until the sink had all
	cost     float64 // processor time of the server for each message, ms
	power    float64 // messages a second that the processors could do if they did nothing else
}

// source runs smtp-source to its end.
func source(t *testing.T, c cell, addr string) (wall, cpu time.Duration) {
	t.Helper()
	cmd := harness.SMTPSourceCommand(t, c.args(addr)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	timer := time.AfterFunc(10*time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	start := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("smtp-source: %v\n%s", err, out.String())
	}
	return time.Since(start), spent(cmd)
}

func spent(cmd *exec.Cmd) time.Duration {
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// run puts the cell through the relay. All messages must arrive, and none twice.
func (r *relay) run(t *testing.T, c cell, processors int) sample {
	t.Helper()
	sinkUsage := &usage{pid: r.sink.PID()}
	before, server, sink := r.sink.Count(), r.usage.cpu(), sinkUsage.cpu()
	start := time.Now()
	accepted, generator := source(t, c, r.addr)
	end := start.Add(10 * time.Minute)
	for r.sink.Count()-before < c.messages && time.Now().Before(end) {
		time.Sleep(2 * time.Millisecond)
	}
	relayed := time.Since(start)
	time.Sleep(200 * time.Millisecond) // what is done behind the last message belongs to it
	if n := r.sink.Count() - before; n != c.messages {
		t.Fatalf("%s, %v: %d messages at the sink, want %d", r.name, c, n, c.messages)
	}
	n := float64(c.messages)
	cost := (r.usage.cpu() - server).Seconds()
	return sample{
		accepted: n / accepted.Seconds(),
		relayed:  n / relayed.Seconds(),
		cost:     1000 * cost / n,
		power:    n * float64(processors) / (cost + generator.Seconds() + (sinkUsage.cpu() - sink).Seconds()),
	}
}

// of takes one figure out of samples.
func of(s []sample, f func(sample) float64) []float64 {
	out := make([]float64, len(s))
	for i := range s {
		out[i] = f(s[i])
	}
	return out
}

func accepted(s sample) float64 { return s.accepted }
func relayed(s sample) float64  { return s.relayed }
func cost(s sample) float64     { return s.cost }
func power(s sample) float64    { return s.power }

// settings says what lifted changes, as it stands in the file.
func settings(o harness.Options) string {
	return strings.Join(strings.Fields(o.Connections+o.Messages+" max_size = "+o.MaxSize), " ")
}
