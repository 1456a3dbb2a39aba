package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// quarantineDir makes the folder and returns its path.
func (s *Store) quarantineDir() (string, error) {
	dir := s.path(quarantineName)
	if err := s.fs.MkdirAll(dir); err != nil {
		return "", err
	}
	// Also if it was there: who made it may have died before this.
	return dir, s.fs.SyncDir(s.o.Dir)
}

// createNew makes a file in dir under name, or name.1, name.2 … if that is taken.
func (s *Store) createNew(dir, name string) (vfs.File, string, error) {
	for i := 0; ; i++ {
		n := name
		if i > 0 {
			n = fmt.Sprintf("%s.%d", name, i)
		}
		f, err := s.fs.Create(filepath.Join(dir, n))
		if err == nil || !errors.Is(err, fs.ErrExist) || i > 1000 {
			return f, n, err
		}
	}
}

// explain writes why name is in quarantine.
func (s *Store) explain(dir, name, reason string) error {
	f, _, err := s.createNew(dir, name+".txt")
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(reason+"\n"+putAsideAt+time.Now().UTC().Format(time.RFC3339)+"\n"), 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// putAside copies length octets of f from off on into quarantine, as many as there are, and returns the name there. Holes stay
// holes; one at the end is left out.
func (s *Store) putAside(f io.ReaderAt, off, length int64, name, reason string) (as string, err error) {
	dir, err := s.quarantineDir()
	if err != nil {
		return "", err
	}
	to, name, err := s.createNew(dir, name)
	if err != nil {
		return "", err
	}
	return name, s.fillAside(f, off, length, dir, to, name, reason)
}

// fillAside writes what putAside has made, and why.
func (s *Store) fillAside(f io.ReaderAt, off, length int64, dir string, to vfs.File, name, reason string) (err error) {
	defer func() { err = errors.Join(err, to.Close()) }()
	buf := make([]byte, min(length, 1<<20))
	for at := int64(0); at < length; {
		if next := vfs.NextData(f, off+at, off+length) - off; next > at {
			at = next
			continue
		}
		n, err := f.ReadAt(buf[:min(int64(len(buf)), length-at)], off+at)
		if n > 0 {
			if _, err := to.WriteAt(buf[:n], at); err != nil {
				return err
			}
			at += int64(n)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := to.Sync(); err != nil {
		return err
	}
	if err := s.explain(dir, name, reason); err != nil {
		return err
	}
	return s.fs.SyncDir(dir)
}

// moveAside renames a whole file of the queue folder into quarantine.
func (s *Store) moveAside(name, reason string) error {
	dir, err := s.quarantineDir()
	if err != nil {
		return err
	}
	// Take a name that is free, and let the file replace what took it.
	f, to, err := s.createNew(dir, name)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := s.fs.Rename(s.path(name), filepath.Join(dir, to)); err != nil {
		_ = s.fs.Remove(filepath.Join(dir, to))
		return err
	}
	if err := s.explain(dir, to, reason); err != nil {
		return err
	}
	return errors.Join(s.fs.SyncDir(dir), s.fs.SyncDir(s.o.Dir))
}

// recordName names a part of a segment in quarantine.
func recordName(seg format.ID, off int64, id mail.QueueID) string {
	name := fmt.Sprintf("%s-%d", strings.TrimSuffix(seg.Name(), ".seg"), off)
	if id != 0 {
		name += "-" + id.String()
	}
	return name + ".rec"
}

// quarantineMessage puts aside a message that turned out to be damaged while the store is open, and takes it
// out of the spool. It is left where it is if that cannot be done.
func (s *Store) quarantineMessage(m *message, cause error) error {
	reason := fmt.Sprintf("message %v: %v", m.id, cause)
	s.mu.Lock()
	g := s.segs[m.seg]
	if g == nil {
		s.mu.Unlock()
		return nil
	}
	f, err := s.pin(g)
	s.mu.Unlock()
	name := format.BodyName(m.id) // if the segment has gone
	if err == nil {
		name, err = s.putAside(f, int64(m.off), int64(m.length), recordName(g.id, int64(m.off), m.id), reason)
		s.unpin(g)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("quarantine: %w", err)
	}
	if m.file {
		if err := s.moveAside(format.BodyName(m.id), reason); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("quarantine: %w", err)
		}
	}
	s.mu.Lock()
	s.stats.Quarantined++
	s.stats.Lost++
	s.noteDamaged(reason + "; now " + quarantineName + "/" + name)
	s.setAside(m.id, name)
	s.forget(m.id)
	s.mu.Unlock()
	err = s.reportGone(m)
	if s.o.Aside != nil {
		s.o.Aside(m.id, int(m.n))
	}
	return err
}

// maxAside bounds the messages of which is remembered where they are in quarantine.
const maxAside = 1000

// setAside remembers where a message is now. mu is held.
func (s *Store) setAside(id mail.QueueID, name string) {
	if s.setAsideAs == nil {
		s.setAsideAs = map[mail.QueueID]string{}
	}
	if len(s.setAsideAs) < maxAside {
		s.setAsideAs[id] = name
	}
}

// absent returns the error for a message that is not in the index. mu is held.
func (s *Store) absent(id mail.QueueID) error {
	if name := s.setAsideAs[id]; name != "" {
		return fmt.Errorf("%w: %s", spool.ErrDamaged, name)
	}
	return spool.ErrNotFound
}

// forget takes a message out of the index whatever the states of its recipients. mu is held.
func (s *Store) forget(id mail.QueueID) {
	if m := s.x.find(id); m != nil {
		for i := range s.x.recipients(m) {
			if r := &s.x.recipients(m)[i]; r.flags&rcptDone == 0 {
				s.x.apply(m, r, mail.ChangeDone, 0, 0, 0)
			}
		}
		m.refs = 0
		s.leave(m)
	}
}

// reportGone writes into the journal that all recipients of m are done, although m is not in the index
// any more. If that fails the next opening finds the damage again.
func (s *Store) reportGone(m *message) error {
	s.jmu.Lock()
	defer s.jmu.Unlock()
	err := s.ensureJournal()
	if err == nil {
		s.jbuf = format.BeginBlock(s.jbuf[:0])
		for i := range int(m.n) {
			s.jbuf, _ = format.AppendChange(s.jbuf, &mail.Change{ID: m.id, Rcpt: i, Kind: mail.ChangeDone})
		}
		err = s.writeJournal()
	}
	if err != nil {
		s.mu.Lock()
		s.must++
		s.marks++
		s.mu.Unlock()
	}
	return err
}
