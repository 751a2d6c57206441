package turns

import (
	"time"

	"github.com/runtocompletion/batch/internal/duequeue"
)

type limit[T any] struct {
	name string
	Limit
	all   *resource[T]            // unless it is PerKey
	byKey map[string]*resource[T] // if it is
}

// A resource is a limit, or one key of it.
type resource[T any] struct {
	of      *limit[T]
	key     string
	used    int
	full    int64                     // when as many may begin at once as ever
	holders map[string]int            // by name
	waiting duequeue.Queue[*group[T]] // that lack it, by the first in line
	groups  int                       // that need it
	keptFor *group[T]                 // see elders
	place   duequeue.Place            // in due
}

// rescale follows a change of Limit.Every: as many as before are missing.
func (r *resource[T]) rescale(before time.Duration, now int64) {
	every := int64(r.of.Every)
	if before == 0 || r.full <= now {
		return
	}
	missing := float64(r.full-now) / float64(before)
	if r.full = Never; missing*float64(every) < float64(Never-now) {
		r.full = now + int64(missing*float64(every))
	}
}

func newResource[T any](l *limit[T], key string) *resource[T] {
	return &resource[T]{of: l, key: key, holders: make(map[string]int),
		waiting: duequeue.New(func(g *group[T]) *duequeue.Place { return &g.place })}
}

func (l *limit[T]) resource(key string) *resource[T] {
	if l.all != nil {
		return l.all
	}
	r := l.byKey[key]
	if r == nil {
		r = newResource(l, key)
		l.byKey[key] = r
	}
	return r
}

// nextAt is when there is some of it for a group, unless some is taken before; Never if that
// depends on others.
func (r *resource[T]) nextAt(g *group[T], now int64) int64 {
	l, kept := &r.of.Limit, 0
	if r.keptFor != nil && r.keptFor != g {
		kept = 1
	}
	switch {
	case l.Active != Unlimited && r.used+kept >= l.Active, l.Every > 0 && l.Burst <= kept:
		return Never
	case l.Every == 0:
		return now
	}
	return max(now, r.full-int64(l.Every)*int64(l.Burst-1-kept))
}

func (r *resource[T]) take(name string, now int64) {
	r.used++
	r.holders[name]++
	if r.of.Every > 0 {
		every := int64(r.of.Every)
		r.full = min(max(r.full, now), Never-every) + every
	}
}

func (r *resource[T]) giveBack(name string, used bool) {
	r.used--
	if r.holders[name]--; r.holders[name] == 0 {
		delete(r.holders, name)
	}
	if !used {
		r.full -= int64(r.of.Every)
	}
}
