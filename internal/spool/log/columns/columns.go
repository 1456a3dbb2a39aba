// Package columns is the index that searches narrow by: which messages of a segment have a sender, recipient, client,
// account, Message-ID or subject, as a Builder makes it of envelopes, as it stands in memory (Batch) and in the file beside a
// segment (File). It says which messages may match; their envelopes decide. What is damaged is format.ErrDamage, and a
// reason to make an index anew.
package columns

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
	fields "github.com/mailroot/mailroot/internal/message"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
)

// All numbers in files are little-endian.
var le = binary.LittleEndian

// An index says which messages a condition may be true of, so that a search reads the envelopes of few. It is a
// row of batches; a batch describes up to batchRecords messages, column by column: the distinct
// values in lower case, one a line, and for each the messages that have it. A search looks for the longest literal
// part of its pattern in all lines at once.

// The columns. Part 0 of a batch are the ids.
const (
	colSender = iota + 1
	colRecipient
	colClient
	colAccount
	colMessageID
	colSubject
	parts
)

const (
	batchRecords = 1 << 15
	batchOctets  = 4 << 20 // of text after which a batch ends
	// A message with a longer value, or more recipients, is not described but always looked at.
	MaxValue      = 2 << 10
	maxIndexRcpts = 1 << 14
)

// Batch is a part of an index, in memory or in a file.
type Batch struct {
	N        int           // messages described
	Min, Max mail.QueueID  // the least and the largest id
	memory   [parts][]byte // nil: in the file
	off      int64         // of part 0 in the file; the others follow
	length   [parts]uint32
}

// Builder makes a batch.
type Builder struct {
	IDs    []mail.QueueID // described
	Odd    []mail.QueueID // not described
	cols   [parts]columnBuilder
	octets int
}

// columnBuilder collects the values of one column.
type columnBuilder struct {
	values map[string]uint32
	text   []byte
	pairs  []uint64 // value, message
}

// Full reports whether the batch should end.
func (b *Builder) Full() bool {
	return len(b.IDs)+len(b.Odd) >= batchRecords || b.octets >= batchOctets
}

// Add describes the message id; with a nil envelope, or one that cannot be described, it will
// always be looked at.
func (b *Builder) Add(id mail.QueueID, env *mail.Envelope) {
	if env == nil || !describable(env) {
		b.Odd = append(b.Odd, id)
		return
	}
	rec := len(b.IDs)
	b.IDs = append(b.IDs, id)
	eachValue(env, func(col int, v string) { b.octets += b.cols[col].add(rec, v) })
}

func describable(env *mail.Envelope) bool {
	ok := len(env.Recipients) <= maxIndexRcpts
	if ok {
		eachValue(env, func(_ int, v string) { ok = ok && len(v) <= MaxValue && strings.IndexByte(v, '\n') < 0 })
	}
	return ok
}

// eachValue calls f with what the conditions of a query are compared with, empty values left out.
func eachValue(env *mail.Envelope, f func(col int, v string)) {
	value := func(col int, v string) {
		if v != "" {
			f(col, v)
		}
	}
	if env.Sender.Addr.IsNull() {
		f(colSender, "<>")
	} else {
		value(colSender, env.Sender.Addr.String())
	}
	for i := range env.Recipients {
		value(colRecipient, env.Recipients[i].Addr.String())
	}
	value(colClient, env.PeerName)
	if env.Peer.IsValid() {
		value(colClient, env.Peer.String())
	}
	value(colAccount, env.Account)
	value(colMessageID, env.Content.MessageID)
	value(colSubject, env.Content.Subject)
	if text := fields.DecodeWords(env.Content.Subject); text != env.Content.Subject {
		value(colSubject, text)
	}
}

// add enters that rec has the value v, and returns how many octets of text that added.
func (c *columnBuilder) add(rec int, v string) (octets int) {
	v = mail.LowerASCII(v)
	n, known := c.values[v]
	if !known {
		if c.values == nil {
			c.values = map[string]uint32{}
			c.text = append(c.text, '\n')
		}
		n = uint32(len(c.values))
		c.values[strings.Clone(v)] = n // v is a part of the envelope
		c.text = append(append(c.text, v...), '\n')
		octets = len(v) + 1
	}
	c.pairs = append(c.pairs, uint64(n)<<32|uint64(rec))
	return octets
}

// Finish returns the batch.
func (b *Builder) Finish() *Batch {
	out := &Batch{N: len(b.IDs), Min: math.MaxUint64}
	for _, id := range b.IDs {
		out.Min, out.Max = min(out.Min, id), max(out.Max, id)
	}
	for _, id := range b.Odd {
		out.Min, out.Max = min(out.Min, id), max(out.Max, id)
	}
	ids := make([]byte, 0, 8*(len(b.IDs)+len(b.Odd)))
	for _, id := range slices.Concat(b.IDs, b.Odd) {
		ids = le.AppendUint64(ids, uint64(id))
	}
	out.memory[0] = ids
	for i := 1; i < parts; i++ {
		out.memory[i] = b.cols[i].finish()
	}
	for i := range out.memory {
		out.length[i] = uint32(len(out.memory[i]))
	}
	return out
}

// finish returns the column: the length of the lists, uvarint; the lists; the values, each between two line
// ends. A list is the first message, less the first of the list before, times two and plus one if
// more follow; then the octets that these take; then each less the one before. All are uvarints. Values
// are in the order in which messages first had them, so that most lists take one octet.
func (c *columnBuilder) finish() []byte {
	slices.Sort(c.pairs)
	c.pairs = slices.Compact(c.pairs) // a recipient that is named twice
	var lists, more []byte
	first := uint32(0)
	for i := 0; i < len(c.pairs); {
		value, rec := c.pairs[i]>>32, uint32(c.pairs[i])
		delta := uint64(rec-first) << 1
		first = rec
		more = more[:0]
		for i++; i < len(c.pairs) && c.pairs[i]>>32 == value; i++ {
			more = binary.AppendUvarint(more, uint64(uint32(c.pairs[i])-rec))
			rec = uint32(c.pairs[i])
		}
		if len(more) == 0 {
			lists = binary.AppendUvarint(lists, delta)
			continue
		}
		lists = binary.AppendUvarint(lists, delta|1)
		lists = binary.AppendUvarint(lists, uint64(len(more)))
		lists = append(lists, more...)
	}
	out := make([]byte, 0, binary.MaxVarintLen32+len(lists)+len(c.text))
	out = binary.AppendUvarint(out, uint64(len(lists)))
	return append(append(out, lists...), c.text...)
}

// Condition is one on a column.
type Condition struct {
	col    int
	needle []byte // a part of the line of each value that matches
	match  func(value string) bool
}

// MaxNeedle is the length up to which bytes.Index is at its fastest.
const MaxNeedle = 63

// Conditions returns the conditions of q that an index can help with. A pattern that matches the
// empty text is true of messages that have no value at all, and is not among them.
func Conditions(q *spool.Query) (out []Condition) {
	for _, c := range [...]struct {
		col     int
		pattern string
	}{
		{colRecipient, q.Recipient}, {colSender, q.Sender}, {colMessageID, q.MessageID},
		{colSubject, q.Subject}, {colAccount, q.Account}, {colClient, q.Client},
	} {
		if c.pattern == "" || spool.Match(c.pattern, "") {
			continue
		}
		match := func(v string) bool { return spool.Match(c.pattern, v) }
		if c.col == colMessageID {
			match = q.MatchMessageID
		}
		out = append(out, Condition{col: c.col, needle: needleOf(c.pattern, c.col != colMessageID), match: match})
	}
	return out
}

// needleOf returns the longest part of pattern that must occur in the line of a value as it is. With whole set
// the pattern is one of whole values, so that its ends stand beside the line ends.
func needleOf(pattern string, whole bool) []byte {
	pieces := strings.Split(mail.LowerASCII(pattern), "*")
	best, longest := "", 0
	for i, p := range pieces {
		if len(p) <= longest {
			continue
		}
		longest, best = len(p), p
		if whole && i == 0 {
			best = "\n" + best
		}
		if whole && i == len(pieces)-1 {
			best += "\n"
		}
	}
	return []byte(best[:min(len(best), MaxNeedle)])
}

// bitset is a set of messages of a batch.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, (n+63)/64) }

func (s bitset) set(i int)      { s[i/64] |= 1 << (i % 64) }
func (s bitset) has(i int) bool { return s[i/64]>>(i%64)&1 != 0 }

func (s bitset) and(t bitset) {
	for i := range s {
		s[i] &= t[i]
	}
}

func (s bitset) empty() bool { return !slices.ContainsFunc(s, func(w uint64) bool { return w != 0 }) }

var errIndex = fmt.Errorf("%w: index", format.ErrDamage)

// apply adds to set the messages, of n, for which the condition is true. column is what finish made.
func (c *Condition) apply(column []byte, n int, set bitset) error {
	d := format.Decoder{B: column}
	lists := lists{d: format.Decoder{B: d.Bytes()}, n: n}
	text := d.B
	if d.Bad || len(text) > 0 && (text[0] != '\n' || text[len(text)-1] != '\n') {
		return errIndex
	}
	// at is the line end before value number k.
	for at, k := 0, 0; ; {
		i := bytes.Index(text[at:], c.needle)
		if i < 0 {
			return nil
		}
		i += at
		start := i
		if c.needle[0] != '\n' {
			start = bytes.LastIndexByte(text[:i], '\n')
		}
		if start < at || start == len(text)-1 { // text between two lines, or after the last
			return nil
		}
		end := start + 1 + bytes.IndexByte(text[start+1:], '\n')
		k += bytes.Count(text[at:start], []byte{'\n'})
		if c.match(string(text[start+1 : end])) {
			if !lists.add(k, set) {
				return errIndex
			}
		}
		at, k = end, k+1
	}
}

// lists reads the lists of a column in their order.
type lists struct {
	d     format.Decoder
	n     int // messages in the batch
	next  int // number of the list that d is at
	first uint64
}

// add adds list k, which comes after those that were added before, to set.
func (l *lists) add(k int, set bitset) bool {
	for ; ; l.next++ {
		v := l.d.Uvarint()
		var more []byte
		if v&1 != 0 {
			more = l.d.Bytes()
		}
		if l.first += v >> 1; l.d.Bad || l.first >= uint64(l.n) {
			return false
		}
		if l.next < k {
			continue
		}
		l.next++
		set.set(int(l.first))
		d := format.Decoder{B: more}
		for rec := l.first; len(d.B) > 0; set.set(int(rec)) {
			if rec += d.Uvarint(); d.Bad || rec >= uint64(l.n) {
				return false
			}
		}
		return true
	}
}
