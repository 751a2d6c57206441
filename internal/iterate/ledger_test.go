package iterate

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

const skipsOne = -1

type settling struct{ stretch, settles int } // a stretch that settles so many items, or skips one

type placeTest struct {
	stretches [][]int // the cursors
	unread    bool    // something comes behind, or it is not known
	steps     []settling
	want      place[int]
}

func placeAt(cursor, done int, skipped ...Skipped[int]) place[int] {
	return place[int]{tally: tally[int]{done: done, skipped: skipped}, cursor: cursor, begun: true}
}

func ended(p place[int]) place[int] {
	p.finished = true
	return p
}

var placeTests = map[string]placeTest{
	"no items":        {want: place[int]{finished: true}},
	"no items yet":    {unread: true, want: place[int]{}},
	"nothing is done": {stretches: [][]int{{1, 2}, {3}}, want: place[int]{}},
	"the first is done": {
		stretches: [][]int{{1, 2}, {3}}, steps: []settling{{0, 1}}, want: placeAt(1, 1),
	},
	"the second chunk is done": {
		stretches: [][]int{{1, 2}, {3}}, steps: []settling{{1, 1}}, want: place[int]{},
	},
	"both, the second one first": {
		stretches: [][]int{{1, 2}, {3}}, steps: []settling{{1, 1}, {0, 2}}, want: ended(placeAt(3, 3)),
	},
	"a chunk in parts": {
		stretches: [][]int{{1, 2, 3}, {4}}, steps: []settling{{0, 1}, {0, 1}}, want: placeAt(2, 2),
	},
	"what comes behind is unknown": {
		stretches: [][]int{{1}, {2, 3}}, unread: true, steps: []settling{{0, 1}, {1, 2}}, want: placeAt(2, 2),
	},
	"a skipped item": {
		stretches: [][]int{{1, 2, 3}, {4}}, steps: []settling{{0, 1}, {0, skipsOne}},
		want: placeAt(2, 1, Skipped[int]{2, "bad"}),
	},
	"a skipped item behind one that is not done": {
		stretches: [][]int{{1}, {2}, {3}}, steps: []settling{{1, skipsOne}}, want: place[int]{},
	},
	"a page in parts": {
		stretches: [][]int{{1, 1, 2}, {2, 2, 3}, {3}}, steps: []settling{{0, 3}, {1, 1}}, want: placeAt(1, 2),
	},
	"a whole page": {
		stretches: [][]int{{1, 1, 2}, {2, 2, 3}, {3}}, steps: []settling{{0, 3}, {1, 2}}, want: placeAt(2, 5),
	},
	"a page over three chunks": {
		stretches: [][]int{{1}, {1}, {1}, {2}}, steps: []settling{{0, 1}, {2, 1}, {1, 1}}, want: placeAt(1, 3),
	},
	"a page with a skipped item": {
		stretches: [][]int{{1}, {1}, {1}, {2}}, steps: []settling{{0, skipsOne}, {2, skipsOne}, {1, 1}},
		want: placeAt(1, 1, Skipped[int]{1, "bad"}, Skipped[int]{1, "bad"}),
	},
	"the zero cursor is never a place": {stretches: [][]int{{0}, {1}}, steps: []settling{{0, 1}}, want: place[int]{}},
	"but is passed": {
		stretches: [][]int{{0}, {1}, {2}}, steps: []settling{{0, 1}, {1, 1}}, want: placeAt(1, 2),
	},
	"the zero cursor of the last items": {
		stretches: [][]int{{1}, {0, 0}}, steps: []settling{{0, 1}, {1, 2}}, want: ended(placeAt(0, 3)),
	},
	"not all of the last items": {stretches: [][]int{{1}, {0, 0}}, steps: []settling{{0, 1}, {1, 1}}, want: placeAt(1, 1)},
}

func TestPlace(t *testing.T) {

	for name, test := range placeTests {
		t.Run(name, func(t *testing.T) {
			var s script
			for _, cursors := range test.stretches {
				s.read(cursors)
			}
			if !test.unread {
				s.l.end()
			}
			for _, next := range test.steps {
				if next.settles == skipsOne {
					s.l.skip(s.all[next.stretch], "bad", true)
				} else {
					s.l.settle(s.all[next.stretch], next.settles)
				}
			}
			require.Equal(t, test.want, s.l.place)
			s.requirePlace(t)
		})
	}
}

// A script is what has happened to a ledger.
type script struct {
	l     ledger[int]
	all   []*stretch[int]
	items []int // the cursors of all
}

func (s *script) read(cursors []int) {
	last := 0
	if len(s.items) > 0 {
		last = s.items[len(s.items)-1]
	}
	next := new(stretch[int])
	for i, cursor := range cursors {
		rest := cursor != last && last != 0
		if i == 0 {
			s.l.follow(rest)
		}
		next.next(cursor, rest)
		last = cursor
	}
	s.l.append(next)
	s.all = append(s.all, next)
	s.items = append(s.items, cursors...)
}

// settled returns which items are settled.
func (s *script) settled() (items []bool) {
	for _, stretch := range s.all {
		for i := range stretch.cursors {
			items = append(items, i < stretch.settled)
		}
	}
	return items
}

// wantPlace finds out by trying them all how many items may be before the place.
func (s *script) wantPlace() int {
	settled := s.settled()
	for n := len(settled); n > 0; n-- {
		if !slices.Contains(settled[:n], false) && s.rests(n) {
			return n
		}
	}
	return 0
}

func (s *script) rests(n int) bool {
	if n == len(s.items) {
		return s.l.ended
	}
	return s.items[n-1] != s.items[n] && s.items[n-1] != 0
}

func (s *script) requirePlace(t *testing.T) {
	t.Helper()
	n := s.wantPlace()
	require.Equal(t, n, s.l.place.settled(), "items before the place")
	require.Equal(t, n > 0, s.l.place.begun)
	if n > 0 {
		require.Equal(t, s.items[n-1], s.l.place.cursor)
	}
	require.Equal(t, s.l.ended && n == len(s.items), s.l.place.finished)
}

// FuzzLedger lets stretches be read and settled in any order.
func FuzzLedger(f *testing.F) {
	f.Add([]byte("\x00\x04\x08\x01\x05\x09"))
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		text := make([]byte, 60)
		for i := range text {
			text[i] = byte(r.Uint32())
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var s script
		skips := 0
		for len(text) > 1 && len(s.items) < 1000 {
			what, arg := text[0]%4, text[1]
			text = text[2:]
			switch {
			case what == 0 && !s.l.ended:
				n := min(1+int(arg%5), len(text))
				cursors := make([]int, n)
				for i := range n {
					cursors[i] = int(text[i] % 3)
				}
				if text = text[n:]; n > 0 {
					s.read(cursors)
				}
			case what == 1 && arg == 0 && !s.l.ended:
				s.l.end()
			case len(s.all) > 0:
				stretch := s.all[int(arg)%len(s.all)]
				switch left := len(stretch.cursors) - stretch.settled; {
				case left == 0:
				case what == 2:
					skips++
					s.l.skip(stretch, "bad", true)
				default:
					s.l.settle(stretch, 1+int(arg)%left)
				}
			}
			s.requirePlace(t)
		}
		s.finish()
		s.requirePlace(t)
		require.True(t, s.l.place.finished)
		require.Len(t, s.l.place.skipped, skips)
		require.Equal(t, len(s.items)-skips, s.l.place.done)
		require.Empty(t, s.l.open)
	})
}

func (s *script) finish() {
	if !s.l.ended {
		s.l.end()
	}
	for _, stretch := range s.all {
		s.l.settle(stretch, len(stretch.cursors)-stretch.settled)
	}
}
