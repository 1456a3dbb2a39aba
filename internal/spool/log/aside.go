package log

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// Quarantine returns what the store has put aside.
func (s *Store) Quarantine() spool.Quarantine { return aside{s} }

// aside is the quarantine of a store: the folder as it is, so that what an administrator takes out of it by
// hand is gone.
type aside struct{ s *Store }

// names lists the parts, without their reasons.
func (a aside) names() ([]string, error) {
	all, err := a.s.fs.ReadDir(a.s.path(quarantineName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return slices.DeleteFunc(all, func(n string) bool { return reasonName.MatchString(n) }), err
}

// reasonName matches the names of the files that say why.
var reasonName = regexp.MustCompile(`\.txt(\.[0-9]+)?$`)

// Count implements spool.Quarantine.
func (a aside) Count() (int, error) {
	names, err := a.names()
	return len(names), err
}

// List implements spool.Quarantine.
func (a aside) List(ctx context.Context, n int) (list []spool.Aside, err error) {
	names, err := a.names()
	if err != nil {
		return nil, err
	}
	for _, name := range names[:min(n, len(names))] {
		if err := ctx.Err(); err != nil {
			return list, err
		}
		p, err := a.open(name)
		if errors.Is(err, spool.ErrNotFound) {
			continue
		}
		if err != nil {
			return list, err
		}
		list = append(list, p.Aside)
		p.Close()
	}
	return list, nil
}

// Show implements spool.Quarantine.
func (a aside) Show(ctx context.Context, name string) (spool.Aside, error) {
	p, err := a.open(name)
	if err != nil {
		return spool.Aside{}, err
	}
	defer p.Close()
	if p.record.ID != 0 && p.Octets == p.record.Size {
		p.Whole = checkSum(ctx, p.message, p.off, p.Octets, p.record.CRC) == nil
	}
	return p.Aside, ctx.Err()
}

// Message implements spool.Quarantine.
func (a aside) Message(_ context.Context, name string) (io.ReaderAt, int64, io.Closer, error) {
	p, err := a.open(name)
	if err != nil {
		return nil, 0, nil, err
	}
	if p.Octets < 0 {
		p.Close()
		return nil, 0, nil, fmt.Errorf("%w: %s holds no message that can be found", spool.ErrNotFound, name)
	}
	return io.NewSectionReader(p.message, p.off, p.Octets), p.Octets, p, nil
}

// Remove implements spool.Quarantine.
func (a aside) Remove(_ context.Context, name string) error {
	p, err := a.open(name)
	if err != nil {
		return err
	}
	body := p.body
	p.Close()
	dir := a.s.path(quarantineName)
	for _, n := range []string{body, body + ".txt", name + ".txt", name} { // the name goes last
		if n == "" || n == ".txt" {
			continue
		}
		if err := a.s.fs.Remove(filepath.Join(dir, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return a.s.fs.SyncDir(dir)
}

// part is one file in quarantine that is open.
type part struct {
	spool.Aside
	files   []vfs.File
	record  format.Record
	message io.ReaderAt // the message begins in it at off
	off     int64
	body    string // the file of the message in quarantine, if it has one of its own
}

// Close closes the files.
func (p *part) Close() error {
	var errs []error
	for _, f := range p.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// partName takes the name of a record in quarantine apart: its segment, and perhaps the queue id; the rest tells
// equal names apart.
var partName = regexp.MustCompile(`^(seg-[0-9]{10}-[0-9a-f]{16})-[0-9]+(?:-([0-9a-z]{13}))?\.rec(?:\.[0-9]+)?$`)

// bodyPart is the same for the file of a message.
var bodyPart = regexp.MustCompile(`^(body-[0-9a-f]{16}\.dat)(?:\.[0-9]+)?$`)

// open opens a part and finds out what is in it.
func (a aside) open(name string) (*part, error) {
	dir := a.s.path(quarantineName)
	if name != filepath.Base(name) || reasonName.MatchString(name) {
		return nil, spool.ErrNotFound
	}
	info, err := a.s.fs.Stat(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir {
		return nil, spool.ErrNotFound
	}
	f, err := a.s.fs.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	p := &part{Aside: spool.Aside{Name: name, Octets: -1}, files: []vfs.File{f}}
	if p.Size, err = f.Size(); err != nil {
		p.Close()
		return nil, err
	}
	p.Reason, p.Time = a.reason(name)
	if m := bodyPart.FindStringSubmatch(name); m != nil {
		p.ID, _ = format.ParseBodyName(m[1])
		p.message, p.Octets = f, p.Size
		return p, nil
	}
	m := partName.FindStringSubmatch(name)
	if m == nil {
		return p, nil // a part of a journal, a checkpoint, a whole segment
	}
	if m[2] != "" {
		p.ID, _ = mail.ParseQueueID(m[2])
	}
	seg, ok := format.ParseName(m[1] + ".seg")
	if !ok {
		return p, nil
	}
	if p.record, ok = salvage(f, seg, p.Size); !ok {
		return p, nil
	}
	r := &p.record
	p.ID = r.ID
	// What is wrong with the envelope stands in the reason.
	p.Envelope, _ = readEnvelope(f, r, 0)
	if r.Kind == format.RecordInline {
		p.message, p.off, p.Octets = f, format.HeaderSize, min(r.Size, max(p.Size-format.HeaderSize, 0))
		return p, nil
	}
	return p, a.findBody(p)
}

// findBody looks for the file of a message whose record is in quarantine.
func (a aside) findBody(p *part) error {
	dir, name := a.s.path(quarantineName), format.BodyName(p.record.ID)
	f, err := a.s.fs.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		p.Close()
		return err
	}
	p.files = append(p.files, f)
	p.body, p.message = name, f
	if p.Octets, err = f.Size(); err != nil {
		p.Close()
	}
	return err
}

// salvage reads the header of a record in quarantine. One whose own checksum is wrong will do if its lengths fit
// and the envelope is where it says, whole.
func salvage(f io.ReaderAt, seg format.ID, size int64) (format.Record, bool) {
	var h [format.HeaderSize]byte
	if format.ReadFull(f, h[:], 0) != nil {
		return format.Record{}, false
	}
	if r, err := format.ParseRecord(h[:], seg); err == nil {
		return r, true
	}
	le.PutUint64(h[:], seg.Salt)
	le.PutUint32(h[56:], seg.Num)
	le.PutUint32(h[60:], format.Sum(h[:60]))
	r, err := format.ParseRecord(h[:], seg)
	if err != nil || r.Length() != format.Align(size) {
		return format.Record{}, false
	}
	_, err = readEnvelope(f, &r, 0)
	return r, err == nil
}

// reason reads why a part was put aside, and when.
func (a aside) reason(name string) (string, time.Time) {
	b, err := a.s.readSmall(filepath.Join(a.s.path(quarantineName), name+".txt"))
	if err != nil {
		return "", time.Time{}
	}
	text, when, _ := strings.Cut(strings.TrimSuffix(string(b), "\n"), "\n"+putAsideAt)
	at, err := time.Parse(time.RFC3339, when)
	if err != nil {
		at = time.Time{}
	}
	return text, at
}

// putAsideAt begins the last line of a reason.
const putAsideAt = "Put aside: "
