package queue

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

func TestReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.PerDomain = 1 })
		w.peer.answer = func(hop *mail.Hop, b *mail.Batch) []mail.Result {
			switch hop.Key {
			case "dead.test":
				return noConnection(b)
			case "slow.test":
				time.Sleep(time.Hour)
			case "halting.test":
				if b.Attempt == 1 && len(w.peer.list()) == 0 {
					return noConnection(b)
				}
				time.Sleep(time.Hour)
			}
			return nil
		}
		expect := func(id mail.QueueID, want ...string) {
			t.Helper()
			s := w.State(id)
			if len(s) != 1 {
				t.Fatalf("state %+v", s)
			}
			for _, x := range want {
				if !strings.Contains(s[0].Reason, x) {
					t.Errorf("reason %q, want %q in it", s[0].Reason, x)
				}
			}
		}
		waits := w.send("a", "slow.test")
		expect(waits, "ready, 0 ahead", "has not started")
		w.start(t)
		halting := w.send("a", "halting.test")
		synctest.Wait()
		rest(2 * time.Second)
		probe, behind := w.send("a", "halting.test"), w.send("a", "halting.test")
		dead := w.send("a", "dead.test")
		synctest.Wait()
		blocked := w.send("a", "dead.test")
		held := w.send("a", "one.test", "dead.test")
		_ = held
		var last mail.QueueID
		for range 4 {
			last = w.send("a", "slow.test")
		}
		synctest.Wait()
		expect(waits, "being sent to slow.test, attempt 1")
		expect(last, "ready, 3 ahead", "limit of 1 connection")
		expect(halting, "waiting for its retry at 2000-01-01 00:0", "after 1 attempt: 451 4.4.1 Connection refused") // ours: nobody said it
		expect(probe, "being sent")
		expect(behind, "0 ahead", "limit of 1 connection because the last attempt failed", "Connection refused")
		expect(dead, "waiting for its retry")
		expect(blocked, "the hop is down and will be tried again at", "Connection refused")
		w.Hold(pick{IDs: []mail.QueueID{dead, waits}})
		expect(dead, "held by an operator after 1 attempt")
		expect(waits, "to be held after it")
		w.Delete(pick{IDs: []mail.QueueID{waits}})
		expect(waits, "to be deleted after it")

		var down *HopStatus
		hops := w.Hops()
		for k := range hops {
			if hops[k].Key == "dead.test" {
				down = &hops[k]
			}
		}
		if down == nil || !down.Down || down.Held != 1 || down.Ready != 2 || down.LastReply != refused || down.NextTry.IsZero() ||
			down.Limit != 1 || down.Octets != 3*4096 || down.LastError.IsZero() {
			t.Errorf("status %+v", down)
		}
		s := w.Stats()
		if s.InFlight != 2 || s.Connections != 2 || s.Oldest.UnixMilli() != int64(waits>>20) {
			t.Errorf("stats %+v", s)
		}
		rest(48 * time.Hour)
		w.stop(t)
	})
}

// TestOldest follows the oldest message as messages leave.
func TestOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var ids []mail.QueueID
		for range 5 {
			ids = append(ids, w.send("a", "one.test"))
			rest(time.Second)
		}
		for _, id := range ids {
			if got := w.Stats().Oldest; got.UnixMilli() != int64(id>>20) {
				t.Errorf("oldest %v, want that of %v", got, id)
			}
			w.Delete(pick{IDs: []mail.QueueID{id}})
		}
		if got := w.Stats().Oldest; !got.IsZero() {
			t.Errorf("oldest %v of none", got)
		}
	})
}

// TestRepliesAreBounded: a server that says something else each time does not fill the memory.
func TestRepliesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.store.keep = false
		n := 0
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result {
			w.peer.mu.Lock()
			n++
			text := fmt.Sprint("Greylisted, see ", n, strings.Repeat("x", 2000))
			w.peer.mu.Unlock()
			return all(b, mail.Deferred, mail.NewReply(451, mail.Enhanced(4, 7, 1), text))
		}
		w.start(t)
		for range 3 * maxReplies {
			w.send("a", "one.test")
		}
		rest(time.Minute)
		if s := w.Stats(); s.Deferred != 3*maxReplies {
			t.Fatalf("stats %+v", s)
		}
		w.Queue.mu.Lock()
		kept := len(w.replies.index)
		for r := range w.replies.index {
			if len(r.reply.Text) > maxReplyText {
				t.Errorf("a text of %d octets", len(r.reply.Text))
				break
			}
		}
		w.Queue.mu.Unlock()
		if kept > maxReplies {
			t.Errorf("%d replies kept", kept)
		}
		w.Delete(pick{All: true})
		w.stop(t)
		if len(w.replies.index) != 0 {
			t.Errorf("%d replies of nobody", len(w.replies.index))
		}
	})
}

// Words are put into the mouth of a server only if they are its own.
func TestSpeaker(t *testing.T) {
	reply := mail.NewReply(451, mail.Enhanced(4, 4, 1), "busy")
	theirs := mail.Result{Reply: reply, Host: "mx.test"}
	ours := mail.Result{Reply: reply, Host: "mx.test", Ours: true}
	if got := said(lastReply{reply: reply, host: speaker(&theirs)}); got != ": mx.test said 451 4.4.1 busy" {
		t.Errorf("their words: %q", got)
	}
	if got := said(lastReply{reply: reply, host: speaker(&ours)}); got != ": 451 4.4.1 busy" {
		t.Errorf("our words: %q", got)
	}
}

// What waits for the drop directory is counted once a message, whatever becomes of its recipients.
func TestLocalOctets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 4096
		w := newWorld(t, nil)
		w.peer.answer = down
		expect := func(messages int64, when string) {
			t.Helper()
			synctest.Wait()
			w.check(t)
			if n := w.LocalOctets(); n != messages*size {
				t.Errorf("%s: %d octets, want those of %d messages", when, n, messages)
			}
		}
		both := w.send("a", "drop.test", "x.test", "drop.test")
		w.send("a", "drop.test")
		w.send("a", "x.test", "y.test")
		expect(2, "before the start")
		w.start(t)
		expect(2, "deferred")
		w.Hold(pick{All: true})
		expect(2, "held")
		w.Reroute(pick{IDs: []mail.QueueID{both}}, "b")
		expect(1, "rerouted")
		w.Reroute(pick{IDs: []mail.QueueID{both}}, "")
		expect(2, "routed as before")
		w.stop(t)
		w.restart()
		expect(0, "not loaded")
		w.start(t)
		expect(2, "loaded")
		w.peer.obey(func(_ *mail.Hop, b *mail.Batch) []mail.Result { return nil })
		w.Release(pick{IDs: []mail.QueueID{both}})
		expect(1, "one is delivered")
		w.Delete(pick{All: true})
		expect(0, "deleted")
		w.stop(t)
	})
}
