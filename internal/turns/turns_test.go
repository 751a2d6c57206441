package turns

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A queue is turns under test, at a time.
type queue struct {
	*testing.T
	*Turns[string]
	now    int64
	places map[string]*Place[string]
	grants map[string]Grant[string]
}

func newQueue(t *testing.T, limits map[string]Limit) *queue {
	q := &queue{t, New[string](), int64(1000 * time.Hour), make(map[string]*Place[string]), make(map[string]Grant[string])}
	for name, l := range limits {
		q.set(name, l)
	}
	return q
}

func (q *queue) set(name string, l Limit) {
	q.Helper()
	if err := q.Set(name, l, q.now); err != nil {
		q.Fatal(err)
	}
}

func (q *queue) join(name string, limits ...string) {
	q.joinAs(Place[string]{Name: name, Limits: limits})
}

func (q *queue) joinAs(p Place[string]) {
	p.Item = p.Name
	q.places[p.Name] = &p
	q.Join(&p, q.now)
}

// take returns all who get their turns now.
func (q *queue) take() (got []string) {
	for x, grant, ok := q.Take(q.now); ok; x, grant, ok = q.Take(q.now) {
		got = append(got, x)
		q.grants[x] = grant
	}
	return got
}

func (q *queue) release(name string) {
	q.Release(q.grants[name], true, q.now)
	delete(q.grants, name)
}

func (q *queue) want(want ...string) {
	q.Helper()
	if got := q.take(); !slices.Equal(got, want) {
		q.Errorf("took %v, want %v", got, want)
	}
}

func TestTakeInOrderUpToTheLimit(t *testing.T) {
	q := newQueue(t, map[string]Limit{"db": {Active: 2}})
	for _, name := range []string{"a", "b", "c", "d"} {
		q.join(name, "db")
	}
	q.want("a", "b")
	q.release("a")
	q.join("a", "db")
	q.Join(q.places["a"], q.now) // again, to no effect
	q.want("c")
	q.Leave(q.places["d"], q.now)
	q.Leave(q.places["d"], q.now)
	q.release("b")
	q.release("c")
	q.want("a")
}

func TestAllOrNone(t *testing.T) {
	q := newQueue(t, map[string]Limit{"a": {Active: 1}, "b": {Active: 1}})
	q.join("one", "a")
	q.want("one")
	q.join("both", "a", "b")
	q.join("the other way", "b", "a")
	q.join("two", "b")
	q.want("two") // b is not held for a
	q.release("one")
	q.want()
	q.release("two")
	q.want("both")
	q.release("both")
	q.want("the other way")
}

func TestRate(t *testing.T) {
	q := newQueue(t, map[string]Limit{"api": {Active: Unlimited, Every: time.Second, Burst: 3}})
	for i := range 6 {
		q.join(fmt.Sprint(i), "api")
	}
	q.want("0", "1", "2")
	if due := q.Due(); due != q.now+int64(time.Second) {
		t.Fatalf("due in %v", time.Duration(due-q.now))
	}
	q.now += int64(time.Second)
	q.want("3")
	q.Release(q.grants["3"], false, q.now) // it has not begun
	q.want("4")
	q.set("api", Limit{Active: Unlimited, Every: time.Minute, Burst: 3})
	q.now += int64(time.Second)
	q.want()
	q.set("api", Limit{Active: Unlimited})
	q.want("5")
}

func TestPerKey(t *testing.T) {
	q := newQueue(t, map[string]Limit{"customer": {Active: 1, PerKey: true, Every: time.Minute}, "db": {Active: 3}})
	for i, key := range []string{"x", "x", "y", "z"} {
		q.joinAs(Place[string]{Name: fmt.Sprint(i), Limits: []string{"customer", "db"}, Key: key})
	}
	q.want("0", "2", "3")
	q.release("0")
	q.want()
	q.now += int64(time.Minute)
	q.want("1")
	for name := range q.grants {
		q.release(name)
	}
	if n := len(q.limits["customer"].byKey); n == 0 {
		t.Error("a key was forgotten while its time goes on")
	}
	q.now += int64(time.Hour)
	q.want()
	if n := len(q.limits["customer"].byKey) + q.due.Len(); n != 0 {
		t.Errorf("%d keys are kept that nobody needs", n)
	}
	if err := q.Set("db", Limit{PerKey: true}, q.now); err != ErrPerKey {
		t.Error(err)
	}
}

func TestPriority(t *testing.T) {
	q := newQueue(t, map[string]Limit{"db": {Active: 0}})
	q.join("low", "db")
	q.now += int64(59 * time.Second)
	q.joinAs(Place[string]{Name: "high", Limits: []string{"db"}, Priority: 1})
	q.now += int64(2 * time.Second)
	q.joinAs(Place[string]{Name: "high, too late", Limits: []string{"db"}, Priority: 1})
	q.join("last", "db")
	q.set("db", Limit{Active: 4})
	q.want("high", "low", "high, too late", "last")
}

// Who needs two limits that others always have is not overtaken for ever.
func TestElder(t *testing.T) {
	q := newQueue(t, map[string]Limit{"a": {Active: 1}, "b": {Active: 1}})
	q.join("a0", "a")
	q.want("a0")
	q.now += int64(time.Second)
	q.join("b0", "b")
	q.want("b0")
	q.join("both", "a", "b")
	for i := 1; i < 1000; i++ {
		q.join(fmt.Sprint("a", i), "a")
		q.now += int64(time.Second)
		q.release(fmt.Sprint("a", i-1))
		q.take()
		if _, ok := q.grants["both"]; ok {
			t.Fatal("a was kept before its time")
		}
		if _, ok := q.grants[fmt.Sprint("a", i)]; !ok {
			q.now += int64(time.Second)
			q.release(fmt.Sprint("b", i-1))
			q.join(fmt.Sprint("b", i), "b")
			q.want("both")
			if i < 20 {
				t.Errorf("after %d turns", i)
			}
			return
		}
		q.join(fmt.Sprint("b", i), "b")
		q.now += int64(time.Second)
		q.release(fmt.Sprint("b", i-1))
		q.take()
	}
	t.Error("it never had its turn")
}

// What never comes does not keep the rest from others for ever.
func TestElderRetires(t *testing.T) {
	q := newQueue(t, map[string]Limit{"a": {Active: 1}, "b": {Active: 1}})
	q.join("never returns", "b")
	q.want("never returns")
	q.join("both", "a", "b")
	turns := 0
	for i := range 600 { // seconds
		name := fmt.Sprint(i)
		q.join(name, "a")
		for _, got := range q.take() {
			turns++
			q.now += int64(time.Second)
			q.release(got)
		}
		if due := q.Due(); due != Never && len(q.grants) == 1 {
			q.now = max(q.now, due)
		}
	}
	if turns < 599 {
		t.Errorf("%d of 600 had their turns", turns)
	}
}

// In random use no limit is exceeded, and no caller waits for what is there.
func TestNobodyIsForgotten(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		q := newQueue(t, map[string]Limit{"a": {Active: 1 + r.IntN(3)}, "b": {Active: 2, PerKey: true},
			"c": {Active: Unlimited, Every: time.Second, Burst: 1 + r.IntN(3)}, "d": {Active: 1 + r.IntN(4)}})
		for i := range 300 {
			q.step(r, i)
			q.take()
			q.check(seed)
			if t.Failed() {
				return
			}
		}
		for range 2000 {
			q.now = max(q.now+int64(10*time.Millisecond), min(q.Due(), q.now+int64(time.Hour)))
			for name := range q.grants {
				q.release(name)
			}
			q.take()
		}
		if n := q.waiting(); n > 0 {
			t.Fatalf("seed %d: %d wait in vain", seed, n)
		}
	}
}

func (q *queue) step(r *rand.Rand, i int) {
	q.now += r.Int64N(int64(3 * time.Second))
	switch r.IntN(5) {
	case 0:
		for name := range q.grants {
			q.release(name)
			break
		}
	case 1:
		for _, p := range q.places {
			q.Leave(p, q.now)
			break
		}
	default:
		var limits []string
		for _, name := range []string{"a", "b", "c", "d"} {
			if r.IntN(2) == 0 {
				limits = append(limits, name)
			}
		}
		q.joinAs(Place[string]{Name: fmt.Sprint(i), Limits: limits, Key: fmt.Sprint(r.IntN(3)), Priority: r.IntN(3)})
	}
}

func (q *queue) waiting() (n int) {
	for _, p := range q.places {
		if p.group != nil {
			n++
		}
	}
	return n
}

func (q *queue) check(seed uint64) {
	for _, l := range q.limits {
		for _, res := range l.byKey {
			if res.used > l.Active {
				q.Errorf("seed %d: %d have %s %q", seed, res.used, l.name, res.key)
			}
		}
		if l.all != nil && l.Active != Unlimited && l.all.used > l.Active {
			q.Errorf("seed %d: %d have %s", seed, l.all.used, l.name)
		}
	}
	for _, p := range q.places {
		if p.group == nil {
			continue
		}
		r := p.group.parked
		if r == nil || p.group.lacks(q.now) == nil || r.nextAt(p.group, q.now) <= q.now {
			q.Errorf("seed %d: %s waits for nothing", seed, p.Name)
		} else if at := r.nextAt(p.group, q.now); at != Never && q.Due() > at {
			q.Errorf("seed %d: %s is due at %d, and nobody looks before %d", seed, p.Name, at, q.Due())
		}
	}
}

// A turn takes about as long in a long line as in a short one.
func TestLongLine(t *testing.T) {
	const n = 100_000
	q := newQueue(t, map[string]Limit{"a": {Active: 1}, "b": {Active: 1}})
	for i := range n {
		q.join(fmt.Sprint(i), "a", "b")
	}
	for i := range n {
		q.want(fmt.Sprint(i))
		if due := q.Due(); due != Never {
			t.Fatalf("somebody looks at %d", due)
		}
		q.release(fmt.Sprint(i))
	}
	q.want()
}
