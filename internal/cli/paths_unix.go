//go:build unix

package cli

// systemConfig is where an installed service has its configuration.
func systemConfig() string { return "/etc/mailroot/mailroot.hcl" }
