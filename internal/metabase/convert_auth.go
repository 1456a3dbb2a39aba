package metabase

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mailroot/mailroot/internal/config"
)

// flagWord is a word of bits that says who is let in. Its bits also stand one by one, as adsutil shows them.
type flagWord struct {
	name    string
	names   map[string]uint32 // of the bits, in lower case
	members []string          // of them those that are properties
}

// The bits of AuthFlags and AccessSSLFlags.
const (
	authAnonymous = 1
	authBasic     = 2
	authNTLM      = 4

	accessSSL       = 0x8
	accessNegotiate = 0x20
	accessRequire   = 0x40
	accessMap       = 0x80
	accessSSL128    = 0x100

	accessInside = accessSSL | accessRequire | accessSSL128 // each takes mail inside TLS alone
)

func authWord() flagWord {
	return flagWord{"AuthFlags", map[string]uint32{"authanonymous": authAnonymous, "authbasic": authBasic, "authntlm": authNTLM, "authmd5": 16, "authpassport": 64},
		[]string{"AuthAnonymous", "AuthBasic", "AuthNTLM"}}
}

func accessWord() flagWord {
	return flagWord{"AccessSSLFlags", map[string]uint32{"accessssl": accessSSL, "accesssslnegotiatecert": accessNegotiate, "accesssslrequirecert": accessRequire,
		"accesssslmapcert": accessMap, "accessssl128": accessSSL128},
		[]string{"AccessSSL", "AccessSSL128", "AccessSSLNegotiateCert", "AccessSSLRequireCert", "AccessSSLMapCert"}}
}

// read reads the word itself. All of it must be known.
func (w *flagWord) read(v value) (uint32, error) {
	if v.doubt != "" {
		return 0, errors.New(v.doubt)
	}
	if strings.TrimSpace(v.text) == "" {
		return 0, errors.New("it is empty")
	}
	word, err := flags(v.text, w.names)
	rest := word
	for _, bit := range w.names {
		rest &^= bit
	}
	if err == nil && rest != 0 {
		err = fmt.Errorf("unknown bits: 0x%x", rest)
	}
	return word, err
}

// word reads a word of flags, and its bits one by one, which must agree with it and with one another. The value is the one that tells
// it, and is not set where the file says nothing; the error is why it cannot be told for certain.
func (c *converter) word(w flagWord) (v value, word uint32, err error) {
	v = c.value(w.name)
	whole := v.set()
	if whole {
		word, err = w.read(v)
	}
	for _, name := range w.members {
		m, bit := c.value(name), w.names[strings.ToLower(name)]
		if !m.set() || whole && m.above > v.above { // the word of a key below goes before it
			continue
		}
		on, odd := m.truth()
		switch {
		case odd != nil:
			odd = fmt.Errorf("%s: %w", name, odd)
		case whole && on != (word&bit != 0):
			odd = fmt.Errorf("%s says something else", name)
		case !whole && v.set() && m.above != v.above:
			odd = fmt.Errorf("%s stands at another key than %s", name, v.row.Name)
		}
		if err == nil {
			err = odd
		}
		switch {
		case whole:
			c.leave(m, "it is a bit of %s, which is taken as a whole", w.name)
		case !v.set():
			v = m
		}
		if on && !whole {
			word |= bit
		}
	}
	return v, word, err
}

// authentication says who may come without authentication. Where nobody may, and this version cannot authenticate, nobody can
// send mail: it returns why.
func (c *converter) authentication(b *block) (closed string) {
	v, word, err := c.word(authWord())
	if allow := c.value("AllowAnonymous"); allow.set() {
		on, odd := allow.truth()
		switch {
		case err != nil:
		case odd != nil:
			err = fmt.Errorf("AllowAnonymous: %w", odd)
		case !on && (!v.set() || word&authAnonymous != 0):
			err = fmt.Errorf("AllowAnonymous is %s", quoted(allow.text))
		}
		c.leave(allow, "%s", allow.row.Why)
	}
	if !v.set() && err == nil {
		b.set("authentication", `["anonymous"]`, "AuthFlags is absent; the original's set-up allows anonymous alone.")
		return ""
	}
	var methods []string
	for _, m := range []struct {
		bit  uint32
		name string
	}{{authAnonymous, "anonymous"}, {authBasic, "basic"}, {authNTLM, "integrated"}} {
		if word&m.bit != 0 {
			methods = append(methods, m.name)
		}
	}
	if err == nil && len(methods) == 0 {
		err = errors.New("no method is in it")
	}
	if err != nil {
		c.report.alarm("who may send mail without authentication through %s cannot be told from AuthFlags (%v): nobody may connect", c.path, err)
		if v.set() {
			c.leave(v, "%v: nobody may connect", err)
		}
		return "AuthFlags does not tell who may send mail without authentication"
	}
	e := b.set("authentication", list(methods), v.note())
	c.record(v, e, "")
	c.basicDomain(b)
	later := b.setting("authentication").Later
	usable := slices.DeleteFunc(methods, func(m string) bool { return slices.Contains(later, m) })
	if e.off == "" {
		return ""
	}
	if len(usable) > 0 {
		b.set("authentication", list(usable), "Until then.")
		c.report.alarm("clients of %s could authenticate, which is not in this version: those that did are anonymous now, and relay only if they are on the relay list", c.path)
		return ""
	}
	c.report.alarm("%s took mail from authenticated clients alone, which is not in this version: nobody may connect, as access.connection_control says. To let networks in without authentication, set its list", c.path)
	return "the old server took mail from authenticated clients alone, which is not in this version"
}

func (c *converter) basicDomain(b *block) {
	sasl, logon := c.value("SaslLogonDomain"), c.value("DefaultLogonDomain")
	v := sasl
	if strings.TrimSpace(sasl.text) == "" {
		v = logon
	} else if logon.set() {
		c.leave(logon, "SaslLogonDomain goes before it")
	}
	if strings.TrimSpace(v.text) != "" {
		c.record(v, b.set("basic_domain", config.Quote(clean(v.text)), v.note()), "")
	}
}

// certificate converts what asks for TLS. The certificate itself is not in the file, so that a server that took mail inside TLS alone
// takes none until there is one; nor does one whose clients had to have certificates, for which this version cannot ask: it
// returns why.
func (c *converter) certificate(b *block) (closed string) {
	hash := c.value("SSLCertHash")
	if strings.TrimSpace(hash.text) != "" {
		c.leave(hash, "%s", hash.row.Why)
	}
	w := accessWord()
	v, word, err := c.word(w)
	if why := c.otherAccess(w); why != "" && err == nil {
		err = errors.New(why)
	}
	switch {
	case err != nil:
		c.report.alarm("whether %s took mail inside TLS alone cannot be told from AccessSSLFlags (%v): nobody may connect", c.path, err)
		if v.set() {
			c.leave(v, "%v: nobody may connect", err)
		}
		return "AccessSSLFlags does not tell whether the old server took mail inside TLS alone"
	case word == 0:
		return ""
	}
	var why []string
	if word&accessInside != 0 {
		e := b.set("require_tls", "true", v.note())
		e.off = "it needs access.certificate and access.private_key"
		c.record(v, e, "")
		why = append(why, "the old server took mail inside TLS alone, which needs access.certificate, access.private_key and access.require_tls")
		c.report.alarm("%s took mail inside TLS alone: until there is a certificate nobody may connect. Set access.certificate, access.private_key and access.require_tls, then access.connection_control", c.path)
	}
	if word&accessSSL128 != 0 {
		c.record(v, b.set("strong_only", "true", v.note()), "128 bits became TLS with forward secrecy and AEAD ciphers")
	}
	if word&(accessNegotiate|accessRequire|accessMap) != 0 {
		e := b.set("client_certificates", "true", v.note())
		c.record(v, e, "client certificates authenticate")
		if word&accessRequire != 0 && e.off != "" {
			why = append(why, "the old server asked clients for certificates, which is not in this version")
			c.report.alarm("%s took mail from clients with certificates alone, which is not in this version: nobody may connect, as access.connection_control says", c.path)
		}
	}
	return strings.Join(why, "; ")
}

// otherAccess says that AccessFlags, which is of the web services, asks for TLS.
func (c *converter) otherAccess(w flagWord) string {
	v := c.value("AccessFlags")
	if !v.set() {
		return ""
	}
	c.leave(v, "%s", v.row.Why)
	word, _ := flags(v.text, w.names) // the names that it has for itself do not matter
	for _, bit := range w.names {
		if word&bit != 0 {
			return "AccessFlags, which has no such bits, says " + quoted(v.text)
		}
	}
	return ""
}
