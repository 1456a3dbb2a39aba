package format

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

var segment = ID{Kind: KindSegment, Num: 7, Salt: 0x1122334455667788}

func TestRecord(t *testing.T) {
	for _, r := range []Record{
		{Version: RecordVersion, Kind: RecordInline, EnvLen: 40, ID: 5, Size: 1001, Original: 3, Durable: 64, EnvCRC: 8, CRC: 9},
		{Version: RecordVersion, Kind: RecordFile, Flags: RecordMoved, EnvLen: 41, ID: 6, Size: 1 << 40},
	} {
		var b [HeaderSize]byte
		r.Put(b[:], segment)
		if got, err := ParseRecord(b[:], segment); err != nil || got != r {
			t.Errorf("%+v: %+v, %v", r, got, err)
		}
		if n := r.Length(); n%RecordAlign != 0 || n < r.EnvOff()+int64(r.EnvLen) {
			t.Errorf("%+v: length %d, the envelope begins at %d", r, n, r.EnvOff())
		}
		for i := range b {
			c := b
			c[i] ^= 1
			if _, err := ParseRecord(c[:], segment); !errors.Is(err, ErrNoRecord) {
				t.Errorf("octet %d changed: %v", i, err)
			}
		}
		if _, err := ParseRecord(b[:], ID{Kind: KindSegment, Num: 8, Salt: segment.Salt}); !errors.Is(err, ErrNoRecord) {
			t.Errorf("in another segment: %v", err)
		}
	}
}

func sampleEntries() []byte {
	later := mail.NewReply(450, mail.Enhanced(4, 2, 1), "later")
	due := time.UnixMilli(1700000000123)
	var b []byte
	for _, c := range []mail.Change{
		{ID: 1, Kind: mail.ChangeDone},
		{ID: 2, Rcpt: 300, Kind: mail.ChangeDefer, Due: due, Attempts: 3, Reply: later, Host: "mx.example"},
		{ID: 3, Kind: mail.ChangeDefer, Due: due, Attempts: 1 << 20},
		{ID: 4, Kind: mail.ChangeRoute, Route: "[192.0.2.1]:25"},
	} {
		b, _ = AppendChange(b, &c)
	}
	b = AppendFact(b, EntryMade, SegmentFact(segment))
	return AppendExtent(b, segment, 1<<35, 12)
}

func TestEntries(t *testing.T) {
	payload := sampleEntries()
	var got []Entry
	if !ParseEntries(payload, func(e Entry) { got = append(got, e) }) {
		t.Fatal("not in order")
	}
	fact := mail.QueueID(SegmentFact(segment))
	due := int64(1700000000123)
	want := []Entry{
		{Kind: byte(mail.ChangeDone), ID: 1},
		{Kind: byte(mail.ChangeDefer), ID: 2, Rcpt: 300, Due: due, Attempts: 3, Note: got[1].Note},
		{Kind: byte(mail.ChangeDefer), ID: 3, Due: due, Attempts: 1<<16 - 1},
		{Kind: byte(mail.ChangeRoute), ID: 4, Route: "[192.0.2.1]:25"},
		{Kind: EntryMade, ID: fact},
		{Kind: EntryExtent, ID: fact, Size: 1 << 35, Live: 12},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	r, host, n := ParseNote(payload[got[1].Note:], 2, 300)
	if r.Code != 450 || r.Text != "later" || host != "mx.example" || n == 0 {
		t.Errorf("note: %v, %q, %d", r, host, n)
	}
	if _, _, n := ParseNote(payload[got[1].Note:], 2, 301); n != 0 {
		t.Error("a note was taken for that of another recipient")
	}
}

// TestBlocks reads what is whole and tells what is not.
func TestBlocks(t *testing.T) {
	fs := vfs.NewMem()
	f, err := fs.Create("state")
	if err != nil {
		t.Fatal(err)
	}
	w, err := Begin(f, ID{Kind: KindJournal, Num: 1, Salt: 99})
	var ends []int64
	for i := 0; i < 3 && err == nil; i++ {
		err = w.Write(append(BeginBlock(nil), bytes.Repeat([]byte{'a' + byte(i)}, 100)...), BlockChanges)
		ends = append(ends, w.Size)
	}
	if err == nil {
		_, err = f.WriteAt([]byte{0}, ends[0]+50) // in the second
	}
	if err == nil {
		err = f.Truncate(ends[2] - 1)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := Read(f, ends[2]-1, 99)
	if b, err := r.Next(); err != nil || string(b.Payload) != string(bytes.Repeat([]byte{'a'}, 100)) {
		t.Fatalf("first block: %+v, %v", b, err)
	}
	if b, err := r.Next(); err == nil {
		t.Fatalf("a block that is damaged, or cut: %+v", b)
	}
	if want := []Gap{{Off: ends[0], Length: ends[2] - 1 - ends[0], Tail: true}}; !slices.Equal(r.Gaps, want) {
		t.Errorf("gaps %+v, want %+v", r.Gaps, want)
	}
}

// FuzzEntries: what parses is in order to its end, whatever it is; nothing panics.
func FuzzEntries(f *testing.F) {
	f.Add(sampleEntries())
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		whole := ParseEntries(b, func(e Entry) {
			if n++; e.Note > len(b) || e.Size < 0 || e.Live < 0 || len(e.Route) > mail.MaxRoute {
				t.Errorf("%+v", e)
			}
		})
		if whole && n == 0 && len(b) > 0 {
			t.Error("octets without an entry")
		}
	})
}
