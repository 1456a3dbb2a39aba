package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestListProperty edits lists of any layout, with comments everywhere. The list then holds
// what it should, in order; each entry that stays has the comments that were its own, each that
// went has taken them along, and comments on lines of their own are all there.
func TestListProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c", "d", "e"}
		old := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 5, rapid.ID).Draw(t, "old")
		src := inServer("  delivery {\n    smart_host = [" + drawList(t, old) + "]\n  }")
		if same, err := Set([]byte(src), "delivery.smart_host", strings.Join(old, ",")); err != nil || string(same) != src && len(old) > 0 {
			t.Fatalf("set to what it is: %v\n%s\nbecame\n%s", err, src, same)
		}
		want := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 5, rapid.ID).Draw(t, "new")
		e := Edit{Op: OpSet, Path: "delivery.smart_host", Value: strings.Join(want, ",")}
		if len(old) > 0 && rapid.Bool().Draw(t, "remove") {
			n := rapid.IntRange(0, len(old)-1).Draw(t, "which")
			e.Op, e.Value = OpRemove, old[n]
			want = slices.Delete(slices.Clone(old), n, n+1)
		}
		out, _, err := Apply([]byte(src), "", e)
		if err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
		var got []string
		for _, h := range mustParseRapid(t, out).Server("default").Delivery.SmartHost {
			got = append(got, h.Name)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v, want %v\n%s\nbecame\n%s", got, want, src, out)
		}
		checkOwn(t, src, string(out), old, want)
		for line := range strings.Lines(string(out)) {
			if bare := strings.TrimRight(line, "\r\n"); strings.TrimRight(bare, " ") != bare && !strings.Contains(src, line) {
				t.Fatalf("a blank at the end of %q\n%s\nbecame\n%s", line, src, out)
			}
		}
		p, err := resolve(new(Schema()), e.Path)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range listIn(t, out, p) {
			if own := x.lead + x.mid + x.trail; strings.Count(own, "own") != strings.Count(own, "own "+strings.Trim(x.text, `"`)+" ") {
				t.Fatalf("%s has the comments of another: %q\n%s\nbecame\n%s", x.text, own, src, out)
			}
		}
	})
}

// checkOwn checks that exactly the comments of the entries that went are gone.
func checkOwn(t *rapid.T, src, out string, old, want []string) {
	for _, name := range old {
		mark := "own " + name + " "
		n := strings.Count(src, mark)
		if !slices.Contains(want, name) {
			n = 0
		}
		if got := strings.Count(out, mark); got != n {
			t.Fatalf("%d comments of %s, want %d\n%s\nbecame\n%s", got, name, n, src, out)
		}
	}
	if strings.Count(out, "line of") != strings.Count(src, "line of") {
		t.Fatalf("a comment on a line of its own is gone\n%s\nbecame\n%s", src, out)
	}
}

func mustParseRapid(t *rapid.T, src []byte) *Config {
	cfg, problems := Parse(src, "")
	if cfg == nil {
		t.Fatalf("%s\n%s", problems, src)
	}
	return cfg
}

// drawList draws the text between the brackets of a list.
func drawList(t *rapid.T, names []string) string {
	var b strings.Builder
	draw := func(label string) bool { return rapid.Bool().Draw(t, label) }
	newLine := false
	if draw("break first") {
		b.WriteString("\n")
		newLine = true
	}
	for i, name := range names {
		if newLine {
			if draw("empty line") {
				b.WriteString("\n")
			}
			if draw("line comment") {
				fmt.Fprintf(&b, "      # line of its own, above %s\n", name)
			}
			b.WriteString("      ")
		}
		if draw("before") {
			fmt.Fprintf(&b, "/* own %s before */ ", name)
		}
		b.WriteString(quote(name))
		if draw("between") {
			fmt.Fprintf(&b, " /* own %s between */", name)
		}
		if i+1 < len(names) || draw("last comma") {
			b.WriteString(",")
		}
		switch newLine = draw("break"); {
		case newLine && draw("hash"):
			fmt.Fprintf(&b, " # own %s behind\n", name)
		case newLine && draw("star"):
			fmt.Fprintf(&b, " /* own %s behind */\n", name)
		case newLine:
			b.WriteString("\n")
		case i+1 < len(names):
			b.WriteString(" ")
		}
	}
	if newLine && draw("comment at the end") {
		b.WriteString("      # line of the end\n")
	}
	if newLine {
		b.WriteString("    ")
	}
	return b.String()
}
