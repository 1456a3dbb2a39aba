package badmail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/vfs"
)

// Stored is an entry as it lies in the directory.
type Stored struct {
	Properties
	// Header is what the message itself says; it is read for Read, and for an entry without a
	// .BDP of ours, which has no other properties than Name, Reason, Code and Written.
	Header Header
	Octets int64 // of its files
	// Foreign says why the entry counts as another program's: its .BDP is missing or not ours.
	Foreign string
	// NoMessage says that the .BAD is missing: nothing is left to be submitted.
	NoMessage bool
}

// Header is what the header of a message says of it, for people: unfolded, not decoded, at most
// 500 octets of each field, made of characters that print.
type Header struct {
	From, To, Subject, Date, MessageID string
}

// ErrNotFound is returned for a name that no entry has.
var ErrNotFound = errors.New("no such entry in badmail")

const (
	maxHeader = 64 << 10 // octets of a .BAD that are looked at
	maxReason = 8 << 10  // and of the .BDR of another program
	maxField  = 500
)

// readFile returns the first limit octets of a file, and its size.
func (f *Folder) readFile(file string, limit int64) ([]byte, int64, error) {
	h, err := f.fs.Open(filepath.Join(f.dir, file))
	if err != nil {
		return nil, 0, err
	}
	defer h.Close()
	size, err := h.Size()
	if err != nil {
		return nil, 0, err
	}
	b := make([]byte, min(size, limit))
	n, err := h.ReadAt(b, 0)
	if n == len(b) || err == io.EOF { // it may have been cut meanwhile
		err = nil
	}
	return b[:n], size, err
}

// stored reads what the files of a slot say. head asks for the header of the message too. It
// never fails: what cannot be read is said in the result.
func (f *Folder) stored(s *slot, head bool) Stored {
	e := f.properties(s)
	for _, file := range s.files {
		if file == "" {
			continue
		}
		if info, err := f.fs.Stat(filepath.Join(f.dir, file)); err == nil {
			e.Octets += info.Size
		}
	}
	e.NoMessage = s.files[fileMessage] == ""
	if !e.NoMessage && (head || e.Foreign != "") {
		b, size, err := f.readFile(s.files[fileMessage], maxHeader)
		e.NoMessage = err != nil
		e.Header = header(b)
		if e.Foreign != "" {
			e.Size, e.Subject = size, e.Header.Subject
			if t, ok := parseDate(e.Header.Date); ok && e.Written.IsZero() {
				e.Written = t
			}
		}
	}
	return e
}

// properties reads the .BDP of a slot, or what there is instead.
func (f *Folder) properties(s *slot) Stored {
	var foreign string
	switch file := s.files[fileProperties]; file {
	case "":
		foreign = "there is no " + ExtProperties + " file"
	default:
		b, size, err := f.readFile(file, maxProperties)
		if err == nil && size > maxProperties {
			err = fmt.Errorf("%w: it is larger than %d octets", errNotOurs, maxProperties)
		}
		var p *Properties
		if err == nil {
			p, err = ParseProperties(b)
		}
		if err == nil && p.Name != s.name {
			err = fmt.Errorf("%w: it belongs to %s", errNotOurs, p.Name)
		}
		if err == nil {
			return Stored{Properties: *p}
		}
		foreign = show(err.Error())
	}
	e := Stored{Properties: Properties{Name: s.name, Written: s.time()}, Foreign: foreign}
	if s.files[fileReason] != "" {
		b, _, err := f.readFile(s.files[fileReason], maxReason)
		if err == nil {
			e.Reason, e.Code = foreignReason(b)
		}
	}
	return e
}

// foreignReason makes one line of the .BDR of another program, and finds the code in it.
func foreignReason(b []byte) (reason, code string) {
	text := strings.Join(strings.Fields(string(b)), " ")
	if _, after, ok := strings.Cut(text, "0x"); ok && len(after) >= 8 {
		if _, err := parseCode("0x" + after[:8]); err == nil {
			code = "0x" + strings.ToUpper(after[:8])
		}
	}
	return show(text), code
}

// header reads the fields that people want to see. The x-lines of the pickup and drop formats
// are fields like others to it.
func header(b []byte) (h Header) {
	fields := map[string]*string{"from": &h.From, "to": &h.To, "subject": &h.Subject, "date": &h.Date, "message-id": &h.MessageID}
	var field *string
	for len(b) > 0 {
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		b = rest
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if field != nil && len(*field) < maxField {
				*field += " " + showField(line)
			}
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		field = nil
		if len(name) > len("message-id")+1 {
			continue
		}
		if to := fields[strings.ToLower(string(bytes.TrimRight(name, " \t")))]; to != nil && *to == "" {
			*to, field = showField(value), to
		}
	}
	return h
}

func showField(b []byte) string {
	b = bytes.TrimSpace(b)
	return show(string(b[:min(len(b), maxField)]))
}

// parseDate reads the Date field of another program's message as most write it.
func parseDate(s string) (time.Time, bool) {
	s, _, _ = strings.Cut(s, " (") // a zone in words
	for _, layout := range []string{time.RFC1123Z, "Mon, _2 Jan 2006 15:04:05 -0700", "_2 Jan 2006 15:04:05 -0700", time.RFC1123} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// find returns all slots, and which of them has a name.
func (f *Folder) find(name string) (all []slot, at int, err error) {
	if all, _, err = slots(f.fs, f.dir); err != nil {
		return nil, 0, err
	}
	if at = slices.IndexFunc(all, func(s slot) bool { return s.name == name }); at >= 0 {
		return all, at, nil
	}
	return nil, 0, fmt.Errorf("%w: %.100q", ErrNotFound, name)
}

// Read returns one entry, with its Header. An original tells by Linked which report it belongs
// to; Linked is empty when that entry is no longer there.
func (f *Folder) Read(name string) (Stored, error) {
	all, at, err := f.find(name)
	if err != nil {
		return Stored{}, err
	}
	e := f.stored(&all[at], true)
	switch {
	case e.Cause() == CauseOriginal:
		e.Linked = f.reportOn(&all[at], all[at+1:])
	case !slices.ContainsFunc(all, func(s slot) bool { return s.name == e.Linked }):
		e.Linked = ""
	}
	return e, nil
}

// together is how long after an original its report is written, at the very most.
const together = 10 * time.Minute

// reportOn returns the name of the report that names an original, which was written right after it.
func (f *Folder) reportOn(s *slot, younger []slot) string {
	for i := range younger {
		if younger[i].time().Sub(s.time()) > together {
			break
		}
		if e := f.properties(&younger[i]); e.Linked == s.name {
			return e.Name
		}
	}
	return ""
}

// Open opens the message of an entry. The caller closes it; removing the entry meanwhile may
// fail on Windows.
func (f *Folder) Open(name string) (vfs.File, error) {
	all, at, err := f.find(name)
	if err != nil {
		return nil, err
	}
	file := all[at].files[fileMessage]
	if file == "" {
		return nil, fmt.Errorf("%w: the message of %s is missing", ErrNotFound, name)
	}
	m, err := f.fs.Open(filepath.Join(f.dir, file))
	if errors.Is(err, vfs.ErrIrregular) {
		err = fmt.Errorf("%w: the message of %s cannot be read: %w", ErrNotFound, name, err)
	}
	return m, err
}
