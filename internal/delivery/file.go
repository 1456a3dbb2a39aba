package delivery

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// partial is the folder within the drop directory where files are written: on the same volume,
// and out of sight of programs that list the directory's files.
const partial = ".partial"

// write puts one batch into the drop directory and returns the file's name. The file is
// complete or absent whatever happens; its name is durable after a sync of the directory.
//
// The name depends on nothing but the queue id and the first recipient of the batch. So when a
// crash comes between the file and the queue's mark, the repeat finds the file and leaves it at
// that. A file of that name with other contents is left alone and the next name is taken.
func (r *dropRun) write(ctx context.Context, b *mail.Batch) (string, error) {
	body, err := r.d.o.Body(ctx, b.ID)
	if err != nil {
		return "", &inputError{err}
	}
	defer body.Close()
	out, splices, err := r.d.outgoing(b.Env, body, r.splice, "")
	r.splice = splices
	if err != nil {
		return "", &inputError{err}
	}
	drop := &r.d.o.Drop
	name := fileName(b.ID, b.Rcpts[0], 0)
	temp := filepath.Join(drop.Dir, partial, name)
	f, err := r.create(temp)
	if err != nil {
		return "", err
	}
	head := appendDropHead(r.buf[:0], b)
	n, err := r.fill(f, head, out)
	if err == nil && drop.Mode != 0 {
		if file := vfs.OSFile(f); file != nil {
			err = file.Chmod(drop.Mode)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		name, err = r.publish(temp, b)
	}
	if err != nil {
		_ = drop.FS.Remove(temp) // the next attempt would replace it, too
		return "", err
	}
	r.octets += n
	if drop.Wrote != nil {
		drop.Wrote(n)
	}
	return name, nil
}

// create makes the temporary file, its folder if need be, and replaces what a crash left.
func (r *dropRun) create(temp string) (vfs.File, error) {
	drop := &r.d.o.Drop
	f, err := drop.FS.Create(temp)
	switch {
	case errors.Is(err, fs.ErrExist):
		if err := drop.FS.Remove(temp); err != nil {
			return nil, err
		}
	case errors.Is(err, fs.ErrNotExist):
		if err := r.d.drop.Make(partial); err != nil {
			return nil, err
		}
	default:
		return f, err
	}
	return drop.FS.Create(temp)
}

// fill writes the file. head stands at the start of r.buf, which is used for all of it.
func (r *dropRun) fill(f vfs.File, head []byte, body interface {
	io.ReaderAt
	Size() int64
}) (written int64, err error) {
	if len(head) > len(r.buf)/2 { // hundreds of recipients
		if _, err := f.WriteAt(head, 0); err != nil {
			return 0, err
		}
		written, head = int64(len(head)), nil
	}
	size := body.Size()
	fill := len(head)
	for off := int64(0); ; {
		n := int(min(int64(len(r.buf)-fill), size-off))
		if m, err := body.ReadAt(r.buf[fill:fill+n], off); m < n {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return written, &inputError{err}
		}
		off += int64(n)
		if _, err := f.WriteAt(r.buf[:fill+n], written); err != nil {
			return written, err
		}
		written += int64(fill + n)
		if off == size {
			return written, nil
		}
		fill = 0
	}
}

const maxNames = 10

// publish gives the finished file its name.
func (r *dropRun) publish(temp string, b *mail.Batch) (string, error) {
	drop := &r.d.o.Drop
	for n := range maxNames {
		name := fileName(b.ID, b.Rcpts[0], n)
		path := filepath.Join(drop.Dir, name)
		_, err := drop.FS.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return name, drop.FS.Rename(temp, path)
		}
		if err != nil {
			return "", err
		}
		same, err := r.equal(temp, path)
		if err != nil {
			return "", err
		}
		if same {
			return name, drop.FS.Remove(temp)
		}
	}
	return "", &fs.PathError{Op: "rename", Path: temp, Err: fs.ErrExist}
}

// equal compares two files. One that a program fetched meanwhile is not equal.
func (r *dropRun) equal(a, b string) (bool, error) {
	fa, err := r.d.o.Drop.FS.Open(a)
	if err != nil {
		return false, err
	}
	defer fa.Close()
	fb, err := r.d.o.Drop.FS.Open(b)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer fb.Close()
	half := len(r.buf) / 2
	for off := int64(0); ; off += int64(half) {
		n, err := fa.ReadAt(r.buf[:half], off)
		if err != nil && err != io.EOF {
			return false, err
		}
		m, errB := fb.ReadAt(r.buf[half:], off)
		if errB != nil && errB != io.EOF {
			return false, errB
		}
		if !bytes.Equal(r.buf[:n], r.buf[half:half+m]) {
			return false, nil
		}
		if n < half {
			return true, nil
		}
	}
}

const (
	epochFiletime = 11644473600000 // milliseconds from 1601 to 1970
	ticks         = 10000          // FILETIME units of 100 ns in a millisecond
)

// fileName returns the n-th name (from 0) of the file for one batch: 24 hexadecimal digits, as
// the original's: FILETIME low, FILETIME high, counter. The FILETIME is the millisecond in
// the queue id; its 10,000 units hold what does not fit elsewhere. The counter is that of the
// queue id (20 bits) and the index of the batch's first recipient (12 bits), since batches of
// one message share no recipient. Nothing in it is a peer's choice (bad input E16).
func fileName(id mail.QueueID, first, n int) string {
	filetime := (uint64(id)>>20+epochFiletime)*ticks + uint64(n*1000) + uint64(first>>12)%1000
	counter := uint32(id&0xfffff)<<12 | uint32(first)&0xfff
	dst := make([]byte, 0, 28)
	dst = appendHex(dst, uint32(filetime))
	dst = appendHex(dst, uint32(filetime>>32))
	dst = appendHex(dst, counter)
	return string(append(dst, ".eml"...))
}

func appendHex(dst []byte, v uint32) []byte {
	const digits = "0123456789abcdef"
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, digits[v>>shift&15])
	}
	return dst
}

// appendDropHead appends what stands before the message: the envelope in the original's
// x-sender and x-receiver lines, then Return-Path (RFC 5321 §4.4), the message's first field.
func appendDropHead(dst []byte, b *mail.Batch) []byte {
	sender := b.Env.Sender.Addr
	dst = append(dst, "x-sender: "...)
	if sender.IsNull() {
		dst = append(dst, "<>"...)
	}
	dst = append(appendClean(dst, sender), "\r\n"...)
	for _, i := range b.Rcpts {
		dst = append(dst, "x-receiver: "...)
		dst = append(appendClean(dst, b.Env.Recipients[i].Addr), "\r\n"...)
	}
	dst = append(dst, "Return-Path: <"...)
	return append(appendClean(dst, sender), ">\r\n"...)
}

// appendClean appends an address. No address that came in has a control octet; if one had, it
// could not begin a line of its own.
func appendClean(dst []byte, a mail.Address) []byte {
	start := len(dst)
	dst = append(dst, a.Local...)
	if a.Domain != "" {
		dst = append(append(dst, '@'), a.Domain...)
	}
	for i := start; i < len(dst); i++ {
		if c := dst[i]; c < ' ' || c == 0x7f {
			dst[i] = '?'
		}
	}
	return dst
}
