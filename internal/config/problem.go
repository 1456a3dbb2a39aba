package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Severity says whether a Problem keeps the configuration from being used.
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Problem is one thing wrong, or doubtful, in a configuration file.
type Problem struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file,omitempty"`
	Line     int      `json:"line,omitempty"`   // from 1; 0: no place in the file
	Column   int      `json:"column,omitempty"` // from 1, in characters
	Path     string   `json:"path,omitempty"`   // virtual_server.default.connections.inbound_limit
	Value    string   `json:"value,omitempty"`  // as written, shortened; never a secret
	Message  string   `json:"message"`          // what is wrong, and what would be right
	Suggest  string   `json:"suggest,omitempty"`
}

// String returns the problem on one line:
// file:line: error: path = value: message (did you mean …?)
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			b.WriteString(":" + strconv.Itoa(p.Line))
		}
		b.WriteString(": ")
	} else if p.Line > 0 {
		b.WriteString("line " + strconv.Itoa(p.Line) + ": ")
	}
	b.WriteString(string(p.Severity) + ": ")
	if p.Path != "" {
		b.WriteString(p.Path)
		if p.Value != "" {
			b.WriteString(" = " + p.Value)
		}
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	if p.Suggest != "" {
		b.WriteString(" (did you mean " + p.Suggest + "?)")
	}
	return b.String()
}

// Problems is all that was found, in the order of the file.
type Problems []Problem

// Errors returns those that keep the configuration from being used.
func (ps Problems) Errors() Problems { return ps.only(SeverityError) }

// Warnings returns those that do not.
func (ps Problems) Warnings() Problems { return ps.only(SeverityWarning) }

// HasErrors reports whether at least one is an error.
func (ps Problems) HasErrors() bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return p.Severity == SeverityError })
}

// Err returns the errors as one error, or nil when there are only warnings. The error is an
// *InvalidError.
func (ps Problems) Err() error {
	if errs := ps.Errors(); len(errs) > 0 {
		return &InvalidError{Problems: errs}
	}
	return nil
}

// String returns one line for each.
func (ps Problems) String() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) only(s Severity) Problems {
	var out Problems
	for _, p := range ps {
		if p.Severity == s {
			out = append(out, p)
		}
	}
	return out
}

// InvalidError is a configuration that cannot be used, with all its errors.
type InvalidError struct{ Problems Problems }

// Error returns all problems, one on a line.
func (e *InvalidError) Error() string { return e.Problems.String() }

// Problem makes an error of a setting, with its place in the file and its value.
func (c *Config) Problem(path, message string) Problem {
	o := c.origins[path]
	return Problem{Severity: SeverityError, File: c.file, Line: o.Line, Column: o.Column, Path: path,
		Value: shorten(c.valueAt(path)), Message: message}
}

// Sets reports whether the file sets a setting.
func (c *Config) Sets(path string) bool { return c.isSet(path) }

// NoSTARTTLS is what is said of a binding that should offer STARTTLS, while there is no certificate.
const NoSTARTTLS = "STARTTLS is not offered without access.certificate and access.private_key"

// Path returns the path of a setting of the virtual server, for Problem.
func (v *VirtualServer) Path(setting string) string { return serverPath(v.Name, setting) }

// RefusedError is a change that would put errors into a file, with these errors. It is an *InvalidError
// too, which of the file as it is stands alone.
type RefusedError struct{ Invalid *InvalidError }

// Error returns all problems, one on a line.
func (e *RefusedError) Error() string { return e.Invalid.Error() }

// Unwrap returns the *InvalidError.
func (e *RefusedError) Unwrap() error { return e.Invalid }

// InOrder sorts problems, also those of several checks of one file, by their place in it; those without a
// place come last.
func (ps Problems) InOrder() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ps
}

// Beyond returns the errors that others do not hold. Where they stand makes no difference, so
// that they may have moved.
func (ps Problems) Beyond(others Problems) Problems {
	held := make(map[string]int)
	for _, p := range others.Errors() {
		held[p.what()]++
	}
	var out Problems
	for _, p := range ps.Errors() {
		if held[p.what()]--; held[p.what()] < 0 {
			out = append(out, p)
		}
	}
	return out
}

var lineNumber = regexp.MustCompile(`\bline \d+`)

// what is the problem without its place.
func (p Problem) what() string {
	return p.Path + "\x00" + p.Value + "\x00" + lineNumber.ReplaceAllString(p.Message, "line")
}

// ErrUnknownSetting is wrapped by the errors of paths that name no setting or block, and of what
// is to be taken out and is not there.
var ErrUnknownSetting = errors.New("unknown setting")

// unknownError is an ErrUnknownSetting in words.
type unknownError struct{ text string }

// unknown returns an ErrUnknownSetting with that text.
func unknown(format string, args ...any) error { return &unknownError{fmt.Sprintf(format, args...)} }

func (e *unknownError) Error() string { return e.text }

func (e *unknownError) Unwrap() error { return ErrUnknownSetting }

// ErrChanged is wrapped by WriteFile's error when the file is no longer as it was read.
var ErrChanged = errors.New("the configuration file was changed meanwhile")
