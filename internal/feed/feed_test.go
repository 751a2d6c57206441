package feed

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// An object is something whose changes are followed. Its state counts them.
type object struct {
	name  int
	state int
	entry Entry[*object]
}

const removed = -1

// A model is a feed with the objects in it, for one goroutine.
type model struct {
	Feed[*object]
	t       *testing.T
	r       *rand.Rand
	objects []*object // that are there
	names   int
	// removals are the revisions of all removals.
	removals []uint64
}

func newModel(t *testing.T, seed uint64) *model {
	return &model{t: t, r: rand.New(rand.NewPCG(seed, 0))}
}

func (m *model) add() *object {
	o := &object{name: m.names, state: 1}
	o.entry.Item = o
	m.names++
	m.objects = append(m.objects, o)
	m.Add(&o.entry)
	return o
}

func (m *model) change(o *object) {
	o.state++
	m.Changed(&o.entry)
}

func (m *model) remove(o *object) {
	o.state = removed
	m.objects = slices.DeleteFunc(m.objects, func(other *object) bool { return other == o })
	m.Remove(&o.entry, o)
	m.removals = append(m.removals, o.entry.Revision())
}

// something does something to some object.
func (m *model) something() {
	switch n := m.r.IntN(20); {
	case n < 2 || len(m.objects) == 0:
		m.add()
	case n < 4 && len(m.objects) > 5:
		m.remove(m.any())
	default:
		m.change(m.any())
	}
}

func (m *model) any() *object { return m.objects[m.r.IntN(len(m.objects))] }

// A view is what a watcher has seen of the objects by name, as of a revision.
type view struct {
	revision uint64
	states   map[int]int
}

func (m *model) view() view {
	v := view{states: make(map[int]int)}
	for _, o := range m.objects {
		v.states[o.name] = o.state
	}
	return v
}

// observe looks at one object, and remembers all there was at that time.
func (m *model) observe() view {
	v := m.view()
	v.revision = m.Observe(&m.any().entry)
	return v
}

// A follower keeps its view up to date with a watcher.
type follower struct {
	m *model
	view
	watcher *Watcher[*object]
	told    map[int]bool // objects of which it was told, by name
}

// follow begins with what was known; it is nil if that is too old.
func (m *model) follow(v view) *follower {
	w, err := m.Watch(v.revision)
	if v.revision != 0 && v.revision < m.floor {
		require.Less(m.t, v.revision, m.removals[len(m.removals)-keptRemovals-1])
		require.ErrorIs(m.t, err, ErrTooOld)
		return nil
	}
	require.NoError(m.t, err)
	return &follower{m, v, w, make(map[int]bool)}
}

// catchUp takes the changes there are. If it gives up before the last one, it
// goes on from there with another watcher, as one does after a break.
func (f *follower) catchUp(during func(), giveUp func() bool) {
	if len(f.watcher.awake) == 0 {
		require.Empty(f.m.t, f.watcher.collect(), "changes of which nobody was told")
		return
	}
	<-f.watcher.awake
	changes := f.watcher.collect()
	require.True(
		f.m.t, slices.IsSortedFunc(changes, func(a, b Change[*object]) int { return int(a.Revision) - int(b.Revision) }),
	)
	seen := make(map[*object]bool)
	for _, c := range changes {
		during()
		require.False(f.m.t, seen[c.Entry.Item], "two changes of one object in a batch")
		seen[c.Entry.Item] = true
		if c.Entry.Revision() != c.Revision {
			continue // a later one brings it
		}
		f.take(c)
		if giveUp() {
			f.watcher.Close()
			if next := f.m.follow(f.view); next != nil {
				f.watcher = next.watcher
			}
			return
		}
	}
}

func (f *follower) take(c Change[*object]) {
	o := c.Entry.Item
	require.Greater(f.m.t, c.Revision, f.revision, "revisions go back")
	require.Equal(f.m.t, c.Revision, f.m.Observe(c.Entry))
	require.Equal(f.m.t, o.state == removed, c.Removed)
	require.False(f.m.t, c.Added && f.told[o.name], "object %d is added again", o.name)
	f.told[o.name] = true
	f.revision = c.Revision
	f.states[o.name] = o.state
	if c.Removed {
		delete(f.states, o.name)
	}
}

// settle takes all changes, after which nothing may be missing.
func (f *follower) settle() {
	for len(f.watcher.awake) > 0 {
		f.catchUp(func() {}, func() bool { return false })
	}
	require.Equal(f.m.t, f.m.view().states, f.states)
}

func TestNoGap(t *testing.T) {
	for seed := range uint64(300) {
		m := newModel(t, seed)
		var followers []*follower
		seen := []view{{}}
		seldom := func() bool { return m.r.IntN(10) == 0 }
		for range 300 {
			switch m.r.IntN(12) {
			case 0:
				if len(m.objects) > 0 {
					seen = append(seen, m.observe())
				}
			case 1:
				v := seen[m.r.IntN(len(seen))]
				v.states = cloned(v.states)
				if f := m.follow(v); f != nil {
					followers = append(followers, f)
				}
			case 2, 3:
				if len(followers) > 0 {
					followers[m.r.IntN(len(followers))].catchUp(func() {
						if seldom() {
							m.something()
						}
					}, seldom)
				}
			default:
				m.something()
			}
		}
		for _, f := range followers {
			f.settle()
		}
	}
}

func cloned(states map[int]int) map[int]int {
	clone := make(map[int]int)
	maps.Copy(clone, states)
	return clone
}

func TestChangesThatNobodySawMerge(t *testing.T) {
	m := newModel(t, 1)
	o, other := m.add(), m.add()
	first := o.entry.Revision()
	for range 1000 {
		m.change(o)
		m.change(other)
	}
	require.Equal(t, first, o.entry.Revision(), "nobody has seen it")
	require.Equal(t, first, m.Observe(&o.entry))
	m.change(o)
	require.Greater(t, o.entry.Revision(), other.entry.Revision(), "somebody has seen it")
	require.Equal(t, uint64(3), m.revision)
}

func TestChangedDoesNotAllocate(t *testing.T) {
	m := newModel(t, 1)
	o := m.add()
	w, err := m.Watch(0)
	require.NoError(t, err)
	defer w.Close()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		m.change(o)
		m.Observe(&o.entry)
	}))
}

func TestZeroBeginsWithAllThereIs(t *testing.T) {
	m := newModel(t, 1)
	gone, old, changed := m.add(), m.add(), m.add()
	m.remove(gone)
	m.Observe(&changed.entry)
	m.change(changed)
	w, err := m.Watch(0)
	require.NoError(t, err)
	require.Equal(t, []Change[*object]{
		{Entry: &old.entry, Revision: 2, Added: true},
		{Entry: &changed.entry, Revision: 5, Added: true},
	}, w.collect())
}

func TestRemovalsAreForgotten(t *testing.T) {
	m := newModel(t, 1)
	start := m.Observe(&m.add().entry)
	var first uint64
	for i := range keptRemovals + 1 {
		o := m.add()
		m.remove(o)
		if i == 0 {
			first = o.entry.Revision()
		}
	}
	_, err := m.Watch(start)
	require.ErrorIs(t, err, ErrTooOld)
	_, err = m.Watch(first - 1)
	require.ErrorIs(t, err, ErrTooOld)
	w, err := m.Watch(first)
	require.NoError(t, err)
	require.Len(t, w.collect(), keptRemovals)
}

func TestRemovalsAreKeptForOpenWatchers(t *testing.T) {
	m := newModel(t, 1)
	start := m.Observe(&m.add().entry)
	slow, err := m.Watch(start)
	require.NoError(t, err)
	for range 3 * keptRemovals {
		m.remove(m.add())
	}
	require.Len(t, slow.collect(), 3*keptRemovals)
	require.Len(t, m.Feed.removals, keptRemovals, "what all have seen is dropped")
	_, err = m.Watch(start)
	require.ErrorIs(t, err, ErrTooOld)

	m.remove(m.add())
	slow.Close()
	require.Len(t, m.Feed.removals, keptRemovals)
}

// A slow watcher costs what the objects cost, however much has happened.
func TestSlowWatchersAreBounded(t *testing.T) {
	m := newModel(t, 1)
	fast, err := m.Watch(0)
	require.NoError(t, err)
	slow, err := m.Watch(0)
	require.NoError(t, err)
	objects := []*object{m.add(), m.add(), m.add()}
	for i := range 10_000 {
		m.change(objects[i%3])
		for _, c := range fast.collect() {
			m.Observe(c.Entry)
		}
	}
	require.Len(t, slow.collect(), 3)
	require.Equal(t, 1, cap(slow.awake))
}

func TestCloseForgetsTheWatcher(t *testing.T) {
	m := newModel(t, 1)
	w, err := m.Watch(0)
	require.NoError(t, err)
	require.Len(t, m.watchers, 1)
	w.Close()
	w.Close()
	require.Empty(t, m.watchers)
}
