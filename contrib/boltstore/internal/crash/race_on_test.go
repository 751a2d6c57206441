//go:build unix && race

package crash

const isRace = true
