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

func TestTakeInOrderUpToTheLimit(t *testing.T) {
	turns := New[int](2)
	for x := range 4 {
		turns.Join(x)
	}
	if got, want := take(turns), []int{0, 1}; !slices.Equal(got, want) {
		t.Errorf("took %v, want %v", got, want)
	}
	turns.Release()
	turns.Join(0)
	if got, want := take(turns), []int{2}; !slices.Equal(got, want) {
		t.Errorf("after a release took %v, want %v", got, want)
	}
	turns.Release()
	turns.Release()
	if got, want := take(turns), []int{3, 0}; !slices.Equal(got, want) {
		t.Errorf("after two releases took %v, want %v", got, want)
	}
}

func TestLongLine(t *testing.T) {
	const n = 10_000
	turns := New[int](1)
	for x := range n {
		turns.Join(x)
	}
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
