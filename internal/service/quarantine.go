package service

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/mailroot/mailroot/internal/spool"
)

// Quarantine returns what the spool has put aside.
func (v *Server) Quarantine() spool.Quarantine { return v.quarantine }

// ExportAside writes the message of a part of the quarantine as a file for the Pickup folder: an x-sender and
// x-receiver lines, as far as its envelope can be read, then the message with a dot before each line that
// begins with one.
func (v *Server) ExportAside(ctx context.Context, w io.Writer, name string) error {
	p, err := v.quarantine.Show(ctx, name)
	if err != nil {
		return err
	}
	r, size, c, err := v.quarantine.Message(ctx, name)
	if err != nil {
		return err
	}
	defer c.Close()
	out := bufio.NewWriterSize(w, 64<<10)
	if p.Envelope != nil {
		fmt.Fprintf(out, "x-sender: <%s>\r\n", p.Envelope.Sender.Addr)
		for _, to := range p.Envelope.Recipients {
			fmt.Fprintf(out, "x-receiver: <%s>\r\n", to.Addr)
		}
	}
	in := bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 64<<10)
	for begins := true; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, err := in.ReadSlice('\n') // or a part of one
		if begins && len(line) > 0 && line[0] == '.' {
			_ = out.WriteByte('.') // Flush tells
		}
		_, _ = out.Write(line)
		switch err {
		case nil:
			begins = true
		case bufio.ErrBufferFull:
			begins = false
		case io.EOF:
			return out.Flush()
		default:
			return err
		}
	}
}
