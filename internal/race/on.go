//go:build race

package race

// Enabled reports whether the race detector is.
const Enabled = true
