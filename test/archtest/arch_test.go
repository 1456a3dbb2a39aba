package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module       = "github.com/mailroot/mailroot"
	maxFileLines = 600
	maxFuncLines = 80
)

// pkg is what `go list` says of a package.
type pkg struct {
	ImportPath, Name, Doc, Dir string
	Standard                   bool
	Imports                    []string
	GoFiles                    []string
}

// load lists all packages of the module and what they need, as an operating system sees them.
func load(t *testing.T, goos string) map[string]*pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Name,Doc,Dir,Standard,Imports,GoFiles", "./...")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	all := map[string]*pkg{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

// ours returns the packages of the module.
func ours(all map[string]*pkg) []*pkg {
	var out []*pkg
	for path, p := range all {
		if path == module || strings.HasPrefix(path, module+"/") {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *pkg) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return out
}

// roomOf returns the room of an import path, "" for one outside internal/.
func roomOf(path string) string {
	rest, ok := strings.CutPrefix(path, module+"/internal/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// forTests reports whether a package exists for tests: dnstest, spooltest.
func forTests(path string) bool { return strings.HasSuffix(path, "test") }

var systems = []string{"linux", "windows", "darwin"}

func TestImports(t *testing.T) {
	for _, goos := range systems {
		t.Run(goos, func(t *testing.T) {
			all := load(t, goos)
			checked := 0
			for _, p := range ours(all) {
				for _, imp := range p.Imports {
					checked++
					checkImport(t, all, p, imp)
				}
			}
			if checked == 0 {
				t.Error("no imports were found to check")
			}
		})
	}
}

func checkImport(t *testing.T, all map[string]*pkg, p *pkg, imp string) {
	t.Helper()
	from, to := roomOf(p.ImportPath), roomOf(imp)
	rel := strings.TrimPrefix(p.ImportPath, module+"/")
	switch {
	case strings.HasPrefix(rel, "test/"):
		if to != "" && !forTests(imp) {
			t.Errorf("%s imports %s: what tests share knows the program from outside only", rel, imp)
		}
	case forTests(imp) && to != "" && !forTests(p.ImportPath):
		t.Errorf("%s imports %s, which is for tests", rel, imp)
	case strings.HasPrefix(rel, "cmd/"):
		if to != "" && to != "cli" {
			t.Errorf("%s imports %s: commands import cli only", rel, imp)
		}
	case from == "":
		t.Errorf("%s lies in no room", rel)
	case to != "":
		if ok, why := mayImport(from, to); !ok {
			t.Errorf("%s imports %s: %s", rel, imp, why)
		}
	case imp == "log" || imp == "log/slog":
		if rooms[from].layer < house && from != "record" {
			t.Errorf("%s imports %s: only record, service and above log; others return errors", rel, imp)
		}
	case all[imp] != nil && !all[imp].Standard && !forTests(p.ImportPath):
		if !slices.ContainsFunc(rooms[from].outside, func(o string) bool { return imp == o || strings.HasPrefix(imp, o+"/") }) {
			t.Errorf("%s imports %s, which its line in the table does not allow", rel, imp)
		}
	}
}

// Every folder of internal/ has a line in the table, and every package says what it is for.
func TestRoomsAndDocs(t *testing.T) {
	for _, p := range ours(load(t, "linux")) {
		if name := roomOf(p.ImportPath); name != "" {
			if _, ok := rooms[name]; !ok {
				t.Errorf("internal/%s is not in the table of rooms", name)
			}
		}
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		switch p.Name {
		case "util", "utils", "common", "helper", "helpers", "manager", "misc":
			t.Errorf("%s: the name says nothing", p.ImportPath)
		}
	}
}

// The rules themselves: what the table must forbid, and what it must allow.
func TestTable(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"session", "mail", true},
		{"session", "smtp", true},
		{"session", "policy", false}, // engines never one another
		{"session", "config", false},
		{"spool", "vfs", true},
		{"queue", "spool", true},
		{"queue", "delivery", false},
		{"intake", "config", false},
		{"mail", "vfs", false},
		{"smtp", "message", false},
		{"config", "dns", false},
		{"service", "config", true},
		{"service", "queue", true},
		{"delivery", "service", false},
		{"admin", "api", true},
		{"admin", "config", true},
		{"admin", "queue", false},
		{"api", "admin", false},
		{"cli", "admin", true},
		{"cli", "service", true},
		{"cli", "queue", false},
		{"cli", "metabase", true},
		{"metabase", "config", true},
		{"metabase", "service", false},
		{"control", "cli", false},
	} {
		if got, _ := mayImport(c.from, c.to); got != c.want {
			t.Errorf("%s → %s: allowed %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

// Files and functions stay small, and nothing happens before main.
func TestSizes(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		files++
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		checkFile(t, strings.TrimPrefix(path, "../../"), src)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Error("no files were found to check")
	}
}

func checkFile(t *testing.T, path string, src []byte) {
	t.Helper()
	if n := bytes.Count(src, []byte("\n")); n > maxFileLines {
		t.Errorf("%s has %d lines, at most %d are allowed", path, n, maxFileLines)
	}
	if strings.HasSuffix(path, "_test.go") {
		return
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, src, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return
	}
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > maxFuncLines {
			t.Errorf("%s: %s has %d lines, at most %d are allowed", path, fn.Name.Name, n, maxFuncLines)
		}
		if fn.Recv == nil && fn.Name.Name == "init" {
			t.Errorf("%s has an init function", path)
		}
	}
}
