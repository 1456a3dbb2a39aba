package config

import (
	"fmt"
	"strings"
)

// maxDiffCells bounds the table of common; beyond it LineDiff shows the changed region as a whole.
const maxDiffCells = 1 << 22

// LineDiff returns what differs between two texts, by lines: "-" and the old ones, "+" and the
// new ones, each run after a line that says where it is. Equal texts give "".
func LineDiff(old, new []byte) string {
	a, b := splitLines(old), splitLines(new)
	var out strings.Builder
	i, j := 0, 0
	for _, k := range append(common(a, b), [2]int{len(a), len(b)}) {
		if i < k[0] || j < k[1] {
			fmt.Fprintf(&out, "@@ line %d\n", j+1)
		}
		for ; i < k[0]; i++ {
			out.WriteString("-" + a[i] + "\n")
		}
		for ; j < k[1]; j++ {
			out.WriteString("+" + b[j] + "\n")
		}
		i, j = k[0]+1, k[1]+1
	}
	return out.String()
}

// common returns the indexes of what two lists have in common in the same order: as much as
// can be, unless what differs is larger than maxDiffCells allows; then only what is equal at
// the start and at the end.
func common(a, b []string) [][2]int {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	pairs := make([][2]int, 0, head+tail)
	for i := range head {
		pairs = append(pairs, [2]int{i, i})
	}
	for _, k := range commonBetween(a[head:len(a)-tail], b[head:len(b)-tail]) {
		pairs = append(pairs, [2]int{head + k[0], head + k[1]})
	}
	for i := range tail {
		pairs = append(pairs, [2]int{len(a) - tail + i, len(b) - tail + i})
	}
	return pairs
}

func splitLines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// commonBetween returns the indexes of a longest common subsequence.
func commonBetween(a, b []string) [][2]int {
	if len(a) == 0 || len(b) == 0 || len(a)*len(b) > maxDiffCells {
		return nil
	}
	width := len(b) + 1
	length := make([]int32, (len(a)+1)*width) // of the rests from i and j on
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				length[i*width+j] = length[(i+1)*width+j+1] + 1
			} else {
				length[i*width+j] = max(length[(i+1)*width+j], length[i*width+j+1])
			}
		}
	}
	var common [][2]int
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			common = append(common, [2]int{i, j})
			i, j = i+1, j+1
		case length[(i+1)*width+j] >= length[i*width+j+1]:
			i++
		default:
			j++
		}
	}
	return common
}
