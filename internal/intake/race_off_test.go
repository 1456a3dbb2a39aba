//go:build !race

package intake

// raceEnabled: under the race detector sync.Pool forgets on purpose, so that counts of
// allocations say nothing.
const raceEnabled = false
