package script

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// quote is a command that the manual shows, with what it prints there.
type quote struct {
	script, command string
	output          []string
}

// quotes reads the blocks of a page that name a script.
func quotes(t *testing.T, page string) (out []quote) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.Repo(t), "docs", "manual", page))
	if err != nil {
		t.Fatal(err)
	}
	script := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch name, begins := strings.CutPrefix(line, "```console "); {
		case begins:
			script = name
		case line == "```":
			script = ""
		case script == "":
		case strings.HasPrefix(line, "$ "):
			out = append(out, quote{script: script, command: line[2:]})
		case len(out) > 0:
			q := &out[len(out)-1]
			q.output = append(q.output, line)
		}
	}
	return out
}

var configFlag = regexp.MustCompile(` --config \S+`)

// asked returns, for each time that a script runs a command, what it asks of the output.
func asked(script, command string) (times [][]string) {
	lines := strings.Split(script, "\n")
	for i, line := range lines {
		line, isExec := strings.CutPrefix(line, "exec ")
		if !isExec || configFlag.ReplaceAllString(line, "") != command {
			continue
		}
		patterns := []string{}
		for _, next := range lines[i+1:] {
			p, ok := strings.CutPrefix(next, "stdout '")
			if !ok {
				break
			}
			patterns = append(patterns, strings.TrimSuffix(p, "'"))
		}
		times = append(times, patterns)
	}
	return times
}

// shows reports whether the output is one that a script asks for at one of the times: it asks for something, and all
// that it asks for is there.
func (q *quote) shows(times [][]string) bool {
	output := strings.Join(q.output, "\n")
	return slices.ContainsFunc(times, func(patterns []string) bool {
		for _, p := range patterns {
			if !regexp.MustCompile("(?m)" + p).MatchString(output) {
				return false
			}
		}
		return len(patterns) > 0
	})
}

// What the manual shows of the command line is what the scripts do, and it shows each command.
func TestManualQuotesTheScripts(t *testing.T) {
	shown := make(map[string]bool)
	for _, q := range quotes(t, "examples.md") {
		shown[q.command] = true
		script, err := os.ReadFile(filepath.Join("testdata", q.script))
		if err != nil {
			t.Error(err)
			continue
		}
		times := asked(string(script), q.command)
		switch {
		case len(times) == 0:
			t.Errorf("%s does not run %q", q.script, q.command)
		case len(q.output) > 0 && !q.shows(times):
			t.Errorf("of %q the manual shows\n%s\nand %s wants one of %q", q.command, strings.Join(q.output, "\n"), q.script, times)
		}
	}
	for _, verb := range verbs(t) {
		named := func(command string) bool {
			rest, ok := strings.CutPrefix(command, "mailroot "+verb)
			return ok && (rest == "" || rest[0] == ' ')
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(shown)), named) {
			t.Errorf("examples.md does not show %q", verb)
		}
	}
}

// verbs lists the commands of the program, but for the one that does not end by itself.
func verbs(t *testing.T) (out []string) {
	t.Helper()
	help, err := exec.Command(harness.Binary(t), "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, commands, _ := strings.Cut(string(help), "\nCommands:\n")
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z][a-z -]*[a-z])(  |$)`).FindAllStringSubmatch(commands, -1) {
		if m[1] != "run" {
			out = append(out, m[1])
		}
	}
	if len(out) < 30 {
		t.Fatalf("the help lists %q", out)
	}
	return out
}
