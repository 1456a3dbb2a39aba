//go:build unix

package script

import (
	"os/exec"
	"strings"
	"testing"
)

// TestMakeRunQuotes: the data folder of make run may have a blank in its name.
func TestMakeRunQuotes(t *testing.T) {
	path, err := exec.LookPath("make")
	if err != nil {
		t.Skip("there is no make: ", err)
	}
	cmd := exec.Command(path, "-n", "run", "DATA=/srv/a b")
	cmd.Dir = "../.."
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{`mkdir -p "/srv/a b"`, `--data "/srv/a b" --out "/srv/a b/mailroot.hcl"`, `run --config "/srv/a b/mailroot.hcl"`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s is not in\n%s", want, out)
		}
	}
}
