// Package budget gives the verdict on a run of test/tools/suites.sh: each suite must have passed
// within its seconds, and all of them together within those of the level.
package budget

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// levels are the seconds for a whole run. Compiling and fetching peers, which happen once on a
// machine, do not count for quick.
var levels = map[string]int{"quick": 180, "test": 2400, "soak": 0} // 0: none

// result is a line of the file that suites.sh writes.
type result struct {
	name          string
	took, allowed int
	status        string
}

func parse(text string) ([]result, error) {
	var out []result
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			return nil, fmt.Errorf("not a result: %q", line)
		}
		took, err1 := strconv.Atoi(f[1])
		allowed, err2 := strconv.Atoi(f[2])
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("not a result: %q", line)
		}
		out = append(out, result{f[0], took, allowed, f[3]})
	}
	return out, nil
}

// verdict says why a suite has failed, "" if it has not.
func (r result) verdict() string {
	if r.status != "passed" {
		return r.status
	}
	if r.took > r.allowed {
		return "over budget"
	}
	return ""
}

// whole sums up the seconds that count for a level, and says whether they are too many.
func whole(level string, results []result) (took, allowed int, ok bool) {
	for _, r := range results {
		if level != "quick" || r.name != "compile" {
			took += r.took
		}
	}
	allowed = levels[level]
	return took, allowed, allowed == 0 || took <= allowed
}

// TestSuites repeats the verdict on each suite, so that it stands at the end of the output.
func TestSuites(t *testing.T) {
	file, level := os.Getenv("MAILROOT_SUITES"), os.Getenv("MAILROOT_LEVEL")
	if file == "" {
		t.Skip("there is a verdict only after suites.sh has run suites: make quick, make test")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	results, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(results) == 0 {
		t.Fatal("no suite was run")
	}
	for _, r := range results {
		t.Run(r.name, func(t *testing.T) {
			t.Logf("%d s of %d s", r.took, r.allowed)
			if why := r.verdict(); why != "" {
				t.Error(why)
			}
		})
	}
	took, allowed, ok := whole(level, results)
	t.Logf("%s: %d s of %d s", level, took, allowed)
	if !ok {
		t.Error("all together over budget")
	}
}

// TestVerdict holds the verdict itself to account.
func TestVerdict(t *testing.T) {
	results, err := parse("compile\t400\t420\tpassed\nunit\t91\t90\tpassed\nrace\t3\t90\tfailed\nkill\t90\t90\tpassed\n")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", "over budget", "failed", ""} {
		if got := results[i].verdict(); got != want {
			t.Errorf("%s: %q, want %q", results[i].name, got, want)
		}
	}
	if took, _, ok := whole("quick", results); took != 184 || ok {
		t.Errorf("quick: %d s, ok %v", took, ok)
	}
	if took, _, ok := whole("test", results); took != 584 || !ok {
		t.Errorf("test: %d s, ok %v", took, ok)
	}
	if _, err := parse("nonsense\n"); err == nil {
		t.Error("nonsense was taken for a result")
	}
}
