package feed

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, 1)
		w, err := m.Watch(0)
		require.NoError(t, err)
		defer w.Close()
		start := time.Now()
		go func() {
			time.Sleep(time.Hour)
			m.add()
		}()
		changes, err := w.Next(t.Context(), nil)
		require.NoError(t, err)
		require.Len(t, changes, 1)
		require.Equal(t, time.Hour, time.Since(start))
	})
}

func TestNextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("had enough")
		m := newModel(t, 1)
		w, err := m.Watch(0)
		require.NoError(t, err)
		defer w.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		_, err = w.Next(ctx, nil)
		require.ErrorIs(t, err, why)

		stop := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(stop) })
		changes, err := w.Next(t.Context(), stop)
		require.NoError(t, err)
		require.Nil(t, changes)
	})
}

// A shared object is one that several goroutines see, each under its lock.
type shared struct {
	mu    sync.Mutex // guards the fields below
	name  int
	state int
	entry Entry[*shared]
}

// A replica follows a feed as the controller's Watch does.
type replica struct {
	revision uint64
	states   map[int]int
}

// follow runs until stop is closed; now and then it begins anew where it was.
func (p *replica) follow(t *testing.T, f *Feed[*shared], stop chan struct{}, r *rand.Rand) {
	for {
		w, err := f.Watch(p.revision)
		if err != nil {
			t.Error(err)
			return
		}
		ended := p.walk(t, w, stop, r)
		w.Close()
		if ended {
			return
		}
	}
}

func (p *replica) walk(t *testing.T, w *Watcher[*shared], stop chan struct{}, r *rand.Rand) (ended bool) {
	for {
		changes, err := w.Next(t.Context(), stop)
		if err != nil {
			t.Error(err)
		}
		if changes == nil {
			return true
		}
		for _, c := range changes {
			p.take(t, w.feed, c)
			if r.IntN(50) == 0 {
				return false
			}
		}
	}
}

func (p *replica) take(t *testing.T, f *Feed[*shared], c Change[*shared]) {
	o := c.Entry.Item
	o.mu.Lock()
	defer o.mu.Unlock()
	revision := f.Observe(c.Entry)
	if revision != c.Revision {
		return
	}
	if revision <= p.revision {
		t.Errorf("revision %d after %d", revision, p.revision)
	}
	p.revision = revision
	if p.states[o.name] = o.state; c.Removed {
		delete(p.states, o.name)
	}
}

func TestManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Feed[*shared]
		const writers, readers, objects = 4, 4, 200
		stop := make(chan struct{})
		var followers sync.WaitGroup
		replicas := make([]*replica, readers)
		for i := range replicas {
			p := &replica{states: make(map[int]int)}
			replicas[i] = p
			followers.Go(func() { p.follow(t, &f, stop, rand.New(rand.NewPCG(uint64(i), 2))) })
		}

		var mu sync.Mutex // guards want
		want := make(map[int]int)
		var writing sync.WaitGroup
		for n := range writers {
			writing.Go(func() {
				r := rand.New(rand.NewPCG(uint64(n), 1))
				mine := write(&f, r, n*objects, objects)
				mu.Lock()
				defer mu.Unlock()
				for _, o := range mine {
					want[o.name] = o.state
				}
			})
		}
		writing.Wait()
		synctest.Wait() // all followers wait for more
		close(stop)
		followers.Wait()
		for _, p := range replicas {
			require.Equal(t, want, p.states)
		}
	})
}

// write adds, changes, removes and looks at objects, and returns those that
// are left.
func write(f *Feed[*shared], r *rand.Rand, first, n int) []*shared {
	var mine []*shared
	for name := range n {
		o := &shared{name: first + name, state: 1}
		o.entry.Item = o
		o.mu.Lock()
		f.Add(&o.entry)
		o.mu.Unlock()
		mine = append(mine, o)
		for range 20 {
			o := mine[r.IntN(len(mine))]
			o.mu.Lock()
			o.state++
			f.Changed(&o.entry)
			if r.IntN(4) == 0 {
				f.Observe(&o.entry)
			}
			o.mu.Unlock()
		}
		if r.IntN(2) == 0 {
			i := r.IntN(len(mine))
			o := mine[i]
			o.mu.Lock()
			f.Remove(&o.entry, o)
			o.mu.Unlock()
			mine = append(mine[:i], mine[i+1:]...)
		}
	}
	return mine
}

func BenchmarkChanged(b *testing.B) {
	for name, seen := range map[string]bool{"Unseen": false, "Seen": true} {
		b.Run(name, func(b *testing.B) {
			var f Feed[int]
			entries := make([]Entry[int], 1000)
			for i := range entries {
				f.Add(&entries[i])
			}
			b.ReportAllocs()
			for b.Loop() {
				if seen {
					f.Observe(&entries[7])
				}
				f.Changed(&entries[7])
			}
		})
	}
}

func TestNextGivesWhatCameBeforeTheStop(t *testing.T) {
	m := newModel(t, 1)
	w, err := m.Watch(0)
	require.NoError(t, err)
	defer w.Close()
	m.add()
	stop := make(chan struct{})
	close(stop)
	changes, err := w.Next(t.Context(), stop)
	require.NoError(t, err)
	require.Len(t, changes, 1)
	changes, err = w.Next(t.Context(), stop)
	require.NoError(t, err)
	require.Nil(t, changes)
}

func TestARemovalIsReportedThoughNothingWasThereBefore(t *testing.T) {
	var f Feed[int]
	w, err := f.Watch(0)
	require.NoError(t, err)
	defer w.Close()
	require.Empty(t, w.collect())

	var e Entry[int]
	f.Add(&e)
	f.Remove(&e, 7)
	changes := w.collect()
	require.Len(t, changes, 1)
	require.True(t, changes[0].Removed)
	require.Equal(t, 7, changes[0].Entry.Item)
	require.Equal(t, e.Revision(), changes[0].Revision)
}
