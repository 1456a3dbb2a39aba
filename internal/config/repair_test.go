package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// repairFile has errors that an editor can work around.
const repairFile = `version = 1
foo = 1
version = 1
conections {
  inbound_limit = 5
}
virtual_server "default" {
  connections {
    inbound_limt = 5
    inbound_timeout = "soon"
    outbound_limit = 10
  }
  domain "user@example.net" { kind = "remote" }
  binding {
  }
  access = {}
  console { address = "x" }
  delivery {
    local {
      max_retries = 5
    }
  }
}
virtual_server "second" {
}
`

// TestRepair: what is wrong in a file can be taken out or set right, one after the other, while
// the rest of it is still wrong; the errors that are left are told.
func TestRepair(t *testing.T) {
	src := []byte(repairFile)
	_, problems := Parse(src, "")
	left := len(problems.Errors())
	for _, c := range []struct {
		edit  string // as for edit; "unset PATH" goes by EditUnset
		fixes int
	}{
		{"connections.outbound_limit=20", 0},
		{"unset foo", 1},
		{"version=1", 0},
		{"unset conections", 1},
		{"unset virtual_server.default.connections.inbound_limt", 1},
		{"connections.inbound_timeout=60s", 1},
		{`unset domain["user@example.net"]`, 1},
		{"unset binding", 1},
		{"unset access", 1},
		{`unset virtual_server["default"].console`, 1},
		{"unset virtual_server.second", 1},
		{"unset delivery.local", 0},
		{"unset delivery", 0},
	} {
		e := edit(t, c.edit)
		if path, ok := strings.CutPrefix(c.edit, "unset "); ok {
			var err error
			if e, err = EditUnset(path); err != nil {
				t.Fatal(err)
			}
		}
		out, problems, err := Apply(src, "", e)
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.edit, err, src)
		}
		if left -= c.fixes; len(problems.Errors()) != left {
			t.Fatalf("%s: %d errors are left, want %d:\n%s\n%s", c.edit, len(problems.Errors()), left, problems, out)
		}
		src = out
	}
	const want = `version = 1
version = 1
virtual_server "default" {
  connections {
    inbound_timeout = "60s"
    outbound_limit = 20
  }
}
`
	if string(src) != want || left != 1 {
		t.Errorf("%d errors are left in\n%s", left, src)
	}
}

// TestRepairRefuses: an edit may not add an error, also not one more of a sort that is there.
func TestRepairRefuses(t *testing.T) {
	for _, text := range []string{"connections.outbound_limit=many", "connections.inbound_timeout=later", "connections.outbound_per_domain=11",
		`domain["example.org"].route=a`, "unset version"} {
		var invalid *InvalidError
		out, _, err := Apply([]byte(repairFile), "", edit(t, text))
		if err == nil || out != nil {
			t.Errorf("%s is accepted", text)
		}
		if errors.As(err, &invalid) && len(invalid.Problems) != 1 {
			t.Errorf("%s: more is told than what is new: %v", text, err)
		}
	}
	// What stands in a list twice is told twice.
	const twice = "access {\n relay {\n list = [\"x y\"]\n}\n}"
	if _, _, err := Apply([]byte(inServer(twice)), "", edit(t, `access.relay.list=["x y", "x y"]`)); err == nil {
		t.Error("an error is added to one like it")
	}
}

// TestEditUnset: a block, with or without label, is taken out as a whole.
func TestEditUnset(t *testing.T) {
	for path, want := range map[string]Op{
		"delivery": OpRemoveBlock, "delivery.local": OpRemoveBlock, "virtual_server.default.delivery.local": OpRemoveBlock,
		`domain["example.org"]`: OpRemoveBlock, "binding[\"*:25\"]": OpRemoveBlock, "console": OpRemoveBlock,
		"delivery.local.max_retries": OpUnset, "fqdn": OpUnset, "misspelt": OpUnset, `domain["a b"]`: OpUnset,
	} {
		if e, err := EditUnset(path); err != nil || e != (Edit{Op: want, Path: path}) {
			t.Errorf("%s: %+v %v", path, e, err)
		}
	}
	for _, path := range []string{"", "a..b", `domain["x`, "a b"} {
		if e, err := EditUnset(path); err == nil {
			t.Errorf("%q: %+v", path, e)
		}
	}
}

// TestErrUnknownSetting: a program can tell a path that leads nowhere from a wrong value.
func TestErrUnknownSetting(t *testing.T) {
	for text, want := range map[string]bool{
		"connections.inbound_limt=5": true, "nothing=1": true, "unset nothing": true, "unset fqdn": true, "remove messages": true,
		"add nothing": true, "access.relay.list-=192.0.2.77": true, "unset connections.nothing.at.all": true, "domain.example.org.kind=alias": true,
		"connections.inbound_limit=many": false, "access.relay.list+=192.0.2.1": false, "connections=5": false, "unset version": false,
		"a..b=1": false, "console.address=x": false,
	} {
		if _, _, err := Apply([]byte(editFile), "", edit(t, text)); err == nil || errors.Is(err, ErrUnknownSetting) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestPermission: what the operating system forbids can be told from other errors.
func TestPermission(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mailroot.hcl")
	if err := os.WriteFile(file, nil, 0); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(file); err == nil {
		_ = f.Close()
		t.Skip("nothing is forbidden to root, nor by mode bits on Windows")
	}
	if _, err := ReadFile(file); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("reading: %v", err)
	}
	if _, _, err := Load(file); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("loading: %v", err)
	}
	if err := WriteFile(file, nil, nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("comparing: %v", err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(dir, 0o700) }()
	if err := WriteFile(filepath.Join(dir, "new.hcl"), nil, nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("writing: %v", err)
	}
}
