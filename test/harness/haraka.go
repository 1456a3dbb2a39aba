package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// StartHaraka starts a Haraka.
func StartHaraka(tb testing.TB, o MTAOptions) *MTA {
	tb.Helper()
	modules := filepath.Join(Repo(tb), ".cache", "npm", "node_modules")
	program := filepath.Join(modules, "Haraka", "bin", "haraka")
	if _, err := os.Stat(program); err != nil {
		lack(tb, "Haraka", "npm package: run `make peers`")
	}
	node := Tool(tb, "nodejs", "node")
	connection, err := os.ReadFile(filepath.Join(modules, "Haraka", "config", "connection.ini")) // it has no other defaults
	if err != nil {
		tb.Fatal(err)
	}
	m := newMTA(tb, o)
	plugins := "mailroot\n"
	for name, text := range map[string]string{
		"me":             "mx.dest.test\n",
		"smtp.ini":       fmt.Sprintf("listen=%s\nnodes=0\n", m.Addr),
		"connection.ini": string(connection) + "\n[max]\ndata_line_length=1000\n", // by default it breaks lines of the length that RFC 5321 allows
		"outbound.ini":   "local_mx_ok=true\ntemp_fail_intervals=5s*60\n",
		"log.ini":        "[main]\nlevel=notice\n",
	} {
		m.writeFile(filepath.Join("config", name), text, 0o644)
	}
	if o.Cert != nil {
		plugins = "tls\n" + plugins
		m.writeFile("config/tls.ini", fmt.Sprintf("key=%[1]s/key.pem\ncert=%[1]s/cert.pem\n", m.dir), 0o644)
	}
	m.writeFile("config/plugins", plugins, 0o644)
	m.writeFile("plugins/mailroot.js", m.config("haraka.js"), 0o644)
	m.proc = spawn(tb, filepath.Join(m.dir, "out.log"), nil, node, program, "-c", m.dir)
	return m.ready("Haraka")
}
