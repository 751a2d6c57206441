package duequeue

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

type item struct {
	name  int
	place Place
}

func newQueue() Queue[*item] { return New(func(i *item) *Place { return &i.place }) }

func TestPopInOrder(t *testing.T) {
	q := newQueue()
	a, b, c := &item{name: 1}, &item{name: 2}, &item{name: 3}
	q.Set(a, 30)
	q.Set(b, 10)
	q.Set(c, 20)
	q.Set(a, 5) // earlier than it was

	var names []int
	for i, ok := q.Pop(20); ok; i, ok = q.Pop(20) {
		names = append(names, i.name)
	}
	if want := []int{1, 2, 3}; !slices.Equal(names, want) {
		t.Errorf("popped %v, want %v", names, want)
	}
}

func TestPopOnlyWhatIsDue(t *testing.T) {
	q := newQueue()
	q.Set(&item{}, 10)
	if _, ok := q.Pop(9); ok {
		t.Error("Pop(9) gave an item that is due at 10")
	}
	if due, ok := q.First(); due != 10 || !ok {
		t.Errorf("First() = %d, %v, want 10, true", due, ok)
	}
}

func TestRemoveOfWhatIsNotThere(t *testing.T) {
	q := newQueue()
	q.Set(&item{}, 1)
	q.Remove(&item{})
	if q.Len() != 1 {
		t.Errorf("Len() = %d after removing a stranger, want 1", q.Len())
	}
}

// TestAgainstModel does random operations and compares with a sorted slice.
func TestAgainstModel(t *testing.T) {
	type pending struct {
		due  int64
		item *item
	}
	random := rand.New(rand.NewPCG(1, 2))
	q := newQueue()
	items := make([]*item, 50)
	for i := range items {
		items[i] = &item{name: i}
	}
	var model []pending
	forget := func(i *item) {
		model = slices.DeleteFunc(model, func(p pending) bool { return p.item == i })
	}
	for step := range 20_000 {
		i := items[random.IntN(len(items))]
		switch random.IntN(4) {
		case 0:
			q.Remove(i)
			forget(i)
		case 1:
			now := random.Int64N(100)
			slices.SortFunc(model, func(a, b pending) int { return cmp.Compare(a.due, b.due) })
			got, ok := q.Pop(now)
			if want := len(model) > 0 && model[0].due <= now; ok != want {
				t.Fatalf("step %d: Pop(%d) = %v, %v, want %v of %v", step, now, got, ok, want, model)
			}
			if !ok {
				continue
			}
			at := slices.IndexFunc(model, func(p pending) bool { return p.item == got })
			if at < 0 || model[at].due != model[0].due {
				t.Fatalf("step %d: Pop(%d) = %v, want one of the first of %v", step, now, got, model)
			}
			model = slices.Delete(model, at, at+1)
		default:
			due := random.Int64N(100)
			q.Set(i, due)
			forget(i)
			model = append(model, pending{due, i})
		}
		if q.Len() != len(model) {
			t.Fatalf("step %d: Len() = %d, want %d", step, q.Len(), len(model))
		}
	}
}
