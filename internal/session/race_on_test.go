//go:build race

package session_test

// raceDetector says that the tests run under the race detector, which makes sync.Pool drop
// some of what is given back.
const raceDetector = true
