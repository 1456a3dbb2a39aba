package pickup

import (
	"context"
	"io"
)

// WriteText writes the message in a file of the pickup directory that went to badmail, now that somebody
// else knows sender and recipients: without the x-lines, Bcc and doubled dots, as it would have been sent.
// It fails for what is no text, and for what is above the limits.
func WriteText(ctx context.Context, w io.Writer, f io.ReaderAt, size int64, s Settings) error {
	var src source
	msg := assembler{ctx: ctx, out: w, max: s.MaxSize}
	return src.read(ctx, f, size, s.DotStuffed, make([]byte, sliceSize), &msg)
}
