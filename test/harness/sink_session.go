package harness

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// sinkSession is one connection to a Sink.
type sinkSession struct {
	s     *Sink
	conn  net.Conn
	r     *bufio.Reader
	w     *bufio.Writer
	n     int // number of the connection
	helo  string
	count int
	tls   bool
	m     *SinkMessage // the open transaction, nil if none
}

// errDone ends a session.
var errDone = errors.New("the session is over")

func newSinkSession(s *Sink, c net.Conn, n int) *sinkSession {
	return &sinkSession{s: s, conn: c, r: bufio.NewReaderSize(c, 64<<10), w: bufio.NewWriter(c), n: n}
}

func (c *sinkSession) serve() {
	if c.s.o.Implicit && c.handshake() != nil {
		return
	}
	if c.reply(c.answer("banner", "", "220 "+c.s.o.Name+" ESMTP sink")) != nil {
		return
	}
	for c.command() == nil {
	}
	c.transaction(nil)
	c.w.Flush()
}

// transaction sets the open transaction, nil for none.
func (c *sinkSession) transaction(m *SinkMessage) {
	if c.m == nil && m != nil {
		c.s.begin()
	}
	if c.m != nil && m == nil {
		c.s.end()
	}
	c.m = m
}

func (c *sinkSession) handshake() error {
	t := tls.Server(c.conn, c.s.o.TLS)
	c.deadline()
	if err := t.Handshake(); err != nil {
		return err
	}
	c.conn, c.tls = t, true
	c.r, c.w = bufio.NewReaderSize(t, 64<<10), bufio.NewWriter(t)
	return nil
}

func (c *sinkSession) deadline() { _ = c.conn.SetDeadline(time.Now().Add(2 * time.Minute)) }

// answer returns what Answer says, or the usual reply.
func (c *sinkSession) answer(verb, arg, usual string) string {
	if c.s.o.Answer == nil {
		return usual
	}
	return or(c.s.o.Answer(verb, arg, c.m), usual)
}

// reply sends a reply; it is flushed when no command waits.
func (c *sinkSession) reply(text string) error {
	if text == "close" {
		return errDone
	}
	c.deadline()
	fmt.Fprintf(c.w, "%s\r\n", text)
	if c.r.Buffered() == 0 {
		if err := c.w.Flush(); err != nil {
			return err
		}
	}
	if strings.HasPrefix(text, "421") || strings.HasPrefix(text, "221") {
		c.w.Flush()
		return errDone
	}
	return nil
}

func (c *sinkSession) command() error {
	c.deadline()
	line, err := c.r.ReadString('\n')
	if err != nil {
		return err // in mid-command too: a client may die at any moment
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(text, "\r\n\x00") {
		c.s.violate(c.n, "command line with a bare line end or NUL: %q", line)
	}
	if len(line) > 2048 {
		c.s.violate(c.n, "command line of %d octets", len(line))
	}
	verb, arg, _ := strings.Cut(text, " ")
	verb = strings.ToUpper(verb)
	if c.r.Buffered() > 0 && (!c.s.has("PIPELINING") || ends(verb)) && verb != "BDAT" {
		c.s.violate(c.n, "%s is followed by %d octets that did not wait for its reply", verb, c.r.Buffered())
	}
	switch verb {
	case "EHLO", "HELO":
		return c.hello(verb, arg)
	case "STARTTLS":
		return c.startTLS()
	case "MAIL":
		return c.mail(arg)
	case "RCPT":
		return c.rcpt(arg)
	case "DATA":
		return c.data()
	case "BDAT":
		return c.bdat(arg)
	case "RSET":
		c.transaction(nil)
		return c.reply(c.answer(verb, arg, "250 2.0.0 OK"))
	case "NOOP":
		return c.reply(c.answer(verb, arg, "250 2.0.0 OK"))
	case "QUIT":
		return c.reply(c.answer(verb, arg, "221 2.0.0 Bye"))
	}
	c.s.violate(c.n, "unknown command %q", text)
	return c.reply("500 5.5.2 unknown command")
}

// ends reports whether a command must be the last of a pipelined group (RFC 2920 §3.1).
func ends(verb string) bool {
	switch verb {
	case "EHLO", "DATA", "VRFY", "EXPN", "TURN", "QUIT", "NOOP", "STARTTLS":
		return true
	}
	return false
}

func (c *sinkSession) hello(verb, arg string) error {
	if arg == "" {
		c.s.violate(c.n, "%s without a name", verb)
	}
	c.transaction(nil)
	if verb == "EHLO" && c.s.o.NoESMTP {
		return c.reply("500 5.5.1 unknown command")
	}
	usual := "250 " + c.s.o.Name
	if verb == "EHLO" {
		lines := append([]string{c.s.o.Name}, c.keywords()...)
		usual = "250-" + strings.Join(lines[:len(lines)-1], "\r\n250-") + "\r\n250 " + lines[len(lines)-1]
		if len(lines) == 1 {
			usual = "250 " + lines[0]
		}
	}
	text := c.answer(verb, arg, usual)
	if strings.HasPrefix(text, "250") {
		c.helo = verb + " " + arg
	}
	return c.reply(text)
}

func (c *sinkSession) keywords() []string {
	var out []string
	for _, k := range c.s.o.Keywords {
		if k != "STARTTLS" || !c.tls {
			out = append(out, k)
		}
	}
	return out
}

func (c *sinkSession) startTLS() error {
	if !c.s.has("STARTTLS") || c.tls {
		c.s.violate(c.n, "STARTTLS that is not offered")
		return c.reply("503 5.5.1 not offered")
	}
	text := c.answer("STARTTLS", "", "220 2.0.0 go ahead")
	if err := c.reply(text); err != nil || !strings.HasPrefix(text, "220") {
		return err
	}
	c.helo = ""
	c.transaction(nil)
	return c.handshake()
}

func (c *sinkSession) mail(arg string) error {
	path, params, ok := cutPath(arg, "FROM:")
	switch {
	case c.helo == "":
		c.s.violate(c.n, "MAIL before EHLO")
	case c.m != nil:
		c.s.violate(c.n, "MAIL in a transaction")
	case !ok:
		c.s.violate(c.n, "MAIL %s", arg)
	}
	c.checkParams(params, map[string]string{"SIZE": "SIZE", "BODY": "8BITMIME", "SMTPUTF8": "SMTPUTF8", "RET": "DSN", "ENVID": "DSN"})
	c.transaction(&SinkMessage{Conn: c.n, Nth: c.count + 1, Helo: c.helo, From: path, FromParams: params, TLS: c.tls})
	text := c.answer("MAIL", arg, "250 2.1.0 OK")
	if !strings.HasPrefix(text, "250") {
		c.transaction(nil)
	}
	return c.reply(text)
}

// checkParams notes parameters whose keyword was not offered.
func (c *sinkSession) checkParams(params string, keyword map[string]string) {
	for _, p := range strings.Fields(params) {
		name, _, _ := strings.Cut(p, "=")
		if k := keyword[strings.ToUpper(name)]; k == "" || !c.s.has(k) {
			c.s.violate(c.n, "the parameter %s, which is not offered", p)
		}
	}
}

// cutPath takes "FROM:<path> params" apart.
func cutPath(arg, keyword string) (path, params string, ok bool) {
	if len(arg) < len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) || !strings.HasPrefix(arg[len(keyword):], "<") {
		return arg, "", false
	}
	path, params, ok = strings.Cut(arg[len(keyword)+1:], ">")
	return path, strings.TrimSpace(params), ok
}

func (c *sinkSession) rcpt(arg string) error {
	path, params, ok := cutPath(arg, "TO:")
	if !ok {
		c.s.violate(c.n, "RCPT %s", arg)
	}
	c.checkParams(params, map[string]string{"NOTIFY": "DSN", "ORCPT": "DSN"})
	if c.m == nil {
		return c.reply("503 5.5.1 no transaction")
	}
	text := c.answer("RCPT", path, "250 2.1.5 OK")
	if strings.HasPrefix(text, "250") {
		c.m.Rcpts = append(c.m.Rcpts, path)
		c.m.RcptParams = append(c.m.RcptParams, params)
	}
	return c.reply(text)
}

func (c *sinkSession) data() error {
	if c.m == nil || len(c.m.Rcpts) == 0 {
		return c.reply("554 5.5.1 no valid recipients")
	}
	if strings.Contains(strings.ToUpper(c.m.FromParams), "BINARYMIME") {
		c.s.violate(c.n, "DATA after BODY=BINARYMIME")
	}
	text := c.answer("DATA", "", "354 go ahead")
	if err := c.reply(text); err != nil || !strings.HasPrefix(text, "354") {
		return err
	}
	body, err := c.readData()
	if err != nil {
		return err
	}
	return c.complete(body)
}

// readData reads up to the lone dot. Only CRLF ends a line.
func (c *sinkSession) readData() ([]byte, error) {
	var body []byte
	for {
		c.deadline()
		line, err := c.r.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if string(line) == ".\r\n" {
			return body, nil
		}
		if !bytes.HasSuffix(line, []byte("\r\n")) || bytes.IndexByte(line, '\r') != len(line)-2 {
			c.s.violate(c.n, "bare CR or LF in DATA: %.100q", line)
		}
		body = append(body, bytes.TrimPrefix(line, []byte("."))...)
	}
}

func (c *sinkSession) bdat(arg string) error {
	size, last, _ := strings.Cut(arg, " ")
	n, err := strconv.ParseInt(size, 10, 40)
	if err != nil || (last != "" && !strings.EqualFold(last, "LAST")) {
		c.s.violate(c.n, "BDAT %s", arg)
		return errDone
	}
	chunk := make([]byte, n)
	c.deadline()
	if _, err := io.ReadFull(c.r, chunk); err != nil {
		return err
	}
	if !c.s.has("CHUNKING") {
		c.s.violate(c.n, "BDAT, which is not offered")
	}
	if c.m == nil || len(c.m.Rcpts) == 0 {
		return c.reply("503 5.5.1 no valid recipients")
	}
	c.m.Chunked = true
	c.m.Data = append(c.m.Data, chunk...)
	if last == "" {
		return c.reply(c.answer("BDAT", arg, "250 2.0.0 OK"))
	}
	return c.complete(c.m.Data)
}

func (c *sinkSession) complete(body []byte) error {
	c.m.Data, c.m.Time = body, time.Now()
	text := c.answer(".", "", "250 2.0.0 OK")
	if strings.HasPrefix(text, "250") {
		c.count++
		c.s.keep(c.m)
	}
	c.transaction(nil)
	return c.reply(text)
}
