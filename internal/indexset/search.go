package indexset

// This file has the methods of tree that only read.

// load returns a word.
func (t *tree) load(word uint) uint64 {
	if word >= spanWords(t.level) {
		return 0
	}
	s, level := t.root, t.level
	for {
		switch node := s.(type) {
		case *branch:
			shift := wordShift(level)
			s = node.kids[word>>shift]
			word &= 1<<shift - 1
			level--
		case *leaf:
			return node.words[word%fanout]
		case full:
			return allOnes
		default:
			return 0
		}
	}
}

func (t *tree) len() uint { return count(t.root, t.level) }

// find returns the smallest index >= i that is set, or that is not, as want
// says.
func (t *tree) find(i uint, want bool) (uint, bool) {
	if i/wordBits < spanWords(t.level) {
		if found, ok := findIn(t.root, t.level, i, want); ok {
			return found, true
		}
		i = spanWords(t.level) * wordBits
	}
	return i, !want
}

// findIn does the work of find within a subtree that has index i.
func findIn(s subtree, level uint8, i uint, want bool) (uint, bool) {
	switch s := s.(type) {
	case *leaf:
		return findBit(s.words[:], i, want)
	case full:
		return i, want
	case *branch:
		shift := indexShift(level)
		within := i & (1<<shift - 1)
		for k := i >> shift; k < fanout; k++ {
			if found, ok := findIn(s.kids[k], level-1, within, want); ok {
				return k<<shift + found, true
			}
			within = 0
		}
		return 0, false
	}
	return i, !want
}

// max returns the largest index that is set; false if there is none.
func (t *tree) max() (uint, bool) {
	if t.root == nil {
		return 0, false
	}
	var start uint // of s
	s, level := t.root, t.level
	for {
		switch node := s.(type) {
		case *leaf:
			i, _ := lastBit(node.words[:])
			return start + i, true
		case full:
			return start + spanWords(level)*wordBits - 1, true
		case *branch:
			k := fanout - 1
			for node.kids[k] == nil {
				k--
			}
			s = node.kids[k]
			start += uint(k) << indexShift(level)
			level--
		}
	}
}

// rank returns how many indexes below limit are set.
func (t *tree) rank(limit uint) uint {
	if limit/wordBits >= spanWords(t.level) {
		return t.len()
	}
	var rank uint
	s, level := t.root, t.level
	for {
		switch node := s.(type) {
		case *branch:
			shift := indexShift(level)
			k := limit >> shift
			for _, kid := range node.kids[:k] {
				rank += count(kid, level-1)
			}
			s = node.kids[k]
			limit &= 1<<shift - 1
			level--
		case *leaf:
			return rank + countBits(node.words[:], limit)
		case full:
			return rank + limit
		default:
			return rank
		}
	}
}

// indexShift is wordShift for indexes.
func indexShift(level uint8) uint { return wordShift(level) + 6 }
