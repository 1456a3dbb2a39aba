package keyring

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// fileCheck is how often, at most, the files are looked at for a change: when a client asks
	// for TLS.
	fileCheck = 30 * time.Second
	// expiryNotice is how long before its end a certificate is warned about.
	expiryNotice = 14 * 24 * time.Hour
)

// Ring is one certificate with its key, as it is in two files. It is safe for concurrent use.
type Ring struct {
	current atomic.Pointer[pair]
	next    atomic.Int64 // of the next look at the files, Unix nanoseconds

	mu   sync.Mutex // serialises loading
	last error      // of the last load by itself; nil if it went well
}

// pair is what was loaded. It does not change.
type pair struct {
	certFile, keyFile string
	cert              *tls.Certificate // Leaf is set
	stamps            [2]stamp
	loose             bool // others than the owner may read the key file
}

// stamp tells whether a file has changed.
type stamp struct {
	time time.Time
	size int64
}

// New returns an empty Ring.
func New() *Ring { return new(Ring) }

// Load loads a certificate (PEM, followed by its chain) and its private key (PEM; PKCS #8, PKCS
// #1 or SEC 1, without a passphrase). Both may be in one file. RSA keys must have 2048 bits,
// elliptic ones P-256 or larger. If anything is wrong the certificate before stays in use, and
// the error names the file and what would be right. A certificate out of its time is loaded:
// see Warnings.
func (r *Ring) Load(certFile, keyFile string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := load(certFile, keyFile)
	if err != nil {
		return err
	}
	r.set(p)
	return nil
}

func (r *Ring) set(p *pair) {
	r.current.Store(p)
	r.next.Store(time.Now().Add(fileCheck).UnixNano())
	r.last = nil
}

// Reload loads the files of the last Load again, changed or not. On an error the certificate
// stays in use. Without a Load before it does nothing.
func (r *Ring) Reload() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.current.Load()
	if p == nil {
		return nil
	}
	again, err := load(p.certFile, p.keyFile)
	if err != nil {
		r.last = err
		return err
	}
	r.set(again)
	return nil
}

// certificate returns the certificate for a handshake. When the time has come it looks whether
// the files have changed and loads them; while that fails, as between the writing of the one
// file and of the other, the certificate before is used.
func (r *Ring) certificate() (*tls.Certificate, error) {
	p := r.current.Load()
	if p == nil {
		return nil, errors.New("no certificate is loaded")
	}
	now, next := time.Now(), r.next.Load()
	if now.UnixNano() < next || !r.next.CompareAndSwap(next, now.Add(fileCheck).UnixNano()) {
		return p.cert, nil
	}
	stamps, _, err := look(p.certFile, p.keyFile)
	if err == nil && stamps == p.stamps {
		return p.cert, nil
	}
	_ = r.Reload() // Status tells the error
	return r.current.Load().cert, nil
}

// ServerConfig returns the TLS configuration of the server half: TLS 1.2 or later, the
// certificate of the moment, no session tickets (a mail client hardly ever comes back in time,
// and without them no key outlives its connection). Changes of the Ring reach configurations
// that were handed out before.
func (r *Ring) ServerConfig() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return r.certificate()
		},
	}
}

// Status describes the certificate in use.
type Status struct {
	CertFile, KeyFile   string // "": none is loaded
	Names               []string
	Issuer              string
	NotBefore, NotAfter time.Time
	Key                 string // "RSA 2048", "ECDSA P-256", "Ed25519"
	SelfSigned          bool
	Fingerprint         string // SHA-256 of the certificate, in hexadecimal digits
	// Failed is why changed files could not be loaded, so that an old certificate is in use.
	Failed error
}

// Status returns what is known of the certificate in use.
func (r *Ring) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.current.Load()
	if p == nil {
		return Status{}
	}
	leaf := p.cert.Leaf
	key, _ := checkKey(leaf.PublicKey)
	return Status{
		CertFile:   p.certFile,
		KeyFile:    p.keyFile,
		Names:      certNames(leaf),
		Issuer:     leaf.Issuer.String(),
		NotBefore:  leaf.NotBefore,
		NotAfter:   leaf.NotAfter,
		Key:        key,
		SelfSigned: isSelfSigned(leaf),

		Fingerprint: fingerprint(leaf.Raw),
		Failed:      r.last,
	}
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// Warnings says what is not as it should be with the certificate in use, a sentence each:
// expired or about to, not yet valid, not for the name that the server gives itself ("" is not
// looked at), files that could not be loaded again, a key that others can read, a kind of key
// that few can use.
func (r *Ring) Warnings(fqdn string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.current.Load()
	if p == nil {
		return nil
	}
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	leaf, now := p.cert.Leaf, time.Now()
	day := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
	switch {
	case now.After(leaf.NotAfter):
		say("the certificate %s expired at %s", p.certFile, day(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		say("the certificate %s is valid only from %s on", p.certFile, day(leaf.NotBefore))
	case now.Add(expiryNotice).After(leaf.NotAfter):
		say("the certificate %s expires at %s", p.certFile, day(leaf.NotAfter))
	}
	if fqdn != "" && leaf.VerifyHostname(strings.TrimSuffix(fqdn, ".")) != nil {
		say("the certificate %s is not for %s but for %s", p.certFile, fqdn, namesText(certNames(leaf)))
	}
	if r.last != nil {
		say("the certificate was changed but cannot be loaded, so the one before is in use: %v", r.last)
	}
	if p.loose {
		say("the private key %s can be read by every user of this host; take that right away (chmod o-rwx)", p.keyFile)
	}
	if key, _ := checkKey(leaf.PublicKey); key == keyEd25519 {
		say("the certificate %s has an Ed25519 key, which many mail programs and devices cannot use; P-256 or RSA is safer", p.certFile)
	}
	return out
}

// namesText lists names for a sentence.
func namesText(names []string) string {
	if len(names) == 0 {
		return "no name at all"
	}
	const most = 5
	text := strings.Join(names[:min(len(names), most)], ", ")
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}

// look returns the stamps of both files, and whether every user may read the key.
func look(certFile, keyFile string) (stamps [2]stamp, loose bool, err error) {
	for i, name := range []string{certFile, keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamps, false, err
		}
		stamps[i] = stamp{info.ModTime(), info.Size()}
		loose = othersMayRead(info.Mode())
	}
	return stamps, loose, nil
}

func dedup(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
