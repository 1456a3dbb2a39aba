package dns

import (
	"net/netip"
	"strings"
	"testing"

	wire "github.com/miekg/dns"
)

// FuzzAnswer reads hostile answers: whatever comes, the caps hold and names are clean.
func FuzzAnswer(f *testing.F) {
	req := new(wire.Msg)
	req.SetQuestion("example.org.", wire.TypeMX)
	for _, rrs := range [][]string{
		{"example.org. 60 MX 10 mx.example.org."},
		{"example.org. 60 CNAME a.example.org.", "a.example.org. 60 MX 0 ."},
		{"example.org. 60 CNAME example.org."},
	} {
		out, _ := records(0, "example.org. 600 SOA ns. root. 1 1 1 1 60", rrs...)("", req).Pack()
		f.Add(out, wire.TypeMX)
	}
	f.Add([]byte{0, 0, 0x80, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0}, wire.TypePTR)
	f.Fuzz(func(t *testing.T, data []byte, qtype uint16) {
		req := new(wire.Msg)
		req.SetQuestion("example.org.", qtype)
		if len(data) >= 2 {
			req.Id = uint16(data[0])<<8 | uint16(data[1])
		}
		msg, err := parse(data, req)
		if msg == nil || err != nil {
			return
		}
		codeOf(msg)
		answerError(msg)
		a := &answer{name: "example.org", ttl: 1 << 40}
		aliases := 0
		a.take(msg, qtype, &aliases)
		if len(a.mx) > MaxRecords || len(a.addrs) > MaxRecords || len(a.texts) > MaxRecords || aliases > MaxAliases+1 || a.ttl < 0 {
			t.Errorf("caps: %d %d %d %d %v", len(a.mx), len(a.addrs), len(a.texts), aliases, a.ttl)
		}
		if _, ok := cleanName(a.name); !ok {
			t.Errorf("unclean name %q", a.name)
		}
		for _, m := range a.mx {
			if strings.ContainsAny(m.Host, "\r\n \x00") {
				t.Errorf("host %q", m.Host)
			}
		}
		if qtype == wire.TypePTR {
			for _, n := range a.texts {
				if !isHostName(n) {
					t.Errorf("name %q", n)
				}
			}
		}
	})
}

// FuzzFiles reads hostile hosts and resolv.conf files.
func FuzzFiles(f *testing.F) {
	f.Add([]byte("192.0.2.1 a b # c\r\n::1 localhost\nnameserver 192.0.2.1\noptions timeout:1 trust-ad\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		byName, byAddr := parseHosts(data)
		for name, addrs := range byName {
			if clean, ok := cleanName(name); !ok || clean != name || len(addrs) == 0 {
				t.Errorf("%q %v", name, addrs)
			}
		}
		for addr, names := range byAddr {
			for _, n := range names {
				if !addr.IsValid() || !isHostName(n) {
					t.Errorf("%v %q", addr, n)
				}
			}
		}
		s := parseResolvConf(data)
		if len(s.servers) == 0 || len(s.servers) > maxServers {
			t.Errorf("%d servers", len(s.servers))
		}
		for _, a := range s.servers {
			if _, err := netip.ParseAddr(a); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzName checks that whatever passes as a name can be asked for and comes back the same.
func FuzzName(f *testing.F) {
	f.Add("example.org")
	f.Add(`a\.b."c`)
	f.Fuzz(func(t *testing.T, name string) {
		unescape(name)
		clean, ok := cleanName(name)
		if !ok {
			return
		}
		m := new(wire.Msg)
		m.SetQuestion(clean+".", wire.TypeTXT)
		out, err := m.Pack()
		if err != nil {
			t.Fatalf("%q: %v", clean, err)
		}
		if err := m.Unpack(out); err != nil || m.Question[0].Name != clean+"." {
			t.Fatalf("%q came back as %q, %v", clean, m.Question[0].Name, err)
		}
	})
}
