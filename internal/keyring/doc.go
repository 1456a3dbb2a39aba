// Package keyring holds the certificate and private key with which the server half speaks TLS:
// it loads them from PEM files, refuses what is too weak or does not fit, loads them again when
// the files change, and hands out the TLS configuration. It owns no listener and knows nothing
// of SMTP. Key material never gets into an error, a warning or a status. Start with Ring.Load.
package keyring
