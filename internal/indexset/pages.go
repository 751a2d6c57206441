package indexset

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
)

// PageSize is how many indexes a [Page] has.
const PageSize = fanout * wordBits

// A Page is a part of a set as a bitmap: page n has the indexes from
// n*PageSize on. Storing the pages that have changed keeps a copy of a set up to
// date elsewhere.
type Page [fanout]uint64

// Changes iterates over the pages in which s differs from old, an earlier snapshot
// of it, with their numbers in increasing order. What both share, which is
// nearly all after few writes, costs nothing.
func (s Set) Changes(old Set) iter.Seq2[int, Page] {
	return func(yield func(int, Page) bool) {
		for _, n := range s.suspects(old) {
			if page := s.page(n); page != old.page(n) && !yield(n, page) {
				return
			}
		}
	}
}

// suspects returns the numbers of the pages that may differ.
func (s *Set) suspects(old Set) []int {
	var pages []int
	level := max(s.tree.level, old.tree.level)
	addDiffering(&pages, s.tree.at(level), old.tree.at(level), level, 0)
	for _, w := range []window{s.window, old.window} {
		pages = append(pages, int(w.base/fanout), int((w.base+windowWords-1)/fanout))
	}
	slices.Sort(pages)
	return slices.Compact(pages)
}

// at returns the tree as a subtree of a level that is not below its own.
func (t *tree) at(level uint8) subtree {
	s := t.root
	for l := t.level; l < level && s != nil; l++ {
		s = &branch{kids: [fanout]subtree{s}}
	}
	return s
}

// addDiffering adds the pages, counted from first, in which two subtrees differ.
func addDiffering(pages *[]int, a, b subtree, level uint8, first int) {
	switch {
	case a == b:
	case level == 0:
		*pages = append(*pages, first)
	default:
		for k := range fanout {
			addDiffering(pages, kid(a, k), kid(b, k), level-1, first+k<<wordShift(level-1))
		}
	}
}

func kid(s subtree, k int) subtree {
	if b, ok := s.(*branch); ok {
		return b.kids[k]
	}
	return s // nil, or full
}

func (s *Set) page(n int) (p Page) {
	for i := range p {
		p[i] = s.load(uint(n*fanout + i))
	}
	return p
}

// SetPage makes page n of s be p. It does nothing if n is negative or beyond
// [MaxIndex].
func (s *Set) SetPage(n int, p Page) {
	if n < 0 || n > MaxIndex/PageSize {
		return
	}
	for i, bits := range p {
		if word := uint(n*fanout + i); s.load(word) != bits {
			s.store(word, bits)
		}
	}
}

// The encodings of a page: nothing for an empty one, one byte for a full one.
var fullPage = []byte{0xff}

// AppendBinary appends the encoding of p to b.
func (p *Page) AppendBinary(b []byte) ([]byte, error) {
	switch *p {
	case Page{}:
		return b, nil
	case allPage:
		return append(b, fullPage...), nil
	}
	for _, word := range p {
		b = binary.LittleEndian.AppendUint64(b, word)
	}
	return b, nil
}

// UnmarshalBinary decodes what AppendBinary has encoded.
func (p *Page) UnmarshalBinary(b []byte) error {
	switch {
	case len(b) == 0:
		*p = Page{}
	case len(b) == 1 && b[0] == fullPage[0]:
		*p = allPage
	case len(b) == PageSize/8:
		for i := range p {
			p[i] = binary.LittleEndian.Uint64(b[8*i:])
		}
	default:
		return fmt.Errorf("a page of %d bytes", len(b))
	}
	return nil
}

var allPage = func() (p Page) {
	for i := range p {
		p[i] = allOnes
	}
	return p
}()
