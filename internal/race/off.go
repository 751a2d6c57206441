//go:build !race

// Package race says whether the race detector is at work: for tests that it would
// make too long, and those that measure.
package race

// Enabled reports whether the race detector is.
const Enabled = false
