//go:build !race

package accesslog

// raceEnabled: under the race detector sync.Pool forgets on purpose, so that counts of
// allocations say nothing.
const raceEnabled = false
