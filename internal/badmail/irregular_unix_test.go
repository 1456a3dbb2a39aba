//go:build unix

package badmail

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mailroot/mailroot/internal/vfs"
)

// Names that lead elsewhere, or to somebody who may never answer, are entries without a message.
func TestIrregularFiles(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("Subject: secret\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		syscall.Mkfifo(filepath.Join(dir, "a.BAD"), 0o600), syscall.Mkfifo(filepath.Join(dir, "b.BDP"), 0o600),
		syscall.Mkfifo(filepath.Join(dir, "b.BDR"), 0o600), os.Symlink(secret, filepath.Join(dir, "c.BAD")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f := NewFolder(vfs.OS{}, dir)
	all, _, err := f.List(t.Context(), Query{}, "", 10)
	if err != nil || len(all) != 3 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	for _, e := range all {
		if e.Foreign == "" || !e.NoMessage || e.Subject != "" || e.Reason != "" {
			t.Errorf("%+v", e)
		}
	}
	for name, want := range map[string]string{"a": "FIFO", "c": "link"} {
		if _, err := f.Open(name); !errors.Is(err, ErrNotFound) || !errors.Is(err, vfs.ErrIrregular) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := f.Scan(noon); err != nil {
		t.Error(err)
	}
	if _, err := f.Clean(t.Context(), noon, Limits{MaxAge: 1, MaxSize: 1}); err != nil {
		t.Error(err)
	}
}
