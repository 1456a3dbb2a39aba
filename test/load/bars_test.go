package load

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// rounds is how often each of several servers takes its turn; a figure is the median of the rounds.
var rounds = flag.Int("rounds", 5, "rounds of each measurement that is repeated")

// scale makes a run shorter, for who works on it: the bars mean the full size.
var scale = flag.Float64("scale", 1, "part of the messages, connections and so on of each measurement")

// scaled returns n times scale, one at least.
func scaled(n int) int { return max(int(float64(n)**scale), 1) }

// benchmark skips a test that measures, but for `make bench`.
func benchmark(t *testing.T) {
	t.Helper()
	if os.Getenv("MAILROOT_BENCH") == "" {
		t.Skip("it measures: make bench")
	}
}

// median returns the middle of the values.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// ratios divides pair by pair: what was measured in one round saw the same machine.
func ratios(a, b []float64) []float64 {
	out := make([]float64, min(len(a), len(b)))
	for i := range out {
		if b[i] != 0 {
			out[i] = a[i] / b[i]
		}
	}
	return out
}

// board is what was judged in this run, for the table at its end.
var board struct {
	sync.Mutex
	lines []string
	short int
}

// atLeast and atMost hold a figure against its bar. A figure that is short fails the whole run, at its end:
// the other measurements of its test go on.
func atLeast(t *testing.T, what string, got, bar float64) {
	t.Helper()
	judge(t, what, got, "≥", bar, got >= bar)
}

func atMost(t *testing.T, what string, got, bar float64) {
	t.Helper()
	judge(t, what, got, "≤", bar, got <= bar)
}

func judge(t *testing.T, what string, got float64, op string, bar float64, ok bool) {
	t.Helper()
	verdict := "met"
	if !ok {
		verdict = "**short**"
		t.Logf("short: %s: %.3g, the bar is %s %.3g", what, got, op, bar)
	}
	board.Lock()
	defer board.Unlock()
	if !ok {
		board.short++
	}
	board.lines = append(board.lines, fmt.Sprintf("| %s | %.3g | %s %.3g | %s |", what, got, op, bar, verdict))
}

// table is printed as Markdown when its test ends, so that it can be put into docs/benchmarks.md.
type table struct {
	name string
	rows []string
}

func newTable(t *testing.T, name string, columns ...string) *table {
	tab := &table{name: name, rows: []string{
		"| " + strings.Join(columns, " | ") + " |", "|" + strings.Repeat("---|", len(columns)),
	}}
	t.Cleanup(func() { fmt.Printf("\n%s\n\n%s\n\n", tab.name, strings.Join(tab.rows, "\n")) })
	return tab
}

func (tab *table) row(cells ...any) {
	out := make([]string, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case float64:
			out[i] = figure(c)
		default:
			out[i] = fmt.Sprint(c)
		}
	}
	tab.rows = append(tab.rows, "| "+strings.Join(out, " | ")+" |")
}

// figure writes a number with three digits or more.
func figure(v float64) string {
	switch {
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// printBoard ends the output of a run that judged something, and reports whether no bar is short.
func printBoard() bool {
	board.Lock()
	defer board.Unlock()
	if len(board.lines) == 0 {
		return true
	}
	fmt.Printf("\n%d processors, %s/%s, %s; medians of %d rounds\n\n| what | figure | bar | |\n|---|---|---|---|\n%s\n\n%d of %d bars met\n",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), *rounds, strings.Join(board.lines, "\n"),
		len(board.lines)-board.short, len(board.lines))
	return board.short == 0
}
