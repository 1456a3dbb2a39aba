//go:build unix

package script

import (
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
)

// matches reports whether text matches the expression, line by line.
func matches(ts *testscript.TestScript, expr, text string) bool {
	re, err := regexp.Compile("(?m)" + expr)
	ts.Check(err)
	return re.MatchString(text)
}
