// Package turns shares what is limited, fairly: so many at once, so many in a time, so
// many for each key.
//
// Who stands in line needs one or several limits, and gets all of them in one decision or
// none: nothing is held while something else is waited for, so that no caller waits for ever
// because of the order in which others ask. Those who need the same wait together, as one
// group, where one of their limits has nothing left; when it has, the group looks at all
// of them again. Both take time in the logarithm of those who wait, and nothing is looked
// at in between.
package turns

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runtocompletion/batch/internal/duequeue"
)

// A Limit is how much of something there is.
type Limit struct {
	Active int           // the most who have it at once; Unlimited: any number; 0: none
	Every  time.Duration // one may begin in each; 0: any number
	Burst  int           // how many may begin at once when none has for a while; at least 1
	PerKey bool          // all of this holds for each key on its own
}

// Unlimited is any number of holders.
const Unlimited = -1

// Ahead is by how much earlier a place of the next higher priority counts as having come.
const Ahead = time.Minute

// Never is later than any other time.
const Never = math.MaxInt64

// ErrPerKey is the error of a change of Limit.PerKey.
var ErrPerKey = errors.New("turns: PerKey cannot change")

// Turns hands out limits to those who stand in line. Its methods may be called by several
// goroutines at once. Times are in nanoseconds since any instant.
type Turns[T any] struct {
	mu     sync.Mutex // guards the fields below; nothing else is locked under it
	limits map[string]*limit[T]
	groups map[string]*group[T]
	ready  duequeue.Queue[*group[T]]    // that may have all they need
	due    duequeue.Queue[*resource[T]] // by when something of it is there again, or it is to be forgotten
	last   int64                        // when the last one joined; each at a time of its own
	elders elders[T]
}

// A group is those who need the same.
type group[T any] struct {
	id        string
	needs     []*resource[T]
	line      duequeue.Queue[*Place[T]]
	parked    *resource[T]   // that it lacks, as far as is known
	place     duequeue.Place // in ready, or in parked.waiting
	isWaiting bool           // it is in either
	asElder   duequeue.Place
	members   int // in line or with what they need
}

// A Place is a caller's place in a line, for one turn at a time or several. It must not be
// copied.
type Place[T any] struct {
	Item     T
	Name     string   // of who is there, for others
	Limits   []string // that are needed, without doubles; those that do not exist do not matter
	Key      string   // for those that are PerKey
	Priority int

	group *group[T] // nil while it is in no line
	place duequeue.Place
}

// A Grant is what was given. Its owner releases it once. The zero Grant is nothing.
type Grant[T any] struct {
	group *group[T]
	name  string
}

// New returns turns without limits.
func New[T any]() *Turns[T] {
	return &Turns[T]{
		limits: make(map[string]*limit[T]), groups: make(map[string]*group[T]),
		ready:  duequeue.New(func(g *group[T]) *duequeue.Place { return &g.place }),
		due:    duequeue.New(func(r *resource[T]) *duequeue.Place { return &r.place }),
		elders: newElders[T](),
	}
}

// Set adds a limit or changes it. What has been granted stays granted.
func (t *Turns[T]) Set(name string, want Limit, now int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if want.Burst = max(want.Burst, 1); want.Every > 0 {
		want.Burst = min(want.Burst, int(Never/2/want.Every)) // their product is a time
	}
	l := t.limits[name]
	if l == nil {
		l = &limit[T]{name: name, Limit: want, byKey: make(map[string]*resource[T])}
		if l.all = newResource(l, ""); want.PerKey {
			l.all = nil
		}
		t.limits[name] = l
		return nil
	}
	if l.PerKey != want.PerKey {
		return ErrPerKey
	}
	before := l.Every
	l.Limit = want
	if l.all != nil {
		l.all.rescale(before, now)
		t.look(l.all, now)
	}
	for _, r := range l.byKey {
		r.rescale(before, now)
		t.look(r, now)
	}
	t.keep(now)
	return nil
}

// Has reports whether there is a limit of that name.
func (t *Turns[T]) Has(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.limits[name] != nil
}

// Join puts p at the end of the line of its priority, and reports false if it is in line
// already.
func (t *Turns[T]) Join(p *Place[T], now int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.group != nil {
		return false
	}
	t.last = max(t.last+1, now)
	g := t.groupOf(p)
	p.group = g
	g.members++
	g.line.Set(p, t.last-int64(p.Priority)*int64(Ahead))
	t.elders.note(g)
	if g.isWaiting {
		t.move(g)
	} else {
		t.settle(g, now)
	}
	return true
}

// groupOf finds the group of those who need the same as p.
func (t *Turns[T]) groupOf(p *Place[T]) *group[T] {
	id, hasKey := strings.Join(p.Limits, "\x00"), false
	for _, name := range p.Limits {
		hasKey = hasKey || t.limits[name] != nil && t.limits[name].PerKey
	}
	if hasKey {
		id += "\x00\x00" + p.Key
	}
	if g := t.groups[id]; g != nil {
		return g
	}
	g := &group[T]{id: id, line: duequeue.New(func(p *Place[T]) *duequeue.Place { return &p.place })}
	for _, name := range p.Limits {
		if l := t.limits[name]; l != nil {
			r := l.resource(p.Key)
			r.groups++
			g.needs = append(g.needs, r)
		}
	}
	t.groups[id] = g
	return g
}

// Leave takes p out of the line, and reports false if it is not there.
func (t *Turns[T]) Leave(p *Place[T], now int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := p.group
	if g == nil {
		return false
	}
	g.line.Remove(p)
	p.group = nil
	t.elders.note(g)
	if g.line.Len() > 0 {
		t.move(g)
	} else {
		t.unpark(g)
		t.dismiss(g)
		t.lookAll(g, now)
	}
	t.leaveGroup(g, now)
	return true
}

// Take gives all that it needs to the first in line for whom all of it is there. Now is
// not before that of an earlier call.
func (t *Turns[T]) Take(now int64) (x T, grant Grant[T], ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tick(now)
	for {
		g, ok := t.ready.Pop(Never)
		if !ok {
			return x, Grant[T]{}, false
		}
		g.isWaiting = false
		if g.lacks(now) != nil {
			t.settle(g, now)
			t.lookAll(g, now)
			continue
		}
		p, _ := g.line.Pop(Never)
		p.group = nil
		t.elders.note(g)
		t.dismiss(g)
		for _, r := range g.needs {
			r.take(p.Name, now)
		}
		t.elect(now)
		if g.line.Len() > 0 {
			t.settle(g, now)
		}
		t.lookAll(g, now)
		return p.Item, Grant[T]{g, p.Name}, true
	}
}

// Release gives back what was got. If it was not used, it has not begun either.
func (t *Turns[T]) Release(grant Grant[T], used bool, now int64) {
	g := grant.group
	if g == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range g.needs {
		r.giveBack(grant.name, used)
	}
	t.keep(now)
	t.lookAll(g, now)
	t.leaveGroup(g, now)
}

// Due is when Take may have something although nothing was released, or Never.
func (t *Turns[T]) Due() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	due := t.elders.until()
	if first, ok := t.due.First(); ok {
		due = min(due, first)
	}
	return due
}

// tick looks at what is there again.
func (t *Turns[T]) tick(now int64) {
	for r, ok := t.due.Pop(now); ok; r, ok = t.due.Pop(now) {
		t.keep(now)
		t.look(r, now)
		t.forget(r, now)
	}
	t.retire(now)
}

// settle puts a group that is in line where it belongs.
func (t *Turns[T]) settle(g *group[T], now int64) {
	g.isWaiting, g.parked = true, g.lacks(now)
	t.move(g)
	if g.parked != nil {
		t.look(g.parked, now) // for when it is there again
	}
}

// move gives a group its place by the first in its line.
func (t *Turns[T]) move(g *group[T]) {
	first, _ := g.line.First()
	if g.parked == nil {
		t.ready.Set(g, first)
	} else {
		g.parked.waiting.Set(g, first)
	}
}

// unpark takes a group out that has no place in line.
func (t *Turns[T]) unpark(g *group[T]) {
	if g.parked == nil {
		t.ready.Remove(g)
	} else {
		g.parked.waiting.Remove(g)
	}
	g.isWaiting, g.parked = false, nil
}

func (t *Turns[T]) lookAll(g *group[T], now int64) {
	for _, r := range g.needs {
		t.look(r, now)
	}
}

// look lets the first group that waits for a resource look at all of its needs, if there is
// some of it: if others are to do so, that group leads to it. Otherwise it sees to it that
// the line is looked at again when there is.
func (t *Turns[T]) look(r *resource[T], now int64) {
	if r.waiting.Len() == 0 {
		return
	}
	at := r.nextAt(nil, now)
	switch {
	case at <= now:
		g, _ := r.waiting.Pop(Never)
		g.parked = nil
		t.move(g)
	case at != Never:
		t.due.Set(r, at)
	}
}

// leaveGroup counts one less, and forgets a group of a key that is not needed.
func (t *Turns[T]) leaveGroup(g *group[T], now int64) {
	g.members--
	isOfKey := slices.ContainsFunc(g.needs, func(r *resource[T]) bool { return r.of.all == nil })
	if g.members > 0 || !isOfKey {
		return // there are few others, and they are needed again
	}
	delete(t.groups, g.id)
	for _, r := range g.needs {
		r.groups--
		t.forget(r, now)
	}
}

// forget forgets a key that is not needed, once nothing is to be known of it any more.
func (t *Turns[T]) forget(r *resource[T], now int64) {
	switch {
	case r.of.all != nil || r.groups > 0:
	case r.full > now:
		t.due.Set(r, r.full)
	default:
		t.due.Remove(r)
		delete(r.of.byKey, r.key)
	}
}

// lacks returns the first of what the group needs that is not there; nil if all is.
func (g *group[T]) lacks(now int64) *resource[T] {
	for _, r := range g.needs {
		if r.nextAt(g, now) > now {
			return r
		}
	}
	return nil
}
