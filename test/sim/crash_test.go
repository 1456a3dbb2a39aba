package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/vfs"
)

// script is what the tests of this file and of fault_test.go do with a relay, with a pause after each deed that is
// longer than marks may stay without a sync: mail to other servers and to Drop, small, large and with several
// recipients, some of them put off at first; what is refused, with its report into Drop, to another server, and into
// Badmail; files in Pickup; and an end with a new start in the middle.
var script = []struct {
	from string // of mail by SMTP; "file": a file in Pickup, "restart": a stop and a start
	to   []string
	size int
}{
	{from: "s1@corp.test", to: []string{"r1@good.test", "r2@grey.test", "r3@corp.test"}},
	{from: "s2@corp.test", to: []string{"r4@unknown.test"}},
	{from: "", to: []string{"r5@unknown.test"}},
	{from: "s3@good.test", to: []string{"r6@unknown.test", "r7@spam.test", "r8@good.test"}, size: 20_000},
	{from: "file", to: []string{"r9@good.test", "r10@corp.test"}},
	{from: "s4@corp.test", to: []string{"r11@cold.test", "r12@corp.test"}, size: 400_000},
	{from: "restart"},
	{from: "s5@unknown.test", to: []string{"r13@unknown.test"}}, // its report fails too
	{from: "s6@corp.test", to: []string{"r14@corp.test", "r15@good.test"}},
	{from: "file", to: []string{"r16@unknown.test"}},
}

// pause is longer than a file in Pickup is waited for and what was done may wait for its sync (a second), and shorter
// than the first retry.
const pause = 15 * time.Second

// run plays the script, with a pause after each deed. before is called before each; told when the relay has taken a
// message, and when the pause is over.
func (w *world) run(l *ledger, pause time.Duration, before func(from string), told func(settled bool)) {
	w.t.Helper()
	for i, s := range script {
		before(s.from)
		text := fmt.Sprintf("From: <f@corp.test>\r\nSubject: part %d\r\n\r\n%s\r\n", i, strings.Repeat("0123456789abcde\r\n", s.size/17))
		var domains []*trait
		for _, rcpt := range s.to {
			domains = append(domains, traitOf(rcpt))
		}
		switch s.from {
		case "restart":
			w.stop()
			w.mustStart()
		case "file":
			for k, rcpt := range s.to { // it is taken when it is there for good
				l.promise(rcpt, &account{trait: domains[k], sender: "f@corp.test", text: text})
			}
			w.drop(fmt.Sprintf("%d.eml", i), "x-sender: <f@corp.test>\r\nx-receiver: <"+strings.Join(s.to, ">\r\nx-receiver: <")+">\r\n"+text)
		default:
			w.submit(l, s.from, s.to, domains, text)
			for _, rcpt := range s.to {
				l.promised[rcpt].text = text
			}
		}
		told(false)
		pass(pause)
		told(true)
	}
	pass(20 * time.Minute) // what was put off
}

// traitOf returns the trait of an address; nil: a local one.
func traitOf(rcpt string) *trait {
	_, domain, _ := strings.Cut(rcpt, "@")
	i := slices.IndexFunc(traits, func(tr trait) bool { return tr.domain == domain })
	if i < 0 {
		return nil
	}
	return &traits[i]
}

// done is what has become of a recipient.
type done struct{ arrived, returned int }

// outcome returns what has become of all recipients by now.
func (w *world) outcome(l *ledger, h *hubs) map[string]done {
	w.t.Helper()
	now := &ledger{promised: map[string]*account{}, order: l.order}
	for rcpt := range l.promised {
		now.promised[rcpt] = &account{}
	}
	w.settle(now, h)
	out := map[string]done{}
	for rcpt, a := range now.promised {
		if a.waiting == 0 && a.arrived+a.returned > 0 {
			out[rcpt] = done{a.arrived, a.returned}
		}
	}
	return out
}

// instant is a disk as a cut of power left it, with what the world knew then.
type instant struct {
	what     string // the operation before it
	at       time.Time
	disk     *vfs.Mem
	promised map[string]account // recipients of what had been acknowledged
	order    []string
	taken    []taken         // by other servers
	over     map[string]done // what had become of recipients a while before, so that it was recorded for good
}

// littleMemory lets the larger messages of the script go into files of their own, as they do under load.
const littleMemory = "queue {\n memory = \"1MB\"\n}"

// TestCrashEverywhere cuts the power, or kills the process, after each operation that the whole relay does to its
// files, with several outcomes each, and starts it again on what is left. All that was acknowledged is delivered or
// reported on, whole; what was a while before, so that its mark was synced, is not again.
func TestCrashEverywhere(t *testing.T) {
	outcomes := 3
	if testing.Short() {
		outcomes = 1
	}
	instants, ops := crashes(t, outcomes)
	if ops < 200 {
		t.Errorf("the script has %d operations only", ops)
	}
	extra, over := 0, 0
	for _, in := range instants {
		extra += in.check(t)
		over += len(in.over)
		if t.Failed() {
			return
		}
	}
	if over == 0 {
		t.Error("nothing was over at any instant")
	}
	t.Logf("%d cuts after %d operations, %d copies too many", len(instants), ops, extra)
}

// crashes plays the script and returns the outcomes of a crash after each operation.
func crashes(t *testing.T, outcomes int) (instants []instant, ops int) {
	synctest.Test(t, func(t *testing.T) {
		w := newEmptyWorld(t, 1)
		w.blocks = littleMemory
		l := newLedger()
		h := w.openHubs()
		var mu sync.Mutex
		var known instant // the parts of it that the client and the other servers know
		w.after = func(op vfs.Op, path string) {
			if !changes(op) || strings.Contains(path, "/Logs/") {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			ops++
			for seed := range outcomes {
				in := known
				in.what, in.at = fmt.Sprintf("%s %s (operation %d, outcome %d)", op, path, ops, seed), time.Now()
				var rnd *rand.Rand // kill -9
				if (seed+ops)%3 != 0 {
					rnd = rand.New(rand.NewPCG(uint64(ops), uint64(seed)))
				}
				in.disk = w.disk.CrashClone(rnd)
				h.mu.Lock()
				in.taken = slices.Clone(h.taken)
				h.mu.Unlock()
				instants = append(instants, in)
			}
		}
		w.mustStart()
		w.run(l, pause, func(string) {}, func(settled bool) {
			next := instant{promised: map[string]account{}, order: slices.Clone(l.order), over: known.over}
			for rcpt, a := range l.promised {
				next.promised[rcpt] = *a
			}
			if settled {
				next.over = w.outcome(l, h)
			}
			mu.Lock()
			defer mu.Unlock()
			known = next
		})
		w.settle(l, h)
		if wrong, _ := l.check(faults{}); len(wrong) > 0 {
			t.Errorf("without any fault: %q", wrong)
		}
		w.stop()
		h.close()
	})
	return instants, ops
}

// changes reports whether an operation changes anything on the disk.
func changes(op vfs.Op) bool {
	switch op {
	case vfs.OpCreate, vfs.OpWrite, vfs.OpSync, vfs.OpSyncDir, vfs.OpRename, vfs.OpRemove, vfs.OpTruncate, vfs.OpMkdir:
		return true
	}
	return false
}

// check starts a relay on what is left and looks what becomes of everything. It returns the copies too many.
func (in *instant) check(t *testing.T) (extra int) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(in.at))
		w := newEmptyWorld(t, 1)
		w.blocks = littleMemory
		w.disk = in.disk
		h := w.openHubs()
		h.taken = slices.Clone(in.taken)
		w.mustStart()
		pass(8 * time.Hour)
		l := &ledger{promised: map[string]*account{}, order: in.order}
		for rcpt, a := range in.promised {
			l.promised[rcpt] = &a
		}
		w.settle(l, h)
		wrong, more := l.check(faults{cuts: 1})
		extra = more
		if n := w.waiting(); n != 0 {
			wrong = append(wrong, fmt.Sprintf("%d recipients still wait", n))
		}
		for rcpt, was := range in.over {
			if a := l.promised[rcpt]; (done{a.arrived, a.returned}) != was {
				wrong = append(wrong, fmt.Sprintf("%s had arrived %d times and been returned %d times, now %d and %d", rcpt, was.arrived, was.returned, a.arrived, a.returned))
			}
		}
		wrong = append(wrong, w.damaged(l, h)...)
		if st := w.server().Store().Stats(); st.Lost+st.Quarantined > 0 {
			wrong = append(wrong, fmt.Sprintf("the spool has lost something: %q", st.Notes))
		}
		for _, s := range wrong {
			t.Errorf("after %s: %s", in.what, s)
		}
		w.stop()
		h.close()
	})
	return extra
}

// damaged lists what arrived, anywhere, and is not what was sent.
func (w *world) damaged(l *ledger, h *hubs) (wrong []string) {
	look := func(rcpt, got string) {
		if a := l.promised[rcpt]; a != nil && a.text != "" && !strings.HasSuffix(got, "\r\n"+a.text) {
			wrong = append(wrong, fmt.Sprintf("what arrived for %s, %d octets, is not what was sent", rcpt, len(got)))
		}
	}
	for _, m := range h.taken {
		if !isReport(m.text) {
			for _, rcpt := range m.rcpts {
				look(rcpt, m.text)
			}
		}
	}
	for _, file := range w.files("Drop", ".eml") {
		head, text, _ := strings.Cut(file, "\r\nReceived:")
		if isReport(text) {
			continue
		}
		for line := range strings.SplitSeq(head, "\r\n") {
			if rcpt, ok := strings.CutPrefix(line, "x-receiver: "); ok {
				look(rcpt, text)
			}
		}
	}
	return wrong
}
