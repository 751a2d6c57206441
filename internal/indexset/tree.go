package indexset

// A tree is a bitmap of any size as a radix tree. It shares nodes with other
// trees, and writes only to nodes of its own.
//
// A node belongs to a tree if it was made in the tree's present generation.
// Nodes get from one tree into another only when a tree is copied, which marks
// both as shared; a shared tree begins a new generation before it writes. So no
// two trees take the same node for theirs.
type tree struct {
	root       subtree
	generation uint64
	level      uint8 // of the root; as low as the largest index ever held allows
	shared     bool  // a copy of this tree may have the same nodes
}

// A subtree is one of
//
//   - nil, in which no bit is set
//   - full, in which all bits are set
//   - *leaf, on level 0
//   - *branch, on the levels above
//
// Leaves and branches have some bits set, but not all. Within a subtree, words
// and indexes are counted from its start.
type subtree any

// full needs no memory, whatever its level.
type full struct{}

// A leaf is 16 words.
type leaf struct {
	generation uint64
	count      uint // bits set
	words      [fanout]uint64
}

// A branch is 16 subtrees of the level below.
type branch struct {
	generation uint64
	count      uint // bits set
	kids       [fanout]subtree
}

// Each level takes four bits of a word's number. A leaf is then a reasonable
// unit to copy (1024 indexes, 144 bytes), and a path in a tree of 10 million
// indexes has four branches (288 bytes each).
const (
	fanoutBits = 4
	fanout     = 1 << fanoutBits
)

// wordShift returns how many low bits of a word's number tell its place within
// a kid of the given level's nodes.
func wordShift(level uint8) uint { return uint(level) * fanoutBits }

// spanWords returns how many words a node of the given level has. There are at
// most 2^57 words, hence 15 levels, and the result is at most 2^60.
func spanWords(level uint8) uint { return 1 << wordShift(level+1) }

// count returns how many bits of t are set.
func count(t subtree, level uint8) uint {
	switch t := t.(type) {
	case *leaf:
		return t.count
	case *branch:
		return t.count
	case full:
		return spanWords(level) * wordBits
	}
	return 0
}

// share makes t fit for being copied. If it is already, share does not write to
// it, so that snapshots can be taken of a snapshot that others are reading.
func (t *tree) share() {
	if !t.shared {
		t.shared = true
	}
}

// store sets each word from first to last to bits. If first < last, bits must
// be all zeros or all ones.
func (t *tree) store(first, last uint, bits uint64) {
	if bits == 0 {
		last = min(last, spanWords(t.level)-1)
		if t.root == nil || first > last {
			return
		}
	}
	if t.shared {
		t.shared = false
		t.generation++
	}
	t.grow(last)
	t.root = t.set(t.root, t.level, first, last, bits)
	if t.root == nil {
		t.level = 0
	}
}

// grow adds levels until t has the given word.
func (t *tree) grow(word uint) {
	for ; word >= spanWords(t.level); t.level++ {
		if t.root == nil {
			continue
		}
		b := &branch{generation: t.generation, count: count(t.root, t.level)}
		b.kids[0] = t.root
		t.root = b
	}
}

// set returns s with each word from first to last set to bits, as for store. It
// changes s itself if that belongs to t.
func (t *tree) set(s subtree, level uint8, first, last uint, bits uint64) subtree {
	whole := last-first+1 == spanWords(level)
	switch {
	case bits == 0 && (whole || s == nil):
		return nil
	case bits == allOnes && (whole || s == full{}):
		return full{}
	case level == 0:
		return t.setLeaf(s, first, last, bits)
	}
	b := t.ownBranch(s, level)
	shift := wordShift(level)
	within := uint(1)<<shift - 1
	for k := first >> shift; k <= last>>shift; k++ {
		from, to := uint(0), within
		if k == first>>shift {
			from = first & within
		}
		if k == last>>shift {
			to = last & within
		}
		b.count -= count(b.kids[k], level-1)
		b.kids[k] = t.set(b.kids[k], level-1, from, to, bits)
		b.count += count(b.kids[k], level-1)
	}
	return collapse(b, b.count, level)
}

func (t *tree) setLeaf(s subtree, first, last uint, bits uint64) subtree {
	l := t.ownLeaf(s)
	words := l.words[first : last+1]
	l.count -= countBits(words, uint(len(words))*wordBits)
	for i := range words {
		words[i] = bits
	}
	l.count += countBits(words, uint(len(words))*wordBits)
	return collapse(l, l.count, 0)
}

// collapse returns the node s, which has count bits set, in the form that
// subtree prescribes.
func collapse(s subtree, count uint, level uint8) subtree {
	switch count {
	case 0:
		return nil
	case spanWords(level) * wordBits: // overflows to 0 on the highest level, which is never full
		return full{}
	}
	return s
}

// ownBranch returns s as a branch that belongs to t.
func (t *tree) ownBranch(s subtree, level uint8) *branch {
	old, isBranch := s.(*branch)
	if isBranch && old.generation == t.generation {
		return old
	}
	b := &branch{}
	switch {
	case isBranch:
		*b = *old
	case s == full{}:
		b.count = count(s, level)
		for k := range b.kids {
			b.kids[k] = full{}
		}
	}
	b.generation = t.generation
	return b
}

// ownLeaf returns s as a leaf that belongs to t.
func (t *tree) ownLeaf(s subtree) *leaf {
	old, isLeaf := s.(*leaf)
	if isLeaf && old.generation == t.generation {
		return old
	}
	l := &leaf{}
	switch {
	case isLeaf:
		*l = *old
	case s == full{}:
		l.count = count(s, 0)
		for k := range l.words {
			l.words[k] = allOnes
		}
	}
	l.generation = t.generation
	return l
}
