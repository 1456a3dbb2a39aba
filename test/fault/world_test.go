package fault

import (
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

// clients is how many send at the same time.
const clients = 4

// world is a server with clients that send all the time, and a sink that everything goes to.
type world struct {
	t      *testing.T
	g      *harness.Ledger
	server *harness.Server

	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	refused int // 4xx
	odd     []string
}

func newWorld(t *testing.T, o harness.Options) *world {
	t.Helper()
	w := &world{t: t, g: harness.NewLedger()}
	w.g.Remote = true
	sink := harness.NewSink(t, harness.SinkOptions{Forget: true, OnMessage: func(m *harness.SinkMessage) { w.g.ArriveAt(t, m) }})
	o.SmartHost = []string{sink.Route()}
	w.server = harness.New(t, o)
	// These say what the test does to it.
	for _, text := range []string{"no mail is taken", "a client was put off because of trouble of ours", "the spool has trouble", "the transaction log cannot be written"} {
		w.server.ExpectError(text)
	}
	return w
}

// putOff is what a client may be told because of a fault of ours (bad inputs F27, F28).
var putOff = regexp.MustCompile(`^(451 4\.3\.0|452 4\.3\.1) `)

// load begins to send. With patience a client that is put off comes again a moment later.
func (w *world) load(patience bool) {
	w.stop = make(chan struct{})
	for range clients {
		w.wg.Go(func() {
			w.g.Load(w.server.Addr(), w.stop, func(err error) bool {
				var reply *harness.ReplyError
				if errors.As(err, &reply) {
					w.mu.Lock()
					w.refused++
					if !putOff.MatchString(reply.Text) {
						w.odd = append(w.odd, err.Error())
					}
					w.mu.Unlock()
				}
				time.Sleep(20 * time.Millisecond)
				return patience
			})
		})
	}
}

// quiet ends the sending.
func (w *world) quiet() {
	close(w.stop)
	w.wg.Wait()
}

// putOffs returns how many clients were put off so far.
func (w *world) putOffs() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refused
}

// acked returns how many letters were acknowledged so far.
func (w *world) acked() int { return w.g.Report().Acked }

// flows waits until n more letters are acknowledged.
func (w *world) flows(what string, n int) {
	w.t.Helper()
	before := w.acked()
	harness.Eventually(w.t, harness.Patience, what, func() bool { w.server.Alive(); return w.acked() >= before+n })
}

// verdict waits until all that was acknowledged has arrived, and says what has not.
func (w *world) verdict() {
	w.t.Helper()
	harness.Within(2*harness.Patience, func() bool { w.server.Alive(); n, _ := w.g.Missing(false); return n == 0 })
	if n, one := w.g.Missing(false); n > 0 {
		w.t.Errorf("%d acknowledged letters are lost, for example letter %d to %s", n, one.Number, one.Rcpt())
	}
	if d := w.g.Damaged(); len(d) > 0 {
		w.t.Errorf("%d arrivals are damaged: %.200s", len(d), strings.Join(d, "; "))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.odd) > 0 {
		w.t.Errorf("%d clients were told something else than 451 or 452, the first: %s", len(w.odd), w.odd[0])
	}
}

// tells waits until the status says that mail is refused, or that it is not.
func (w *world) tells(refusing bool) {
	w.t.Helper()
	harness.Eventually(w.t, harness.Patience, "the status tells whether mail is refused", func() bool {
		w.server.Alive()
		st := w.server.Status()
		sp := st.VirtualServers[0].Spool
		warned := strings.Contains(strings.Join(st.Warnings, "\n"), "the queue takes no mail")
		return (sp.Refusing != "") == refusing && warned == refusing && (!refusing || sp.Refused > 0 && sp.Error != "" || sp.LowSpace)
	})
}
