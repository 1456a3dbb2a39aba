package dns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	wire "github.com/miekg/dns"

	"github.com/mailroot/mailroot/internal/mail"
)

// udpSize is what we say that we take in one datagram: the size that passes without fragments
// everywhere (RFC 9715 §3).
const udpSize = 1232

var (
	errNoAnswer  = errors.New("no answer in time")
	errRefusing  = errors.New("nothing listens there")
	errMalformed = errors.New("the answer is malformed")
	errServer    = errors.New("the server failed")
	errLame      = errors.New("the server does not resolve names for us")
)

// exchange asks one server: by UDP with EDNS0, by TCP if the answer was cut, without EDNS0 if
// the server does not know it (RFC 6891 §6.2.2).
func (c *Client) exchange(ctx context.Context, addr string, q question, timeout time.Duration) (*wire.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req := new(wire.Msg)
	req.SetQuestion(q.name+".", q.qtype)
	req.AuthenticatedData = true // we understand the AD bit: RFC 6840 §5.7
	req.SetEdns0(udpSize, false)
	res, err := c.roundTrip(ctx, "udp", addr, req)
	if err == nil && res.Rcode != wire.RcodeSuccess && res.Rcode != wire.RcodeNameError &&
		res.IsEdns0() == nil && (res.Rcode == wire.RcodeFormatError || res.Rcode == wire.RcodeNotImplemented) {
		req.Extra = nil
		req.Id = wire.Id()
		res, err = c.roundTrip(ctx, "udp", addr, req)
	}
	if err == nil && res.Truncated {
		req.Id = wire.Id()
		res, err = c.roundTrip(ctx, "tcp", addr, req)
	}
	return res, err
}

// roundTrip sends req and waits for its answer. Each question has a socket and so a port of
// its own, and what is not the answer is passed over: two hurdles for those who forge.
func (c *Client) roundTrip(ctx context.Context, network, addr string, req *wire.Msg) (*wire.Msg, error) {
	out, err := req.Pack()
	if err != nil {
		return nil, fmt.Errorf("the question cannot be asked: %w", err)
	}
	conn, err := c.opts.Dial(ctx, network, addr)
	if err != nil {
		return nil, plainError(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if network == "tcp" {
		out = append(binary.BigEndian.AppendUint16(make([]byte, 0, len(out)+2), uint16(len(out))), out...)
	}
	if _, err := conn.Write(out); err != nil {
		return nil, plainError(err)
	}
	if network == "tcp" {
		return readTCP(conn, req)
	}
	buf := make([]byte, 4096) // some send more than we said
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, plainError(err)
		}
		if res, err := parse(buf[:n], req); res != nil || err != nil {
			return res, err
		}
	}
}

func readTCP(conn net.Conn, req *wire.Msg) (*wire.Msg, error) {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, plainError(err)
	}
	buf := bytes.NewBuffer(make([]byte, 0, 512)) // grows with what comes, not with what is promised
	if _, err := io.CopyN(buf, conn, int64(binary.BigEndian.Uint16(size[:]))); err != nil {
		return nil, plainError(err)
	}
	res, err := parse(buf.Bytes(), req)
	if res == nil && err == nil {
		err = errMalformed // on a connection there is no other's answer to pass over
	}
	return res, err
}

// parse reads an answer. With neither result nor error it answers another question.
func parse(data []byte, req *wire.Msg) (*wire.Msg, error) {
	if len(data) < 12 || binary.BigEndian.Uint16(data) != req.Id {
		return nil, nil
	}
	res := new(wire.Msg)
	err := res.Unpack(data)
	if !res.Response {
		return nil, nil
	}
	if err != nil {
		if res.Truncated { // cut in the middle of a record: TCP will tell
			return res, nil
		}
		return nil, errMalformed
	}
	if len(res.Question) == 0 && res.Rcode != wire.RcodeSuccess && res.Rcode != wire.RcodeNameError {
		return res, nil // a failure need not repeat the question
	}
	if len(res.Question) != 1 || res.Question[0].Qtype != req.Question[0].Qtype ||
		!mail.EqualFoldASCII(res.Question[0].Name, req.Question[0].Name) {
		return nil, nil
	}
	return res, nil
}

// plainError says in words what people can act on, and names no file descriptors.
func plainError(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return errNoAnswer
	case errors.Is(err, syscall.ECONNREFUSED):
		return errRefusing
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errMalformed
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// answerError returns why an answer is none, so that another server is asked.
func answerError(m *wire.Msg) error {
	switch m.Rcode {
	case wire.RcodeNameError:
		return nil
	case wire.RcodeSuccess:
		if len(m.Answer) == 0 && !m.Authoritative && !m.RecursionAvailable && negativeTTL(m) == 0 {
			return errLame // a referral: it wants us to ask elsewhere
		}
		return nil
	case wire.RcodeRefused:
		return errLame
	}
	return errServer
}

// codeOf returns what the server said: the response code and, where it gives one, the extended
// error (RFC 8914), such as "SERVFAIL (DNSSEC Bogus)".
func codeOf(m *wire.Msg) string {
	code := wire.RcodeToString[m.Rcode]
	if code == "" {
		code = fmt.Sprintf("RCODE%d", m.Rcode)
	}
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if ede, ok := o.(*wire.EDNS0_EDE); ok {
				if text := wire.ExtendedErrorCodeToString[ede.InfoCode]; text != "" {
					return code + " (" + text + ")"
				}
			}
		}
	}
	return strings.ToUpper(code)
}
