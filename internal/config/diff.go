package config

import (
	"fmt"
	"io"
	"strings"
)

// ChangeKind says how a setting or block differs between two configurations.
type ChangeKind string

// The kinds of Change.
const (
	Added   ChangeKind = "added"   // a block, with the settings in it that are not default
	Removed ChangeKind = "removed" // a block, or a setting that its block has no place for any more
	Changed ChangeKind = "changed" // a setting
)

// Change is one difference between two configurations.
type Change struct {
	Path string     `json:"path"`
	Kind ChangeKind `json:"kind"`
	Old  string     `json:"old,omitempty"` // as the file has it, or would have it
	New  string     `json:"new,omitempty"`
	// Restart: it works only after a restart of the service.
	Restart bool `json:"restart"`
}

// Diff returns what differs in effect when old is replaced by new, in the order of the schema;
// what is removed comes last. How a value is written, and whether it is a default, makes no
// difference. A change that others follow (outbound_limit and outbound_per_domain) is told for
// each.
func Diff(old, new *Config) []Change {
	before, after := flatten(old), flatten(new)
	var changes []Change
	for _, path := range after.order {
		n, o := after.entries[path], before.entries[path]
		switch {
		case o == nil:
			if n.isBlock || !n.isDefault {
				changes = append(changes, Change{Path: path, Kind: Added, New: n.shown, Restart: n.restart})
			}
		case n.value != o.value:
			changes = append(changes, Change{Path: path, Kind: Changed, Old: o.shown, New: n.shown, Restart: n.restart})
		}
	}
	for _, path := range before.order {
		o, kept := before.entries[path], after.entries[path] != nil
		// A setting that goes with its block is not told apart, nor one that nobody has set.
		if block := path[:max(0, strings.LastIndexByte(path, '.'))]; kept || !o.isBlock && (o.isDefault || after.entries[block] == nil) {
			continue
		}
		changes = append(changes, Change{Path: path, Kind: Removed, Old: o.shown, Restart: o.restart})
	}
	return changes
}

// NeedsRestart reports whether one of the changes works only after a restart.
func NeedsRestart(changes []Change) bool {
	for i := range changes {
		if changes[i].Restart {
			return true
		}
	}
	return false
}

type flat struct {
	order   []string
	entries map[string]*flatEntry
}

type flatEntry struct {
	value     string // in its canonical form
	shown     string
	isBlock   bool
	isDefault bool
	restart   bool
}

func flatten(c *Config) flat {
	f := flat{entries: make(map[string]*flatEntry)}
	root := Schema()
	walk(&root, "", reflectOf(c), func(n node) {
		if n.missing != "" {
			return
		}
		e := &flatEntry{isBlock: n.setting == nil, restart: n.block.Restart}
		if n.setting != nil {
			e.value, e.shown, e.restart = n.text(), c.display(&n), n.setting.Restart
			e.isDefault = !c.isSet(n.path)
			if n.setting.Secret && e.value != "" {
				e.value, e.shown = `"…"`, `"…"`
			}
		}
		f.order = append(f.order, n.path)
		f.entries[n.path] = e
	})
	return f
}

// WriteDiff writes changes as text, one on a line, with a mark on those that need a restart.
func WriteDiff(w io.Writer, changes []Change) error {
	for _, c := range changes {
		line := ""
		switch {
		case c.Kind == Removed && c.Old != "":
			line = "- " + c.Path + "  (was " + c.Old + ")"
		case c.Kind == Removed:
			line = "- " + c.Path
		case c.Kind == Added && c.New == "":
			line = "+ " + c.Path
		case c.Kind == Added:
			line = "+ " + c.Path + " = " + c.New
		default:
			line = "~ " + c.Path + " = " + c.New + "  (was " + c.Old + ")"
		}
		if c.Restart {
			line += "  [needs a restart]"
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
