package badmail

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const dir = "/mailroot/badmail"

func entry(body string) *Entry {
	return &Entry{
		Env: &mail.Envelope{
			ID:       mail.QueueID(1 << 41),
			Original: mail.QueueID(1<<41 - 5),
			Source:   mail.SourceReport,
			Arrived:  time.Date(2013, 6, 6, 17, 16, 54, 0, time.UTC),
			Recipients: []mail.Recipient{
				{Addr: mail.Address{Local: "fred", Domain: "example.org"}, Notify: mail.NotifyNever},
				{Addr: mail.Address{Local: "copy", Domain: "example.com"}},
			},
			Content: mail.Content{Size: int64(len(body)), Subject: "Delivery Status Notification (Failure)"},
		},
		Body: strings.NewReader(body),
		Results: []mail.Result{{Outcome: mail.Failed, Host: "mx.example.org",
			Reply: mail.NewReply(550, mail.Enhanced(5, 1, 1), "no such user\nsorry")}},
		Code:   CodeReport,
		Reason: "The report could not be delivered.",
		Time:   time.Date(2013, 6, 6, 17, 16, 54, 590_000_000, time.UTC),
		Linked: "0123456789abcdef00000000",
	}
}

func read(t *testing.T, fsys vfs.FS, name string) string {
	t.Helper()
	f, err := fsys.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil && n > 0 {
		t.Fatal(err)
	}
	return string(b)
}

func list(t *testing.T, fsys vfs.FS) []string {
	t.Helper()
	names, err := fsys.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestWrite(t *testing.T) {
	fsys := vfs.NewMem()
	body := "Subject: x\r\n\r\n" + strings.Repeat("text\r\n", 50_000)
	e := entry(body)
	name, err := Write(t.Context(), fsys, dir, e)
	if err != nil {
		t.Fatal(err)
	}
	// FILETIME=[A4660DE0:01CE62D9] is what the original prints for this moment.
	if name != "a4660de001ce62d900000000" {
		t.Errorf("base name %s", name)
	}
	if d := cmp.Diff([]string{name + ExtMessage, name + ExtProperties, name + ExtReason}, list(t, fsys)); d != "" {
		t.Error(d)
	}
	if read(t, fsys, name+ExtMessage) != body {
		t.Error("the message is not what it was")
	}
	for ext, golden := range map[string]string{ExtReason: "reason.golden", ExtProperties: "properties.golden"} {
		got := strings.ReplaceAll(read(t, fsys, name+ext), "\r\n", "\n")
		file := filepath.Join("testdata", golden)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s (go test -update rewrites it): %s", golden, d)
		}
	}
}

// The .BDP holds all that the message needs to be sent again.
func TestProperties(t *testing.T) {
	fsys := vfs.NewMem()
	e := entry("x")
	e.Env.Source = mail.SourceSMTP
	e.Env.Original, e.Linked, e.Code = 0, "", CodePickup
	e.Env.Sender = mail.Sender{Addr: mail.Address{Local: "ü", Domain: "example.com"}, Body: mail.BodyBinaryMIME, UTF8: true, RequireTLS: true, Ret: mail.RetHeaders, EnvID: "a+2Bb"}
	e.Env.Recipients = []mail.Recipient{{Addr: mail.Address{Local: "a", Domain: "b"}, Notify: mail.NotifySuccess | mail.NotifyFailure | mail.NotifyDelay, ORcpt: "rfc822;x+20y"}}
	e.Env.Peer, e.Env.PeerName, e.Env.Helo, e.Env.Account, e.Env.Protocol = netip.MustParseAddr("192.0.2.5"), "c.example", "helo", "fred", "ESMTPSA"
	name, err := Write(t.Context(), fsys, dir, e)
	if err != nil {
		t.Fatal(err)
	}
	var got Properties
	if err := json.Unmarshal([]byte(read(t, fsys, name+ExtProperties)), &got); err != nil {
		t.Fatal(err)
	}
	want := Properties{
		Version: 1, Name: name, Code: "0xC00402CE", Reason: e.Reason, Written: e.Time, QueueID: e.Env.ID.String(),
		Arrived: e.Env.Arrived, Source: "smtp", Size: 1, Subject: e.Env.Content.Subject,
		Sender: Sender{Address: "ü@example.com", Body: "BINARYMIME", SMTPUTF8: true, RequireTLS: true, Ret: "HDRS", EnvID: "a+2Bb"},
		Recipients: []Recipient{{Address: "a@b", Notify: "SUCCESS,FAILURE,DELAY", ORcpt: "rfc822;x+20y", Failed: true,
			Reply: "550 5.1.1 no such user / sorry", Host: "mx.example.org"}},
		Client: &Client{Address: "192.0.2.5", Name: "c.example", Helo: "helo", Account: "fred", Protocol: "ESMTPSA"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// P1: a file of the pickup directory is kept octet for octet, with its name and without a queue id.
func TestPickupFile(t *testing.T) {
	fsys := vfs.NewMem()
	const file = "\xff\xfeF\x00r\x00o\x00m\x00"
	e := &Entry{
		Env:  &mail.Envelope{Source: mail.SourcePickup, Content: mail.Content{Size: int64(len(file))}},
		Body: strings.NewReader(file), File: `odd\x0Aname.eml`, Code: CodePickup, Reason: "The file is UTF-16.", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	name, err := Write(t.Context(), fsys, dir, e)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, fsys, name+ExtMessage); got != file {
		t.Errorf("%q", got)
	}
	want := "This file in the Pickup folder could not be used as a message. It was not sent to anybody.\r\n\r\n" +
		"Message:    " + name + ".BAD\r\nReason:     The file is UTF-16.\r\nCode:       0xC00402CE\r\nDate:       2026-01-02T03:04:05Z\r\nFile:       odd\\x0Aname.eml\r\n"
	if d := cmp.Diff(want, read(t, fsys, name+ExtReason)); d != "" {
		t.Error(d)
	}
	var p Properties
	if err := json.Unmarshal([]byte(read(t, fsys, name+ExtProperties)), &p); err != nil {
		t.Fatal(err)
	}
	if p.File != e.File || p.QueueID != "" || p.Source != "pickup" || p.Recipients == nil || p.Size != int64(len(file)) {
		t.Errorf("%+v", p)
	}
	e.Env.Recipients = []mail.Recipient{{Addr: mail.Address{Local: "a", Domain: "b.example"}}}
	if name, err = Write(t.Context(), fsys, dir, e); err != nil {
		t.Fatal(err)
	}
	if got := read(t, fsys, name+ExtReason); !strings.Contains(got, "Recipients:\r\n    <a@b.example>\r\n") {
		t.Errorf("%q", got)
	}
}

// E16, C7: nothing of a message or a reply is in a file name or can add a line to the reason.
func TestHostile(t *testing.T) {
	fsys := vfs.NewMem()
	e := entry("x")
	e.Env.Recipients[0].Addr = mail.Address{Local: `"../../CON a:b"`, Domain: "example.org"}
	e.Env.Sender.Addr = mail.Address{Local: strings.Repeat("x", 300), Domain: "example.org"}
	e.Env.Content.Subject = "a\r\nSender: <forged>\x1b[31m\u202e"
	e.Results[0].Reply.Text = "\xff\r\x00\nRecipients:\n    <forged>"
	e.Results[0].Host = "mx\r\n"
	e.Reason = strings.Repeat("long ", 1000)
	name, err := Write(t.Context(), fsys, dir, e)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{24}$`).MatchString(name) {
		t.Errorf("base name %q", name)
	}
	want := vfs.NewMem()
	plain, err := Write(t.Context(), want, dir, entry("x"))
	if err != nil {
		t.Fatal(err)
	}
	got, lines := read(t, fsys, name+ExtReason), read(t, want, plain+ExtReason)
	if a, b := strings.Count(got, "\n"), strings.Count(lines, "\n"); a != b {
		t.Errorf("%d lines, want %d: %q", a, b, got)
	}
	for _, s := range []string{"\x1b", "\x00", "\xff", "\u202e"} {
		if strings.Contains(got, s) {
			t.Errorf("%q came through: %q", s, got)
		}
	}
	if len(got) > 4000 {
		t.Errorf("%d octets", len(got))
	}
}

// Two entries of one moment get different names.
func TestNames(t *testing.T) {
	fsys := vfs.NewMem()
	seen := map[string]bool{}
	for range 20 {
		name, err := Write(t.Context(), fsys, dir, entry("x"))
		if err != nil {
			t.Fatal(err)
		}
		seen[name] = true
	}
	if len(seen) != 20 || len(list(t, fsys)) != 60 {
		t.Errorf("%d names, %d files", len(seen), len(list(t, fsys)))
	}
}

// Every operation fails once: the caller is told, and nothing is left behind.
func TestEachFailure(t *testing.T) {
	boom := errors.New("boom")
	for n := 0; ; n++ {
		mem := vfs.NewMem()
		calls, failed := 0, vfs.Op("")
		fsys := vfs.Inject(mem, func(op vfs.Op, path string, _ int) error {
			if calls++; calls == n+1 {
				failed = op
				return boom
			}
			return nil
		}, nil)
		name, err := Write(t.Context(), fsys, dir, entry("body"))
		if failed == "" {
			if n < 15 || err != nil || name == "" {
				t.Errorf("%d operations, %q, %v", n, name, err)
			}
			return
		}
		if !errors.Is(err, boom) || name != "" {
			t.Errorf("operation %d (%s) failed: %q, %v", n, failed, name, err)
		}
		if err != nil && !strings.Contains(err.Error(), "badmail") {
			t.Errorf("operation %d (%s): the error does not say where: %v", n, failed, err)
		}
		if left, _ := mem.ReadDir(dir); len(left) != 0 {
			t.Errorf("operation %d (%s) failed and left %v", n, failed, left)
		}
	}
}

// A power cut after any operation leaves an entry that is there in full or, by its .BDP, not
// there at all; after Write it is there.
func TestPowerCut(t *testing.T) {
	cut := func(mem *vfs.Mem, n, seed int, name string, done bool) {
		after := mem.CrashClone(rand.New(rand.NewPCG(uint64(n), uint64(seed))))
		names, err := after.ReadDir(dir)
		if err != nil && done {
			t.Fatal(err)
		}
		there := slices.Contains(names, name+ExtProperties)
		if done && !there {
			t.Errorf("the entry was lost after Write: %v", names)
		}
		if there && (read(t, after, name+ExtMessage) != "body" || !json.Valid([]byte(read(t, after, name+ExtProperties))) ||
			!strings.HasSuffix(read(t, after, name+ExtReason), "    <copy@example.com>\r\n")) {
			t.Errorf("cut after operation %d: a half entry in %v", n, names)
		}
	}
	const name = "a4660de001ce62d900000000"
	mem, n := vfs.NewMem(), 0
	if err := mem.MkdirAll(filepath.Dir(dir)); err != nil {
		t.Fatal(err)
	}
	if err := mem.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	fsys := vfs.Inject(mem, nil, func(vfs.Op, string) {
		n++
		for seed := range 30 {
			cut(mem, n, seed, name, false)
		}
	})
	got, err := Write(t.Context(), fsys, dir, entry("body"))
	if err != nil || got != name || n < 15 {
		t.Fatalf("%s, %v, %d operations", got, err, n)
	}
	for seed := range 100 {
		cut(mem, n+1, seed, name, true)
	}
}

func TestBroken(t *testing.T) {
	e := entry("body")
	e.Env.Content.Size = 100
	fsys := vfs.NewMem()
	if _, err := Write(t.Context(), fsys, dir, e); err == nil || len(list(t, fsys)) != 0 {
		t.Errorf("a message that is too short: %v, %v", err, list(t, fsys))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Write(ctx, fsys, dir, entry("body")); !errors.Is(err, context.Canceled) || len(list(t, fsys)) != 0 {
		t.Errorf("cancelled: %v, %v", err, list(t, fsys))
	}
	empty := entry("")
	if _, err := Write(t.Context(), fsys, dir, empty); err != nil || len(list(t, fsys)) != 3 {
		t.Errorf("an empty message: %v, %v", err, list(t, fsys))
	}
}
