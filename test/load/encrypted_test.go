package load

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

// encrypted is a relay that takes its mail by STARTTLS and passes it on so.
type encrypted struct {
	name  string
	addr  string
	usage *usage
	sink  *server
}

// encryptedLines make Postfix use TLS with its next hop. Its session cache is on: in its favour.
func encryptedLines(next string) []string {
	return append(tuned(next), "smtp_tls_security_level = encrypt", "smtp_tls_session_cache_database = btree:$data_directory/smtp_scache")
}

// reusingLines let Postfix also keep its connections with TLS, which tlsproxy then encrypts.
func reusingLines(next string) []string {
	return append(encryptedLines(next), "smtp_tls_connection_reuse = yes")
}

// TestEncrypted measures a relay with TLS on both sides. Postfix has two ways to do it; the cheaper one counts.
func TestEncrypted(t *testing.T) {
	benchmark(t)
	cert := harness.NewCertificate(t, "relay.test", "sink.test")
	sink := func() *server {
		return startServer(t, serverOptions{tls: &tls.Config{Certificates: []tls.Certificate{cert.TLS}}})
	}
	ours := sink()
	o := lifted(harness.Options{Cert: cert, OutboundTLS: "required"})
	s := startMailroot(t, ours.route(), o)
	relays := []encrypted{{"Mailroot", s.Addr(), watch(t, s.PID()), ours}}
	for _, k := range []struct {
		name  string
		lines func(string) []string
	}{{"Postfix", encryptedLines}, {"Postfix, connections reused", reusingLines}} {
		theirs := sink()
		p := harness.StartPostfix(t, harness.PostfixOptions{Next: theirs.route(), Cert: cert, Main: k.lines(theirs.route())})
		relays = append(relays, encrypted{k.name, p.Addr, watch(t, p.PID()), theirs})
	}
	load := client{
		sessions: 20, keep: true, size: 4 * kb, messages: scaled(4000),
		tls: &tls.Config{RootCAs: cert.Pool, ServerName: "relay.test", MinVersion: tls.VersionTLS13},
	}
	tab := newTable(t, "s20d-4k with TLS in and out. A, B: messages/s. E: processor time of the server, ms a message",
		"server", "A", "B", "E", "messages on a connection to the sink")
	samples := make([][]sample, len(relays))
	for round := range *rounds {
		for i := range relays {
			k := (i + round) % len(relays)
			samples[k] = append(samples[k], relays[k].run(t, load))
		}
	}
	for i, r := range relays {
		each := float64(r.sink.messages.Load()) / float64(r.sink.encrypted.Load())
		tab.row(r.name, median(of(samples[i], accepted)), median(of(samples[i], relayed)), median(of(samples[i], cost)), each)
	}
	parts := max(median(ratios(of(samples[0], cost), of(samples[1], cost))), median(ratios(of(samples[0], cost), of(samples[2], cost))))
	atMost(t, "s20d-4k, TLS in and out: E, part of Postfix's", parts, 1./4)
}

// run puts messages through the relay. All must arrive, none twice, and all by TLS.
func (r *encrypted) run(t *testing.T, load client) sample {
	t.Helper()
	load.addr = r.addr
	before, server := r.sink.messages.Load(), r.usage.cpu()
	start := time.Now()
	s, err := load.run(context.Background())
	if err != nil {
		t.Fatalf("%s: %v", r.name, err)
	}
	want := before + int64(load.messages)
	for end := start.Add(10 * time.Minute); r.sink.messages.Load() < want && time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
	}
	wall := time.Since(start)
	time.Sleep(200 * time.Millisecond) // what is done behind the last message belongs to it
	if n := r.sink.messages.Load(); n != want {
		t.Fatalf("%s: %d messages at the sink, want %d", r.name, n, want)
	}
	if n := r.sink.connections.Load(); n != r.sink.encrypted.Load() {
		t.Errorf("%s: only %d of %d connections used TLS", r.name, r.sink.encrypted.Load(), n)
	}
	n := float64(load.messages)
	return sample{
		accepted: n / s.wall.Seconds(), relayed: n / wall.Seconds(),
		cost: 1000 * (r.usage.cpu() - server).Seconds() / n,
	}
}
