package metabase

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

var errNoDescriptor = errors.New("is no security descriptor")

// accounts returns the accounts that a self-relative security descriptor allows something (MS-DTYP 2.4.6), as SIDs, each once.
func accounts(b []byte) ([]string, error) {
	const head, dacl = 20, 16
	if len(b) < head || b[0] != 1 {
		return nil, errNoDescriptor
	}
	at := int64(binary.LittleEndian.Uint32(b[dacl:]))
	if at < head || at+8 > int64(len(b)) {
		return nil, errNoDescriptor
	}
	acl := b[at:]
	size, count := int(binary.LittleEndian.Uint16(acl[2:])), int(binary.LittleEndian.Uint16(acl[4:]))
	if size < 8 || size > len(acl) {
		return nil, errNoDescriptor
	}
	acl = acl[8:size]
	var out []string
	for range count {
		if len(acl) < 8 {
			return nil, errNoDescriptor
		}
		n := int(binary.LittleEndian.Uint16(acl[2:]))
		if n < 8 || n > len(acl) {
			return nil, errNoDescriptor
		}
		const accessAllowed = 0
		if acl[0] == accessAllowed {
			sid, err := sidText(acl[8:n])
			if err != nil {
				return nil, err
			}
			if !slices.Contains(out, sid) {
				out = append(out, sid)
			}
		}
		acl = acl[n:]
	}
	return out, nil
}

// sidText writes a SID as people know it (MS-DTYP 2.4.2.1).
func sidText(b []byte) (string, error) {
	if len(b) < 8 || b[0] != 1 || int(b[1]) > 15 || len(b) < 8+4*int(b[1]) {
		return "", errNoDescriptor
	}
	var authority uint64
	for _, o := range b[2:8] {
		authority = authority<<8 | uint64(o)
	}
	var s strings.Builder
	fmt.Fprintf(&s, "S-1-%d", authority)
	for i := range int(b[1]) {
		fmt.Fprintf(&s, "-%d", binary.LittleEndian.Uint32(b[8+4*i:]))
	}
	return s.String(), nil
}

// accountName says which account of every Windows a SID stands for; else the SID itself.
func accountName(sid string) string {
	switch sid {
	case "S-1-5-32-544":
		return "Administrators"
	case "S-1-5-32-545":
		return "Users"
	case "S-1-5-18":
		return "SYSTEM"
	case "S-1-5-19":
		return "LOCAL SERVICE"
	case "S-1-5-20":
		return "NETWORK SERVICE"
	case "S-1-1-0":
		return "Everyone"
	}
	return sid
}
