package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/badmail"
	"github.com/mailroot/mailroot/internal/vfs"
)

const oldLetter = "From: App <app@corp.test>\r\nTo: boss@corp.test\r\nSubject: old\r\n\r\n.dot\r\n..dots\r\n"

// offered is one old file with its contents.
func offered(kind OldKind, look bool, key string, files ...string) *Old {
	o := &Old{Kind: kind, Look: look, Key: key}
	var all strings.Builder
	for i := 0; i < len(files); i += 2 {
		o.Files = append(o.Files, OldFile{Name: files[i], Size: int64(len(files[i+1]))})
		all.WriteString(files[i+1])
	}
	o.Body = strings.NewReader(all.String())
	return o
}

// mustAdopt adopts, and wants a state.
func mustAdopt(t *testing.T, v *Server, o *Old, want OldState) Adoption {
	t.Helper()
	a, err := v.Adopt(t.Context(), o)
	if err != nil || a.State != want {
		t.Fatalf("%s %s: %q, %v; want %s (%s)", o.Kind, o.Files[0].Name, a.State, err, want, a.Reason)
	}
	return a
}

// dropped returns the files in the drop folder.
func dropped(t *testing.T, fsys vfs.FS) map[string]string { return folder(t, fsys, "Drop") }

func folder(t *testing.T, fsys vfs.FS, name string) map[string]string {
	t.Helper()
	dir := filepath.Join("/srv/default", name)
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return nil
	}
	out := map[string]string{}
	for _, name := range names {
		f, err := fsys.Open(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		size, err := f.Size()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(io.NewSectionReader(f, 0, size))
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		out[name] = string(b)
	}
	return out
}

func TestAdoptQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, _, _ := started(t, "")
		defer stopIt(t, svc)
		v := svc.Servers()[0]
		looked := mustAdopt(t, v, offered(OldQueue, true, "", "NTFS_1.EML", oldLetter), OldNew)
		if l := looked.Letter; l == nil || l.Sender.Addr.String() != "app@corp.test" || l.SenderBy != "From" ||
			len(l.Recipients) != 1 || l.Recipients[0].Addr.String() != "boss@corp.test" || l.RecipientsBy != "To" {
			t.Errorf("the envelope is %+v", l)
		}
		if a := mustAdopt(t, v, offered(OldQueue, false, "other", "NTFS_1.EML", oldLetter), OldUnusable); a.Reason != "The file was changed since it was looked at." {
			t.Errorf("another key: %q", a.Reason)
		}
		first := mustAdopt(t, v, offered(OldQueue, false, looked.Key, "NTFS_1.EML", oldLetter), OldAdopted)
		again := mustAdopt(t, v, offered(OldQueue, false, "", "ntfs_1.eml", oldLetter), OldAlready)
		if first.As == "" || again.As != first.As {
			t.Errorf("adopted as %q, and %q", first.As, again.As)
		}
		// A file of another name is another message, whatever is in it.
		mustAdopt(t, v, offered(OldQueue, false, "", "NTFS_2.EML", oldLetter), OldAdopted)
		time.Sleep(time.Second)
		files := dropped(t, v.fs)
		if len(files) != 2 {
			t.Fatalf("%d files in drop", len(files))
		}
		for _, text := range files { // dots stay as they are in the queue
			if !strings.HasSuffix(text, "\r\n\r\n.dot\r\n..dots\r\n") || !strings.Contains(text, "x-receiver: boss@corp.test\r\n") {
				t.Errorf("%q", text)
			}
		}
	})
}

// A report in the old queue stays one: nothing can be reported on it, whatever its From says.
func TestAdoptReport(t *testing.T) {
	const report = "From: postmaster@corp.test\r\nTo: app@corp.test\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=b\r\n\r\n--b--\r\n"
	synctest.Test(t, func(t *testing.T) {
		svc, _, _ := started(t, "")
		defer stopIt(t, svc)
		v := svc.Servers()[0]
		for i, tc := range []struct {
			kind   OldKind
			text   string
			sender string
			by     string
		}{
			{OldQueue, report, "", "Content-Type"},
			{OldQueue, "x-sender: a@corp.test\r\nx-receiver: app@corp.test\r\n" + report, "a@corp.test", "x-sender"},
			{OldPickup, report, "postmaster@corp.test", "From"},
		} {
			a := mustAdopt(t, v, offered(tc.kind, false, "", fmt.Sprint(i, ".eml"), tc.text), OldAdopted)
			if a.Letter.Sender.Addr.String() != tc.sender || a.Letter.SenderBy != tc.by {
				t.Errorf("%d: %q by %s", i, a.Letter.Sender.Addr, a.Letter.SenderBy)
			}
			time.Sleep(time.Second)
			found := 0
			for _, text := range dropped(t, v.fs) {
				if sender, _, _ := strings.Cut(strings.TrimPrefix(text, "x-sender: "), "\r\n"); strings.Trim(sender, "<>") == tc.sender {
					found++
				}
			}
			if found != 1 {
				t.Errorf("%d: %d files from %q in drop", i, found, tc.sender)
			}
		}
	})
}

// A file of the pickup folder is read by the rules of ours, and what is none goes to badmail as it would there.
func TestAdoptPickup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, _, _ := started(t, "")
		defer stopIt(t, svc)
		v := svc.Servers()[0]
		letter := "x-sender: <>\r\nx-receiver: a@corp.test\r\nx-receiver: b@corp.test\r\nBcc: c@corp.test\r\nSubject: old\r\n\r\n..dot\r\n"
		a := mustAdopt(t, v, offered(OldPickup, false, "", "odd name \x1b[31m.txt", letter), OldAdopted)
		if a.Letter.SenderBy != "x-sender" || a.Letter.RecipientsBy != "x-receiver" || len(a.Letter.Recipients) != 2 {
			t.Errorf("%+v", a.Letter)
		}
		mustAdopt(t, v, offered(OldPickup, true, "", "notes.txt", "no message"), OldUnusable)
		if n := len(folder(t, v.fs, "Badmail")); n != 0 {
			t.Errorf("a look put %d files into badmail", n)
		}
		mustAdopt(t, v, offered(OldPickup, false, "", "notes.txt", "no message"), OldUnusable)
		mustAdopt(t, v, offered(OldPickup, false, "", "notes.txt", "no message"), OldAlready)
		list, _, err := v.bad.List(t.Context(), badmail.Query{}, "", 10)
		if err != nil || len(list) != 1 || list[0].Cause() != badmail.CausePickup || list[0].File != "notes.txt" {
			t.Errorf("badmail: %+v, %v", list, err)
		}
		time.Sleep(time.Second)
		for _, text := range dropped(t, v.fs) {
			if !strings.HasSuffix(text, "\r\n\r\n.dot\r\n") || strings.Contains(text, "Bcc") {
				t.Errorf("%q", text)
			}
		}
	})
}

// What cannot be a message is told, and nothing comes of it (P1).
func TestAdoptHostileP1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, _, _ := started(t, "messages {\n max_size = \"1KB\"\n max_session_size = \"2KB\"\n}\n")
		defer stopIt(t, svc)
		v := svc.Servers()[0]
		for name, text := range map[string]string{
			"empty": "", "NUL": "From: a@corp.test\r\nTo: b@corp.test\r\n\r\n\x00", "UTF-16": "\xff\xfeF\x00r\x00", "nobody": "Subject: x\r\n\r\n",
			"too large": "From: a@corp.test\r\nTo: b@corp.test\r\n\r\n" + strings.Repeat("text\r\n", 500),
			"no end":    strings.Repeat("x", 1<<20+1), "two senders": "x-sender: a@corp.test\r\nx-sender: b@corp.test\r\nx-receiver: c@corp.test\r\n\r\n",
			"hops": strings.Repeat("Received: x\r\n", 16) + "From: <>\r\nTo: b@corp.test\r\n\r\n",
		} {
			a := mustAdopt(t, v, offered(OldQueue, false, "", name+".eml", text), OldUnusable)
			if a.Reason == "" || a.As != "" {
				t.Errorf("%s: %+v", name, a)
			}
		}
		for _, o := range []*Old{
			offered("spool", false, "", "a", ""), offered(OldQueue, false, ""), offered(OldDrop, false, "", "a.eml", "", "b.eml", ""),
			offered(OldQueue, false, "", strings.Repeat("n", 1025), ""), offered(OldQueue, false, "", "", "x"),
			{Kind: OldQueue, Files: []OldFile{{"a.eml", -1}}}, {Kind: OldQueue, Files: []OldFile{{"a.eml", 1 << 62}}},
		} {
			if a, err := v.Adopt(t.Context(), o); !errors.Is(err, ErrOld) {
				t.Errorf("%+v: %+v, %v", o.Files, a, err)
			}
		}
		short := offered(OldQueue, false, "", "a.eml", oldLetter)
		short.Files[0].Size++
		if a, err := v.Adopt(t.Context(), short); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a file that is cut: %+v, %v", a, err)
		}
		v.fs.(*vfs.Mem).SetFree(vfs.Space{Bytes: 1 << 30, Inodes: 1 << 20})
		huge := offered(OldQueue, false, "", "a.eml", "")
		huge.Files[0].Size = 1 << 40
		if a, err := v.Adopt(t.Context(), huge); err == nil || !strings.Contains(err.Error(), "not enough room") {
			t.Errorf("a file larger than the disk: %+v", a)
		}
		time.Sleep(time.Second)
		if files := dropped(t, v.fs); len(files) != 0 {
			t.Errorf("in drop: %q", files)
		}
		for _, name := range []string{".adopting-0", ".adopting-1"} {
			if _, err := v.fs.Stat(filepath.Join("/srv/default", name)); err == nil {
				t.Errorf("%s was left behind", name)
			}
		}
	})
}

// Files of drop keep their names and contents; a name that is taken or could lead elsewhere gives way (P1).
func TestAdoptDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, _, _ := started(t, "drop {\n quota = \"1MB\"\n}\n")
		defer stopIt(t, svc)
		v := svc.Servers()[0]
		time.Sleep(time.Second) // the folder has been counted, as at each start
		want := map[string]string{}
		for i, name := range []string{"5a7d2c0801ca6bc400000001.eml", "5a7d2c0801ca6bc400000001.EML", "../../etc/passwd.eml", "a b\n.eml", ".eml", "same.eml"} {
			text := fmt.Sprintf("x-sender: a@corp.test\nx-receiver: b@corp.test\n\n%d", i)
			a := mustAdopt(t, v, offered(OldDrop, false, "", name, text), OldAdopted)
			want[a.As] = text
			if i == 0 && a.As != name {
				t.Errorf("%s became %s", name, a.As)
			}
			mustAdopt(t, v, offered(OldDrop, false, "", name, text), OldAlready)
		}
		got := dropped(t, v.fs)
		if len(got) != len(want) || len(want) != 6 {
			t.Errorf("in drop: %q, want %q", got, want)
		}
		sum := int64(0)
		for name, text := range want {
			if got[name] != text || filepath.Base(name) != name || !strings.HasSuffix(name, ".eml") {
				t.Errorf("%s is %q, want %q", name, got[name], text)
			}
			sum += int64(len(text))
		}
		if n := v.drop.octets.Load(); n != sum {
			t.Errorf("the quota counts %d octets of %d", n, sum)
		}
		mustAdopt(t, v, offered(OldDrop, false, "", "virus.exe", "x"), OldUnusable)
	})
}

// The power goes after every operation on the disk: whatever is left, the file is sent once.
func TestAdoptPowerCut(t *testing.T) {
	for _, seed := range []uint64{0, 1, 2, 3} { // 0: the end of the process alone
		var points []*vfs.Mem
		synctest.Test(t, func(t *testing.T) { points = adoptCrashes(t, seed) })
		if len(points) < 20 {
			t.Errorf("only %d crashes", len(points))
		}
		for i, disk := range points {
			synctest.Test(t, func(t *testing.T) {
				p, log := newPipes(), &logged{}
				o := options(p, log)
				o.FS = disk
				svc := startWith(t, "", o)
				defer stopIt(t, svc)
				v := svc.Servers()[0]
				time.Sleep(time.Minute)
				if _, err := v.Adopt(t.Context(), offered(OldQueue, false, "", "NTFS_1.EML", oldLetter)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if files := dropped(t, disk); len(files) != 1 {
					t.Errorf("seed %d, crash %d: sent %d times", seed, i, len(files))
				}
			})
			if t.Failed() {
				return
			}
		}
	}
}

// adoptCrashes adopts a message and cuts the power after each operation meanwhile.
func adoptCrashes(t *testing.T, seed uint64) (points []*vfs.Mem) {
	var rnd *rand.Rand
	if seed > 0 {
		rnd = rand.New(rand.NewPCG(seed, 0))
	}
	mem := vfs.NewMem()
	ops := make(chan struct{}, 1)
	on := false
	p, log := newPipes(), &logged{}
	o := options(p, log)
	o.FS = vfs.Inject(mem, nil, func(op vfs.Op, _ string) {
		if op == vfs.OpRead || op == vfs.OpStat || op == vfs.OpReadDir || op == vfs.OpSize || op == vfs.OpOpen || op == vfs.OpClose {
			return
		}
		ops <- struct{}{}
		defer func() { <-ops }()
		if on {
			points = append(points, mem.CrashClone(rnd))
		}
	})
	svc := startWith(t, "", o)
	defer stopIt(t, svc)
	time.Sleep(time.Second)
	ops <- struct{}{}
	on = true
	<-ops
	mustAdopt(t, svc.Servers()[0], offered(OldQueue, false, "", "NTFS_1.EML", oldLetter), OldAdopted)
	time.Sleep(time.Minute) // and delivered
	ops <- struct{}{}
	on = false
	<-ops
	return points
}

// A disk that fails keeps the rest from being adopted, and nothing is sent twice.
func TestAdoptDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Bool // the ledger cannot be synced
		mem := vfs.NewMem()
		p, log := newPipes(), &logged{}
		o := options(p, log)
		o.FS = vfs.Inject(mem, func(op vfs.Op, path string, _ int) error {
			if op == vfs.OpSync && failing.Load() && strings.HasSuffix(path, ledgerName) {
				return errors.New("the disk fails")
			}
			return nil
		}, nil)
		svc := startWith(t, "", o)
		v := svc.Servers()[0]
		mustAdopt(t, v, offered(OldQueue, false, "", "1.eml", oldLetter), OldAdopted)
		failing.Store(true)
		if a, err := v.Adopt(t.Context(), offered(OldQueue, false, "", "2.eml", oldLetter)); err == nil {
			t.Errorf("adopted without its line: %+v", a)
		}
		failing.Store(false)
		if _, err := v.Adopt(t.Context(), offered(OldQueue, false, "", "3.eml", oldLetter)); err == nil || !strings.Contains(err.Error(), "nothing more is adopted before the next start") {
			t.Errorf("after a failed sync: %v", err)
		}
		time.Sleep(time.Second)
		if n := len(dropped(t, mem)); n != 1 {
			t.Errorf("%d messages were sent", n)
		}
		stopIt(t, svc)
		o = options(newPipes(), log)
		o.FS = mem
		svc = startWith(t, "", o)
		defer stopIt(t, svc)
		for _, name := range []string{"1.eml", "2.eml", "3.eml"} {
			if _, err := svc.Servers()[0].Adopt(t.Context(), offered(OldQueue, false, "", name, oldLetter)); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		if n := len(dropped(t, mem)); n != 3 {
			t.Errorf("%d messages were sent of 3", n)
		}
	})
}

// Who asked and has gone, at whatever moment, leaves nothing behind, and is no trouble of the spool.
func TestAdoptCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		svc, _, log := started(t, "")
		defer stopIt(t, svc)
		v := svc.Servers()[0]
		const moments = 10
		done := 0
		for n := range moments {
			name := fmt.Sprint(n, ".eml")
			if _, err := v.Adopt(&leaving{Context: t.Context(), n: n}, offered(OldQueue, false, "", name, oldLetter)); err == nil {
				done++
			} else if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if _, err := v.Adopt(t.Context(), offered(OldQueue, false, "", name, oldLetter)); err != nil {
				t.Error(err)
			}
		}
		if done == 0 || done == moments {
			t.Errorf("%d of %d were adopted at once", done, moments)
		}
		if lines := log.lines("level=ERROR"); len(lines) > 0 {
			t.Errorf("%q", lines)
		}
		time.Sleep(time.Second)
		if n := len(dropped(t, v.fs)); n != moments {
			t.Errorf("%d messages were sent of %d", n, moments)
		}
	})
}

// leaving is a context that ends when it has been asked n times.
type leaving struct {
	context.Context
	n int
}

func (l *leaving) Err() error {
	if l.n--; l.n < 0 {
		return context.Canceled
	}
	return nil
}

func FuzzLedger(f *testing.F) {
	f.Add([]byte(`{"key":"a","state":"begun","as":"0123456789abc","time":"2026-01-02T03:04:05Z"}` + "\n" + `{"key":"a","state":"done","time":"2026-01-02T03:04:05Z"}` + "\n"))
	f.Add([]byte("{\"key\":\"a\",\"state\":\"dropped\"}\n{\"ke"))
	f.Add(bytes.Repeat([]byte{0}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		mem := vfs.NewMem()
		file, err := mem.Create("/ledger")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
		l := openLedger(mem, "/ledger")
		if l.err != nil {
			return
		}
		// What was read is read again, with the line that comes behind it.
		if err := l.add(ledgerLine{Key: "new", State: ledgerDone}); err != nil {
			t.Fatal(err)
		}
		again := openLedger(mem, "/ledger")
		if again.err != nil || len(again.entries) != len(l.entries) || again.entries["new"].State != ledgerDone || again.end != l.end {
			t.Errorf("%v: %d entries of %d, end %d of %d", again.err, len(again.entries), len(l.entries), again.end, l.end)
		}
	})
}

func stopIt(t *testing.T, svc *Service) {
	t.Helper()
	if err := svc.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
