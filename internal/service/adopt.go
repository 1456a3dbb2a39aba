package service

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/badmail"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/pickup"
	"github.com/mailroot/mailroot/internal/vfs"
)

// OldKind is a folder of an old service.
type OldKind string

// The kinds.
const (
	OldBadmail OldKind = "badmail" // the files of one entry are copied into badmail
	OldDrop    OldKind = "drop"    // a file is copied into the drop folder
	OldPickup  OldKind = "pickup"  // a file is sent as any of the pickup folder
	OldQueue   OldKind = "queue"   // a queued message is sent, with the envelope that its header tells
)

// OldFile is one file of an old service.
type OldFile struct {
	Name string
	Size int64
}

// Old is what an old service left: one file, or the files of one entry of badmail.
type Old struct {
	Kind  OldKind
	Files []OldFile
	Body  io.Reader // their contents, one behind the other
	// Key, if not "", is the one that was told when it was looked at; other contents are not adopted.
	Key string
	// Look asks what would become of it, and changes nothing.
	Look bool
}

// OldState is what became of an Old.
type OldState string

// The states.
const (
	OldNew      OldState = "new"      // it would be adopted; of Old.Look only
	OldAdopted  OldState = "adopted"  // it was, now
	OldAlready  OldState = "already"  // it was, another time
	OldUnusable OldState = "unusable" // it cannot be; Adoption.Reason says why
)

// Adoption is the answer to an Old.
type Adoption struct {
	State  OldState
	Key    string // tells it from all others by name and contents
	As     string // the queue id, or the name that it has here
	Letter *pickup.Letter
	Reason string
}

// adoption is what a virtual server adopts with.
type adoption struct {
	dir    string // for the ledger and for files on their way
	ledger *ledger
}

// The names in the folder of the virtual server.
const (
	ledgerName = "adopted.log"
	stageName  = ".adopting"
)

// spare is what must stay free on the disk when something is adopted.
const spare = 512 << 20

// ErrOld is returned for what can be no file of an old service.
var ErrOld = errors.New("not what an old service leaves")

// Adopt takes over what an old service left. Each message is sent once, whatever happens: the ledger says what
// was. (A copy in badmail or drop can come twice when the power fails between the copy and its line and a
// program has fetched the first meanwhile.)
func (v *Server) Adopt(ctx context.Context, o *Old) (Adoption, error) {
	if err := o.check(); err != nil {
		return Adoption{}, err
	}
	v.adopting.Lock()
	defer v.adopting.Unlock()
	if v.adopted.ledger.err != nil {
		return Adoption{}, v.adopted.ledger.err
	}
	st, err := v.stage(o)
	defer st.close()
	if err != nil {
		return Adoption{}, err
	}
	a := Adoption{State: OldNew, Key: st.key}
	if line, ok := v.adopted.ledger.entries[st.key]; ok {
		a.State, a.As = OldAlready, line.As
		if line.State == ledgerBegun {
			return a, fmt.Errorf("nobody knows whether %s was taken as %s: the disk failed meanwhile; restart the service, which finds out", show(o.Files[0].Name), line.As)
		}
		return a, nil
	}
	if o.Key != "" && o.Key != st.key {
		a.State, a.Reason = OldUnusable, "The file was changed since it was looked at."
		return a, nil
	}
	switch o.Kind {
	case OldBadmail:
		err = v.adoptBadmail(ctx, o, st, &a)
	case OldDrop:
		err = v.adoptDrop(o, st, &a)
	default:
		err = v.adoptMessage(ctx, o, st, &a)
	}
	return a, err
}

const (
	maxOldName  = 1024    // octets; those of Windows have 255 characters
	maxOldSize  = 1 << 40 // octets
	maxOldFiles = 3
	maxShown    = 255 // octets of a name that is shown
)

func (o *Old) check() error {
	switch {
	case o.Kind != OldBadmail && o.Kind != OldDrop && o.Kind != OldPickup && o.Kind != OldQueue:
		return fmt.Errorf("%w: kind %q", ErrOld, show(string(o.Kind)))
	case len(o.Files) == 0, len(o.Files) > maxOldFiles, len(o.Files) > 1 && o.Kind != OldBadmail:
		return fmt.Errorf("%w: %d files at once", ErrOld, len(o.Files))
	}
	for _, f := range o.Files {
		if f.Name == "" || len(f.Name) > maxOldName || f.Size < 0 || f.Size > maxOldSize {
			return fmt.Errorf("%w: the file %q of %d octets", ErrOld, show(f.Name), f.Size)
		}
	}
	return nil
}

// show writes a name of an old service for a line of text.
func show(s string) string { return mail.Printable(s, maxShown) }

// staged is what was received, in files of our own.
type staged struct {
	fs    vfs.FS
	paths []string
	files []vfs.File
	key   string
}

func (s *staged) close() {
	for _, f := range s.files {
		_ = f.Close() // what was written is thrown away
	}
	for _, path := range s.paths {
		_ = s.fs.Remove(path) // the next one would replace it
	}
}

// stage receives the files and works out their key.
func (v *Server) stage(o *Old) (*staged, error) {
	s := &staged{fs: v.fs}
	if err := makeDir(v.fs, v.adopted.dir); err != nil {
		return s, err
	}
	var total int64
	for _, f := range o.Files {
		total += f.Size
	}
	if space, err := v.fs.Space(v.adopted.dir); err == nil && int64(min(space.Bytes, 1<<62))-2*total < spare { // it is written twice
		return s, fmt.Errorf("not enough room on the disk of %s for %d octets", v.adopted.dir, total)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00", o.Kind)
	for i, f := range o.Files {
		fmt.Fprintf(sum, "%s\x00%d\x00", strings.ToLower(f.Name), f.Size)
		if err := s.receive(filepath.Join(v.adopted.dir, fmt.Sprintf("%s-%d", stageName, i)), io.LimitReader(o.Body, f.Size), f.Size, sum); err != nil {
			return s, fmt.Errorf("%s: %w", show(f.Name), err)
		}
	}
	s.key = hex.EncodeToString(sum.Sum(nil)[:16])
	return s, nil
}

// receive writes one file. It need not be durable.
func (s *staged) receive(path string, body io.Reader, size int64, sum hash.Hash) error {
	if err := s.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := s.fs.Create(path)
	if err != nil {
		return err
	}
	s.paths, s.files = append(s.paths, path), append(s.files, f)
	n, err := io.Copy(io.MultiWriter(io.NewOffsetWriter(f, 0), sum), body)
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// done notes that something was adopted.
func (v *Server) done(o *Old, a *Adoption, as string) error {
	a.State, a.As = OldAdopted, as
	return v.adopted.ledger.add(ledgerLine{Key: a.Key, State: ledgerDone, Kind: string(o.Kind), Name: show(o.Files[0].Name), As: as, Time: time.Now()})
}

func (v *Server) adoptBadmail(ctx context.Context, o *Old, st *staged, a *Adoption) error {
	files := make([]badmail.Old, len(o.Files))
	message := false
	for i, f := range o.Files {
		files[i] = badmail.Old{Name: f.Name, Body: st.files[i], Size: f.Size}
		message = message || strings.EqualFold(filepath.Ext(f.Name), badmail.ExtMessage)
	}
	if o.Look {
		if !message {
			a.State, a.Reason = OldUnusable, "There is no "+badmail.ExtMessage+" file, and so no message."
		}
		return nil
	}
	name, err := v.bad.Adopt(ctx, files, time.Now())
	if errors.Is(err, badmail.ErrNoEntry) {
		a.State, a.Reason = OldUnusable, err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	return v.done(o, a, name)
}

// adoptDrop copies a file into the drop folder, as it is.
func (v *Server) adoptDrop(o *Old, st *staged, a *Adoption) error {
	if !strings.EqualFold(filepath.Ext(o.Files[0].Name), dropExt) {
		a.State, a.Reason = OldUnusable, "It is not called *"+dropExt+"."
		return nil
	}
	if o.Look {
		return nil
	}
	name, err := v.drop.adopt(st.files[0], o.Files[0], a.Key)
	if err != nil {
		return err
	}
	return v.done(o, a, name)
}

// adoptMessage sends the message in a file of pickup or queue.
func (v *Server) adoptMessage(ctx context.Context, o *Old, st *staged, a *Adoption) error {
	file, body := o.Files[0], st.files[0]
	set := pickupSettings(v.plan.Load().cfg)
	if o.Kind == OldQueue {
		// Whether the old service kept dots doubled in its queue is not known. A dot too many can be seen; one that
		// is taken away is lost.
		set.DotStuffed = false
	}
	letter, err := pickup.Submit(ctx, looking{}, body, file.Size, set)
	report := o.Kind == OldQueue && letter.Report && letter.SenderBy != senderLine
	if report { // else a report on it would go to whoever is in its From, and so on
		letter.Sender.Addr, letter.SenderBy = mail.Address{}, "Content-Type"
	}
	a.Letter = &letter
	if reason := pickup.Unusable(err); reason != "" {
		a.State, a.Reason = OldUnusable, reason
		if o.Kind == OldQueue || o.Look {
			return nil
		}
		return v.adoptBad(ctx, o, body, a)
	}
	if err != nil || o.Look {
		return err
	}
	tx, err := v.plan.Load().intake.BeginPickup(ctx)
	if err != nil {
		return err
	}
	defer tx.Abort()
	begun := ledgerLine{Key: a.Key, State: ledgerBegun, Kind: string(o.Kind), Name: show(file.Name), As: tx.ID().String(), Time: time.Now()}
	if err := v.adopted.ledger.add(begun); err != nil {
		return err
	}
	// From here on it is finished, whoever asked and may have gone.
	ctx = context.WithoutCancel(ctx)
	var into pickup.Transaction = tx
	if report {
		into = nullSender{tx}
	}
	_, err = pickup.Submit(ctx, into, body, file.Size, set)
	if err == nil {
		_, err = tx.Commit(ctx)
	}
	switch {
	case errors.Is(err, mail.ErrUnknownOutcome):
		return err // the next start finds out
	case err != nil:
		begun.State = ledgerDropped
		if reason := pickup.Unusable(err); reason != "" { // too many hops, for one
			a.State, a.Reason, err = OldUnusable, reason, nil
		}
		return errors.Join(err, v.adopted.ledger.add(begun))
	}
	if err := v.done(o, a, tx.ID().String()); err != nil {
		return fmt.Errorf("%s is in the queue as %s and goes out after the next start: %w", show(file.Name), tx.ID(), err)
	}
	tx.Enqueue()
	return nil
}

// adoptBad does with a file of the old pickup folder what is done with one of ours that is no message.
func (v *Server) adoptBad(ctx context.Context, o *Old, body io.ReaderAt, a *Adoption) error {
	reason := a.Reason
	bad := &pickup.Bad{
		File: show(o.Files[0].Name), Reason: reason, Body: body, Size: o.Files[0].Size,
		Sender: a.Letter.Sender, Recipients: a.Letter.Recipients,
	}
	if err := v.pickupBadmail(ctx, bad); err != nil {
		return err
	}
	err := v.done(o, a, "Badmail")
	a.State = OldUnusable
	return err
}

// senderLine is the field that says who sends in files that have an envelope.
const senderLine = "x-sender"

// nullSender is a transaction whose sender is the null reverse-path.
type nullSender struct{ pickup.Transaction }

func (n nullSender) From(s mail.Sender) {
	s.Addr = mail.Address{}
	n.Transaction.From(s)
}

// looking is a transaction of which nothing becomes.
type looking struct{}

func (looking) ID() mail.QueueID { return 0 }
func (looking) From(mail.Sender) {}
func (looking) Rcpt(_ context.Context, r mail.Recipient) (mail.Address, error) {
	return r.Addr, nil
}
func (looking) Write(p []byte) (int, error)                         { return len(p), nil }
func (looking) Commit(context.Context) (a mail.Accepted, err error) { return a, nil }
func (looking) Enqueue()                                            {}
func (looking) Abort()                                              {}
