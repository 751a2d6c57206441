package turns

import "github.com/runtocompletion/batch/internal/duequeue"

// Those who need several limits could be overtaken for ever by those who need one of them:
// when one is there, another one is not. So the group that has waited for longest, and for
// longer than a time, is the elder: what it needs is kept for it as it comes, one after
// the other in the order in which it names them, so that what is named last is never kept
// from others. There is one elder at a time: no one waits for what is kept for one that
// waits in turn. Something that never comes would keep the rest for ever: so an elder that
// has not got it all in a time counts as having come just now, and nothing is kept for a
// while.

// elders are the groups that need several limits, by the first in their lines.
type elders[T any] struct {
	all   duequeue.Queue[*group[T]]
	elder *group[T]
	end   int64 // of the time of the elder
	next  int64 // when there may be another one
}

func newElders[T any]() elders[T] {
	return elders[T]{all: duequeue.New(func(g *group[T]) *duequeue.Place { return &g.asElder })}
}

// note follows a change of a group's line.
func (e *elders[T]) note(g *group[T]) {
	if len(g.needs) < 2 {
		return
	}
	if first, ok := g.line.First(); ok {
		e.all.Set(g, first)
	} else {
		e.all.Remove(g)
	}
}

func (e *elders[T]) until() int64 {
	if e.elder == nil {
		return Never
	}
	return e.end
}

// elect finds an elder when one has overtaken those who wait.
func (t *Turns[T]) elect(now int64) {
	e := &t.elders
	first, ok := e.all.First()
	if !ok || e.elder != nil || now < e.next || first > now-int64(Ahead) {
		return
	}
	e.elder, _ = e.all.Pop(Never)
	e.all.Set(e.elder, first)
	e.end = now + int64(Ahead)
	t.keep(now)
}

// keep keeps what is there for the elder.
func (t *Turns[T]) keep(now int64) {
	g := t.elders.elder
	if g == nil {
		return
	}
	for _, r := range g.needs {
		if r.nextAt(g, now) > now {
			break
		}
		r.keptFor = g
	}
	if g.isWaiting && g.parked != nil && g.parked.nextAt(g, now) <= now {
		g.parked.waiting.Remove(g)
		t.settle(g, now)
	}
}

// retire ends the time of an elder that has not got what it needs.
func (t *Turns[T]) retire(now int64) {
	e := &t.elders
	g := e.elder
	if g == nil || now < e.end {
		return
	}
	t.dismiss(g)
	e.all.Set(g, now)
	e.next = now + int64(Ahead)
	t.lookAll(g, now)
}

// dismiss has nothing kept for a group any more, if it is the elder.
func (t *Turns[T]) dismiss(g *group[T]) {
	if t.elders.elder != g {
		return
	}
	t.elders.elder = nil
	for _, r := range g.needs {
		r.keptFor = nil
	}
}
