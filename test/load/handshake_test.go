package load

import (
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// handshakes are those that run at the same time.
const handshakes = 20

// TestHandshakes measures sessions that only negotiate TLS, in full: ECDSA P-256, TLS 1.3, nothing is resumed. Chasquid
// does it with the same library, maybe an older one: so the key exchange that is judged is one that all versions of it have.
func TestHandshakes(t *testing.T) {
	benchmark(t)
	cert := harness.NewCertificate(t, "relay.test", "mx.dest.test")
	s := startMailroot(t, harness.StartCountingSink(t).Route(), lifted(harness.Options{Cert: cert}))
	peer := harness.StartChasquid(t, harness.MTAOptions{Next: "127.0.0.1:1", Cert: cert})
	servers := []struct {
		name, addr string
		usage      *usage
	}{
		{"Mailroot", s.Addr(), watch(t, s.PID())},
		{"chasquid", peer.Addr, watch(t, peer.PID())},
	}
	tab := newTable(t, "STARTTLS, 20 at the same time. Processor time of the server, ms each, EHLO to QUIT included", "key exchange", "server", "ms")
	for _, curves := range [][]tls.CurveID{{tls.X25519}, nil} { // nil: what client and server prefer
		conf := &tls.Config{
			RootCAs: cert.Pool, ServerName: "relay.test", MinVersion: tls.VersionTLS13, CurvePreferences: curves,
		}
		costs := make([][]float64, len(servers))
		for round := range *rounds {
			for i := range servers {
				j := (i + round) % len(servers)
				n := scaled(4000)
				before := servers[j].usage.cpu()
				if err := shake(servers[j].addr, conf, n); err != nil {
					t.Fatalf("%s: %v", servers[j].name, err)
				}
				costs[j] = append(costs[j], 1000*(servers[j].usage.cpu()-before).Seconds()/float64(n))
			}
		}
		for i, s := range servers {
			exchange, err := shakeOnce(s.addr, conf)
			if err != nil {
				t.Fatal(err)
			}
			tab.row(exchange, s.name, median(costs[i]))
		}
		if curves != nil {
			atMost(t, "STARTTLS: processor time, part of chasquid's", median(ratios(costs[0], costs[1])), 1.05)
		}
	}
}

// shake opens and ends n sessions with TLS.
func shake(addr string, conf *tls.Config, n int) error {
	var next atomic.Int64
	errs := make([]error, handshakes)
	var all sync.WaitGroup
	for k := range handshakes {
		all.Go(func() {
			for errs[k] == nil && next.Add(1) <= int64(n) {
				_, errs[k] = shakeOnce(addr, conf)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// shakeOnce returns the key exchange that was agreed on.
func shakeOnce(addr string, conf *tls.Config) (tls.CurveID, error) {
	s, err := dial(addr, conf)
	if err != nil {
		return 0, err
	}
	state := s.conn.(*tls.Conn).ConnectionState()
	if err := s.quit(); err != nil {
		return 0, err
	}
	if state.DidResume || state.Version != tls.VersionTLS13 {
		return 0, errors.New("this was no full handshake of TLS 1.3")
	}
	return state.CurveID, nil
}
