//go:build unix

// Package script runs the command line as its users do: each file in testdata is a story of commands
// and what they print, which the manual quotes.
package script

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mailroot/mailroot/internal/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"exit-code": exitCode,
		"mailroot": func() {
			ctx, stop := cli.UntilSignal(context.Background())
			defer stop()
			os.Exit(cli.Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
		},
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       os.Getenv("UPDATE") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			for _, name := range []string{"PORT", "PORT2", "DEADPORT", "DEADPORT2"} {
				port, err := freePort()
				if err != nil {
					return err
				}
				e.Setenv(name, port)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"service":    service,
			"expand":     expand,
			"eventually": eventually,
			"only":       only,
			"found":      found,
			"firstid":    firstID,
			"badmail":    firstBadmail,
			"damage":     damage,
			"part":       part,
		},
	})
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// service start CONFIG | stop | hup | kill: a service in the background, stopped at the end of the script.
func service(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: service start CONFIG | stop | hup | kill")
	}
	pidFile := ts.MkAbs(".service-pid")
	switch {
	case args[0] == "start" && len(args) == 2:
		ts.Check(startService(ts, args[1], pidFile))
	case args[0] == "stop" && len(args) == 1:
		ts.Check(signalService(pidFile, syscall.SIGTERM))
		ts.Check(waitGone(pidFile))
	case args[0] == "kill" && len(args) == 1:
		ts.Check(signalService(pidFile, syscall.SIGKILL))
		ts.Check(waitGone(pidFile))
	case args[0] == "hup" && len(args) == 1:
		ts.Check(signalService(pidFile, syscall.SIGHUP))
	default:
		ts.Fatalf("usage: service start CONFIG | stop | hup | kill")
	}
}

func startService(ts *testscript.TestScript, config, pidFile string) error {
	exe, err := lookPath("mailroot", ts.Getenv("PATH"))
	if err != nil {
		return err
	}
	cmd := exec.Command(exe, "run", "--config", config)
	cmd.Dir = ts.Getenv("WORK")
	cmd.Env = environment(ts)
	log, err := os.OpenFile(ts.MkAbs("service.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := os.WriteFile(pidFile, []byte(fmt.Sprint(cmd.Process.Pid)), 0o600); err != nil {
		return err
	}
	gone := make(chan struct{})
	ready := make(chan bool, 1)
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			if strings.HasPrefix(s.Text(), "mailroot: ready") {
				ready <- true
			}
		}
		close(ready)
		_ = cmd.Wait() // the exit code of a stopped service is the script's business, by its log
		close(gone)
	}()
	ts.Defer(func() {
		_ = cmd.Process.Kill() // it may have ended already
		<-gone
	})
	select {
	case ok := <-ready:
		if !ok {
			text, _ := os.ReadFile(ts.MkAbs("service.log"))
			return fmt.Errorf("the service did not start:\n%s", text)
		}
		return nil
	case <-time.After(20 * time.Second):
		return fmt.Errorf("the service was not ready within 20 s")
	}
}

func lookPath(name, path string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		p := filepath.Join(dir, name)
		if fi, err := os.Stat(p); err == nil && !fi.IsDir() {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s is not in the path", name)
}

func readPID(pidFile string) (int, error) {
	b, err := os.ReadFile(pidFile)
	if err != nil {
		return 0, err
	}
	var pid int
	_, err = fmt.Sscan(string(b), &pid)
	return pid, err
}

func signalService(pidFile string, s syscall.Signal) error {
	pid, err := readPID(pidFile)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, s)
}

func waitGone(pidFile string) error {
	pid, err := readPID(pidFile)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if syscall.Kill(pid, 0) != nil {
			return nil
		}
	}
	return fmt.Errorf("process %d did not stop within 20 s", pid)
}

// expand FILE: puts the values of environment variables into a file.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: expand FILE")
	}
	file := ts.MkAbs(args[0])
	b, err := os.ReadFile(file)
	ts.Check(err)
	ts.Check(os.WriteFile(file, []byte(os.Expand(string(b), ts.Getenv)), 0o600))
}

// eventually REGEXP COMMAND…: runs a command until its standard output matches, for at most 15 s.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: [!] eventually REGEXP COMMAND...")
	}
	exe, err := lookPath(args[1], ts.Getenv("PATH"))
	ts.Check(err)
	var out []byte
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		cmd := exec.Command(exe, args[2:]...)
		cmd.Dir = ts.Getenv("WORK")
		cmd.Env = environment(ts)
		out, _ = cmd.CombinedOutput() // a failing command prints why, which may be what is waited for
		if matches(ts, args[0], string(out)) != neg {
			return
		}
	}
	ts.Fatalf("not within 15 s; the last output:\n%s", out)
}

// only DIR PATTERN N: exactly N files in DIR match PATTERN, within 15 s.
func only(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: only DIR PATTERN N")
	}
	var got []string
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var err error
		got, err = filepath.Glob(filepath.Join(ts.MkAbs(args[0]), args[1]))
		ts.Check(err)
		if fmt.Sprint(len(got)) == args[2] {
			return
		}
	}
	ts.Fatalf("found %d files: %v", len(got), got)
}

// damage GLOB TEXT: changes the first octet of the last place where TEXT stands in a file.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: damage GLOB TEXT")
	}
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, name := range files {
		b, err := os.ReadFile(name)
		ts.Check(err)
		if i := bytes.LastIndex(b, []byte(args[1])); i >= 0 {
			b[i] ^= 0x20
			ts.Check(os.WriteFile(name, b, 0o600))
			return
		}
	}
	ts.Fatalf("%q stands in none of %v", args[1], files)
}

// part CONFIG: puts the name of the first part in quarantine into $PART.
func part(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: part CONFIG")
	}
	ts.Check(ts.Exec("mailroot", "--json", "--config", args[0], "queue", "quarantine", "list"))
	var list struct{ Parts []struct{ Name string } }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &list))
	if len(list.Parts) == 0 {
		ts.Fatalf("nothing is in quarantine")
	}
	ts.Setenv("PART", list.Parts[0].Name)
}

// [!] found DIR PATTERN REGEXP: a file in DIR that matches PATTERN holds a text that matches REGEXP, or none does.
func found(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: [!] found DIR PATTERN REGEXP")
	}
	names, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), args[1]))
	ts.Check(err)
	var all []string
	for _, name := range names {
		text := ts.ReadFile(name)
		if matches(ts, args[2], text) {
			if neg {
				ts.Fatalf("%s has it:\n%s", name, text)
			}
			return
		}
		all = append(all, text)
	}
	if !neg {
		ts.Fatalf("none of %d files has it:\n%s", len(names), strings.Join(all, "\n"))
	}
}

// firstID CONFIG FILTER…: puts the id of the newest queued message that matches into $ID.
func firstID(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv("ID", first(ts, neg, args, "queue").ID)
}

// badmail CONFIG FILTER…: puts the name of the newest entry of badmail that matches into $BAD.
func firstBadmail(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv("BAD", first(ts, neg, args, "badmail").Name)
}

// first returns the first message of a list of the command line.
func first(ts *testscript.TestScript, neg bool, args []string, area string) (m struct{ ID, Name string }) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: firstid|badmail CONFIG FILTER...")
	}
	ts.Check(ts.Exec("mailroot", append([]string{"--json", "--config", args[0], area, "list"}, args[1:]...)...))
	var list struct{ Messages []struct{ ID, Name string } }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &list))
	if len(list.Messages) == 0 {
		ts.Fatalf("no message of %s matches", area)
	}
	return list.Messages[0]
}

// exitCode is a program: exit-code N COMMAND… succeeds when the command exits with N.
func exitCode() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: exit-code N COMMAND...")
		os.Exit(2)
	}
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin = os.Stdin
	out, err := cmd.CombinedOutput()
	if got := fmt.Sprint(cmd.ProcessState.ExitCode()); got != os.Args[1] {
		fmt.Fprintf(os.Stderr, "exit code %s, want %s (%v):\n%s", got, os.Args[1], err, out)
		os.Exit(1)
	}
	os.Stdout.Write(out)
}

// environment is what the programs that a script starts get to see.
func environment(ts *testscript.TestScript) []string {
	var out []string
	for _, name := range []string{"PATH", "HOME", "MAILROOT_CONFIG"} {
		if v := ts.Getenv(name); v != "" {
			out = append(out, name+"="+v)
		}
	}
	return out
}
