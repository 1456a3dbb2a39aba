package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Patience is how long the tests wait for something that must happen soon. It is generous, as
// machines that run tests are slow; no test asserts speed.
const Patience = 30 * time.Second

// Eventually waits until cond holds, and fails the test when it does not within d.
func Eventually(tb testing.TB, d time.Duration, what string, cond func() bool) {
	tb.Helper()
	if !Within(d, cond) {
		tb.Fatalf("waited %v in vain: %s", d, what)
	}
}

// Within reports whether cond comes to hold within d.
func Within(d time.Duration, cond func() bool) bool {
	for end := time.Now().Add(d); ; {
		if cond() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Answers reports whether a TCP connection to addr is accepted.
func Answers(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

var ports struct {
	sync.Mutex
	given map[int]bool
}

// FreePort returns a TCP port that is free on all the given addresses, 127.0.0.1 if none. It
// lies below the range from which systems take ports for outgoing connections, so that it
// stays free while a server restarts.
func FreePort(tb testing.TB, addrs ...string) int {
	tb.Helper()
	if len(addrs) == 0 {
		addrs = []string{"127.0.0.1"}
	}
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = map[int]bool{}
	}
	for range 500 {
		port := 10240 + rand.IntN(20000)
		if ports.given[port] || !free(port, addrs) {
			continue
		}
		ports.given[port] = true
		return port
	}
	tb.Fatal("no free port found")
	return 0
}

func free(port int, addrs []string) bool {
	for _, a := range addrs {
		l, err := net.Listen("tcp", net.JoinHostPort(a, strconv.Itoa(port)))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// Loopback returns "127.0.0.1:port".
func Loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
