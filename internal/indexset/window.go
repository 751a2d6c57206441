package indexset

// windowWords is the length of the window. Two words behind the write that
// moved the window here and one ahead of it let each index arrive 64 places
// before or after its turn.
const (
	windowWords = 4
	lookBehind  = 2
)

// A window is a part of a bitmap, held by value. All outside of it reads as
// zeros.
type window struct {
	base  uint // the number of the first word
	words [windowWords]uint64
}

// holds reports whether word is one of the window's.
func (w *window) holds(word uint) bool { return word-w.base < windowWords }

// at returns the place of a word, or nil if it is not one of the window's.
func (w *window) at(word uint) *uint64 {
	if i := word - w.base; i < windowWords {
		return &w.words[i]
	}
	return nil
}

// bounds returns the first index of the window and the first index after it.
func (w *window) bounds() (start, end uint) {
	return w.base * wordBits, (w.base + windowWords) * wordBits
}

func (w *window) len() uint { return countBits(w.words[:], windowWords*wordBits) }

// max returns the largest index in the window; false if it is empty.
func (w *window) max() (uint, bool) {
	i, ok := lastBit(w.words[:])
	if !ok {
		return 0, false
	}
	return w.base*wordBits + i, true
}

// find returns the smallest index >= i in the window that is or is not set, as
// want says. The index i must be in the window.
func (w *window) find(i uint, want bool) (uint, bool) {
	start, _ := w.bounds()
	found, ok := findBit(w.words[:], i-start, want)
	return start + found, ok
}

// rank returns the number of indexes below limit.
func (w *window) rank(limit uint) uint {
	start, end := w.bounds()
	return countBits(w.words[:], min(max(limit, start), end)-start)
}

// load returns a word of s.
func (s *Set) load(word uint) uint64 {
	if p := s.window.at(word); p != nil {
		return *p
	}
	return s.tree.load(word)
}

// store replaces a word of s.
func (s *Set) store(word uint, bits uint64) {
	if p := s.window.at(word); p != nil {
		*p = bits
		return
	}
	s.miss(word, bits)
}

// miss stores a word outside the window. It moves the window there if the last
// miss was near too: then this is a stream of writes, such as that of a job
// going through its indexes, and not the stray retry of an old one.
func (s *Set) miss(word uint, bits uint64) {
	near := max(word, s.missed)-min(word, s.missed) <= windowWords-lookBehind
	s.missed = word
	if !near {
		s.tree.store(word, word, bits)
		return
	}
	s.moveWindow(max(word, lookBehind) - lookBehind)
	s.window.words[word-s.window.base] = bits
}

// moveWindow makes base the first word of the window.
func (s *Set) moveWindow(base uint) {
	old := s.window
	s.window = window{base: base}
	for i, bits := range old.words {
		word := old.base + uint(i)
		switch {
		case s.window.holds(word):
			s.window.words[word-base] = bits
		case bits != 0:
			s.tree.store(word, word, bits)
		}
	}
	for word := base; s.window.holds(word); word++ {
		if old.holds(word) {
			continue
		}
		if bits := s.tree.load(word); bits != 0 {
			s.window.words[word-base] = bits
			s.tree.store(word, word, 0)
		}
	}
}

// fill sets the words from first to last to bits: all zeros or all ones. It does
// nothing if first > last.
func (s *Set) fill(first, last uint, bits uint64) {
	if first > last {
		return
	}
	start, end := s.window.base, s.window.base+windowWords
	if first < start {
		s.tree.store(first, min(last, start-1), bits)
	}
	for word := max(first, start); word < end && word <= last; word++ {
		s.window.words[word-start] = bits
	}
	if last >= end {
		s.tree.store(max(first, end), last, bits)
	}
}
