package badmail

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// The file name extensions. A message is there when its .BDP is: that name appears last.
const (
	ExtMessage    = ".BAD"
	ExtReason     = ".BDR"
	ExtProperties = ".BDP"
)

// Code says why a message is in badmail; the values are those of the original.
type Code uint32

// The codes.
const (
	CodeReport Code = 0xC00402C7 // a report could not be delivered, or could not be made
	CodePickup Code = 0xC00402CE // a file in the pickup directory could not be used
)

// Entry is one message for badmail.
type Entry struct {
	Env     *mail.Envelope // ID 0: the message never was in the spool
	Body    io.ReaderAt    // the stored message, Env.Content.Size octets
	Results []mail.Result  // what became of recipients; those without one are only named
	Code    Code
	Reason  string    // one sentence for the administrator
	File    string    // what the file was called that came in as a file; "" for other messages
	Time    time.Time // of the decision
	// Linked is the base name of an entry written before that belongs to this one: in the
	// entry of a report, that of the message it reports on. "" for none.
	Linked string
}

const (
	tmp       = ".tmp"
	sliceSize = 64 << 10
	maxTries  = 1 << 16
)

// Write makes the three files of e in dir, which is made if it does not exist, and returns
// their base name: 24 hexadecimal digits, the time and a counter.
//
// Each file is complete and durable or absent: it is written under a name that ends in .tmp,
// synced and renamed, .BDP last. After an error nothing of the entry remains but, where the
// process or the disk ended in mid-flight, files ending in .tmp. The caller keeps the message
// and tries again later. ctx is looked at between slices of the message.
func Write(ctx context.Context, fsys vfs.FS, dir string, e *Entry) (name string, err error) {
	name, _, err = write(ctx, fsys, dir, e)
	return name, err
}

// write is Write, and tells how many octets the files have.
func write(ctx context.Context, fsys vfs.FS, dir string, e *Entry) (name string, octets int64, err error) {
	if err := makeDir(fsys, dir); err != nil {
		return "", 0, fmt.Errorf("badmail directory: %w", err)
	}
	w := writer{fs: fsys, dir: dir}
	props, err := w.claim(e.Time)
	if err != nil {
		return "", 0, fmt.Errorf("badmail directory: %w", err)
	}
	defer func() {
		if err != nil {
			w.undo()
			name, octets, err = "", 0, fmt.Errorf("badmail %s: %w", w.name, err)
		}
	}()
	bdp, err := properties(w.name, e)
	if err != nil {
		_ = props.Close()
		return "", 0, err
	}
	if err := writeFile(ctx, props, sliceReader(bdp), int64(len(bdp))); err != nil {
		return "", 0, err
	}
	if err := w.file(ctx, ExtMessage, e.Body, e.Env.Content.Size); err != nil {
		return "", 0, err
	}
	bdr := reason(w.name, e)
	if err := w.file(ctx, ExtReason, sliceReader(bdr), int64(len(bdr))); err != nil {
		return "", 0, err
	}
	// .BDP takes its name once the others have theirs for good.
	for _, exts := range [][]string{{ExtMessage, ExtReason}, {ExtProperties}} {
		for _, ext := range exts {
			if err := fsys.Rename(w.path(ext+tmp), w.path(ext)); err != nil {
				return "", 0, err
			}
		}
		if err := fsys.SyncDir(dir); err != nil {
			return "", 0, err
		}
	}
	return w.name, e.Env.Content.Size + int64(len(bdp)) + int64(len(bdr)), nil
}

// makeDir makes dir, for good, if it is not there. Who has made it may have died before it was for good, so that is
// seen to each time.
func makeDir(fsys vfs.FS, dir string) error {
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	return vfs.SyncParents(fsys, dir)
}

// writer writes one entry.
type writer struct {
	fs   vfs.FS
	dir  string
	name string
}

func (w *writer) path(ext string) string { return filepath.Join(w.dir, w.name+ext) }

// claim finds a base name that is free and takes it by making its .BDP under the temporary
// name. Whoever else tries the name finds that or, since it is renamed last, all three files.
func (w *writer) claim(now time.Time) (vfs.File, error) {
	for n := range uint32(maxTries) {
		w.name = baseName(now, n)
		f, err := w.fs.Create(w.path(ExtProperties + tmp))
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		_, err = w.fs.Stat(w.path(ExtProperties))
		if errors.Is(err, fs.ErrNotExist) {
			return f, nil
		}
		_ = f.Close()
		_ = w.fs.Remove(w.path(ExtProperties + tmp))
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no free name after %d tries", maxTries)
}

// baseName is 24 hexadecimal digits: FILETIME low, FILETIME high, counter (100 ns since 1601).
func baseName(t time.Time, n uint32) string {
	ft := uint64(t.Unix()+from1601to1970)*1e7 + uint64(t.Nanosecond()/100)
	var b [12]byte
	binary.BigEndian.PutUint32(b[0:], uint32(ft))
	binary.BigEndian.PutUint32(b[4:], uint32(ft>>32))
	binary.BigEndian.PutUint32(b[8:], n)
	return hex.EncodeToString(b[:])
}

func (w *writer) file(ctx context.Context, ext string, src io.ReaderAt, size int64) error {
	f, err := w.fs.Create(w.path(ext + tmp))
	if err != nil {
		return err
	}
	return writeFile(ctx, f, src, size)
}

// undo removes what there is of the entry.
func (w *writer) undo() {
	for _, ext := range []string{ExtProperties, ExtReason, ExtMessage} {
		_ = w.fs.Remove(w.path(ext))
		_ = w.fs.Remove(w.path(ext + tmp))
	}
}

// writeFile fills f with size octets of src, syncs and closes it.
func writeFile(ctx context.Context, f vfs.File, src io.ReaderAt, size int64) (err error) {
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	buf := make([]byte, min(size, sliceSize))
	for off := int64(0); off < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := int(min(size-off, sliceSize))
		if m, err := src.ReadAt(buf[:n], off); m < n {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF // the message is shorter than its envelope says
			}
			return err
		}
		if _, err := f.WriteAt(buf[:n], off); err != nil {
			return err
		}
		off += int64(n)
	}
	return f.Sync()
}

// sliceReader is an io.ReaderAt over octets in memory.
type sliceReader []byte

func (s sliceReader) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(s)) {
		return 0, io.EOF
	}
	n := copy(p, s[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
