package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/queue"
	"github.com/mailroot/mailroot/internal/service"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/vfs"
)

var (
	admin  = Actor{Name: "root", Via: "test", Role: RoleAdministrator}
	viewer = Actor{Name: "eve", Via: "test", Role: RoleViewer}
	nobody = Actor{Name: "nobody", Via: "test"}
)

// start runs a service on a free port with a smart host where nothing listens, and returns its verbs.
func start(t *testing.T, extra string) (*Control, string) {
	t.Helper()
	return startOn(t, vfs.OS{}, io.Discard, extra)
}

// startOn does so with other files and a log.
func startOn(t *testing.T, fs vfs.FS, logTo io.Writer, extra string) (*Control, string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "mailroot.hcl")
	src := fmt.Sprintf(`
version = 1
data_directory = %q
virtual_server "default" {
  fqdn = "relay.test"
  binding "127.0.0.1:0" {
  }
  delivery {
    smart_host = ["[127.0.0.1]:1"]
  }
  domain "corp.test" {
    kind = "default"
  }
  %s
}
`, dir, extra)
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems, err := config.Load(path)
	if err == nil {
		err = problems.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(logTo, nil))
	svc, err := service.Open(t.Context(), cfg, service.Options{Log: log, FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if err := svc.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := svc.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return New(Options{Service: svc, ConfigPath: path, Version: "test", Log: log}), path
}

// lines is a log in memory.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(p))
	return len(p), nil
}

func (l *lines) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// TestUnreadableMail: that queued messages cannot be read is a warning and a line of the log; where they go to is not
// to blame.
func TestUnreadableMail(t *testing.T) {
	fs := vfs.Inject(vfs.OS{}, func(op vfs.Op, path string, _ int) error {
		if op == vfs.OpRead && strings.Contains(path, "seg-") {
			return syscall.EIO
		}
		return nil
	}, nil)
	var log lines
	c, _ := startOn(t, fs, &log, "")
	const messages = 20
	pickup := c.server().Config().Folders.Pickup
	for i := range messages {
		text := "x-sender: a@corp.test\r\nx-receiver: b@corp.test\r\nSubject: x\r\n\r\ny\r\n"
		if err := os.WriteFile(filepath.Join(pickup, fmt.Sprint(i, ".eml")), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var s Status
	for range 1000 {
		var err error
		if s, err = c.Status(t.Context(), admin); err != nil {
			t.Fatal(err)
		}
		if s.VirtualServers[0].Queue.Deferred == messages {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	v := s.VirtualServers[0]
	if v.Queue.Deferred != messages || v.Spool.ReadErrors < messages || v.Spool.UnreadableSince.IsZero() || !strings.Contains(v.Spool.Error, "input/output error") {
		t.Errorf("queue %+v, spool %+v", v.Queue, v.Spool)
	}
	if w := strings.Join(s.Warnings, "\n"); !strings.Contains(w, "queued mail cannot be read and waits: ") || !strings.Contains(w, "input/output error") {
		t.Errorf("warnings %q", s.Warnings)
	}
	if len(v.NextHops) != 1 || v.NextHops[0].Down || v.NextHops[0].LastError != "" {
		t.Errorf("next hops %+v", v.NextHops)
	}
	if n := log.count("level=ERROR"); n != 1 || log.count("queued mail cannot be read") != 1 {
		t.Errorf("%d errors in the log: %q", n, log.all)
	}
}

// TestDeliveryWaitsForRoom: that nothing is delivered since it could not be written down is a warning with its reason, and one line of the
// log; that it is over, another (bad input F28).
func TestDeliveryWaitsForRoom(t *testing.T) {
	var room atomic.Bool
	fs := vfs.Inject(vfs.OS{}, func(op vfs.Op, path string, _ int) error {
		if op == vfs.OpCreate && strings.Contains(path, "Queue") && !room.Load() && strings.HasSuffix(path, ".log") {
			return syscall.ENOSPC
		}
		return nil
	}, nil)
	var log lines
	c, _ := startOn(t, fs, &log, "")
	s, err := c.Status(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	sp := s.VirtualServers[0].Spool
	if w := strings.Join(s.Warnings, "\n"); !strings.Contains(w, "delivery waits, since what becomes of mail cannot be written down: journal: ") || sp.DeliveryWaits == "" || sp.DeliveryWaitsSince.IsZero() {
		t.Errorf("warnings %q, spool %+v", s.Warnings, sp)
	}
	room.Store(true)
	for range 1000 {
		if s, err = c.Status(t.Context(), admin); err != nil {
			t.Fatal(err)
		}
		if s.VirtualServers[0].Spool.DeliveryWaits == "" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if sp := s.VirtualServers[0].Spool; sp.DeliveryWaits != "" || !sp.DeliveryWaitsSince.IsZero() {
		t.Errorf("with room: %+v", sp)
	}
	if begins, ends := log.count("delivery waits: "), log.count("delivery goes on"); begins != 1 || ends != 1 {
		t.Errorf("the log tells of it %d times, and %d times that it is over: %q", begins, ends, log.all)
	}
}

func TestEachVerbChecksTheRole(t *testing.T) {
	c, _ := start(t, "")
	ctx := t.Context()
	type check struct {
		need Role
		call func(Actor) error
	}
	verbs := map[string]check{
		"status":       {RoleViewer, func(a Actor) error { _, err := c.Status(ctx, a); return err }},
		"config diff":  {RoleViewer, func(a Actor) error { _, err := c.ConfigDiff(ctx, a); return err }},
		"reload":       {RoleAdministrator, func(a Actor) error { _, err := c.Reload(ctx, a); return err }},
		"queue list":   {RoleViewer, func(a Actor) error { _, err := c.QueueList(ctx, a, QueueQuery{}); return err }},
		"queue show":   {RoleViewer, func(a Actor) error { _, err := c.QueueShow(ctx, a, "0000000000001"); return err }},
		"queue frozen": {RoleViewer, func(a Actor) error { _, err := c.QueueFrozen(ctx, a); return err }},
		"queue freeze": {RoleOperator, func(a Actor) error {
			_, err := c.QueueFreeze(ctx, a, FreezeRequest{Name: "x.test"})
			return err
		}},
		"queue unfreeze":    {RoleOperator, func(a Actor) error { _, err := c.QueueUnfreeze(ctx, a, FreezeRequest{All: true}); return err }},
		"quarantine list":   {RoleViewer, func(a Actor) error { _, err := c.QuarantineList(ctx, a); return err }},
		"quarantine show":   {RoleViewer, func(a Actor) error { _, err := c.QuarantineShow(ctx, a, "x"); return err }},
		"quarantine export": {RoleOperator, func(a Actor) error { return c.QuarantineExport(ctx, a, "x", io.Discard) }},
		"quarantine delete": {RoleOperator, func(a Actor) error { return c.QuarantineDelete(ctx, a, "x") }},
		"adopt":             {RoleAdministrator, func(a Actor) error { _, err := c.Adopt(ctx, a, Adoption{}, nil); return err }},
		"test route":        {RoleViewer, func(a Actor) error { _, err := c.TestRoute(ctx, a, "a@corp.test"); return err }},
		"test send":         {RoleOperator, func(a Actor) error { _, err := c.TestSend(ctx, a, TestMessage{To: "a@corp.test"}); return err }},
	}
	for _, verb := range []string{"hold", "release", "retry", "reroute", "return", "delete"} {
		act := QueueAction{Selection: Selection{All: true}, Verb: verb}
		if verb == "reroute" {
			act.To = "default"
		}
		verbs["queue "+verb] = check{RoleOperator, func(a Actor) error { _, err := c.QueueAct(ctx, a, act, nil); return err }}
		dry := act
		dry.DryRun = true
		verbs["dry run of "+verb] = check{RoleViewer, func(a Actor) error { _, err := c.QueueAct(ctx, a, dry, nil); return err }}
	}
	for name, v := range verbs {
		for role := RoleNone; role <= RoleAdministrator; role++ {
			err := v.call(Actor{Name: "x", Via: "test", Role: role})
			if forbidden := errors.Is(err, ErrForbidden); forbidden != (role < v.need) {
				t.Errorf("%s as %s: %v", name, role, err)
			}
		}
	}
}

func TestSelectionsThatMeanNothingAreRefused(t *testing.T) {
	c, _ := start(t, "")
	many := make([]string, maxSelected+1)
	for _, s := range []Selection{
		{}, {All: true, Domain: "x"}, {IDs: []string{"no id"}}, {IDs: many},
		{Status: "asleep"}, {Sender: strings.Repeat("x", maxFilterText+1)}, {Reply: strings.Repeat("x", maxFilterText+1)},
		{OlderThan: "yesterday"}, {NewerThan: "-1h"}, {Larger: "much"}, {Smaller: "0"}, {IDs: []string{"0000000000001"}, All: true},
	} {
		if _, err := c.QueueAct(t.Context(), admin, QueueAction{Verb: "delete", Selection: s}, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("delete %.60v: %v", s, err)
		}
	}
	all := Selection{All: true}
	for _, act := range []QueueAction{
		{Selection: all}, {Selection: all, Verb: "burn"}, {Selection: all, Verb: "reroute"}, {Selection: all, Verb: "reroute", To: "a b"},
		{Selection: all, Verb: "hold", To: "x.test"}, {Selection: all, Verb: "delete", WithoutReport: true},
		{Selection: all, Verb: "return", Reason: "x\r\nBcc: y@z"}, {Selection: all, Verb: "return", Reason: strings.Repeat("x", maxReason+1)},
		{Selection: all, Verb: "return", Reason: "\xff"},
	} {
		if _, err := c.QueueAct(t.Context(), admin, act, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%.60v: %v", act, err)
		}
	}
	for _, r := range []FreezeRequest{{}, {Name: "x", All: true}, {Name: "a b"}, {Name: "x", For: "soon"}, {Name: "x", For: "0s"}, {Name: "x", Reason: "\x00"}, {Name: "[1.2.3"}} {
		if _, err := c.QueueFreeze(t.Context(), admin, r); !errors.Is(err, ErrInvalid) {
			t.Errorf("freeze %+v: %v", r, err)
		}
	}
	if _, err := c.QueueList(t.Context(), viewer, QueueQuery{Cursor: "?"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a bad cursor: %v", err)
	}
	if _, err := c.QueueShow(t.Context(), viewer, "0000000000001"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown id: %v", err)
	}
	if _, err := c.Status(t.Context(), nobody); !errors.Is(err, ErrForbidden) {
		t.Errorf("status for nobody: %v", err)
	}
}

func TestAddressesOfPeopleAreChecked(t *testing.T) {
	c, _ := start(t, "")
	for _, text := range []string{"", "@", "a@", "@b", "a b@c", "a@b\r\nRCPT TO:<x@y>", "<a@b>"} {
		if _, err := c.TestSend(t.Context(), admin, TestMessage{To: text}); !errors.Is(err, ErrInvalid) {
			t.Errorf("test send to %q: %v", text, err)
		}
	}
	if _, err := c.TestSend(t.Context(), admin, TestMessage{To: "a@corp.test", Subject: "x\r\nBcc: y@z"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a subject with a line end: %v", err)
	}
}

func TestReloadRefusesABadFileAndKeepsWhatIs(t *testing.T) {
	c, path := start(t, "")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(good, "nonsense = 1\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Reload(t.Context(), admin); !errors.Is(err, ErrBadConfig) || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("reload of a bad file: %v", err)
	}
	if _, err := c.ConfigDiff(t.Context(), viewer); !errors.Is(err, ErrBadConfig) {
		t.Errorf("diff of a bad file: %v", err)
	}
	changed := strings.Replace(string(good), `fqdn = "relay.test"`, `fqdn = "other.test"`, 1)
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := c.Reload(t.Context(), admin)
	if err != nil || len(r.Changes) != 1 || r.Changes[0].New != `"other.test"` {
		t.Fatalf("reload: %+v, %v", r, err)
	}
	s, err := c.Status(t.Context(), viewer)
	if err != nil || s.VirtualServers[0].FQDN != "other.test" {
		t.Errorf("status after the reload: %+v, %v", s, err)
	}
}

// One set of words: each status that a list can show chooses what it is shown of, and each state has its word.
func TestStatusesAreOneSetOfWords(t *testing.T) {
	c, _ := start(t, "")
	for _, text := range []string{"waiting", "ready", "in flight", "in-flight", "deferred", "held", "frozen", "failing"} {
		q := QueueQuery{Selection: Selection{Status: text}}
		if _, err := c.QueueList(t.Context(), viewer, q); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for s := queue.Ready; s.String() != "unknown"; s++ {
		e := QueueEntry{Status: "not seen"}
		e.see([]queue.Place{{State: s}})
		if e.Status != s.String() {
			t.Errorf("list writes %q of what is %v", e.Status, s)
		}
		var w chosen
		if err := w.status(e.Status); err != nil || !w.byQueue || w.place.State != s {
			t.Errorf("--status %s: %+v, %v", e.Status, w, err)
		}
	}
	if got := messageStatus(map[spool.State]int{spool.Waiting: 1}); got != spool.Waiting.String() || got != statusWaiting {
		t.Errorf("what the queue does not have yet is %q", got)
	}
}
