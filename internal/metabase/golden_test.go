package metabase

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file, or with -update writes it.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n")); !bytes.Equal(got, want) {
		t.Errorf("%s is out of date; go test -update rewrites it:\n%s", file, config.LineDiff(want, got))
	}
}

// options are those of a sample.
func options(name string) Options {
	o := Options{Source: name, DataDirectory: "/srv/mailroot"}
	if strings.HasPrefix(name, "windows") {
		o.Windows, o.DataDirectory = true, `C:\ProgramData\Mailroot`
		o.Env = func(name string) string {
			if strings.EqualFold(name, "SystemRoot") {
				return `C:\Windows`
			}
			return ""
		}
	}
	return o
}

// Each sample gives the file and the report that stand beside it, or the error, and each file is in order.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("testdata/*.[xt][mx][lt]")
	if err != nil || len(files) < 12 {
		t.Fatalf("there are %d samples: %v", len(files), err)
	}
	made, failed := 0, 0
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			base := strings.TrimSuffix(file, filepath.Ext(file))
			r, err := Import(bytes.NewReader(src), options(name))
			if err != nil {
				failed++
				golden(t, base+".error", []byte(err.Error()+"\n"))
				return
			}
			made++
			golden(t, base+".hcl", r.Config)
			var report bytes.Buffer
			if err := r.Report.Write(&report); err != nil {
				t.Fatal(err)
			}
			golden(t, base+".report", report.Bytes())
			if name == "security.xml" { // one is enough for the names of the fields
				j, err := json.MarshalIndent(r.Report, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				golden(t, base+".json", append(j, '\n'))
			}
			if cfg, problems := config.Parse(r.Config, ""); cfg == nil {
				t.Errorf("the file is in error:\n%s", problems)
			}
		})
	}
	if made < 12 || failed < 8 {
		t.Errorf("%d samples gave a file and %d an error", made, failed)
	}
}

// samples returns the names of the samples.
func samples(t testing.TB) (names []string) {
	files, err := filepath.Glob("testdata/*.[xt][mx][lt]")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		names = append(names, filepath.Base(f))
	}
	return names
}
