package service

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// ledger remembers which files of an old service were adopted, so that each is once, also when it is offered again.
// It is a file of JSON lines that only grows. A line is synced before what it says is relied on; what a
// power cut leaves of the last line counts as not written.
//
// A message has two lines: "begun" with the queue id that it will have, before it is committed, and "done" before the
// queue hears of it. So what is begun and not done at a start was either not committed, and is forgotten,
// or committed and not delivered, and is done: recover asks the spool before the queue starts. It is the
// order of the pickup directory (docs/decisions/0005), with a line in the place of the claimed file.
type ledger struct {
	fs   vfs.FS
	path string

	end     int64 // of the file, which is written from here on
	entries map[string]ledgerLine
	err     error // why nothing can be adopted; nil: all is well
}

// ledgerLine is one line.
type ledgerLine struct {
	Key   string    `json:"key"`
	State string    `json:"state"` // begun, done, dropped
	Kind  string    `json:"kind,omitempty"`
	Name  string    `json:"name,omitempty"` // as the old service had it, made printable
	As    string    `json:"as,omitempty"`   // the queue id, or the name that it has here
	Time  time.Time `json:"time"`
}

// The states.
const (
	ledgerBegun   = "begun"
	ledgerDone    = "done"
	ledgerDropped = "dropped" // it was begun, and nothing came of it
)

const (
	maxLedger     = 1 << 30 // octets
	maxLedgerLine = 4 << 10
)

// openLedger reads the file. Trouble with it is kept for who adopts something: mail does not depend on it.
func openLedger(fsys vfs.FS, path string) *ledger {
	l := &ledger{fs: fsys, path: path, entries: make(map[string]ledgerLine)}
	if err := l.read(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.err = fmt.Errorf("the list of what was adopted cannot be read, and without it things could be sent twice: %s: %w", path, err)
	}
	return l
}

func (l *ledger) read() error {
	f, err := l.fs.Open(l.path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err == nil && size > maxLedger {
		err = fmt.Errorf("it has %d octets", size)
	}
	if err != nil {
		return err
	}
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, size), maxLedgerLine)
	for n := 1; ; n++ {
		b, err := r.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil // what a power cut left of the last line is overwritten
		}
		var line ledgerLine
		if err == nil {
			err = json.Unmarshal(b, &line)
		}
		switch {
		case err == nil && line.Key != "":
		case l.end+int64(len(b)) == size:
			return nil // of the last line a power cut may have kept the end without the beginning
		default:
			return fmt.Errorf("line %d is no line of it", n)
		}
		l.end += int64(len(b))
		l.take(line)
	}
}

func (l *ledger) take(line ledgerLine) {
	if line.State == ledgerDropped {
		delete(l.entries, line.Key)
		return
	}
	l.entries[line.Key] = line
}

// add makes a line durable. After an error nothing more is adopted before the next start: what reached the
// disk is not known.
func (l *ledger) add(line ledgerLine) error {
	if l.err != nil {
		return l.err
	}
	line.Time = line.Time.UTC()
	b, err := json.Marshal(line)
	if err == nil && len(b) >= maxLedgerLine {
		err = errors.New("a line of it would be too long")
	}
	if err == nil {
		err = l.write(append(b, '\n'))
	}
	if err != nil {
		l.err = fmt.Errorf("the list of what was adopted cannot be written; nothing more is adopted before the next start: %w", err)
		return l.err
	}
	l.take(line)
	return nil
}

func (l *ledger) write(b []byte) error {
	f, err := l.fs.OpenReadWrite(l.path)
	made := errors.Is(err, fs.ErrNotExist)
	if made {
		f, err = l.fs.Create(l.path)
	}
	if err != nil {
		return err
	}
	err = f.Truncate(l.end) // behind it is at most half a line
	if err == nil {
		_, err = f.WriteAt(b, l.end)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil && made {
		err = l.fs.SyncDir(filepath.Dir(l.path))
	}
	if err == nil {
		l.end += int64(len(b))
	}
	return err
}

// recover settles what was begun, by what the spool has. It must run before anything is delivered.
func (l *ledger) recover(ctx context.Context, has func(context.Context, mail.QueueID) (bool, error)) error {
	for _, line := range l.entries {
		if line.State != ledgerBegun {
			continue
		}
		id, err := mail.ParseQueueID(line.As)
		there := false
		if err == nil {
			there, err = has(ctx, id)
		}
		if err != nil {
			l.err = fmt.Errorf("what was adopted last cannot be looked up: %w", err)
			return l.err
		}
		line.State, line.Time = ledgerDropped, time.Now()
		if there {
			line.State = ledgerDone
		}
		if err := l.add(line); err != nil {
			return err
		}
	}
	return nil
}
