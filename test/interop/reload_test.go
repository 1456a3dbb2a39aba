package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A changed file is applied by SIGHUP and by `mailroot reload` without dropping a connection,
// not even one in the middle of a message; waiting mail takes the new way.
func TestReloadKeepsConnections(t *testing.T) {
	for name, reload := range map[string]func(*harness.Server){
		"SIGHUP": (*harness.Server).Hangup,
		"reload": func(s *harness.Server) { s.CLI("reload") },
	} {
		t.Run(name, func(t *testing.T) {
			first, second := harness.NewSink(t, harness.SinkOptions{}), harness.NewSink(t, harness.SinkOptions{})
			first.Shut()
			s := harness.Start(t, harness.Options{SmartHost: []string{first.Route()}})
			s.Send("a@client.test", []string{"waits@remote.test"}, harness.Message("a@client.test", "waits@remote.test", "waits", "text"))

			idle, busy := s.Dial(), s.Dial()
			for _, line := range []string{"MAIL FROM:<a@client.test>", "RCPT TO:<busy@remote.test>"} {
				if _, err := busy.Cmd(250, "%s", line); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := busy.Cmd(354, "DATA"); err != nil {
				t.Fatal(err)
			}
			if err := busy.Write([]byte("Subject: busy\r\n\r\nfirst half\r\n")); err != nil {
				t.Fatal(err)
			}

			s.Options.SmartHost = []string{second.Route()}
			s.Options.Domains = []harness.Domain{{Name: "new.test", Kind: "alias"}}
			s.WriteConfig()
			reload(s)
			harness.Eventually(t, harness.Patience, "the new domain is local", func() bool {
				out, _ := s.TryCLI("test", "route", "x@new.test")
				return strings.Contains(strings.ToLower(out), "drop")
			})

			if err := busy.Data([]byte("second half\r\n")); err != nil {
				t.Errorf("the message in flight: %v", err)
			}
			if err := idle.Send("a@client.test", []string{"idle@remote.test"}, []byte("Subject: idle\r\n\r\ntext\r\n")); err != nil {
				t.Errorf("the idle connection: %v", err)
			}
			s.Send("a@client.test", []string{"x@new.test"}, harness.Message("a@client.test", "x@new.test", "alias", "text"))
			got := ""
			for _, m := range second.Wait(3) {
				got += string(m.Data)
			}
			for _, want := range []string{"Subject: waits", "first half\r\nsecond half\r\n", "Subject: idle"} {
				if !strings.Contains(got, want) {
					t.Errorf("no %q at the new smart host", want)
				}
			}
			if f := s.WaitDrop(1)[0]; f.Receivers[0] != "x@local.test" {
				t.Errorf("the alias was not rewritten: %q", f.Receivers)
			}
		})
	}
}

// A bad file changes nothing; the errors name file, line and setting.
func TestReloadBadFile(t *testing.T) {
	sink := harness.NewSink(t, harness.SinkOptions{})
	s := harness.Start(t, harness.Options{SmartHost: []string{sink.Route()}})
	s.ExpectError("max_retrys: there is no such setting")
	good := read(t, s.ConfigFile)
	write(t, s.ConfigFile, strings.Replace(good, "max_retries = 48", "max_retrys = 48", 1))
	out, err := s.TryCLI("reload")
	if err == nil {
		t.Errorf("a bad file was accepted:\n%s", out)
	}
	for _, want := range []string{"mailroot.hcl:", "max_retrys", "max_retries"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	s.Hangup()
	s.Send("a@client.test", []string{"b@remote.test"}, harness.Message("a@client.test", "b@remote.test", "still here", "text"))
	sink.Wait(1)
	s.Alive()
}
