package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

var build struct {
	once sync.Once
	path string
	err  error
}

// Main runs the tests of a package and then removes the binary that they built. Every package
// that calls Start has a TestMain that calls Main. after is called when all tests have run;
// false is a failure.
func Main(m *testing.M, after ...func() bool) {
	code := m.Run()
	for _, f := range after {
		if !f() && code == 0 {
			code = 1
		}
	}
	if build.path != "" {
		os.RemoveAll(filepath.Dir(build.path))
	}
	os.Exit(code)
}

// Binary returns the path of the mailroot binary, built from this source tree once in a test
// process. With MAILROOT_TEST_RACE=1 in the environment it has the race detector.
func Binary(tb testing.TB) string {
	tb.Helper()
	build.once.Do(func() {
		dir, err := os.MkdirTemp("", "mailroot-bin-")
		if err != nil {
			build.err = err
			return
		}
		build.path = filepath.Join(dir, "mailroot")
		if runtime.GOOS == "windows" {
			build.path += ".exe"
		}
		args := []string{"build", "-buildvcs=false", "-o", build.path}
		if os.Getenv("MAILROOT_TEST_RACE") == "1" {
			args = append(args, "-race")
		}
		cmd := exec.Command("go", append(args, "./cmd/mailroot")...)
		cmd.Dir = Repo(tb)
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if build.err != nil {
		tb.Fatal(build.err)
	}
	return build.path
}

// Repo returns the root of the source tree: the folder with go.mod above the test's own.
func Repo(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			tb.Fatal("no go.mod above the working directory")
		}
		dir = up
	}
}

// Dir makes a temporary folder that servers running under another account can enter, and
// whose name is short enough for a socket in it (108 octets at most). It is removed when the
// test ends.
func Dir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "mr-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("leaving %s behind: %v", dir, err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	return dir
}
