package harness

import (
	"os"
	"path/filepath"
	"testing"
)

// Mono is the unpacked Mono runtime with its compiler.
type Mono struct{ root string }

// NewMono finds Mono.
func NewMono(tb testing.TB) Mono {
	tb.Helper()
	root := filepath.Join(Repo(tb), ".cache", "peers", "mono")
	if _, err := os.Stat(filepath.Join(root, "complete")); err != nil {
		lack(tb, "Mono", "run `make peers`")
	}
	return Mono{root}
}

// Compile compiles a C# file and returns the program.
func (m Mono) Compile(tb testing.TB, source string) string {
	tb.Helper()
	program := filepath.Join(Dir(tb), "program.exe")
	compiler := filepath.Join(m.root, "usr/lib/mono/4.5/mcs.exe")
	if out, err := m.Run(tb, compiler, "-nowarn:618", "-out:"+program, source); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	return program
}

// Run runs a program, with its settings and files in a folder of its own, and returns what it
// printed.
func (m Mono) Run(tb testing.TB, program string, args ...string) (string, error) {
	tb.Helper()
	home := tb.TempDir()
	env := []string{"MONO_CFG_DIR=" + filepath.Join(m.root, "etc"), "HOME=" + home, "TMPDIR=" + home, "LC_ALL=C.UTF-8"}
	return Run(tb, env, "", filepath.Join(m.root, "usr/bin/mono-sgen"), append([]string{program}, args...)...)
}
