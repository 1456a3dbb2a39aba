package keyring

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"golang.org/x/net/idna"
)

// SelfSigned makes a P-256 key and a certificate for it, both in PEM form, for the given DNS
// names and addresses, valid from an hour ago for the given time. Clients that verify will not
// trust it unless they are told to.
func SelfSigned(names []string, valid time.Duration) (certPEM, keyPEM []byte, err error) {
	if len(names) == 0 || valid <= 0 {
		return nil, nil, errors.New("a certificate needs a name and a time")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)),
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(valid),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
			continue
		}
		ascii, err := idna.Lookup.ToASCII(n)
		if err != nil || ascii == "" {
			return nil, nil, fmt.Errorf("%q is not a name that a certificate can be for", n)
		}
		t.DNSNames = append(t.DNSNames, ascii)
	}
	if cn := names[0]; len(cn) <= 64 { // the limit of the field (RFC 5280 appendix A.1)
		t.Subject = pkix.Name{CommonName: cn}
	} else {
		t.Subject = pkix.Name{CommonName: "self-signed"}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}
