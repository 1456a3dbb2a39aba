package metabase

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// oneAddress is the binary form of a list that grants 127.0.0.1 alone.
const oneAddress = "18000080200000803c00008044000080010000004c0000000000000000000000" +
	"0100000001000000020000000200000004000000000000004c0000800000000000000000" + "0000000000000000" + "ffffffff7f000001"

// group is a mask and the addresses that have it.
type group struct {
	mask      string
	addresses []string
}

// build makes the binary form of a list.
func build(deny, grant []group, denyNames, grantNames []string) []byte {
	u32 := func(b []byte, vs ...uint32) []byte {
		for _, v := range vs {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		return b
	}
	size := func(g []group) uint32 { return 8 + groupSize*uint32(len(g)) }
	denyAt := uint32(listHead)
	grantAt := denyAt + size(deny)
	denyNamesAt := grantAt + size(grant)
	grantNamesAt := denyNamesAt + 8
	fixed := grantNamesAt + 8
	b := u32(nil, topBit|denyAt, topBit|grantAt, topBit|denyNamesAt, topBit|grantNamesAt, 1, fixed)
	var data []byte
	for _, section := range [][]group{deny, grant} {
		total := 0
		for _, g := range section {
			total += len(g.addresses)
		}
		b = u32(b, uint32(len(section)), uint32(total))
		for _, g := range section {
			b = u32(b, familyIP4, uint32(len(g.addresses)+1), 4, 0, topBit|fixed+uint32(len(data)))
			for _, a := range append([]string{g.mask}, g.addresses...) {
				data = append(data, netip.MustParseAddr(a).AsSlice()...)
			}
		}
	}
	for _, names := range [][]string{denyNames, grantNames} {
		b = u32(b, uint32(min(1, len(names))), uint32(len(names)))
		for _, n := range names {
			data = append(append(data, n...), 0)
		}
	}
	return append(b, data...)
}

func TestAddressList(t *testing.T) {
	one, _ := hex.DecodeString(oneAddress)
	host := "255.255.255.255"
	for _, c := range []struct {
		name   string
		b      []byte
		except bool
		want   string
		names  string
	}{
		{"the known form of one address", one, false, "127.0.0.1/32", ""},
		{"the same, built", build(nil, []group{{host, []string{"127.0.0.1"}}}, nil, nil), false, "127.0.0.1/32", ""},
		{"groups", build(nil, []group{{host, []string{"192.0.2.1", "192.0.2.2"}}, {"255.255.0.0", []string{"10.1.2.3"}}}, nil, nil), false, "192.0.2.1/32 192.0.2.2/32 10.1.0.0/16", ""},
		{"denied", build([]group{{host, []string{"203.0.113.9"}}}, nil, nil, nil), true, "203.0.113.9/32", ""},
		{"everybody", build(nil, []group{{"0.0.0.0", []string{"0.0.0.0"}}}, nil, nil), false, "0.0.0.0/0", ""},
		{"names", build(nil, []group{{host, []string{"192.0.2.1"}}}, nil, []string{"*.corp.example"}), false, "192.0.2.1/32", "*.corp.example"},
		{"names that are denied", build(nil, nil, []string{"spam.example", "x.example"}, nil), true, "", "spam.example x.example"},
	} {
		l, err := ParseAddressList(c.b)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, p := range l.Networks {
			got = append(got, p.String())
		}
		if l.AllExcept != c.except || strings.Join(got, " ") != c.want || strings.Join(l.Names, " ") != c.names || l.Empty {
			t.Errorf("%s: got %+v", c.name, l)
		}
	}
	for name, b := range map[string][]byte{"no octets": nil, "nothing in it": build(nil, nil, nil, nil)} {
		if l, err := ParseAddressList(b); err != nil || !l.Empty || l.AllExcept {
			t.Errorf("%s: got %+v, %v", name, l, err)
		}
	}
}

// What is not understood is an error, never a list (R1: nothing is open that was not granted).
func TestAddressListInDoubt(t *testing.T) {
	host := "255.255.255.255"
	good := build(nil, []group{{host, []string{"192.0.2.1", "192.0.2.2"}}}, nil, nil)
	for at := range len(good) {
		if l, err := ParseAddressList(good[:at]); at > 0 && err == nil {
			t.Errorf("cut at %d: got %+v", at, l)
		}
	}
	set := func(at int, v uint32) []byte {
		b := slices.Clone(good)
		binary.LittleEndian.PutUint32(b[at:], v)
		return b
	}
	for name, b := range map[string][]byte{
		"an offset without its top bit":      set(4, 0x20),
		"an offset into the head":            set(4, topBit|4),
		"an offset behind the end":           set(4, topBit|4000),
		"a flag that is not known":           set(16, 7),
		"a fixed part without end":           set(20, 1<<31),
		"another family":                     set(40, 23),
		"entries of another size":            set(48, 16),
		"entries without end":                set(44, 1<<30),
		"no mask":                            set(44, 0),
		"groups without end":                 set(32, 1<<31),
		"another total":                      set(36, 1),
		"both sections the same":             set(0, topBit|0x20),
		"grants and denies":                  build([]group{{host, []string{"10.0.0.1"}}}, []group{{host, []string{"10.0.0.2"}}}, nil, nil),
		"keeps out what no network says":     build([]group{{"255.0.255.0", []string{"10.0.1.0"}}}, nil, nil, nil),
		"names and addresses, of both kinds": build([]group{{host, []string{"10.0.0.1"}}}, nil, nil, []string{"a.example"}),
		"a denied name in UTF-16":            build(nil, nil, []string{wideName("evil.example")}, nil),
		"an address and such a name":         build([]group{{host, []string{"10.1.1.1"}}}, nil, []string{wideName("evil.example")}, nil),
		"a denied name of two letters":       build(nil, nil, []string{"de"}, nil),
		"one of two denied names":            build(nil, nil, []string{"evil.example", "de"}, nil),
		"a denied group without addresses":   build([]group{{host, nil}}, nil, nil, nil),
		"one beside a group with some":       build([]group{{host, []string{"10.1.1.1"}}, {"255.255.0.0", nil}}, nil, nil, nil),
		"denies, and octets at its end":      append(build([]group{{host, []string{"10.1.1.1"}}}, nil, nil, nil), "\x01\x00\x00\x00evil.example\x00"...),
		"empty, and octets at its end":       append(build(nil, nil, nil, nil), 0),
		"addresses that are its own head":    set(56, topBit|24),
		"text":                               []byte(strings.Repeat("this is no list. ", 8)),
	} {
		if l, err := ParseAddressList(b); err == nil {
			t.Errorf("%s: got %+v", name, l)
		}
	}
	for _, c := range []struct {
		b       []byte
		dropped string
	}{
		{build(nil, []group{{"255.0.255.0", []string{"10.0.1.0"}}, {host, []string{"10.0.0.1"}}}, nil, nil), "10.0.1.0 with the mask 255.0.255.0"},
		{build(nil, []group{{host, []string{"10.0.0.1"}}}, nil, []string{wideName("good.example"), "good.example"}), "domain names that cannot be read (1)"},
		{build(nil, []group{{host, []string{"10.0.0.1"}}, {"255.255.0.0", nil}}, nil, nil), "groups without an address (1)"},
		{append(build(nil, []group{{host, []string{"10.0.0.1"}}}, nil, nil), "evil.example"...), "octets that belong to no part of it (12)"},
	} {
		l, err := ParseAddressList(c.b)
		if err != nil || len(l.Networks) != 1 || strings.Join(l.Dropped, ", ") != c.dropped {
			t.Errorf("%s: got %+v, %v", c.dropped, l, err)
		}
	}
}

// wideName is a name in UTF-16, as Windows keeps text.
func wideName(name string) string { return string(wide(name, binary.LittleEndian, false)) }

// A list takes no more memory than its octets ask for, and never grants more addresses than it holds.
func FuzzAddressList(f *testing.F) {
	host := "255.255.255.255"
	one, _ := hex.DecodeString(oneAddress)
	f.Add(one)
	f.Add(build([]group{{host, []string{"203.0.113.9"}}, {"255.255.255.0", []string{"10.0.0.0"}}}, nil, nil, nil))
	f.Add(build(nil, nil, []string{"a.example"}, []string{"b.example"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseAddressList(b)
		if err != nil {
			if len(l.Networks) > 0 || l.AllExcept || l.Empty {
				t.Fatalf("an error, and yet a list: %+v, %v", l, err)
			}
			return
		}
		if l.AllExcept && len(l.Networks)+len(l.Names) == 0 {
			t.Fatalf("keeps nobody out: %+v", l)
		}
		if len(l.Networks) > maxList || l.Empty && len(l.Networks)+len(l.Names) > 0 {
			t.Fatalf("got %d networks: %+v", len(l.Networks), l)
		}
		for _, p := range l.Networks {
			if !p.IsValid() || p != p.Masked() || !p.Addr().Is4() {
				t.Fatalf("got %v", p)
			}
		}
	})
}

func TestParseAddress(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7, 255.255.255.255": "192.0.2.7/32", "10.1.2.3,255.255.0.0": "10.1.0.0/16", "192.0.2.7": "192.0.2.7/32",
		"2001:db8::1": "2001:db8::1/128", "0.0.0.0, 0.0.0.0": "0.0.0.0/0",
	} {
		if p, err := ParseAddress(in); err != nil || p.String() != want {
			t.Errorf("%s: got %v, %v", in, p, err)
		}
	}
	for _, in := range []string{"", "a.example", "192.0.2.7, 255.0.255.0", "192.0.2.7, x", "fe80::1%eth0", "2001:db8::1, 255.255.255.255"} {
		if p, err := ParseAddress(in); err == nil {
			t.Errorf("%s: got %v", in, p)
		}
	}
}
