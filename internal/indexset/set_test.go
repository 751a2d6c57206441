package indexset

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestZeroValueIsEmpty(t *testing.T) {
	var s Set
	if got := s.Len(); got != 0 {
		t.Errorf("Len() = %d, want 0", got)
	}
	if got, ok := s.Min(); ok {
		t.Errorf("Min() = %d, true, want false", got)
	}
	if got, ok := s.Max(); ok {
		t.Errorf("Max() = %d, true, want false", got)
	}
	if got, ok := s.Next(0); ok {
		t.Errorf("Next(0) = %d, true, want false", got)
	}
	for i := range s.All() {
		t.Errorf("All() yields %d", i)
	}
	if !s.Equal(Set{}) {
		t.Error("Equal(Set{}) = false")
	}
}

func TestIndexesOutOfRangeAreIgnored(t *testing.T) {
	s := setOf(0, 5)
	for _, i := range []int{-1, -64, math.MinInt, math.MaxInt} {
		if s.Add(i) {
			t.Errorf("Add(%d) = true", i)
		}
		if s.Remove(i) {
			t.Errorf("Remove(%d) = true", i)
		}
		if s.Contains(i) {
			t.Errorf("Contains(%d) = true", i)
		}
	}
	s.AddRange(-10, -1)
	s.AddRange(math.MaxInt, math.MaxInt)
	s.AddRange(9, 7)
	s.Truncate(math.MaxInt)
	wantText(t, s, "0,5")
	s.AddRange(-10, 1)
	wantText(t, s, "0,1,5")
	if next, _ := s.Next(-7); next != 0 {
		t.Errorf("Next(-7) = %d, want 0", next)
	}
	if got := s.CountBelow(-7); got != 0 {
		t.Errorf("CountBelow(-7) = %d, want 0", got)
	}
	s.Truncate(-1)
	wantText(t, s, "")
}

func TestLargestIndexes(t *testing.T) {
	var s Set
	s.Add(1 << 62)
	s.Add(7)
	s.Add(MaxIndex)
	check(t, s)
	wantText(t, s, "7,4611686018427387904,9223372036854775806")
	if got, _ := s.Max(); got != MaxIndex {
		t.Errorf("Max() = %d, want MaxIndex", got)
	}
	s.AddRange(0, MaxIndex)
	check(t, s)
	wantText(t, s, "0-9223372036854775806")
	if got := s.Len(); got != math.MaxInt {
		t.Errorf("Len() = %d, want MaxInt", got)
	}
	if got := s.CountBelow(math.MaxInt); got != math.MaxInt {
		t.Errorf("CountBelow(MaxInt) = %d, want MaxInt", got)
	}
	s.Remove(MaxIndex)
	s.Truncate(1 << 61)
	check(t, s)
	if got := s.Len(); got != 1<<61 {
		t.Errorf("Len() = %d, want %d", got, 1<<61)
	}
}

func TestIterationStopsOnBreak(t *testing.T) {
	s := setOf(1, 2, 3, 7, 8)
	var got []int
	for i := range s.All() {
		if got = append(got, i); i == 2 {
			break
		}
	}
	if want := []int{1, 2}; !slices.Equal(got, want) {
		t.Errorf("All() until 2 yields %v, want %v", got, want)
	}
	for first, last := range s.Intervals() {
		if first != 1 || last != 3 {
			t.Errorf("Intervals() yields %d, %d first, want 1, 3", first, last)
		}
		break
	}
}

func TestEqual(t *testing.T) {
	run := func(first, last int) Set {
		var s Set
		s.AddRange(first, last)
		return s
	}
	inOrder := run(0, -1)
	for i := range 5000 {
		inOrder.Add(i)
	}
	shrunk := run(0, 1<<40)
	shrunk.Truncate(5000)
	changed := inOrder.Snapshot()
	changed.Remove(17)
	changed.Add(5000)

	cases := map[string]struct {
		a, b Set
		want bool
	}{
		"empty sets":                      {a: Set{}, b: Set{}, want: true},
		"empty and not":                   {a: Set{}, b: setOf(1)},
		"same size, other indexes":        {a: setOf(1, 9), b: setOf(1, 8)},
		"same size, other intervals":      {a: setOf(1, 2), b: setOf(1, 3)},
		"added one by one and as a range": {a: inOrder, b: run(0, 4999), want: true},
		"grown and shrunk":                {a: inOrder, b: shrunk, want: true},
		"a set and its snapshot":          {a: inOrder, b: inOrder.Snapshot(), want: true},
		"a set and its changed snapshot":  {a: inOrder, b: changed},
		"full trees of different levels":  {a: run(256, 1023), b: run(256, 1<<14-1)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := c.a.Equal(c.b); got != c.want {
				t.Errorf("a.Equal(b) = %t, want %t", got, c.want)
			}
			if got := c.b.Equal(c.a); got != c.want {
				t.Errorf("b.Equal(a) = %t, want %t", got, c.want)
			}
		})
	}
}

// TestAgainstMap does random things to a set and to a map, and compares them.
func TestAgainstMap(t *testing.T) {
	spreads := map[string]int{"dense": 300, "some levels": 40_000, "sparse": 1 << 50}
	for name, spread := range spreads {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, uint64(spread)))
			var s Set
			model := map[int]bool{}
			near := 0 // writes cluster here, as those of a job do
			for step := range 4000 {
				i := rng.IntN(spread)
				if rng.IntN(4) > 0 {
					near++
					i = max(0, near+rng.IntN(64)-32) % spread
				}
				switch op := rng.IntN(100); {
				case op < 60:
					if got, want := s.Add(i), !model[i]; got != want {
						t.Fatalf("step %d: Add(%d) = %t, want %t", step, i, got, want)
					}
					model[i] = true
				case op < 90:
					if got, want := s.Remove(i), model[i]; got != want {
						t.Fatalf("step %d: Remove(%d) = %t, want %t", step, i, got, want)
					}
					delete(model, i)
				case op < 95:
					last := i + rng.IntN(1000)
					s.AddRange(i, last)
					for j := i; j <= last; j++ {
						model[j] = true
					}
				case op < 97:
					s.Snapshot()
				case op == 97:
					near = rng.IntN(spread)
				case op == 98:
					s.Truncate(i)
					maps.DeleteFunc(model, func(j int, _ bool) bool { return j >= i })
				}
				if s.Contains(i) != model[i] || s.Len() != len(model) {
					t.Fatalf("step %d: Contains(%d) = %t, Len() = %d, want %t, %d",
						step, i, s.Contains(i), s.Len(), model[i], len(model))
				}
				if step%200 == 0 {
					wantIndexes(t, s, model)
				}
			}
		})
	}
}

// wantIndexes compares all that can be read from s with the model.
func wantIndexes(t *testing.T, s Set, model map[int]bool) {
	t.Helper()
	check(t, s)
	want := slices.Sorted(maps.Keys(model))
	if got := slices.Collect(s.All()); !slices.Equal(got, want) {
		t.Fatalf("All() yields %v, want %v", got, want)
	}
	var same Set
	for rank, i := range want {
		same.Add(i)
		if got := s.CountBelow(i); got != rank {
			t.Fatalf("CountBelow(%d) = %d, want %d", i, got, rank)
		}
		if next, ok := s.Next(i); !ok || next != i {
			t.Fatalf("Next(%d) = %d, %t, want itself", i, next, ok)
		}
		if next, ok := s.Next(i + 1); ok != (rank+1 < len(want)) || ok && next != want[rank+1] {
			t.Fatalf("Next(%d) = %d, %t", i+1, next, ok)
		}
	}
	if len(want) > 0 {
		if got, ok := s.Min(); !ok || got != want[0] {
			t.Fatalf("Min() = %d, %t, want %d", got, ok, want[0])
		}
		if got, ok := s.Max(); !ok || got != want[len(want)-1] {
			t.Fatalf("Max() = %d, %t, want %d", got, ok, want[len(want)-1])
		}
	}
	if !s.Equal(same) {
		t.Fatalf("Equal is false for a set of the same indexes %v", want)
	}
}

// FuzzSet runs a script of operations, four bytes each, on a set and on a list
// of runs. Indexes lie around the places where the tree gets another node or
// level.
func FuzzSet(f *testing.F) {
	f.Add([]byte{0, 0, 0, 129, 0, 0, 0, 130, 1, 0, 0, 129})
	f.Add([]byte{2, 0, 3, 200, 4, 0, 0, 0, 3, 1, 0, 140, 129, 2, 0, 200, 4, 1, 0, 0, 2, 4, 6, 4})
	f.Add([]byte{2, 0, 7, 255, 4, 0, 0, 0, 1, 6, 0, 5, 1, 6, 0, 6, 5, 0, 0, 0, 3, 5, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		script = script[:min(len(script), 4*100)] // each operation is checked at a cost
		sets, models := [2]Set{}, [2]runs{}       // the second pair is a snapshot of the first
		for ; len(script) >= 4; script = script[4:] {
			op, i := script[0], fuzzIndex(script[1], script[3])
			s, m := &sets[op>>7], &models[op>>7]
			switch op % 8 {
			case 0, 6, 7:
				if got, want := s.Add(i), i >= 0 && !m.contains(i); got != want {
					t.Fatalf("Add(%d) = %t, want %t", i, got, want)
				}
				m.add(i, i)
			case 1:
				if got, want := s.Remove(i), m.contains(i); got != want {
					t.Fatalf("Remove(%d) = %t, want %t", i, got, want)
				}
				m.remove(i, i)
			case 2:
				last := fuzzIndex(script[2], script[3])
				s.AddRange(i, last)
				m.add(i, last)
			case 3:
				s.Truncate(i)
				m.remove(i, MaxIndex)
			case 4:
				sets[1], models[1] = sets[0].Snapshot(), slices.Clone(models[0])
			case 5:
				sets[0], models[0] = sets[1].Snapshot(), slices.Clone(models[1])
			}
			wantRuns(t, sets[0], models[0], i)
			wantRuns(t, sets[1], models[1], i)
			if got, want := sets[0].Equal(sets[1]), slices.Equal(models[0], models[1]); got != want {
				t.Fatalf("Equal is %t for %v and %v", got, models[0], models[1])
			}
		}
	})
}

func fuzzIndex(place, offset byte) int {
	places := [...]int{0, 64, 256, 1024, 1 << 14, 1 << 18, 1 << 30, 1 << 62}
	return places[place%8] + int(offset) - 128 + int(place>>3)*64
}

// wantRuns compares s with the model, in particular at index i.
func wantRuns(t *testing.T, s Set, want runs, i int) {
	t.Helper()
	check(t, s)
	var got runs
	for first, last := range s.Intervals() {
		got = append(got, [2]int{first, last})
	}
	if !slices.Equal(got, want) {
		t.Fatalf("Intervals() yields %v, want %v", got, want)
	}
	total, below, next := 0, 0, -1
	for _, r := range want {
		total += r[1] - r[0] + 1
		below += max(0, min(i-1, r[1])-r[0]+1)
		if next < 0 && r[1] >= i {
			next = max(i, r[0])
		}
	}
	if got := s.Len(); got != total {
		t.Fatalf("Len() = %d, want %d", got, total)
	}
	if got := s.CountBelow(i); got != below {
		t.Fatalf("CountBelow(%d) = %d, want %d", i, got, below)
	}
	if got, ok := s.Next(i); ok != (next >= 0) || ok && got != next {
		t.Fatalf("Next(%d) = %d, %t, want %d", i, got, ok, next)
	}
	if got, want := s.Contains(i), want.contains(i); got != want {
		t.Fatalf("Contains(%d) = %t, want %t", i, got, want)
	}
	if got, ok := s.Max(); ok != (len(want) > 0) || ok && got != want[len(want)-1][1] {
		t.Fatalf("Max() = %d, %t of %v", got, ok, want)
	}
}

// runs is the naive model of a set: maximal runs in order.
type runs [][2]int

func (m runs) contains(i int) bool {
	return slices.ContainsFunc(m, func(r [2]int) bool { return r[0] <= i && i <= r[1] })
}

func (m *runs) add(first, last int) {
	first = max(first, 0)
	if first > last {
		return
	}
	var apart runs
	for _, r := range *m {
		if r[1]+1 < first || last+1 < r[0] {
			apart = append(apart, r)
			continue
		}
		first, last = min(first, r[0]), max(last, r[1])
	}
	apart = append(apart, [2]int{first, last})
	slices.SortFunc(apart, func(a, b [2]int) int { return a[0] - b[0] })
	*m = apart
}

func (m *runs) remove(first, last int) {
	var rest runs
	for _, r := range *m {
		if left := min(r[1], first-1); r[0] <= left {
			rest = append(rest, [2]int{r[0], left})
		}
		if right := max(r[0], last+1); right <= r[1] {
			rest = append(rest, [2]int{right, r[1]})
		}
	}
	*m = rest
}

// check fails t if s is not as the comments in tree.go and window.go promise.
func check(t *testing.T, s Set) {
	t.Helper()
	if s.tree.root == nil && s.tree.level != 0 {
		t.Fatalf("empty tree has level %d", s.tree.level)
	}
	checkSubtree(t, &s.tree, s.tree.root, s.tree.level)
	for word := s.window.base; s.window.holds(word); word++ {
		if got := s.tree.load(word); got != 0 {
			t.Fatalf("tree has word %d of the window: %#x", word, got)
		}
	}
}

func checkSubtree(t *testing.T, tr *tree, s subtree, level uint8) {
	t.Helper()
	var counted, generation uint
	switch s := s.(type) {
	case nil, full:
		return
	case *leaf:
		generation = uint(s.generation)
		counted = countBits(s.words[:], fanout*wordBits)
		if level != 0 {
			t.Fatalf("leaf on level %d", level)
		}
	case *branch:
		generation = uint(s.generation)
		for _, kid := range s.kids {
			checkSubtree(t, tr, kid, level-1)
			counted += count(kid, level-1)
		}
	}
	if got := count(s, level); got != counted {
		t.Fatalf("node on level %d says count %d, has %d", level, got, counted)
	}
	if counted == 0 || counted == spanWords(level)*wordBits {
		t.Fatalf("node on level %d has count %d and is not collapsed", level, counted)
	}
	if generation > uint(tr.generation) {
		t.Fatalf("node of generation %d in a tree of generation %d", generation, tr.generation)
	}
}

func setOf(indexes ...int) Set {
	var s Set
	for _, i := range indexes {
		s.Add(i)
	}
	return s
}

func wantText(t *testing.T, s Set, want string) {
	t.Helper()
	if got := s.String(); got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}
