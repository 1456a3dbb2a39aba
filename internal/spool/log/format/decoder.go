package format

import "encoding/binary"

// Decoder takes fields off B. After the first that is not there it is Bad and yields zeros.
type Decoder struct {
	B   []byte
	Bad bool
}

// Skip takes n octets.
func (d *Decoder) Skip(n int) []byte {
	if d.Bad || n < 0 || n > len(d.B) {
		d.Bad = true
		return nil
	}
	s := d.B[:n]
	d.B = d.B[n:]
	return s
}

// Byte takes one octet.
func (d *Decoder) Byte() byte {
	if s := d.Skip(1); s != nil {
		return s[0]
	}
	return 0
}

// Uint64 takes eight octets.
func (d *Decoder) Uint64() uint64 {
	if s := d.Skip(8); s != nil {
		return le.Uint64(s)
	}
	return 0
}

// Uvarint takes what binary.AppendUvarint appends.
func (d *Decoder) Uvarint() uint64 {
	v, n := binary.Uvarint(d.B)
	if n <= 0 {
		d.Bad = true
		return 0
	}
	d.Skip(n)
	return v
}

// Varint takes what binary.AppendVarint appends.
func (d *Decoder) Varint() int64 {
	v, n := binary.Varint(d.B)
	if n <= 0 {
		d.Bad = true
		return 0
	}
	d.Skip(n)
	return v
}

// Bytes takes a length, a uvarint, and as many octets.
func (d *Decoder) Bytes() []byte {
	n := d.Uvarint()
	if n > uint64(len(d.B)) {
		d.Bad = true
		return nil
	}
	return d.Skip(int(n))
}

// File takes what AppendFile has appended.
func (d *Decoder) File(kind Kind) ID {
	num := uint32(d.Uvarint())
	return ID{Kind: kind, Num: num, Salt: d.Uint64()}
}

// Files takes what AppendFiles has appended.
func (d *Decoder) Files(kind Kind) map[ID]bool {
	list := map[ID]bool{}
	for n := d.Uvarint(); n > 0 && !d.Bad; n-- {
		list[d.File(kind)] = true
	}
	return list
}
