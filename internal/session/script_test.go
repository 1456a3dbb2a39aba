package session_test

import (
	"testing"

	"github.com/mailroot/mailroot/internal/session/sessiontest"
)

// TestScripts runs the dialogs of testdata/script, one for each documented behaviour.
func TestScripts(t *testing.T) { sessiontest.Run(t, "testdata/script") }

// TestBadInput runs the dialogs of testdata/badinput. Their names begin with the number of the
// input in the catalogue of bad inputs: F for framing, E for envelope and addresses, A for AUTH.
func TestBadInput(t *testing.T) { sessiontest.Run(t, "testdata/badinput") }
