//go:build !linux

package vfs

import (
	"bytes"
	"os"
	"sync"
)

// Sync implements File. (os.File.Sync asks the drive to empty its cache on Darwin.)
func (f osFile) Sync() error { return f.File.Sync() }

// gathers holds buffers in which small pieces are put together, since each write is a call.
var gathers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const gatherMax = 1 << 20

// WritevAt implements File.
func (f osFile) WritevAt(bufs [][]byte, off int64) (total int64, err error) {
	g := gathers.Get().(*bytes.Buffer)
	defer gathers.Put(g)
	g.Reset()
	flush := func() error {
		n, err := f.WriteAt(g.Bytes(), off+total)
		total += int64(n)
		g.Reset()
		return err
	}
	for _, b := range bufs {
		if g.Len() > 0 && g.Len()+len(b) > gatherMax {
			if err := flush(); err != nil {
				return total, err
			}
		}
		if len(b) >= gatherMax {
			n, err := f.WriteAt(b, off+total)
			total += int64(n)
			if err != nil {
				return total, err
			}
			continue
		}
		g.Write(b)
	}
	if g.Len() > 0 {
		err = flush()
	}
	return total, err
}

func nextData(_ *os.File, off, _ int64) int64 { return off }
