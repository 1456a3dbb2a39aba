package config

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// EditUnset returns the edit that takes out what a path names: OpRemoveBlock for a block, with
// or without label, else OpUnset. A path that the schema does not know is no error, as a file
// may have it; Apply tells. The error is of a text that is no path.
func EditUnset(path string) (Edit, error) {
	root := Schema()
	p, err := resolve(&root, path)
	if err == nil && p.setting == nil {
		return Edit{Op: OpRemoveBlock, Path: path}, nil
	}
	if _, err := splitPath(path); err != nil {
		return Edit{}, err
	}
	return Edit{Op: OpUnset, Path: path}, nil
}

// unset takes a setting out.
func (ed *editor) unset(p *place, path string) error {
	if p.path == "version" {
		return fmt.Errorf("version cannot be unset: a file carries the version of its schema, which is %d", SchemaVersion)
	}
	if b := ed.find(p.steps, p.blocks); b != nil {
		if a := b.body.Attributes[p.setting.Name]; a != nil {
			return ed.cutSetting(a, b.syntax)
		}
	}
	return ed.unsetRaw(path, unknown("%s is not set in the file", p.path))
}

// removeBlock takes a block out.
func (ed *editor) removeBlock(p *place, path string) error {
	if b := ed.find(p.steps, p.blocks); b != nil {
		return ed.cutBlock(b.syntax)
	}
	return ed.unsetRaw(path, unknown("%s is not in the file", p.path))
}

// unsetRaw takes out what the file has at a path by that very name, whether or not the schema
// knows it, so that what is misspelt can be taken out. When there is nothing it returns err.
func (ed *editor) unsetRaw(path string, err error) error {
	steps, splitErr := splitPath(path)
	if splitErr != nil {
		return err
	}
	a, b, in := rawFind(ed.body, nil, steps)
	if a == nil && b == nil {
		for _, s := range ed.body.Blocks {
			if s.Type == serverBlock && len(s.Labels) == 1 && s.Labels[0] == defaultServer && a == nil && b == nil {
				a, b, in = rawFind(s.Body, s, steps)
			}
		}
	}
	switch {
	case a != nil:
		return ed.cutSetting(a, in)
	case b != nil:
		return ed.cutBlock(b)
	default:
		return err
	}
}

// rawFind returns the setting, and the block that it stands in, or the block at a path. in is
// the block that body is of; nil is the file.
func rawFind(body *hclsyntax.Body, in *hclsyntax.Block, steps []step) (*hclsyntax.Attribute, *hclsyntax.Block, *hclsyntax.Block) {
	s := steps[0]
	if a := body.Attributes[s.name]; a != nil && len(steps) == 1 && !s.hasLabel {
		return a, nil, in
	}
	for _, b := range body.Blocks {
		if b.Type != s.name {
			continue
		}
		rest := steps[1:]
		switch {
		case len(b.Labels) == 0 && !s.hasLabel:
		case len(b.Labels) > 0 && s.hasLabel && b.Labels[0] == s.label:
		case len(b.Labels) > 0 && !s.hasLabel && len(rest) > 0 && !rest[0].hasLabel && b.Labels[0] == rest[0].name:
			rest = rest[1:]
		default:
			continue
		}
		if len(rest) == 0 {
			return nil, b, nil
		}
		if a, sub, in := rawFind(b.Body, b, rest); a != nil || sub != nil {
			return a, sub, in
		}
	}
	return nil, nil, nil
}

// cutSetting takes a setting out of the block in, with its line when it stands alone there.
func (ed *editor) cutSetting(a *hclsyntax.Attribute, in *hclsyntax.Block) error {
	from, to := a.SrcRange.Start.Byte, a.SrcRange.End.Byte
	if !ed.firstOnLine(from) && in != nil && in.OpenBraceRange.Start.Line == a.SrcRange.Start.Line {
		// The only setting of a block on one line.
		from, to = in.OpenBraceRange.End.Byte, in.CloseBraceRange.Start.Byte
		rest := strings.TrimSpace(string(ed.src[from:a.SrcRange.Start.Byte]) + string(ed.src[a.SrcRange.End.Byte:to]))
		if rest != "" {
			rest = " " + rest + " "
		}
		return ed.change(splice{from, to, rest})
	}
	return ed.change(splice{ed.lineStart(from), ed.lineEnd(to), ""})
}

// cutBlock takes a block out, with the empty line before it when one follows too.
func (ed *editor) cutBlock(b *hclsyntax.Block) error {
	from, to := b.TypeRange.Start.Byte, b.CloseBraceRange.End.Byte
	if !ed.firstOnLine(from) {
		return ed.change(splice{from, to, ""})
	}
	from, to = ed.lineStart(from), ed.lineEnd(to)
	if before := ed.lineStart(max(0, from-1)); from > 0 && strings.TrimSpace(string(ed.src[before:from])) == "" &&
		(to == len(ed.src) || strings.TrimSpace(string(ed.src[to:ed.lineEnd(to)])) == "") {
		from = before
	}
	return ed.change(splice{from, to, ""})
}
