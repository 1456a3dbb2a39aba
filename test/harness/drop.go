package harness

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// DropFile is one file of the drop directory, taken apart.
type DropFile struct {
	Name      string
	Written   time.Time // modification time
	Sender    string    // of x-sender
	Receivers []string  // of x-receiver, in order
	Trace     string    // Return-Path, if any, and our Received field, with line ends
	Message   []byte    // what follows our Received field
}

// ReadDrop reads all messages of a drop directory, oldest name first. Names other than *.eml
// are left out: a file is complete before it has that name.
func ReadDrop(dir string) ([]*DropFile, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	files := make([]*DropFile, 0, len(names))
	for _, name := range names {
		f, err := readDropFile(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		files = append(files, f)
	}
	return files, nil
}

func readDropFile(name string) (*DropFile, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	f := &DropFile{Name: filepath.Base(name), Written: info.ModTime()}
	return f, f.parse(b)
}

func (f *DropFile) parse(b []byte) error {
	rest := string(b)
	var line string
	take := func(prefix string) bool {
		l, r, ok := strings.Cut(rest, "\r\n")
		if !ok || !strings.HasPrefix(l, prefix) {
			return false
		}
		line, rest = l[len(prefix):], r
		return true
	}
	if !take("x-sender: ") {
		return fmt.Errorf("does not begin with x-sender: %.80q", b)
	}
	f.Sender = line
	for take("x-receiver: ") {
		f.Receivers = append(f.Receivers, line)
	}
	if len(f.Receivers) == 0 {
		return fmt.Errorf("x-sender is not followed by x-receiver: %.200q", b)
	}
	n, err := TraceLen([]byte(rest))
	if err != nil {
		return err
	}
	f.Trace, f.Message = rest[:n], []byte(rest[n:])
	return nil
}

// received is our trace field (RFC 5321 §4.4), folded as ours are: from whom (the pickup service, nobody in
// our own reports), by, with, id, for, date. What follows it is the message, even if that begins with a
// blank.
var received = regexp.MustCompile(`^Received: (?:from \S+ \((?:\S+ )?\[[0-9A-Fa-f.:v]+\]\)\r\n\tby \S+ with (?:UTF8SMTP|E?SMTP)S?A?(?: \(TLS\S+ \S+\))?|(?:from mail pickup service )?by \S+)` +
	`\r\n\tid [0-9a-z]{13}(?:\r\n\tfor <[^\s<>]+>)?;\r\n\t[A-Z][a-z][a-z], \d{1,2} [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d [+-]\d{4}\r\n`)

// TraceLen returns the length of the trace fields at the start of a message that mailroot has
// passed on: at most one Return-Path, then one Received field, which is checked.
func TraceLen(msg []byte) (int, error) {
	n := 0
	if bytes.HasPrefix(msg, []byte("Return-Path: ")) {
		n = bytes.IndexByte(msg, '\n') + 1
	}
	field := received.Find(msg[n:])
	if field == nil {
		return 0, fmt.Errorf("not a Received field as RFC 5321 wants it: %.300q", msg[n:])
	}
	return n + len(field), nil
}
