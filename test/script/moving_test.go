package script

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/badmail"
	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/control"
	"github.com/mailroot/mailroot/internal/metabase"
	"github.com/mailroot/mailroot/test/harness"
)

const (
	movingPage = "coming-from-microsoft-smtp.md"
	later      = "not in this version"
)

func readMovingPage(t *testing.T) (path, text string) {
	t.Helper()
	path = filepath.Join(harness.Repo(t), "docs", "manual", movingPage)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(b)
}

// setting finds a setting or block by the path that the page has, which leaves out the virtual server, and the name of a
// domain. missing tells what it waits for.
func setting(path string) (s *config.Setting, missing string, ok bool) {
	root := config.Schema()
	server := block(&root, "virtual_server")
	for _, from := range []*config.Block{server, &root} {
		b := from
		words := strings.Split(path, ".")
		missing = b.Missing
		for i, word := range words {
			if next := block(b, word); next != nil {
				b = next
				missing = firstOf(missing, b.Missing)
				if i == len(words)-1 {
					return nil, missing, true
				}
				continue
			}
			j := slices.IndexFunc(b.Settings, func(s config.Setting) bool { return s.Name == word })
			if j < 0 || i < len(words)-1 {
				break
			}
			return &b.Settings[j], firstOf(missing, b.Settings[j].Missing), true
		}
	}
	return nil, "", false
}

func block(b *config.Block, name string) *config.Block {
	for i := range b.Blocks {
		if b.Blocks[i].Name == name {
			return &b.Blocks[i]
		}
	}
	return nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// row is a row of a table of the page.
type row struct {
	line   int
	header string // of the last column
	here   string // the last column
	all    string
}

func rows(text string) (out []row) {
	header := ""
	for i, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "|-") {
			header = ""
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		here := cells[len(cells)-1]
		switch {
		case header == "":
			header = here
		case !strings.HasPrefix(line, "|-"):
			out = append(out, row{i + 1, header, here, line})
		}
	}
	return out
}

var (
	spans     = regexp.MustCompile("`([^`]+)`")
	links     = regexp.MustCompile(`\]\([^)]*\)`)
	statusCol = "field of `mailroot --json status`"
	pathOnly  = regexp.MustCompile(`^[a-z_0-9]+(\.[a-z_0-9]+)*$`)
	withValue = regexp.MustCompile(`^([a-z_0-9.]+) = "([a-z0-9_]+)"$`)
	// plainPath finds settings that the importer's reasons name.
	plainPath = regexp.MustCompile(`\b[a-z_]+(?:\.[a-z_]+)+\b`)
	// value names a value of a setting that is said to come later.
	value = regexp.MustCompile("`([a-z_.]+)` with \"([a-z]+)\"")
	// comesLater names settings that are said to come later, all of them.
	comesLater = regexp.MustCompile("((?:`[a-z_.]+`(?:, | and )?)+)[,:]? (?:is |are )?" + later)
)

// Each row says what a thing of the original is here, by names that exist; what has no engine is said to have none, and nothing
// else is.
func TestMovingPageNames(t *testing.T) {
	_, text := readMovingPage(t)
	all := rows(text)
	if len(all) < 300 {
		t.Errorf("the page has %d rows", len(all))
	}
	for _, r := range all {
		names := spans.FindAllStringSubmatch(r.here, -1)
		if len(names) == 0 && !regexp.MustCompile(`\b(none|nothing|`+later+`|not taken)\b`).MatchString(r.here) && !strings.Contains(r.here, "](") {
			t.Errorf("line %d names nothing: %s", r.line, r.all)
		}
		for _, m := range names {
			if err := r.name(m[1]); err != nil {
				t.Errorf("line %d: %v: %s", r.line, err, r.all)
			}
		}
		for _, name := range plainPath.FindAllString(links.ReplaceAllString(spans.ReplaceAllString(r.here, ""), ""), -1) {
			_, _, whole := setting(name)
			if _, _, part := setting("delivery." + name); !whole && !part {
				t.Errorf("line %d: there is no setting %s: %s", r.line, name, r.all)
			}
		}
		for _, m := range value.FindAllStringSubmatch(r.here, -1) {
			if s, _, _ := setting(m[1]); s == nil || !slices.Contains(s.Later, m[2]) {
				t.Errorf("line %d: %s = %q is here by now: %s", r.line, m[1], m[2], r.all)
			}
		}
		for _, m := range comesLater.FindAllStringSubmatch(r.here, -1) {
			for _, n := range spans.FindAllStringSubmatch(m[1], -1) {
				if s, missing, _ := setting(n[1]); missing == "" && (s == nil || len(s.Later) == 0) {
					t.Errorf("line %d: %s is here by now: %s", r.line, n[1], r.all)
				}
			}
		}
	}
}

// name checks one name in a row.
func (r *row) name(name string) error {
	if strings.HasPrefix(name, "mailroot ") {
		return nil // TestMovingPageCommands
	}
	if r.header == statusCol {
		return statusField(name)
	}
	if m := withValue.FindStringSubmatch(name); m != nil {
		s, _, ok := setting(m[1])
		if !ok || s == nil || !slices.Contains(s.Values, m[2]) || slices.Contains(s.Later, m[2]) {
			return fmt.Errorf("%s cannot be set", name)
		}
		return nil
	}
	_, missing, ok := setting(name)
	switch {
	case !ok:
		return fmt.Errorf("there is no setting %s", name)
	case missing != "" && !strings.Contains(r.here, later):
		return fmt.Errorf("%s is not in this version, and the row does not say so", name)
	}
	return nil
}

// statusField checks that status has a field.
func statusField(path string) error {
	typ := reflect.TypeFor[control.ServerStatus]()
	for _, word := range strings.Split(path, ".") {
		for typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		switch typ.Kind() {
		case reflect.Map: // by cause
			if !slices.Contains(badmail.Causes(), badmail.Cause(word)) {
				return fmt.Errorf("%s: there is no cause %s", path, word)
			}
			typ = typ.Elem()
		case reflect.Struct:
			found := false
			for f := range typ.Fields() {
				if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == word {
					typ, found = f.Type, true
					break
				}
			}
			if !found {
				return fmt.Errorf("status has no field %s", path)
			}
		default:
			return fmt.Errorf("status has no field %s", path)
		}
	}
	return nil
}

var (
	commandLine = regexp.MustCompile("(?m)`(mailroot [^`]+)`|^\\$ (mailroot .+)$")
	flag        = regexp.MustCompile(`--[a-z-]+`)
)

// Each command and each flag that the page names exists, and so does each setting that it changes.
func TestMovingPageCommands(t *testing.T) {
	_, text := readMovingPage(t)
	known := append(verbs(t), "run")
	slices.SortFunc(known, func(a, b string) int { return len(b) - len(a) })
	help := map[string]string{}
	named := map[string]bool{}
	for _, m := range commandLine.FindAllStringSubmatch(text, -1) {
		line := strings.TrimPrefix(m[1]+m[2], "mailroot ")
		rest := strings.TrimPrefix(line, "--json ")
		i := slices.IndexFunc(known, func(verb string) bool { return rest == verb || strings.HasPrefix(rest, verb+" ") })
		if i < 0 {
			t.Errorf("there is no command %q", line)
			continue
		}
		verb := known[i]
		named[verb] = true
		if help[verb] == "" {
			out, err := exec.Command(harness.Binary(t), append(strings.Fields(verb), "--help")...).Output()
			if err != nil {
				t.Fatal(err)
			}
			help[verb] = string(out)
		}
		for _, f := range flag.FindAllString(line, -1) {
			if !strings.Contains(help[verb], f) {
				t.Errorf("%s has no flag %s", verb, f)
			}
		}
		if verb == "config set" || verb == "config unset" || verb == "config show" {
			for _, arg := range strings.Fields(rest[len(verb):]) {
				name, _, _ := strings.Cut(strings.TrimRight(arg, "`"), "=")
				if name = strings.TrimRight(name, "+-"); !strings.HasPrefix(arg, "--") {
					if _, missing, ok := setting(name); !ok || missing != "" {
						t.Errorf("%q: there is no setting %q", line, name)
					}
				}
			}
		}
	}
	// What an administrator of the original does by hand has a command here, and the page names it.
	for _, verb := range []string{"import", "adopt", "config check", "config show", "config set", "config unset", "config diff", "reload", "status", "queue list", "queue show",
		"queue hold", "queue release", "queue retry", "queue return", "queue delete", "queue freeze", "queue unfreeze", "badmail list", "badmail resubmit", "badmail delete",
		"domain list", "domain add", "domain remove", "domain set-default", "test send", "test route", "init", "run"} {
		if !named[verb] {
			t.Errorf("the page does not name %q", verb)
		}
	}
}

// Outside of the tables, too, a name that looks like a setting is one.
func TestMovingPageProse(t *testing.T) {
	_, text := readMovingPage(t)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "|") {
			continue
		}
		for _, m := range spans.FindAllStringSubmatch(line, -1) {
			switch filepath.Ext(m[1]) {
			case ".hcl", ".log", ".eml", ".txt", ".xml", ".":
				continue
			}
			if name := strings.TrimSuffix(m[1], "."); strings.Contains(name, ".") && pathOnly.MatchString(name) {
				if _, _, ok := setting(name); !ok {
					t.Errorf("there is no setting %s", name)
				}
			}
		}
	}
}

const (
	propertiesBegin = "importer's table -->\n"
	propertiesEnd   = "<!-- end of properties -->"
)

// The page has each property of the importer's table, and what it says of it is what the importer does.
func TestMovingPageProperties(t *testing.T) {
	path, text := readMovingPage(t)
	head, rest, ok := strings.Cut(text, propertiesBegin)
	old, tail, ok2 := strings.Cut(rest, propertiesEnd)
	if !ok || !ok2 {
		t.Fatal("the marks of the table are gone")
	}
	want := propertyTable()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(head+propertiesBegin+want+propertiesEnd+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old != want {
		t.Error("the table of properties is not the importer's; run: UPDATE=1 go test ./test/script -run TestMovingPageProperties")
	}
	if n := strings.Count(want, "\n| `"); n < 160 {
		t.Errorf("the table has %d rows", n)
	}
}

// propertyTable writes the table of properties, in alphabetical order.
func propertyTable() string {
	var b bytes.Buffer
	b.WriteString("\n| the original | id | default | here |\n|---|---|---|---|\n")
	all := metabase.Properties()
	slices.SortFunc(all, func(x, y metabase.Property) int {
		return strings.Compare(strings.ToLower(x.Name), strings.ToLower(y.Name))
	})
	for _, p := range all {
		id, def, here, why := "", "", "", p.Why
		if p.ID != 0 {
			id = fmt.Sprint(p.ID)
		}
		if p.Default != "" {
			def = "`" + p.Default + "`"
		}
		if p.Setting != "" {
			here = "`" + p.Setting + "`"
			if _, missing, _ := setting(p.Setting); missing != "" {
				here += ", " + later
			}
		}
		switch {
		case p.Fate == metabase.NotTaken && here != "":
			why = "not taken: " + why
		case p.Fate == metabase.NotTaken:
			here, why = "not taken: "+why, ""
		}
		if why != "" {
			here += "; " + why
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", p.Name, id, def, strings.ReplaceAll(here, "|", `\|`))
	}
	b.WriteString("\n")
	return b.String()
}
