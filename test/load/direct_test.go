package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// TestSourceAndSink lets them talk to each other without a server between them.
func TestSourceAndSink(t *testing.T) {
	cert := harness.NewCertificate(t, "sink.test")
	trust := &tls.Config{RootCAs: cert.Pool, ServerName: "sink.test"}
	for _, c := range []client{
		{sessions: 3, keep: true, size: 4 * kb, messages: 50},
		{sessions: 3, size: 100 * kb, messages: 20},
		{sessions: 2, keep: true, size: 100 * kb, messages: 20, tls: trust},
		{sessions: 2, size: 1 * kb, messages: 20, tls: trust},
	} {
		var took atomic.Int64
		sink := startServer(t, serverOptions{
			tls: &tls.Config{Certificates: []tls.Certificate{cert.TLS}}, took: func() { took.Add(1) },
		})
		c.addr = sink.addr
		c.envelope = func(i int) envelope {
			return envelope{fmt.Sprintf("s%d@client.test", i), []string{fmt.Sprintf("a%d@remote.test", i), "b@remote.test"}, fmt.Sprint("message ", i)}
		}
		s, err := c.run(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		connections := c.messages
		if c.keep {
			connections = c.sessions
		}
		n := int64(c.messages)
		if len(s.replies) != c.messages || sink.messages.Load() != n || sink.recipients.Load() != 2*n || took.Load() != n {
			t.Errorf("%d sent, %d taken for %d, %d told of, want %d", len(s.replies), sink.messages.Load(), sink.recipients.Load(), took.Load(), n)
		}
		if got := sink.connections.Load(); got != int64(connections) {
			t.Errorf("%d connections, want %d", got, connections)
		}
		if got := sink.encrypted.Load(); c.tls != nil && got != int64(connections) || c.tls == nil && got != 0 {
			t.Errorf("%d of %d connections used TLS", got, connections)
		}
		if s.quantile(0) <= 0 || s.quantile(0.5) > s.quantile(1) {
			t.Errorf("replies took %v to %v", s.quantile(0), s.quantile(1))
		}
	}
}

// TestHang lets a sink fall silent at each stage.
func TestHang(t *testing.T) {
	for _, at := range stages {
		sink := startServer(t, serverOptions{hang: at})
		failed := make(chan error)
		go func() {
			c := client{addr: sink.addr, sessions: 1, messages: 1}
			_, err := c.run(context.Background())
			failed <- err
		}()
		harness.Eventually(t, harness.Patience, "it hangs at "+string(at), func() bool { return sink.hanging.Load() == 1 })
		sink.close()
		if err := <-failed; err == nil || sink.messages.Load() != 0 {
			t.Errorf("%s: error %v, %d messages were taken", at, err, sink.messages.Load())
		}
	}
}
