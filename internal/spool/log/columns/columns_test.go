package columns

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

var id = format.ID{Kind: format.KindIndex, Num: 3, Salt: 77}

// sample describes messages 1 to 100 of a<n>@example.com, and 101 which cannot be described.
func sample() *Batch {
	var b Builder
	for n := range 100 {
		var env mail.Envelope
		env.Sender.Addr = mail.Address{Local: fmt.Sprintf("a%d", n+1), Domain: "example.com"}
		env.Content.Subject = fmt.Sprintf("Even %v", n%2 == 1)
		b.Add(mail.QueueID(n+1), &env)
	}
	b.Add(101, nil)
	return b.Finish()
}

func search(t *testing.T, b *Batch, f io.ReaderAt, q spool.Query) (ids []mail.QueueID) {
	t.Helper()
	var buf []byte
	if err := b.Search(Conditions(&q), f, id, &buf, func(id mail.QueueID) { ids = append(ids, id) }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	return ids
}

// TestSearch: in memory and in a file the same messages are found; what is not described always is.
func TestSearch(t *testing.T) {
	fs := vfs.NewMem()
	f, err := fs.Create("index")
	if err != nil {
		t.Fatal(err)
	}
	w, err := format.Begin(f, id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(w, []*Batch{sample()}); err != nil {
		t.Fatal(err)
	}
	file, err := Read(f, id)
	if err != nil || len(file.Batches) != 1 || file.Size != w.Size {
		t.Fatalf("%+v, %v", file, err)
	}
	for _, c := range []struct {
		q    spool.Query
		want int
	}{
		{spool.Query{Sender: "a7@EXAMPLE.com"}, 2},
		{spool.Query{Sender: "a7*"}, 12},
		{spool.Query{Sender: "nobody@example.com"}, 1},
		{spool.Query{Sender: "a7*", Subject: "*true*"}, 6},
	} {
		memory := search(t, sample(), nil, c.q)
		onDisk := search(t, &file.Batches[0], f, c.q)
		if len(memory) != c.want || !slices.Equal(memory, onDisk) || !slices.Contains(memory, 101) {
			t.Errorf("%+v: %v in memory, %v in the file, want %d", c.q, memory, onDisk, c.want)
		}
	}
	for off := int64(0); off < w.Size; off += 3 {
		flip(t, f, off)
		damaged, err := Read(f, id)
		if err == nil {
			var buf []byte
			for part := 0; part <= colSubject && err == nil; part++ {
				_, err = damaged.Batches[0].Part(part, f, id, &buf)
			}
		}
		if !errors.Is(err, format.ErrDamage) {
			t.Errorf("octet %d changed: %v", off, err)
		}
		flip(t, f, off)
	}
}

func flip(t *testing.T, f vfs.File, off int64) {
	t.Helper()
	var b [1]byte
	_, err := f.ReadAt(b[:], off)
	b[0] ^= 4
	if err == nil {
		_, err = f.WriteAt(b[:], off)
	}
	if err != nil {
		t.Fatal(err)
	}
}
