package keyring

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"

	"github.com/mailroot/mailroot/internal/vfs"
)

const maxFile = 1 << 20 // octets; a chain has some thousand

const keyEd25519 = "Ed25519"

// KeyFileError is an error of the file of the private key, or of what is in it; others are of the
// certificate or of both.
type KeyFileError struct{ Err error }

// Error returns the text of the error, which names the file.
func (e *KeyFileError) Error() string { return e.Err.Error() }

// Unwrap returns the error.
func (e *KeyFileError) Unwrap() error { return e.Err }

// load reads and checks both files.
func load(certFile, keyFile string) (*pair, error) {
	stamps, loose, lookErr := look(certFile, keyFile) // before reading: a change meanwhile is seen later
	certPEM, err := readFile(certFile)
	if err != nil {
		return nil, err
	}
	chain, err := parseChain(certFile, certPEM)
	if err != nil {
		return nil, err
	}
	keyPEM := certPEM
	if keyFile != certFile {
		if keyPEM, err = readFile(keyFile); err != nil {
			return nil, &KeyFileError{err}
		}
	}
	key, err := parseKey(keyFile, keyPEM)
	if err != nil {
		return nil, &KeyFileError{err}
	}
	if lookErr != nil {
		return nil, fileError(lookErr)
	}
	leaf := chain[0]
	if _, err := checkKey(leaf.PublicKey); err != nil {
		return nil, fmt.Errorf("certificate %s: %w", certFile, err)
	}
	if err := fits(certFile, keyFile, chain, key); err != nil {
		return nil, err
	}
	cert := &tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return &pair{certFile: certFile, keyFile: keyFile, cert: cert, stamps: stamps, loose: loose}, nil
}

// fits checks that the key belongs to the first certificate.
func fits(certFile, keyFile string, chain []*x509.Certificate, key crypto.Signer) error {
	same := func(c *x509.Certificate) bool {
		k, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
		return ok && k.Equal(c.PublicKey)
	}
	if same(chain[0]) {
		return nil
	}
	for _, c := range chain[1:] {
		if same(c) {
			return fmt.Errorf("certificate %s: the certificate of the private key does not stand first in it; the server's own comes first, then those that issued it", certFile)
		}
	}
	return fmt.Errorf("private key %s does not belong to the certificate %s (for %s); take the key that the certificate was requested with",
		keyFile, certFile, namesText(certNames(chain[0])))
}

func readFile(name string) ([]byte, error) {
	data, err := vfs.ReadRegular(name, maxFile+1)
	switch {
	case err != nil:
		return nil, fileError(err)
	case len(data) > maxFile:
		return nil, fmt.Errorf("%s is larger than 1 MB, which no certificate or key is", name)
	}
	return data, nil
}

// fileError says what would be right.
func fileError(err error) error {
	var p *fs.PathError
	if !errors.As(err, &p) {
		return err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist", p.Path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be read by the user that this service runs as; give it the right to", p.Path)
	}
	return err
}

// parseChain reads the certificates of a file.
func parseChain(name string, data []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	other := ""
	for rest := data; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			other = b.Type
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %s: number %d in it is damaged: %w", name, len(chain)+1, err)
		}
		chain = append(chain, c)
	}
	switch {
	case len(chain) > 0:
		return chain, nil
	case other != "":
		return nil, fmt.Errorf("certificate %s holds no certificate but a %s; a block BEGIN CERTIFICATE is needed", name, printable(other))
	}
	if _, err := x509.ParseCertificate(data); err == nil {
		return nil, fmt.Errorf("certificate %s is in DER form; PEM is needed (openssl x509 -inform der -in FILE -out FILE.pem)", name)
	}
	return nil, fmt.Errorf("certificate %s holds no certificate in PEM form (a block BEGIN CERTIFICATE)", name)
}

// parseKey reads the first private key of a file. The errors of the parsers are not passed on:
// no part of a key may get into a log.
func parseKey(name string, data []byte) (crypto.Signer, error) {
	other := ""
	for rest := data; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if !strings.HasSuffix(b.Type, "PRIVATE KEY") {
			other = b.Type
			continue
		}
		if b.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, fmt.Errorf("private key %s has a passphrase; it must be without one (openssl pkey -in FILE -out FILE.new)", name)
		}
		key, err := decodeKey(b)
		if err != nil {
			return nil, fmt.Errorf("private key %s: %w", name, err)
		}
		if _, err := checkKey(key.Public()); err != nil {
			return nil, fmt.Errorf("private key %s: %w", name, err)
		}
		return key, nil
	}
	if other != "" {
		return nil, fmt.Errorf("private key %s holds no private key but a %s; a block BEGIN PRIVATE KEY is needed", name, printable(other))
	}
	if bytes.HasPrefix(data, []byte{0x30}) { // an ASN.1 sequence
		return nil, fmt.Errorf("private key %s is not in PEM form; a PFX or DER file has to be converted (openssl pkcs12 -nodes, openssl pkey -inform der)", name)
	}
	return nil, fmt.Errorf("private key %s holds no key in PEM form (a block BEGIN PRIVATE KEY)", name)
}

func decodeKey(b *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch b.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(b.Bytes)
	default:
		return nil, fmt.Errorf("a %s cannot be used; RSA or ECDSA is needed", printable(b.Type))
	}
	if err != nil {
		return nil, errors.New("the key is damaged or of a kind that is not known; RSA of at least 2048 bits or ECDSA P-256 is needed")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("this kind of key cannot sign; RSA of at least 2048 bits or ECDSA P-256 is needed")
	}
	return signer, nil
}

// checkKey names the kind of a public key and refuses weak ones.
func checkKey(pub crypto.PublicKey) (kind string, err error) {
	const need = "at least RSA 2048 or ECDSA P-256 is needed"
	switch k := pub.(type) {
	case *rsa.PublicKey:
		kind = fmt.Sprintf("RSA %d", k.N.BitLen())
		if k.N.BitLen() < 2048 {
			return kind, fmt.Errorf("its key is too weak (%s): %s", kind, need)
		}
		return kind, nil
	case *ecdsa.PublicKey:
		kind = "ECDSA " + k.Curve.Params().Name
		if k.Curve.Params().BitSize < 256 {
			return kind, fmt.Errorf("its key is too weak (%s): %s", kind, need)
		}
		return kind, nil
	case ed25519.PublicKey:
		return keyEd25519, nil
	}
	return "unknown", fmt.Errorf("its kind of key is not known: %s", need)
}

// certNames lists what a certificate is for.
func certNames(c *x509.Certificate) []string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	for i, n := range names {
		names[i] = printable(n)
	}
	return dedup(names)
}

func isSelfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// printable makes text from a file fit for an error or a table.
func printable(s string) string {
	if len(s) > 100 {
		s = s[:100] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '�' {
			return '?'
		}
		return r
	}, s)
}

func othersMayRead(m fs.FileMode) bool { return runtime.GOOS != "windows" && m.Perm()&0o004 != 0 }
