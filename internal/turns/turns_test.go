package turns

import (
	"slices"
	"testing"
)

func take(turns *Turns[int]) (got []int) {
	for x, ok := turns.Take(); ok; x, ok = turns.Take() {
		got = append(got, x)
	}
	return got
}

func join(turns *Turns[int], n int) []*Place[int] {
	places := make([]*Place[int], n)
	for x := range places {
		places[x] = &Place[int]{Item: x}
		turns.Join(places[x])
	}
	return places
}

func TestTakeInOrderUpToTheLimit(t *testing.T) {
	turns := New[int](2)
	places := join(turns, 4)
	if got, want := take(turns), []int{0, 1}; !slices.Equal(got, want) {
		t.Errorf("took %v, want %v", got, want)
	}
	turns.Release()
	turns.Join(places[0])
	turns.Join(places[0])
	if got, want := take(turns), []int{2}; !slices.Equal(got, want) {
		t.Errorf("after a release took %v, want %v", got, want)
	}
	turns.Release()
	turns.Release()
	if got, want := take(turns), []int{3, 0}; !slices.Equal(got, want) {
		t.Errorf("after two releases took %v, want %v", got, want)
	}
}

func TestLeave(t *testing.T) {
	turns := New[int](3)
	places := join(turns, 5)
	for _, x := range []int{0, 2, 4, 2} {
		turns.Leave(places[x])
	}
	if got, want := take(turns), []int{1, 3}; !slices.Equal(got, want) {
		t.Errorf("took %v, want %v", got, want)
	}
	turns.Join(places[2])
	if got, want := take(turns), []int{2}; !slices.Equal(got, want) {
		t.Errorf("took %v, want %v", got, want)
	}
}

func TestLongLine(t *testing.T) {
	const n = 10_000
	turns := New[int](1)
	join(turns, n)
	for want := range n {
		if got, ok := turns.Take(); got != want || !ok {
			t.Fatalf("Take() = %d, %v, want %d, true", got, ok, want)
		}
		turns.Release()
	}
	if _, ok := turns.Take(); ok {
		t.Error("Take() found somebody in an empty line")
	}
}
