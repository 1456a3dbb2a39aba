package harness

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Client is a plain SMTP client that does exactly what it is told. Every read and write has a
// deadline.
type Client struct {
	Conn     net.Conn
	Keywords map[string]string // of the last EHLO reply: keyword to parameters
	name     string
	r        *bufio.Reader
}

// ReplyError is a reply other than the expected one.
type ReplyError struct {
	Command string
	Code    int
	Text    string // the whole reply
}

func (e *ReplyError) Error() string { return fmt.Sprintf("%s: %s", e.Command, e.Text) }

// Dial connects, reads the banner and says EHLO.
func Dial(addr, name string) (*Client, error) {
	c, err := Connect(addr)
	if err != nil {
		return nil, err
	}
	if err := c.start(name); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Connect only opens the connection.
func Connect(addr string) (*Client, error) { return ConnectFrom("", addr) }

// ConnectFrom connects from an address of this host, such as 127.0.0.7, which Linux has without further ado; "" is any.
func ConnectFrom(ip, addr string) (*Client, error) {
	d := net.Dialer{Timeout: Patience}
	if ip != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(ip)}
	}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &Client{Conn: conn, r: bufio.NewReader(conn)}, nil
}

func (c *Client) start(name string) error {
	if _, err := c.Expect("banner", 220); err != nil {
		return err
	}
	return c.Hello(name)
}

// Hello says EHLO and notes the keywords.
func (c *Client) Hello(name string) error {
	c.name = name
	text, err := c.Cmd(250, "EHLO %s", name)
	if err != nil {
		return err
	}
	c.Keywords = map[string]string{}
	for _, line := range strings.Split(text, "\n")[1:] {
		key, arg, _ := strings.Cut(line[4:], " ")
		c.Keywords[strings.ToUpper(key)] = arg
	}
	return nil
}

// StartTLS negotiates TLS and says EHLO again.
func (c *Client) StartTLS(conf *tls.Config) error {
	if _, err := c.Cmd(220, "STARTTLS"); err != nil {
		return err
	}
	t := tls.Client(c.Conn, conf)
	c.deadline()
	if err := t.Handshake(); err != nil {
		return err
	}
	c.Conn, c.r = t, bufio.NewReader(t)
	return c.Hello(c.name)
}

func (c *Client) deadline() { _ = c.Conn.SetDeadline(time.Now().Add(Patience)) }

// Write sends octets as they are.
func (c *Client) Write(b []byte) error {
	c.deadline()
	_, err := c.Conn.Write(b)
	return err
}

// Reply reads one reply: the code, and its lines joined by "\n".
func (c *Client) Reply() (int, string, error) {
	c.deadline()
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return 0, "", fmt.Errorf("reading a reply: %w", err)
		}
		text, ok := strings.CutSuffix(line, "\r\n")
		if !ok || len(text) < 4 || (text[3] != ' ' && text[3] != '-') {
			return 0, "", fmt.Errorf("not a reply line: %q", line)
		}
		lines = append(lines, text)
		if text[3] == ' ' {
			code, err := strconv.Atoi(text[:3])
			return code, strings.Join(lines, "\n"), err
		}
	}
}

// Expect reads a reply that must have the code; what names the command in the error.
func (c *Client) Expect(what string, code int) (string, error) {
	got, text, err := c.Reply()
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	if got != code {
		return text, &ReplyError{what, got, text}
	}
	return text, nil
}

// Cmd sends a command line and expects the code.
func (c *Client) Cmd(code int, format string, args ...any) (string, error) {
	line := fmt.Sprintf(format, args...)
	if err := c.Write([]byte(line + "\r\n")); err != nil {
		return "", err
	}
	return c.Expect(line, code)
}

// Send transmits one message by DATA to all recipients, each of which must be accepted.
// SIZE, BODY=8BITMIME and SMTPUTF8 are declared as the message needs and the server knows.
func (c *Client) Send(from string, to []string, data []byte) error {
	if _, err := c.Cmd(250, "MAIL FROM:<%s>%s", from, c.params(from, to, data)); err != nil {
		return err
	}
	for _, rcpt := range to {
		if _, err := c.Cmd(250, "RCPT TO:<%s>", rcpt); err != nil {
			return err
		}
	}
	if _, err := c.Cmd(354, "DATA"); err != nil {
		return err
	}
	return c.Data(data)
}

func (c *Client) params(from string, to []string, data []byte) string {
	var params string
	if _, ok := c.Keywords["SIZE"]; ok {
		params += fmt.Sprintf(" SIZE=%d", len(data))
	}
	header, _, _ := bytes.Cut(data, []byte("\r\n\r\n"))
	if _, ok := c.Keywords["8BITMIME"]; ok && !ascii(data) {
		params += " BODY=8BITMIME"
	}
	if _, ok := c.Keywords["SMTPUTF8"]; ok && !(ascii(header) && ascii([]byte(from+strings.Join(to, "")))) {
		params += " SMTPUTF8"
	}
	return params
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c > 127 {
			return false
		}
	}
	return true
}

// Data sends the text that follows 354, dots stuffed and closed by the lone dot, and expects
// 250. A text without a line end at its end gets one.
func (c *Client) Data(data []byte) error {
	if err := c.Write(Stuff(data)); err != nil {
		return err
	}
	_, err := c.Expect("end of data", 250)
	return err
}

// Stuff returns data as DATA transmits it, the end included (RFC 5321 §4.5.2).
func Stuff(data []byte) []byte {
	out := make([]byte, 0, len(data)+len(data)/64+5)
	for rest := data; len(rest) > 0; {
		if rest[0] == '.' {
			out = append(out, '.')
		}
		n := bytes.Index(rest, []byte("\r\n")) + 2
		if n < 2 {
			n = len(rest)
		}
		out, rest = append(out, rest[:n]...), rest[n:]
	}
	if !bytes.HasSuffix(out, []byte("\r\n")) {
		out = append(out, "\r\n"...)
	}
	return append(out, ".\r\n"...)
}

// Quit says QUIT and closes.
func (c *Client) Quit() error {
	_, err := c.Cmd(221, "QUIT")
	c.Close()
	return err
}

// Close closes the connection without a word.
func (c *Client) Close() { c.Conn.Close() }
