//go:build unix

package vfs

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestOpenIrregular: a folder that others may write to cannot keep us waiting, nor lead us elsewhere.
func TestOpenIrregular(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{os.Symlink("file", at("link")), os.Symlink(dir, at("dirlink")), syscall.Mkfifo(at("fifo"), 0o600), os.Mkdir(at("folder"), 0o700)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, name := range []string{"link", "dirlink", "fifo", "folder", "socket"} {
		if f, err := (OS{}).Open(at(name)); !errors.Is(err, ErrIrregular) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	if f, err := (OS{}).OpenReadWrite(at("link")); !errors.Is(err, ErrIrregular) {
		t.Errorf("for writing: %v, %v", f, err)
	}
	if f, err := (OS{}).Open(at("file")); err != nil || f.Close() != nil {
		t.Error(err)
	}
}

// TestReadRegular: what would keep a reader waiting, or never end, is refused by name.
func TestReadRegular(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), bytes.Repeat([]byte("x"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", at("link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(at("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, want := range map[string]string{
		at("fifo"): "is a FIFO", at("socket"): "is a socket", dir: "is a folder", os.DevNull: "is a device",
	} {
		if _, err := ReadRegular(name, 10); err == nil || !strings.Contains(err.Error(), name+": "+want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	for _, name := range []string{"file", "link"} {
		if b, err := ReadRegular(at(name), 10); err != nil || len(b) != 10 {
			t.Errorf("%s: %d octets, %v", name, len(b), err)
		}
	}
	if _, err := ReadRegular(at("none"), 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}
