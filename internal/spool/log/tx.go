package log

import (
	"context"
	"errors"
	"fmt"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// chunkSizes are the sizes of the buffers of a message, in the order in which it takes them; of
// the last as many as it needs.
var chunkSizes = [...]int{8 << 10, 32 << 10, 128 << 10}

// chunk is a pooled buffer.
type chunk struct {
	b    []byte // cap is its size
	size int    // index into chunkSizes
}

// takeChunk returns a chunk within the memory limit.
func (s *Store) takeChunk(size int) (*chunk, error) {
	n := int64(chunkSizes[size])
	if s.inFlight.Add(n) > s.limits.Load().Memory {
		s.inFlight.Add(-n)
		s.room.tight.Store(true)
		return nil, errStorage(errLowMemory)
	}
	if c, ok := s.chunks[size].Get().(*chunk); ok {
		c.b = c.b[:0]
		return c, nil
	}
	return &chunk{make([]byte, 0, chunkSizes[size]), size}, nil
}

func (s *Store) giveChunk(c *chunk) {
	s.inFlight.Add(-int64(chunkSizes[c.size]))
	s.chunks[c.size].Put(c)
}

// Hold counts n octets of memory that a message on its way in takes outside of the store, so that they
// are limited together with its own. It fails as Begin does when there are none left. A negative n
// gives back.
func (s *Store) Hold(n int64) error {
	if s.inFlight.Add(n) > s.limits.Load().Memory && n > 0 {
		s.inFlight.Add(-n)
		s.room.tight.Store(true)
		return s.refused(errStorage(errLowMemory))
	}
	return nil
}

// tx is a message on its way in. The first chunk begins with room for the record's header.
type tx struct {
	s      *Store
	id     mail.QueueID
	chunks []*chunk
	first  [4]*chunk // the usual backing of chunks
	size   int64
	crc    uint32
	f      vfs.File // of a large message; chunks then hold what was not written yet
	filed  int64    // octets in f
	err    error    // sticky
	done   bool
	c      commit
}

// Begin implements spool.Store.
func (s *Store) Begin(ctx context.Context) (spool.Tx, error) { return s.beginTx(ctx, s.checkRoom) }

// BeginReport is Begin for a report of our own: half of what Limits keep free is for these, so that mail that has to
// leave can leave while none is taken.
func (s *Store) BeginReport(ctx context.Context) (spool.Tx, error) {
	return s.beginTx(ctx, s.checkReserve)
}

func (s *Store) beginTx(ctx context.Context, room func() error) (spool.Tx, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	if err := room(); err != nil {
		return nil, s.refused(err)
	}
	id, err := s.nextID()
	if err != nil {
		return nil, s.refused(errLocal(err))
	}
	t := &tx{s: s, id: id}
	t.chunks = t.first[:0]
	return t, nil
}

// open fails when the store is closed.
func (s *Store) open() error {
	s.cmu.Lock()
	defer s.cmu.Unlock()
	if s.closed {
		return errLocal(spool.ErrClosed)
	}
	return nil
}

// ID implements spool.Tx.
func (t *tx) ID() mail.QueueID { return t.id }

var (
	errTxDone       = errors.New("the transaction has ended")
	errNoRecipients = errors.New("an envelope without recipients")
	errEnvelopeSize = errors.New("the envelope is too large")
)

// Write implements spool.Tx.
func (t *tx) Write(p []byte) (int, error) {
	switch {
	case t.done:
		return 0, errLocal(errTxDone)
	case t.err != nil:
		return 0, t.err
	}
	if t.f == nil && t.needsFile(len(p)) {
		if t.err = t.makeFile(); t.err != nil {
			return 0, t.s.refused(t.err)
		}
	}
	t.crc = format.AddSum(t.crc, p)
	n := len(p)
	if t.f == nil {
		p, t.err = t.buffer(p)
	} else {
		p, t.err = t.stream(p)
	}
	n -= len(p)
	t.size += int64(n)
	if t.err != nil {
		return n, t.s.refused(t.err)
	}
	return n, nil
}

// alwaysBuffered is the size up to which memory is lent to any message, in octets.
const alwaysBuffered = 256 << 10

// needsFile reports whether the message is too large for memory with n octets more. What stays in memory
// costs one write into a segment, most often over octets that are on the disk already, and shares its sync; a
// file costs three syncs and all that the file system does for a new file. So memory is used for medium
// messages too, while there is plenty.
func (t *tx) needsFile(n int) bool {
	size := t.size + int64(n)
	return size > int64(t.s.o.SmallMessage) || size > alwaysBuffered && t.s.inFlight.Load() > t.s.limits.Load().Memory/4
}

// buffer keeps p in chunks and returns what it could not keep.
func (t *tx) buffer(p []byte) ([]byte, error) {
	for len(p) > 0 {
		k := len(t.chunks)
		if k == 0 || len(t.chunks[k-1].b) == cap(t.chunks[k-1].b) {
			c, err := t.s.takeChunk(min(k, len(chunkSizes)-1))
			if err != nil {
				return p, err
			}
			if k == 0 {
				c.b = c.b[:format.HeaderSize]
			}
			t.chunks = append(t.chunks, c)
			k++
		}
		c := t.chunks[k-1]
		n := copy(c.b[len(c.b):cap(c.b)], p)
		c.b = c.b[:len(c.b)+n]
		p = p[n:]
	}
	return nil, nil
}

// makeFile gives the message a file of its own and moves there what is in chunks.
func (t *tx) makeFile() error {
	f, err := t.s.fs.Create(t.s.path(format.BodyName(t.id)))
	if err != nil {
		return t.s.writeError(fmt.Errorf("message file: %w", err))
	}
	t.f = f
	if len(t.chunks) > 0 {
		bufs := make([][]byte, len(t.chunks))
		for i, c := range t.chunks {
			bufs[i] = c.b
		}
		bufs[0] = bufs[0][format.HeaderSize:]
		if err := t.writeFile(bufs...); err != nil {
			return err
		}
		t.release()
	}
	c, err := t.s.takeChunk(len(chunkSizes) - 1)
	if err != nil {
		return err
	}
	t.chunks = append(t.chunks, c)
	return nil
}

// stream writes p to the file through the one chunk.
func (t *tx) stream(p []byte) ([]byte, error) {
	c := t.chunks[0]
	for len(p) > 0 {
		if len(c.b) == 0 && len(p) >= cap(c.b) { // large enough to go straight to the file
			if err := t.writeFile(p); err != nil {
				return p, err
			}
			return nil, nil
		}
		n := copy(c.b[len(c.b):cap(c.b)], p)
		c.b = c.b[:len(c.b)+n]
		p = p[n:]
		if len(c.b) == cap(c.b) {
			if err := t.writeFile(c.b); err != nil {
				return p, err
			}
			c.b = c.b[:0]
		}
	}
	return nil, nil
}

func (t *tx) writeFile(bufs ...[]byte) error {
	n, err := t.f.WritevAt(bufs, t.filed)
	t.filed += n
	t.s.room.written.Add(n)
	if err != nil {
		return t.s.writeError(fmt.Errorf("message file: %w", err))
	}
	return nil
}

// writeError makes err a reply, and looks at the free space when that is why.
func (s *Store) writeError(err error) error {
	s.failed(err)
	if vfs.IsNoSpace(err) {
		s.lookForRoom(true)
	}
	return errLocal(err)
}

// release gives the chunks back.
func (t *tx) release() {
	for _, c := range t.chunks {
		t.s.giveChunk(c)
	}
	t.chunks = t.first[:0]
}

// Commit implements spool.Tx. It does not return before the disk has answered, whatever ctx says: the
// answer is what the client waits for.
func (t *tx) Commit(ctx context.Context, env *mail.Envelope) error {
	switch {
	case t.done:
		return errLocal(errTxDone)
	case t.err != nil:
		err := t.err
		t.Abort()
		return err
	case ctx.Err() != nil:
		t.Abort()
		return errLocal(ctx.Err())
	case len(env.Recipients) == 0:
		t.Abort()
		return errLocal(errNoRecipients)
	}
	env.ID = t.id
	err := t.finishFile()
	if err == nil {
		err = t.finishRecord(env)
	}
	if err != nil {
		t.Abort()
		return t.s.refused(err)
	}
	t.done = true
	err = t.s.commit(&t.c)
	t.release()
	if err != nil && t.f != nil && !errors.Is(err, mail.ErrUnknownOutcome) {
		_ = t.s.fs.Remove(t.s.path(format.BodyName(t.id)))
	}
	return err
}

// finishFile makes the file of a large message durable, before a record names it.
func (t *tx) finishFile() error {
	if t.f == nil {
		return nil
	}
	if b := t.chunks[0].b; len(b) > 0 {
		if err := t.writeFile(b); err != nil {
			return err
		}
	}
	err := t.f.Sync()
	if cerr := t.f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = t.s.fs.SyncDir(t.s.o.Dir)
	}
	if err != nil {
		return t.s.writeError(fmt.Errorf("message file: %w", err))
	}
	// The chunk is used for the record from here on.
	t.chunks[0].b = t.chunks[0].b[:format.HeaderSize]
	return nil
}

// finishRecord puts the envelope behind the message and fills in t.c, but for the place.
func (t *tx) finishRecord(env *mail.Envelope) error {
	if len(t.chunks) == 0 { // a message without a single octet
		c, err := t.s.takeChunk(0)
		if err != nil {
			return err
		}
		c.b = c.b[:format.HeaderSize]
		t.chunks = append(t.chunks, c)
	}
	last := t.chunks[len(t.chunks)-1]
	bound := spool.EnvelopeBound(env) + format.RecordAlign
	if bound > format.MaxEnvelope {
		return errLocal(errEnvelopeSize)
	}
	r := &t.c.rec
	*r = format.Record{Version: format.RecordVersion, Kind: format.RecordInline, ID: t.id, Size: t.size, Original: env.Original, CRC: t.crc}
	if t.f != nil {
		r.Kind = format.RecordFile
	}
	dst, start := last.b, len(last.b)
	if cap(dst)-len(dst) < bound {
		dst, start = make([]byte, 0, bound), 0
	}
	dst = spool.AppendEnvelope(dst, env)
	r.EnvLen = uint32(len(dst) - start)
	r.EnvCRC = format.Sum(dst[start:])
	end := r.EnvOff() + int64(r.EnvLen)
	dst = append(dst, make([]byte, format.Align(end)-end)...)
	t.c.env = env
	t.c.bufs = t.c.few[:0]
	for _, c := range t.chunks {
		t.c.bufs = append(t.c.bufs, c.b)
	}
	if start == 0 {
		t.c.bufs = append(t.c.bufs, dst)
	} else {
		t.c.bufs[len(t.c.bufs)-1] = dst
	}
	return nil
}

// Abort implements spool.Tx.
func (t *tx) Abort() {
	if t.done {
		return
	}
	t.done = true
	t.release()
	if t.f != nil {
		_ = t.f.Close()
		_ = t.s.fs.Remove(t.s.path(format.BodyName(t.id)))
	}
}
