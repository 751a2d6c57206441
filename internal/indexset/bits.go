package indexset

import "math/bits"

const (
	wordBits = 64
	allOnes  = ^uint64(0)
)

// findBit returns the position of the first bit at i or later that is set, or
// that is not, as want says.
func findBit(words []uint64, i uint, want bool) (uint, bool) {
	flip := allOnes
	if want {
		flip = 0
	}
	below := uint64(1)<<(i%wordBits) - 1 // to be ignored in the first word
	for k := i / wordBits; k < uint(len(words)); k++ {
		if found := (words[k] ^ flip) &^ below; found != 0 {
			return k*wordBits + uint(bits.TrailingZeros64(found)), true
		}
		below = 0
	}
	return 0, false
}

// lastBit returns the position of the last bit that is set.
func lastBit(words []uint64) (uint, bool) {
	for k := len(words) - 1; k >= 0; k-- {
		if words[k] != 0 {
			return uint(k*wordBits + bits.Len64(words[k]) - 1), true
		}
	}
	return 0, false
}

// countBits returns how many of the first n bits are set.
func countBits(words []uint64, n uint) uint {
	count := 0
	for _, word := range words[:n/wordBits] {
		count += bits.OnesCount64(word)
	}
	if rest := n % wordBits; rest != 0 {
		count += bits.OnesCount64(words[n/wordBits] & (1<<rest - 1))
	}
	return uint(count)
}
