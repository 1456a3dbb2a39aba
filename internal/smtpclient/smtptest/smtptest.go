// Package smtptest plays the part of an SMTP server from a script, for tests of what speaks to
// servers. Start with Serve.
package smtptest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"
)

// Serve plays the server's part of a script, one step a line:
//
//	S: text     sends the text and CRLF
//	S- text     sends the text, in which \r\n stands for CRLF, without a line end
//	C: text     expects that line
//	C* n        expects n octets, whatever they are
//	WAIT d      waits
//	TLS name    does a handshake with a certificate for the name
//	CLOSE       closes the connection (the end of the script does, too)
//
// It returns an error where the client did something else. That the client stops to listen is
// none.
func Serve(nc net.Conn, script string, certs *Certificates) error {
	defer func() { nc.Close() }()
	in := bufio.NewReader(nc)
	for step := range strings.SplitSeq(strings.TrimSpace(script), "\n") {
		step = strings.TrimSpace(step)
		var err error
		switch arg := strings.TrimPrefix(step[min(2, len(step)):], " "); {
		case step == "":
		case strings.HasPrefix(step, "S:"):
			if _, err := io.WriteString(nc, arg+"\r\n"); err != nil {
				return nil // the client has heard enough; its test says whether it should have
			}
		case strings.HasPrefix(step, "S-"):
			_, err = io.WriteString(nc, strings.ReplaceAll(arg, `\r\n`, "\r\n"))
		case strings.HasPrefix(step, "C:"):
			var line string
			line, err = in.ReadString('\n')
			if err == nil && line != arg+"\r\n" {
				err = fmt.Errorf("the client sent %q", line)
			}
		case strings.HasPrefix(step, "C*"):
			var n int64
			_, _ = fmt.Sscan(arg, &n)
			_, err = io.CopyN(io.Discard, in, n)
		case strings.HasPrefix(step, "WAIT"):
			d, e := time.ParseDuration(strings.TrimSpace(step[4:]))
			err = e
			time.Sleep(d)
		case strings.HasPrefix(step, "TLS"):
			cert := certs.For(strings.TrimSpace(step[3:]))
			tc := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{cert}})
			if tc.Handshake() != nil {
				return nil // the client says why
			}
			nc, in = tc, bufio.NewReader(tc)
		case step == "CLOSE":
			return nil
		default:
			err = fmt.Errorf("no such step")
		}
		if err != nil {
			return fmt.Errorf("at %q: %w", step, err)
		}
	}
	return nil
}

// Untrusted is the one name whose certificate is not in Certificates.Pool.
const Untrusted = "untrusted.test"

// Certificates makes certificates that sign themselves. It is safe for concurrent use.
type Certificates struct {
	Pool *x509.CertPool // trusts all that were made, but Untrusted

	mu   sync.Mutex
	made map[string]tls.Certificate
}

// NewCertificates returns a Certificates without any, and makes those for names.
func NewCertificates(names ...string) *Certificates {
	c := &Certificates{Pool: x509.NewCertPool(), made: make(map[string]tls.Certificate)}
	for _, name := range names {
		c.For(name)
	}
	return c
}

// For returns the certificate for a host name.
func (c *Certificates) For(name string) tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cert, ok := c.made[name]; ok {
		return cert
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	if name != Untrusted {
		c.Pool.AddCert(leaf)
	}
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	c.made[name] = cert
	return cert
}
