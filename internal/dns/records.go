package dns

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

var errAliases = errors.New("more than 8 CNAME records in a chain, or a loop of them")

// orderMX sorts by preference, drops the "." of a null MX where real exchangers stand beside
// it (RFC 7505 §3 forbids that; the exchangers are the safer reading), and applies the cap.
func orderMX(mx []MX) []MX {
	slices.SortStableFunc(mx, func(a, b MX) int { return cmp.Compare(a.Pref, b.Pref) })
	isNull := func(m MX) bool { return m.Host == "." }
	if slices.ContainsFunc(mx, func(m MX) bool { return !isNull(m) }) {
		mx = slices.DeleteFunc(mx, isNull)
	} else if len(mx) > 0 {
		mx = append(mx[:0], MX{Host: ".", Pref: mx[0].Pref})
	}
	return mx[:min(len(mx), MaxRecords)]
}

// cleanHosts returns those of names that a host may have, up to the cap.
func cleanHosts(names []string) []string {
	var out []string
	for _, n := range names {
		if n, ok := cleanName(n); ok && isHostName(n) && len(out) < MaxRecords {
			out = append(out, n)
		}
	}
	return out
}

// mxHost returns the form that MX.Host has.
func mxHost(name string) string {
	if name = strings.TrimSuffix(name, "."); name == "" {
		return "."
	}
	clean, ok := cleanName(name)
	if !ok {
		return invalidMX
	}
	return clean
}

// invalidMX stands for an exchanger whose name no host can have (blanks, escapes). The record counts, so
// that the domain does not fall back on its own address, but nobody will be found under it (RFC 6761 §6.4).
const invalidMX = "mx-name-is-not-valid.invalid"
