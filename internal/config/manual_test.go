package config

import (
	"fmt"
	"strings"
	"testing"
)

const manualPage = "../../docs/manual/settings.md"

// TestManual keeps docs/manual/settings.md in step with the schema.
func TestManual(t *testing.T) {
	golden(t, manualPage, []byte(manual()))
}

const manualHead = `# Settings

<!-- Written by "go test ./internal/config -update" from the schema; a test compares. Change the schema, not this page. -->

All settings stand in one file, which ` + "`mailroot init`" + ` writes with a comment for each. ` + "`mailroot config check`" + `
says what is wrong with it, ` + "`config show`" + ` what is in force and where each value comes from, ` + "`config diff`" + `
what a changed file would change.

The file is HCL, only a part of it: settings (` + "`name = value`" + `) and blocks (` + "`name { … }`" + `, some with a label in quotes),
each on a line of its own, and values that are literals: ` + "`true`" + `, ` + "`25`" + `, ` + "`\"text\"`" + `, ` + "`[\"a\", \"b\"]`" + `. There are no variables,
functions, templates or expressions. In texts ` + "`\\`" + ` is written ` + "`\\\\`" + `; paths may have ` + "`/`" + ` on Windows too, and start at the
folder of the file when they are relative.

- **size**: ` + "`\"2048KB\"`, `\"10MB\"`, `\"1GB\"`" + ` (powers of 1024), or a bare number of octets.
- **time**: ` + "`\"600s\"`, `\"60m\"`, `\"12h\"`, `\"2d\"`, `\"1d12h\"`" + `.
- ` + "`\"unlimited\"` or `\"off\"`" + ` stand for "no limit" where the limits of a setting say so; ` + "`0`" + ` means the same there, and ` + "`\"off\"`" + `
  wherever ` + "`\"unlimited\"`" + ` does.
- **host**: ` + "`host`, `host:port`, `ip`, `[ip]` or `[ip]:port`" + `.
- **network**: an address, or one with prefix or mask: ` + "`\"192.0.2.7\"`, `\"192.0.2.0/24\"`, `\"192.0.2.0/255.255.255.0\"`" + `.
- **path**: of a file or folder of this computer. ` + "`~`, `$HOME`" + ` and the like stand for nothing in it.

A file says ` + "`version = 1`" + ` at its top; without it there is a warning. It has at most 16 MB, room for 50,000 domains.

Two set values that contradict each other are an error. A value that is left out and follows another one never is.
What has no engine yet is marked *not in this version*; a file that sets it, to whatever value, is refused.

Settings are changed by editing the file, then ` + "`mailroot reload`" + `; or by command, which keeps comments and order:

    mailroot config set connections.inbound_limit=500
    mailroot config set 'domain["example.org"].kind=alias'
    mailroot config set 'access.relay.list+=192.0.2.0/24'
    mailroot config set 'access.relay.list-=192.0.2.0/24'
    mailroot config unset connections.inbound_limit 'domain["example.org"]'

A comment behind an entry of a list goes with the entry; one on a line of its own stays. A file in error can be mended
by command too, as long as its blocks and lists can be told apart: what is misspelt can be taken out, and no change may
add an error.

Within ` + "`virtual_server \"default\"`" + ` a path may leave out ` + "`virtual_server.default.`" + `. *Works*: ` + "**reload**" + ` at once
when the file is read again, without dropping a connection; ` + "**restart**" + ` after a restart of the service.
`

func manual() string {
	var b strings.Builder
	b.WriteString(manualHead)
	for _, n := range schemaNodes() {
		title := "At the top of the file"
		if n.path != "" {
			title = "`" + strings.ReplaceAll(n.path, ".", " › ") + "`"
			if n.block.Label != "" {
				title = "`" + strings.ReplaceAll(n.path, ".", " › ") + " \"" + n.block.Label + "\"`"
			}
			fmt.Fprintf(&b, "\n## %s\n\n%s\n", title, cell(n.block.Help))
		} else {
			fmt.Fprintf(&b, "\n## %s\n", title)
		}
		if n.block.Missing != "" {
			fmt.Fprintf(&b, "\n*Not in this version: it needs %s.*\n", n.block.Missing)
		}
		if len(n.block.Settings) == 0 {
			continue
		}
		b.WriteString("\n| setting | value | default | works | |\n|---|---|---|---|---|\n")
		for i := range n.block.Settings {
			s := &n.block.Settings[i]
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Name, s.manualValue(), s.manualDefault(), s.manualWorks(n.missing), s.manualHelp())
		}
	}
	return b.String()
}

// cell makes text fit for a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func (s *Setting) manualValue() string {
	text := s.Kind.String()
	switch s.Kind {
	case KindInt, KindSize, KindTime:
		_, bounds, _ := strings.Cut(s.Want(), " from ")
		text += ", " + bounds
	case KindTimes:
		text += ", each from " + strings.SplitN(s.Want(), " from ", 2)[1]
	case KindEnum, KindEnums:
		text = oneOf(s.usable())
		if s.Kind == KindEnums {
			text = "list of " + text
		}
		if len(s.Later) > 0 {
			text += "; not in this version: " + oneOf(s.Later)
		}
	}
	return cell(text)
}

func (s *Setting) manualDefault() string {
	switch {
	case s.Required:
		return "must be set"
	case s.Default == "":
		return s.Follows
	case s.Name == "data_directory":
		return "`" + quote(unixData) + "`; on Windows `" + strings.ReplaceAll(windowsData, `\`, "/") + "`"
	case s.blankDefault() && s.Follows != "":
		return s.Follows
	case s.blankDefault():
		return "–"
	case s.Follows != "":
		return "`" + s.Default + "`; " + s.Follows
	default:
		return "`" + s.Default + "`"
	}
}

func (s *Setting) manualWorks(missing bool) string {
	switch {
	case missing:
		return "–"
	case s.Missing != "":
		return "*not in this version: needs " + s.Missing + "*"
	case s.Restart:
		return "restart"
	default:
		return "reload"
	}
}

func (s *Setting) manualHelp() string {
	text := s.Help
	if s.ForKind != "" {
		text = "For `kind = \"" + s.ForKind + "\"`. " + text
	}
	if s.Example != "" && s.Example != `"…"` {
		text += " Example: `" + s.Example + "`"
	}
	return cell(text)
}
