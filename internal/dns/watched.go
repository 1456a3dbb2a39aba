package dns

import (
	"io"
	"os"
	"time"
)

// fileCheck is how often a file of the system is looked at for a change.
const fileCheck = 5 * time.Second

// watched is a small file that is read again when it has changed. Whoever has it locks it.
type watched struct {
	path  string // "": there is none
	limit int64  // octets read

	looked bool
	next   time.Time // of the next look
	time   time.Time // modification time, size and presence at the last read
	size   int64
	there  bool
}

// read returns the content if the file has changed since the last call, or came or went; the
// first call always does. A file that cannot be read counts as empty.
func (w *watched) read() (data []byte, changed bool) {
	now := time.Now()
	if w.looked && now.Before(w.next) {
		return nil, false
	}
	first := !w.looked
	w.looked, w.next = true, now.Add(fileCheck)
	if w.path == "" {
		return nil, first
	}
	info, err := os.Stat(w.path)
	switch {
	case err != nil || !info.Mode().IsRegular():
		gone := w.there
		w.there = false
		return nil, first || gone
	case w.there && info.ModTime().Equal(w.time) && info.Size() == w.size:
		return nil, false
	}
	w.there, w.time, w.size = true, info.ModTime(), info.Size()
	f, err := os.Open(w.path)
	if err != nil {
		return nil, true
	}
	defer f.Close()
	data, _ = io.ReadAll(io.LimitReader(f, w.limit))
	return data, true
}
