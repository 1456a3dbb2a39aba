// Package interop lets the relay talk to programs that others wrote: clients send to it, and
// servers receive from it. One story per file. Peers come from test/tools/peers.sh.
package interop

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// relay is a server with STARTTLS on its first binding, implicit TLS on its second, and a
// sink as its smart host.
type relay struct {
	*harness.Server
	sink *harness.Sink
	cert *harness.Certificate
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	return newRelayWith(t, "")
}

// newRelayWith is newRelay with further lines in the block of the virtual server.
func newRelayWith(t *testing.T, lines string) *relay {
	t.Helper()
	cert := harness.NewCertificate(t, "relay.test")
	sink := harness.NewSink(t, harness.SinkOptions{})
	return &relay{
		Server: harness.Start(t, harness.Options{
			Cert: cert, SmartHost: []string{sink.Route()}, Server: lines,
			Bindings: []harness.Binding{{TLS: "starttls"}, {TLS: "implicit"}},
		}),
		sink: sink, cert: cert,
	}
}

// expect waits until n messages have come to Drop and to the sink, and checks that each came
// with the same text, that it holds the mark, and that its Received field has the protocol, if one is given.
func (r *relay) expect(t *testing.T, n int, protocol, mark string) {
	t.Helper()
	dropped, sunk := r.WaitDrop(n), r.sink.Wait(n)
	for i := range n {
		at, err := harness.TraceLen(sunk[i].Data)
		if err != nil {
			t.Error(err)
			continue
		}
		for where, m := range map[string]struct{ trace, text string }{
			"Drop": {dropped[i].Trace, string(dropped[i].Message)},
			"sink": {string(sunk[i].Data[:at]), string(sunk[i].Data[at:])},
		} {
			if protocol != "" && !slices.Contains(strings.Fields(m.trace), protocol) {
				t.Errorf("message %d in %s: want protocol %s in %q", i, where, protocol, m.trace)
			}
			if !strings.Contains(m.text, mark) {
				t.Errorf("message %d in %s: no %q in %.500q", i, where, mark, m.text)
			}
			if bare(m.text) {
				t.Errorf("message %d in %s has a bare CR or LF: %.500q", i, where, m.text)
			}
		}
	}
	if n == 1 && !bytes.Equal(dropped[0].Message, sunk[0].Data[len(sunk[0].Data)-len(dropped[0].Message):]) {
		t.Errorf("Drop has %.500q, the sink %.500q", dropped[0].Message, sunk[0].Data)
	}
}

func bare(s string) bool {
	return strings.ContainsAny(strings.ReplaceAll(s, "\r\n", ""), "\r\n")
}
