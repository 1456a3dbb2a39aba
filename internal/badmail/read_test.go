package badmail

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
	"github.com/mailroot/mailroot/internal/vfs"
)

// put writes a file as another program would.
func put(t testing.TB, fsys vfs.FS, name, text string) {
	t.Helper()
	if err := fsys.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	f, err := fsys.Create(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(text), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// write adds an entry of ours that was written at a time.
func (f *Folder) must(t testing.TB, e *Entry, at time.Time) string {
	t.Helper()
	e.Time = at
	name, err := f.Write(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// plain is an entry of a message without a sender.
func plain(body string) *Entry {
	e := entry(body)
	e.Env.Source, e.Env.Original, e.Linked = mail.SourceSMTP, 0, ""
	return e
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func names(list []Stored) (out []string) {
	for _, e := range list {
		out = append(out, e.Name)
	}
	return out
}

// What Write wrote comes back as the envelope that it was.
func TestEnvelopeComesBack(t *testing.T) {
	f := NewFolder(vfs.NewMem(), dir)
	e := entry("x")
	e.Env.Source = mail.SourceSMTP
	e.Env.Sender = mail.Sender{Addr: mail.Address{Local: `"a b"`, Domain: "example.com"}, Body: mail.Body8BitMIME, UTF8: true, RequireTLS: true, Ret: mail.RetHeaders, EnvID: "a+2Bb"}
	e.Env.Recipients = []mail.Recipient{
		{Addr: mail.Address{Local: "ü", Domain: "example.org"}, Notify: mail.NotifySuccess | mail.NotifyDelay, ORcpt: "rfc822;x+20y"},
		{Addr: mail.Address{Local: "got-it", Domain: "example.org"}},
	}
	name := f.must(t, e, noon)
	got, err := f.Read(name)
	if err != nil || got.Foreign != "" || got.NoMessage {
		t.Fatalf("%+v, %v", got, err)
	}
	sender, to, err := got.Envelope()
	if err != nil || sender != e.Env.Sender {
		t.Errorf("sender %+v, %v; want %+v", sender, err, e.Env.Sender)
	}
	if d := cmp.Diff(e.Env.Recipients[:1], to); d != "" {
		t.Errorf("only the recipient that failed is for another try: %s", d)
	}
	if _, err := f.Read("0123456789abcdef00000000"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an entry that is not there: %v", err)
	}
}

func TestParsePropertiesRefusesE1(t *testing.T) {
	f := NewFolder(vfs.NewMem(), dir)
	good := read(t, f.fs, f.must(t, entry("x"), noon)+ExtProperties)
	if _, err := ParseProperties([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for what, edit := range map[string][2]string{
		"another version":            {`"version": 1`, `"version": 2`},
		"a path as name":             {`"linked": "0123456789abcdef00000000"`, `"linked": "../../etc/passwd"`},
		"no code":                    {"0xC00402C7", "0xC00402"},
		"a line end in an address":   {"fred@example.org", `fred@example.org\r\nDATA`},
		"a parameter in an address":  {"fred@example.org", "fred@example.org> NOTIFY=NEVER"},
		"a parameter that is none":   {`"NEVER"`, `"NEVER ORCPT=rfc822;x"`},
		"a sender with a bracket":    {`"address": ""`, `"address": "x> RET=HDRS ENVID=<"`},
		"a reply without measure":    {"no such user", strings.Repeat("x", maxLine)},
		"not JSON":                   {"{", "<"},
		"an address that is no text": {`"fred@example.org"`, "17"},
	} {
		bad := strings.Replace(good, edit[0], edit[1], 1)
		if bad == good {
			t.Fatalf("%s: nothing to replace", what)
		}
		if _, err := ParseProperties([]byte(bad)); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	if _, err := ParseProperties(make([]byte, maxProperties+1)); err == nil {
		t.Error("a file without measure was taken")
	}
}

// Whatever a .BDP says, what comes out of it makes one command line each.
func FuzzParseProperties(f *testing.F) {
	folder := NewFolder(vfs.NewMem(), dir)
	name := folder.must(f, entry("x"), noon)
	b, _, err := folder.readFile(name+ExtProperties, maxProperties)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(strings.Replace(string(b), `"address": ""`, `"address": "a@b", "envid": "+2B", "ret": "FULL"`, 1)))
	f.Add([]byte(`{"version":1,"name":"x","code":"0x00000000"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProperties(b)
		if err != nil {
			return
		}
		sender, to, err := p.Envelope()
		if err != nil {
			t.Fatal("ParseProperties took what Envelope refuses: ", err)
		}
		line, err := smtp.AppendMail(nil, sender.Addr, &smtp.MailParams{EnvID: sender.EnvID, Ret: sender.Ret})
		if err != nil || strings.Count(string(line), "\n") != 1 {
			t.Errorf("%q, %v", line, err)
		}
		for i := range to {
			line, err := smtp.AppendRcpt(nil, &to[i], true)
			if err != nil || strings.Count(string(line), "\n") != 1 {
				t.Errorf("%q, %v", line, err)
			}
		}
		if _, err := json.Marshal(p); err != nil {
			t.Error(err)
		}
		_ = p.Cause()
	})
}

// A header or reason of any octets is shown in characters that print.
func FuzzForeign(f *testing.F) {
	f.Add([]byte("From: a\r\n b\r\nSubject : x\x1b[31m\r\nTO: \xff\r\n\r\nFrom: not this"), []byte("could not\r\ndeliver 0xC00402C7."))
	f.Fuzz(func(t *testing.T, head, bdr []byte) {
		h := header(head)
		reason, code := foreignReason(bdr)
		for _, s := range []string{h.From, h.To, h.Subject, h.Date, h.MessageID, reason, code} {
			if len(s) > 4*maxField+1100 || strings.ContainsAny(s, "\r\n\x1b\x00") {
				t.Errorf("%q", s)
			}
		}
		_, _ = parseDate(h.Date)
	})
}

// Newest first, in portions, whatever is removed between them.
func TestListInPortions(t *testing.T) {
	f := NewFolder(vfs.NewMem(), dir)
	var want []string
	for i := range 7 {
		want = append(want, f.must(t, plain("x"), noon.Add(time.Duration(i)*time.Minute)))
	}
	slices.Reverse(want)
	var got []string
	for next, portions := "", 0; ; portions++ {
		page, n, err := f.List(t.Context(), Query{}, next, 3)
		if err != nil || len(page) > 3 || portions > 3 {
			t.Fatalf("portion %d: %d entries, %v", portions, len(page), err)
		}
		got = append(got, names(page)...)
		if next = n; next == "" {
			break
		}
		if _, err := f.Remove(t.Context(), next); err != nil { // the place stays
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if page, next, err := NewFolder(vfs.NewMem(), "/nowhere").List(t.Context(), Query{}, "", 10); len(page) != 0 || next != "" || err != nil {
		t.Errorf("a directory that does not exist: %v, %q, %v", page, next, err)
	}
}

// One call of List reads a bounded number of files, whatever it looks for.
func TestListIsBounded(t *testing.T) {
	mem, opened := vfs.NewMem(), 0
	const entries = maxReads*2 + 500
	for i := range entries {
		put(t, mem, fmt.Sprintf("old%05d.BAD", i), "From: x\r\n")
	}
	f := NewFolder(vfs.Inject(mem, nil, func(op vfs.Op, _ string) {
		if op == vfs.OpOpen {
			opened++
		}
	}), dir)
	calls, next := 0, ""
	for calls == 0 || next != "" {
		opened = 0
		page, n, err := f.List(t.Context(), Query{Sender: "nobody"}, next, 10)
		if err != nil || len(page) != 0 || opened > maxReads {
			t.Fatalf("call %d: %d entries, %d files read, %v", calls, len(page), opened, err)
		}
		calls, next = calls+1, n
	}
	if calls != 3 {
		t.Errorf("%d calls for %d entries", calls, entries)
	}
}

func TestQuery(t *testing.T) {
	f := NewFolder(vfs.NewMem(), dir)
	original := plain("the original")
	original.Env.Sender.Addr, original.Results = mail.Address{Local: "Ann", Domain: "corp.example"}, nil
	o := f.must(t, original, noon)
	report := entry("the report")
	report.Linked = o
	r := f.must(t, report, noon.Add(time.Second))
	n := f.must(t, plain("nobody's"), noon.Add(time.Hour))
	pickup := plain("not mail")
	pickup.Code = CodePickup
	pickup.Env.Recipients = nil
	pickup.Results = nil
	p := f.must(t, pickup, noon.Add(2*time.Hour))
	put(t, f.fs, "OLDSERVER1.BAD", "From: old@corp.example\r\nTo: x@far.example\r\nDate: Sat, 05 Mar 2016 10:11:12 +0800\r\n\r\n")
	const old = "OLDSERVER1"
	for what, tc := range map[string]struct {
		q    Query
		want []string
	}{
		"all":             {Query{}, []string{p, n, r, o, old}},
		"report":          {Query{Cause: CauseReport}, []string{r}},
		"original":        {Query{Cause: CauseOriginal}, []string{o}},
		"no sender":       {Query{Cause: CauseNoSender}, []string{n}},
		"pickup":          {Query{Cause: CausePickup}, []string{p}},
		"foreign":         {Query{Cause: CauseForeign}, []string{old}},
		"code":            {Query{Code: "0xc00402ce"}, []string{p}},
		"sender":          {Query{Sender: "ann@"}, []string{o}},
		"null sender":     {Query{Sender: "<>"}, []string{p, n, r}},
		"header sender":   {Query{Sender: "OLD@"}, []string{old}},
		"recipient":       {Query{Recipient: "copy@example"}, []string{n, r, o}},
		"before":          {Query{Before: noon.Add(time.Second)}, []string{o, old}},
		"after":           {Query{After: noon.Add(time.Minute)}, []string{p, n}},
		"after and cause": {Query{After: noon.Add(time.Minute), Cause: CausePickup}, []string{p}},
	} {
		got, next, err := f.List(t.Context(), tc.q, "", 100)
		if d := cmp.Diff(tc.want, names(got)); d != "" || next != "" || err != nil {
			t.Errorf("%s: %s %q %v", what, d, next, err)
		}
	}
	e, err := f.Read(o)
	if err != nil || e.Linked != r {
		t.Errorf("the original belongs to %q, %v; want %s", e.Linked, err, r)
	}
	if got := f.Stats().Written; got[CauseReport] != 1 || got[CauseOriginal] != 1 || got[CauseNoSender] != 1 || got[CausePickup] != 1 {
		t.Errorf("counted by cause: %v", got)
	}
}

// Entries of an older service, half entries, and files that have nothing to do with mail.
func TestOthersFiles(t *testing.T) {
	f := NewFolder(vfs.NewMem(), dir)
	mine := f.must(t, plain("x"), noon)
	put(t, f.fs, "5a7d2c0801ca6bc400000001.BAD", "Subject: =?utf-8?Q?caf=C3=A9?=\r\nFrom: a@b\x1b\r\n")
	put(t, f.fs, "5a7d2c0801ca6bc400000001.BDR", "Unable to deliver this message because the follow error was encountered:\r\n\"...\".\r\nThe specific error code was 0xC00402C7.\r\n")
	put(t, f.fs, "5a7d2c0801ca6bc400000001.BDP", "\x00\x01binary")
	put(t, f.fs, "nomessage.BDP", "{}")
	put(t, f.fs, "lower.bad", "\r\n")
	put(t, f.fs, "alone.BDR", "a reason without a message")
	for _, name := range []string{"notes.txt", ".hidden.BAD", "x y.BAD", ".BAD", "BAD"} {
		put(t, f.fs, name, "x")
	}
	// A .BDP of ours under another name is not believed.
	put(t, f.fs, "stolen.BDP", read(t, f.fs, mine+ExtProperties))
	got, _, err := f.List(t.Context(), Query{}, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{mine, "5a7d2c0801ca6bc400000001", "stolen", "nomessage", "lower"}, names(got)); d != "" {
		t.Fatal(d)
	}
	old := got[1]
	if old.Foreign == "" || old.Written.Year() != 2009 || old.Code != "0xC00402C7" || old.Header.From != `a@b\x1B` ||
		!strings.Contains(old.Reason, "Unable to deliver") || strings.Contains(old.Reason, "\n") || old.Size == 0 {
		t.Errorf("%+v", old)
	}
	if !got[2].NoMessage || !got[3].NoMessage || got[4].NoMessage {
		t.Error("an entry without its message must say so")
	}
	if _, err := f.Open("nomessage"); !errors.Is(err, ErrNotFound) {
		t.Errorf("open without a message: %v", err)
	}
	for _, name := range []string{"notes.txt", "../badmail/lower", "x y", "", ".hidden"} {
		if _, err := f.Open(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("open of %q: %v", name, err)
		}
		if n, err := f.Remove(t.Context(), name); n != 0 || !errors.Is(err, ErrNotFound) {
			t.Errorf("remove of %q: %d, %v", name, n, err)
		}
	}
	if n, err := f.Remove(t.Context(), "lower", "5a7d2c0801ca6bc400000001"); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if left := fmt.Sprint(len(list(t, f.fs))); left != "11" {
		t.Errorf("%s files are left: %v", left, list(t, f.fs))
	}
}
