package format

import (
	"errors"
	"fmt"
	"io"
)

// ErrDamage says that what is on disk is not what was written, as opposed to a read that failed.
var ErrDamage = errors.New("damaged")

// ReadFull fills p from off on; ErrDamage if the file ends before.
func ReadFull(f io.ReaderAt, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the file ends at %d", ErrDamage, off+int64(n))
	}
	return err
}
