package cli

import (
	"os"
	"path/filepath"
)

// systemConfig is where an installed service has its configuration.
func systemConfig() string {
	base := os.Getenv("ProgramData")
	if base == "" {
		base = `C:\ProgramData`
	}
	return filepath.Join(base, "Mailroot", "mailroot.hcl")
}
