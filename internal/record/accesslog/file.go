package accesslog

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/mailroot/mailroot/internal/vfs"
)

// writer puts buffers into the files of their days. It belongs to one goroutine.
type writer struct {
	o    *Options
	file vfs.File
	name string // of file; "" if none is open
	day  int64
	size int64    // where the next octet goes
	info vfs.Info // of the file as it was opened
	torn bool     // the last write failed and may have left a part behind size
}

// write writes b, which may span days. After an error it can be called again with the same
// buffer: what was written is written again in the same place.
func (w *writer) write(b *buffer) (n int64, err error) {
	for len(b.marks) > 0 {
		m, end := b.marks[0], len(b.b)
		if len(b.marks) > 1 {
			end = b.marks[1].off
		}
		if w.file == nil || w.day != m.day || w.changed() {
			k, err := w.open(m.day)
			n += k
			if err != nil {
				return n, err
			}
		}
		k, err := w.append(b.b[m.off:end])
		n += k
		if err != nil {
			return n, err
		}
		b.marks = b.marks[:copy(b.marks, b.marks[1:])]
	}
	return n, nil
}

// changed reports whether somebody has moved the file away, removed it or cut it, as rotators do, or has
// written to it. Then it is opened anew, so that rows go on at the end that is there and none gets lost.
func (w *writer) changed() bool {
	info, err := w.o.FS.Stat(w.name)
	return err != nil || !info.Same(w.info) || info.Size < w.size || info.Size > w.size && !w.torn
}

// append writes p at the end of the file. A part of a row that reached the disk before an
// error is cut off again as far as the disk lets us.
func (w *writer) append(p []byte) (int64, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if _, err := w.file.WriteAt(p, w.size); err != nil {
		w.torn = w.file.Truncate(w.size) != nil
		return 0, err
	}
	w.torn = false
	w.size += int64(len(p))
	return int64(len(p)), nil
}

// open closes the file there is, opens or makes that of a day, and writes a header block.
func (w *writer) open(day int64) (n int64, err error) {
	w.close()
	if err := w.o.FS.MkdirAll(w.o.Dir); err != nil {
		return 0, err
	}
	name := filepath.Join(w.o.Dir, fileName(day))
	f, err := w.o.FS.Create(name)
	if errors.Is(err, fs.ErrExist) {
		f, err = w.o.FS.OpenReadWrite(name)
	}
	if err != nil {
		return 0, err
	}
	w.file, w.name, w.day = f, name, day
	defer func() {
		if err != nil {
			w.close() // so that the next attempt begins with the header again
		}
	}()
	if w.size, err = f.Size(); err != nil {
		return 0, err
	}
	if w.info, err = w.o.FS.Stat(name); err != nil {
		return 0, err
	}
	var head []byte
	if w.size > 0 {
		var last [1]byte
		if _, err := f.ReadAt(last[:], w.size-1); err != nil {
			return 0, err
		}
		if last[0] != '\n' {
			head = append(head, '\r', '\n') // a row that a power cut left unfinished
		}
	}
	return w.append(appendHeader(head, w.o.Software, time.Now()))
}

func (w *writer) close() {
	if w.file != nil {
		_ = w.file.Close() // each write has said already what became of it
		w.file, w.name = nil, ""
	}
}

// fileName returns exYYMMDD.log.
func fileName(day int64) string {
	return time.Unix(day*secondsDay, 0).UTC().Format("ex060102.log")
}

func countRows(b []byte) int { return bytes.Count(b, []byte{'\n'}) }
