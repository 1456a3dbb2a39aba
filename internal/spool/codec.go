package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// EnvelopeVersion is the version that AppendEnvelope writes. DecodeEnvelope reads it and all
// before it. A field that is added goes to the end, under a new version.
const EnvelopeVersion = 1

var (
	// ErrVersion is wrapped by DecodeEnvelope for an envelope of a later version.
	ErrVersion = errors.New("envelope of an unknown version")
	// ErrEnvelope is wrapped by DecodeEnvelope for octets that are not an envelope.
	ErrEnvelope = errors.New("not an envelope")
)

// Bits of the flags of an envelope.
const (
	flagUTF8 = 1 << iota
	flagRequireTLS
	flagEightBit
	flagContentUTF8
	flagBare
	flagOwnID
)

// minRecipient is the least number of octets that a recipient takes: two lengths for the
// address, notify, one length for ORCPT.
const minRecipient = 4

// minEdit is the least number of octets that an edit takes.
const minEdit = 3

// AppendEnvelope appends env in the binary form of EnvelopeVersion: one octet for the version, then
// numbers as varints, texts with their length before them. It does not hold env.ID's text
// form or anything that depends on the machine.
func AppendEnvelope(dst []byte, env *mail.Envelope) []byte {
	dst = append(dst, EnvelopeVersion)
	dst = binary.BigEndian.AppendUint64(dst, uint64(env.ID))
	dst = binary.BigEndian.AppendUint64(dst, uint64(env.Original))
	dst = appendTime(dst, env.Arrived)
	dst = append(dst, byte(env.Source), flagsOf(env), byte(env.Sender.Body), byte(env.Sender.Ret))
	dst = appendAddress(dst, env.Sender.Addr)
	dst = binary.AppendVarint(dst, env.Sender.Size)
	dst = appendText(dst, env.Sender.EnvID)
	peer, _ := env.Peer.MarshalBinary() // never fails
	dst = appendText(dst, peer)
	for _, s := range [...]string{env.PeerName, env.Helo, env.Account, env.Protocol, env.DefaultDomain} {
		dst = appendText(dst, s)
	}
	c := &env.Content
	for _, n := range [...]int64{c.Size, c.HeaderLen, c.DotLines, int64(c.Hops)} {
		dst = binary.AppendVarint(dst, n)
	}
	dst = appendText(dst, c.MessageID)
	dst = appendText(dst, c.Subject)
	dst = binary.AppendUvarint(dst, uint64(len(c.Edits)))
	for _, e := range c.Edits {
		dst = binary.AppendUvarint(dst, uint64(e.Offset))
		dst = binary.AppendUvarint(dst, uint64(e.Length))
		dst = append(dst, byte(e.Kind))
	}
	dst = binary.AppendUvarint(dst, uint64(len(env.Recipients)))
	for i := range env.Recipients {
		r := &env.Recipients[i]
		dst = appendAddress(dst, r.Addr)
		dst = append(dst, byte(r.Notify))
		dst = appendText(dst, r.ORcpt)
	}
	return dst
}

func flagsOf(env *mail.Envelope) (f byte) {
	for i, set := range [...]bool{env.Sender.UTF8, env.Sender.RequireTLS, env.Content.EightBit, env.Content.UTF8, env.Content.Bare, env.Content.OwnID} {
		if set {
			f |= 1 << i
		}
	}
	return f
}

func appendText[T string | []byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendAddress(dst []byte, a mail.Address) []byte {
	return appendText(appendText(dst, a.Local), a.Domain)
}

// appendTime appends nanoseconds since 1970 in UTC, and 0 for the zero time, which thereby also
// stands for the first nanosecond of 1970.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(dst, 0)
	}
	return binary.AppendVarint(dst, t.UnixNano())
}

// DecodeEnvelope reads what AppendEnvelope wrote; all of b must be used. Work and memory are
// bounded by a small multiple of len(b), whatever b holds. The envelope does not refer to b.
// Times are in UTC.
func DecodeEnvelope(b []byte) (*mail.Envelope, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: empty", ErrEnvelope)
	}
	if b[0] == 0 || b[0] > EnvelopeVersion {
		return nil, fmt.Errorf("%w: %d", ErrVersion, b[0])
	}
	r := &reader{rest: string(b[1:])} // one copy; the texts are parts of it
	env := new(mail.Envelope)
	env.ID = mail.QueueID(r.uint64())
	env.Original = mail.QueueID(r.uint64())
	env.Arrived = r.time()
	env.Source = mail.Source(r.byte())
	flags := r.byte()
	s, c := &env.Sender, &env.Content
	s.UTF8, s.RequireTLS = flags&flagUTF8 != 0, flags&flagRequireTLS != 0
	c.EightBit, c.UTF8 = flags&flagEightBit != 0, flags&flagContentUTF8 != 0
	c.Bare, c.OwnID = flags&flagBare != 0, flags&flagOwnID != 0
	s.Body, s.Ret = mail.BodyType(r.byte()), mail.Ret(r.byte())
	s.Addr = r.address()
	s.Size = r.varint()
	s.EnvID = r.text()
	env.Peer = r.addr()
	for _, p := range [...]*string{&env.PeerName, &env.Helo, &env.Account, &env.Protocol, &env.DefaultDomain} {
		*p = r.text()
	}
	c.Size, c.HeaderLen, c.DotLines, c.Hops = r.varint(), r.varint(), r.varint(), int(r.varint())
	c.MessageID, c.Subject = r.text(), r.text()
	if n := r.count(minEdit); n > 0 {
		c.Edits = make([]mail.Edit, n)
		for i := range c.Edits {
			c.Edits[i] = mail.Edit{Offset: uint32(r.uvarint()), Length: uint32(r.uvarint()), Kind: mail.EditKind(r.byte())}
		}
	}
	if n := r.count(minRecipient); n > 0 {
		env.Recipients = make([]mail.Recipient, n)
		for i := range env.Recipients {
			env.Recipients[i] = mail.Recipient{Addr: r.address(), Notify: mail.Notify(r.byte()), ORcpt: r.text()}
		}
	}
	if r.bad || len(r.rest) > 0 {
		return nil, fmt.Errorf("%w: broken after %d of %d octets", ErrEnvelope, len(b)-len(r.rest), len(b))
	}
	return env, nil
}

// reader takes fields off rest. After the first that is not there it is bad and yields zeros.
type reader struct {
	rest string
	bad  bool
}

func (r *reader) take(n uint64) string {
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) byte() byte {
	if s := r.take(1); s != "" {
		return s[0]
	}
	return 0
}

func (r *reader) uint64() (v uint64) {
	for _, c := range []byte(r.take(8)) {
		v = v<<8 | uint64(c)
	}
	return v
}

func (r *reader) uvarint() (v uint64) {
	for shift := 0; shift < 64; shift += 7 {
		c := r.byte()
		if shift == 63 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.bad = true
	return 0
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) text() string { return r.take(r.uvarint()) }

func (r *reader) address() mail.Address {
	return mail.Address{Local: r.text(), Domain: r.text()}
}

func (r *reader) time() time.Time {
	if n := r.varint(); n != 0 {
		return time.Unix(0, n).UTC()
	}
	return time.Time{}
}

func (r *reader) addr() (a netip.Addr) {
	if s := r.text(); s != "" && a.UnmarshalBinary([]byte(s)) != nil {
		r.bad = true
	}
	return a
}

// count reads how many things follow that take at least size octets each.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.rest)/size) {
		r.bad = true
		return 0
	}
	return int(n)
}

// EnvelopeBound returns a number of octets that AppendEnvelope does not exceed for env.
func EnvelopeBound(env *mail.Envelope) int {
	const (
		fixed  = 256 // all numbers and lengths, the address of the client without its zone
		perRef = 2 * binary.MaxVarintLen64
	)
	n := fixed + len(env.Sender.Addr.Local) + len(env.Sender.Addr.Domain) + len(env.Sender.EnvID) + len(env.Peer.Zone()) +
		len(env.PeerName) + len(env.Helo) + len(env.Account) + len(env.Protocol) + len(env.DefaultDomain) +
		len(env.Content.MessageID) + len(env.Content.Subject) + perRef*len(env.Content.Edits)
	for i := range env.Recipients {
		r := &env.Recipients[i]
		n += 1 + 3*binary.MaxVarintLen64 + len(r.Addr.Local) + len(r.Addr.Domain) + len(r.ORcpt)
	}
	return n
}
