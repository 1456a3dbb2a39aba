package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// files are those of one certificate.
type files struct{ dir, cert, key string }

func newFiles(t testing.TB) files {
	dir := t.TempDir()
	return files{dir, filepath.Join(dir, "relay.pem"), filepath.Join(dir, "relay.key")}
}

func (f files) write(t testing.TB, cert, key []byte) {
	t.Helper()
	put(t, f.cert, cert)
	put(t, f.key, key)
}

func put(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func selfSigned(t testing.TB, names ...string) (cert, key []byte) {
	t.Helper()
	cert, key, err := SelfSigned(names, 90*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// certFor makes a certificate for any key.
func certFor(t testing.TB, key crypto.Signer, edit func(*x509.Certificate)) (cert, keyPEM []byte) {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		DNSNames: []string{"relay.example.com"}, Subject: pkix.Name{CommonName: "relay"},
	}
	if edit != nil {
		edit(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// handshake connects a client to a server with the given configuration, on loopback: a side
// that gives up writes its alert while the other still writes, which a net.Pipe cannot take.
func handshake(t testing.TB, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	served := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			err = tls.Server(c, server).Handshake()
		}
		served <- err
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	conn := tls.Client(c, client)
	err = conn.Handshake()
	if err2 := <-served; err == nil {
		err = err2
	}
	return conn.ConnectionState(), err
}

func trusting(t testing.TB, certPEM []byte, name string) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(certPEM) {
		t.Fatal("no certificate")
	}
	return &tls.Config{RootCAs: pool, ServerName: name}
}

func TestServe(t *testing.T) {
	f := newFiles(t)
	cert, key := selfSigned(t, "relay.example.com", "bücher.example", "192.0.2.1")
	f.write(t, cert, key)
	r := New()
	config := r.ServerConfig() // a configuration from before the loading works too
	if _, err := handshake(t, config, trusting(t, cert, "relay.example.com")); err == nil {
		t.Error("a handshake without a certificate")
	}
	if err := r.Load(f.cert, f.key); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"relay.example.com", "xn--bcher-kva.example", "192.0.2.1"} {
		if _, err := handshake(t, config, trusting(t, cert, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := handshake(t, config, trusting(t, cert, "other.example.com")); err == nil {
		t.Error("the certificate is good for another name")
	}
	old := trusting(t, cert, "relay.example.com")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := handshake(t, config, old); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
	twelve := trusting(t, cert, "relay.example.com")
	twelve.MaxVersion = tls.VersionTLS12
	twelve.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for range 2 {
		if state, err := handshake(t, config, twelve); err != nil || state.DidResume {
			t.Errorf("TLS 1.2: %v, resumed %v", err, state.DidResume)
		}
	}
}

func TestStatus(t *testing.T) {
	f := newFiles(t)
	r := New()
	if s := r.Status(); s.CertFile != "" || r.Warnings("x") != nil || r.Reload() != nil {
		t.Errorf("empty ring: %+v", s)
	}
	cert, key := selfSigned(t, "b.example.com", "a.example.com", "a.example.com")
	f.write(t, cert, key)
	if err := r.Load(f.cert, f.key); err != nil {
		t.Fatal(err)
	}
	s := r.Status()
	if !slices.Equal(s.Names, []string{"a.example.com", "b.example.com"}) || s.Key != "ECDSA P-256" || !s.SelfSigned || s.CertFile != f.cert ||
		s.KeyFile != f.key || s.Failed != nil || time.Until(s.NotAfter) < 89*24*time.Hour {
		t.Errorf("%+v", s)
	}
	if w := r.Warnings("a.example.com."); w != nil {
		t.Errorf("warnings: %q", w)
	}
}

func TestKinds(t *testing.T) {
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalECPrivateKey(p384)
	if err != nil {
		t.Fatal(err)
	}
	f := newFiles(t)
	for _, c := range []struct {
		name   string
		key    crypto.Signer
		keyPEM []byte // nil: PKCS #8
		want   string
	}{
		{"PKCS8 RSA", rsa2048, nil, "RSA 2048"},
		{"PKCS1 RSA", rsa2048, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsa2048)}), "RSA 2048"},
		{"PKCS8 P-384", p384, nil, "ECDSA P-384"},
		{"SEC1 P-384", p384, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ecDER}), "ECDSA P-384"},
		{"Ed25519", ed, nil, "Ed25519"},
	} {
		cert, key := certFor(t, c.key, nil)
		if c.keyPEM != nil {
			// openssl writes the parameters of the curve first
			key = append([]byte("-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n"), c.keyPEM...)
		}
		f.write(t, cert, key)
		r := New()
		if err := r.Load(f.cert, f.key); err != nil || r.Status().Key != c.want {
			t.Errorf("%s: %v, %s", c.name, err, r.Status().Key)
			continue
		}
		if _, err := handshake(t, r.ServerConfig(), trusting(t, cert, "relay.example.com")); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if warned := len(r.Warnings("")) > 0; warned != (c.name == "Ed25519") {
			t.Errorf("%s: %q", c.name, r.Warnings(""))
		}
	}
	// Both in one file, the key first.
	cert, key := selfSigned(t, "relay.example.com")
	put(t, f.cert, append(key, cert...))
	if err := New().Load(f.cert, f.cert); err != nil {
		t.Errorf("one file: %v", err)
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	cert, key := selfSigned(t, "relay.example.com")
	cert2, key2 := selfSigned(t, "other.example.com")
	block, _ := pem.Decode(cert)
	keyBlock, _ := pem.Decode(key)
	weak := weakRSA(t)
	weakCert, weakKey := certFor(t, weak, nil)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224Cert, p224Key := certFor(t, p224, nil)
	legacy := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("x")})
	pemOf := func(typ string, data []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: data}) }
	damaged := slices.Clone(keyBlock.Bytes)
	damaged[20] ^= 0xff
	f := newFiles(t)
	for _, c := range []struct {
		name      string
		cert, key []byte
		file      string // that the error must name
		want      string
	}{
		{"empty certificate", nil, key, f.cert, "holds no certificate in PEM form"},
		{"text", []byte("hello"), key, f.cert, "holds no certificate in PEM form"},
		{"swapped", key, cert, f.cert, "holds no certificate but a PRIVATE KEY"},
		{"DER", block.Bytes, key, f.cert, "is in DER form"},
		{"damaged certificate", pemOf("CERTIFICATE", block.Bytes[:100]), key, f.cert, "number 1 in it is damaged"},
		{"damaged chain", append(slices.Clone(cert), pemOf("CERTIFICATE", []byte("x"))...), key, f.cert, "number 2 in it is damaged"},
		{"control octets", pemOf("X\x1b[31mY", []byte("x")), key, f.cert, "holds no certificate"},
		{"too large", make([]byte, maxFile+1), key, f.cert, "larger than 1 MB"},
		{"no key", cert, nil, f.key, "holds no key in PEM form"},
		{"certificate for a key", cert, cert, f.key, "holds no private key but a CERTIFICATE"},
		{"PFX", cert, []byte{0x30, 0x82, 1, 2}, f.key, "is not in PEM form"},
		{"passphrase", cert, pemOf("ENCRYPTED PRIVATE KEY", []byte("x")), f.key, "has a passphrase"},
		{"passphrase, old form", cert, legacy, f.key, "has a passphrase"},
		{"damaged key", cert, pemOf("PRIVATE KEY", damaged), f.key, "damaged or of a kind that is not known"},
		{"DSA", cert, pemOf("DSA PRIVATE KEY", []byte("x")), f.key, "a DSA PRIVATE KEY cannot be used"},
		{"RSA 1024", weakCert, weakKey, f.key, "too weak (RSA 1024): at least RSA 2048"},
		{"certificate RSA 1024", weakCert, key, f.cert, "too weak (RSA 1024)"},
		{"P-224", p224Cert, p224Key, f.key, "too weak (ECDSA P-224)"},
		{"another's key", cert, key2, f.key, "does not belong to the certificate " + f.cert + " (for relay.example.com)"},
		{"wrong order", append(slices.Clone(cert2), cert...), key, f.cert, "does not stand first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.write(t, cert, key)
			r := New()
			if err := r.Load(f.cert, f.key); err != nil {
				t.Fatal(err)
			}
			f.write(t, c.cert, c.key)
			for what, err := range map[string]error{"Load": r.Load(f.cert, f.key), "Reload": r.Reload()} {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.file) {
					t.Fatalf("%s: %v, want %q", what, err, c.want)
				}
				if secret(err.Error(), keyBlock.Bytes) || strings.ContainsAny(err.Error(), "\x1b\n") {
					t.Errorf("%s: %q", what, err)
				}
			}
			if s := r.Status(); s.Failed == nil || s.Names[0] != "relay.example.com" {
				t.Errorf("the certificate before is not in use: %+v", s)
			}
			if w := r.Warnings(""); len(w) != 1 || !strings.Contains(w[0], "the one before is in use") {
				t.Errorf("warnings: %q", w)
			}
		})
	}
	err = New().Load(filepath.Join(f.dir, "gone.pem"), f.key)
	if err == nil || err.Error() != filepath.Join(f.dir, "gone.pem")+" does not exist" {
		t.Errorf("no file: %v", err)
	}
	if err := New().Load(f.dir, f.key); err == nil || !strings.Contains(err.Error(), f.dir) {
		t.Errorf("a directory: %v", err)
	}
}

// weakRSA makes a key that the standard library would not make unless it is told to.
func weakRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// secret reports whether text holds a piece of a key in a usual form.
func secret(text string, key []byte) bool {
	for i := 0; i+8 <= len(key); i++ {
		if strings.Contains(text, string(key[i:i+8])) {
			return true
		}
	}
	return false
}

func TestFilesThatChangeAreLoadedAgain(t *testing.T) {
	f := newFiles(t)
	one, oneKey := selfSigned(t, "one.example.com")
	two, twoKey := selfSigned(t, "two.example.com")
	three, threeKey := selfSigned(t, "three.example.com")
	stampAt := func(n int64) {
		t.Helper()
		for _, name := range []string{f.cert, f.key} {
			if err := os.Chtimes(name, time.Unix(n, 0), time.Unix(n, 0)); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.write(t, one, oneKey)
	stampAt(1)
	synctest.Test(t, func(t *testing.T) {
		r := New()
		if err := r.Load(f.cert, f.key); err != nil {
			t.Fatal(err)
		}
		name := func() string {
			c, err := r.certificate()
			if err != nil {
				t.Fatal(err)
			}
			return c.Leaf.DNSNames[0]
		}
		f.write(t, two, twoKey)
		stampAt(2)
		if got := name(); got != "one.example.com" {
			t.Errorf("at once: %s", got)
		}
		if time.Sleep(fileCheck); name() != "two.example.com" {
			t.Errorf("after the check: %s", name())
		}
		// One file of the two has been written: the old certificate is used until the other is.
		put(t, f.cert, three)
		stampAt(3)
		if time.Sleep(fileCheck); name() != "two.example.com" || r.Status().Failed == nil {
			t.Errorf("between the files: %s, %v", name(), r.Status().Failed)
		}
		put(t, f.key, threeKey)
		stampAt(4)
		if time.Sleep(fileCheck); name() != "three.example.com" || r.Status().Failed != nil {
			t.Errorf("with both files: %s, %v", name(), r.Status().Failed)
		}
		if err := os.Remove(f.key); err != nil {
			t.Fatal(err)
		}
		if time.Sleep(fileCheck); name() != "three.example.com" || r.Status().Failed == nil {
			t.Errorf("without the key: %s", name())
		}
		// Reload does not wait for the check.
		f.write(t, one, oneKey)
		if err := r.Reload(); err != nil || name() != "one.example.com" {
			t.Errorf("Reload: %v, %s", err, name())
		}
	})
}

func TestWarnings(t *testing.T) {
	f := newFiles(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	for _, c := range []struct {
		name     string
		from, to time.Duration
		mode     os.FileMode
		fqdn     string
		want     string // "": no warning
	}{
		{"good", -day, 90 * day, 0o640, "relay.example.com", ""},
		{"expired", -2 * day, -day, 0o600, "", "expired at "},
		{"not yet valid", day, 9 * day, 0o600, "", "valid only from "},
		{"expires soon", -day, 13 * day, 0o600, "", "expires at "},
		{"another name", -day, 90 * day, 0o600, "mail.example.com", "is not for mail.example.com but for relay.example.com"},
		{"open to all", -day, 90 * day, 0o644, "", "can be read by every user"},
	} {
		if c.mode == 0o644 && runtime.GOOS == "windows" {
			continue // there are no such bits
		}
		cert, keyPEM := certFor(t, key, func(x *x509.Certificate) {
			x.NotBefore, x.NotAfter = time.Now().Add(c.from), time.Now().Add(c.to)
		})
		f.write(t, cert, keyPEM)
		if err := os.Chmod(f.key, c.mode); err != nil {
			t.Fatal(err)
		}
		r := New()
		if err := r.Load(f.cert, f.key); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		w := r.Warnings(c.fqdn)
		if (len(w) == 0) != (c.want == "") || len(w) > 1 || !strings.Contains(strings.Join(w, ""), c.want) {
			t.Errorf("%s: %q, want %q", c.name, w, c.want)
		}
	}
}

func TestSelfSignedRefuses(t *testing.T) {
	for _, names := range [][]string{nil, {""}, {"a b"}, {"a\n.example"}} {
		if _, _, err := SelfSigned(names, time.Hour); err == nil {
			t.Errorf("%q: no error", names)
		}
	}
	if _, _, err := SelfSigned([]string{"a.example"}, 0); err == nil {
		t.Error("no time: no error")
	}
	if _, _, err := SelfSigned([]string{strings.Repeat("a", 60) + ".example.com"}, time.Hour); err != nil {
		t.Error("long name:", err)
	}
}

// FuzzParse reads hostile files: no panic, and an error never repeats what is in a key block.
func FuzzParse(f *testing.F) {
	cert, key := selfSigned(f, "relay.example.com")
	f.Add(cert)
	f.Add(key)
	f.Add(append(slices.Clone(key), cert...))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		chain, err := parseChain("relay.pem", data)
		if (len(chain) == 0) == (err == nil) {
			t.Fatalf("%d certificates, %v", len(chain), err)
		}
		for _, c := range chain {
			certNames(c)
			checkKey(c.PublicKey)
			isSelfSigned(c)
		}
		k, err := parseKey("relay.key", data)
		if (k == nil) == (err == nil) {
			t.Fatalf("%v, %v", k, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\r\n\x1b\x00") {
			t.Fatalf("%q", err)
		}
	})
}

// TestWhoseError: an error tells whether it is of the file of the key.
func TestWhoseError(t *testing.T) {
	certPEM, keyPEM, err := SelfSigned([]string{"relay.test"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key, none := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "none")
	for name, data := range map[string][]byte{cert: certPEM, key: keyPEM} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		cert, key string
		ofKey     bool
	}{{none, key, false}, {none, none, false}, {cert, none, true}, {cert, cert, true}, {cert, dir, true}, {dir, key, false}} {
		err := New().Load(c.cert, c.key)
		var of *KeyFileError
		if err == nil || errors.As(err, &of) != c.ofKey {
			t.Errorf("%s, %s: %v", filepath.Base(c.cert), filepath.Base(c.key), err)
		}
	}
}
