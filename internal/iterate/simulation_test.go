package iterate

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	simSeed = flag.Uint64("sim.seed", 0, "simulate the iteration of this seed only")
	simRuns = flag.Int("sim", 400, "how many `iterations` to simulate")
)

// TestSimulation cuts random iterations off at random points, in any way
// there is, and goes on until they have finished.
func TestSimulation(t *testing.T) {
	seeds := *simRuns
	if *simSeed != 0 {
		simulate(t, *simSeed)
		return
	}
	var total tolls
	for seed := range uint64(seeds) {
		total.add(simulate(t, seed+1))
		if t.Failed() {
			t.Fatalf("go test -run TestSimulation -sim.seed=%d", seed+1)
		}
	}
	t.Logf("%+v", total)
	require.Positive(
		t,
		min(
			total.Items, total.Runs, total.Crashes, total.Shutdowns, total.Skipped, total.Again, total.BadSaves, total.BadItems,
			total.BadReads,
		),
	)
}

// tolls are what has happened in a simulation.
type tolls struct{ Items, Runs, Crashes, Shutdowns, Skipped, Again, BadSaves, BadItems, BadReads int }

func (t *tolls) add(more tolls) {
	t.Items += more.Items
	t.Runs += more.Runs
	t.Crashes += more.Crashes
	t.Shutdowns += more.Shutdowns
	t.Skipped += more.Skipped
	t.Again += more.Again
	t.BadSaves += more.BadSaves
	t.BadItems += more.BadItems
	t.BadReads += more.BadReads
}

// A sim is a sequence and the world around it.
type sim struct {
	t       *testing.T
	cursors []int // of the items, which are numbered
	work    Work[int, int]
	healed  bool         // nothing goes wrong any more
	broke   map[int]bool // items before which the iterator has failed

	mu    sync.Mutex // guards the fields below
	r     *rand.Rand
	bad   map[int]bool // items that fail until everything is healed
	times []int        // how often each item was done, in a run that was alive then
	disk  []byte
	dead  bool // the process has crashed: nothing has an effect
	tolls tolls
}

func newSim(t *testing.T, seed uint64) *sim {
	r := rand.New(rand.NewPCG(seed, 7))
	s := &sim{t: t, r: r, bad: map[int]bool{}, broke: map[int]bool{}}
	cursor := 1
	if r.IntN(8) == 0 {
		cursor = 0
	}
	pages := r.IntN(3) == 0
	for range r.IntN(120) {
		s.cursors = append(s.cursors, cursor)
		if !pages || r.IntN(4) == 0 {
			cursor += 1 + r.IntN(3)
		}
	}
	s.times = make([]int, len(s.cursors))
	for i := range s.cursors {
		s.bad[i] = r.IntN(12) == 0
	}
	s.work = Work[int, int]{
		Items: s.items, Cursor: func(item int) int { return s.cursors[item] }, Do: s.do,
		ChunkSize: r.IntN(12), Parallelism: r.IntN(5), MaxSkipped: r.IntN(12),
		SaveEvery: []time.Duration{-1, time.Millisecond, 20 * time.Millisecond, 0}[r.IntN(4)],
	}
	if r.IntN(2) == 0 {
		s.work.DoChunk = s.doChunk
		if r.IntN(2) == 0 {
			s.work.Do = nil
		}
	}
	return s
}

// chance is true with a probability of 1/n, unless everything is healed.
func (s *sim) chance(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.healed && s.r.IntN(n) == 0
}

func (s *sim) sleep(limit time.Duration) {
	s.mu.Lock()
	d := time.Duration(s.r.Int64N(int64(limit)))
	s.mu.Unlock()
	time.Sleep(d)
}

func (s *sim) note(count *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*count++
}

func (s *sim) items(ctx context.Context, after int) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		silent, broken := s.chance(2), s.chance(4)
		for item, cursor := range s.cursors {
			if after > 0 && cursor <= after {
				continue
			}
			if s.chance(20) {
				s.sleep(10 * time.Millisecond)
			}
			if ctx.Err() != nil && silent {
				return
			}
			if broken && s.chance(20) && s.mayBreak(item) {
				s.note(&s.tolls.BadReads)
				yield(0, errors.New("cannot read"))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

// mayBreak reports whether the iterator may fail before an item: within a page it
// does so once, as only then Run can know that it is within one.
func (s *sim) mayBreak(item int) bool {
	within := item > 0 && s.cursors[item-1] == s.cursors[item]
	twice := s.broke[item]
	s.broke[item] = true
	return !within || !twice
}

func (s *sim) do(ctx context.Context, item int) error {
	s.sleep(3 * time.Millisecond)
	if s.chance(3) && ctx.Err() != nil {
		return ctx.Err()
	}
	s.mu.Lock()
	bad := s.bad[item] && !s.healed
	s.mu.Unlock()
	if bad || s.chance(300) {
		s.note(&s.tolls.BadItems)
		switch {
		case s.chance(4):
			panic("bad")
		case s.chance(20):
			return errFinal
		}
		return errBad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dead {
		if s.times[item]++; s.times[item] > 1 {
			s.tolls.Again++
		}
	}
	return nil
}

// doChunk may do a part of its items before it fails.
func (s *sim) doChunk(ctx context.Context, items []int) error {
	if s.chance(3) {
		slices.Reverse(items)
	}
	for _, item := range items {
		if err := s.do(ctx, item); err != nil {
			return err
		}
	}
	return nil
}

func (s *sim) Load() ([]byte, error) { return slices.Clone(s.disk), nil }

func (s *sim) Save(ctx context.Context, data []byte) error {
	s.sleep(5 * time.Millisecond)
	s.checkSaved(data)
	fails, kept := s.chance(30), s.chance(2)
	s.mu.Lock()
	defer s.mu.Unlock()
	if fails || s.dead {
		s.tolls.BadSaves++
	}
	if !s.dead && (!fails || kept) {
		s.disk = slices.Clone(data)
	}
	if fails || s.dead {
		return errors.New("cannot save")
	}
	return ctx.Err()
}

// checkSaved checks that a checkpoint passes nothing that is not done or recorded.
func (s *sim) checkSaved(data []byte) {
	p, err := decode[int](data)
	require.NoError(s.t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return // its items are not counted
	}
	before := p.settled()
	require.LessOrEqual(s.t, before, len(s.cursors))
	require.LessOrEqual(s.t, len(p.skipped), s.work.MaxSkipped)
	require.Equal(s.t, p.finished, before == len(s.cursors) && p.finished)
	place := before
	if p.ahead != nil {
		place -= p.ahead.Items
		require.Equal(s.t, s.cursors[before-1], p.ahead.Cursor)
		require.Equal(s.t, s.cursors[place], p.ahead.Cursor)
	}
	if place > 0 {
		require.Equal(s.t, s.cursors[place-1], p.cursor)
	}
	if place < len(s.cursors) {
		require.NotEqual(s.t, p.cursor, s.cursors[place], "the next item would be passed")
	}
	skipped := map[int]int{}
	for _, skip := range p.skipped {
		skipped[skip.Cursor]++
	}
	for item := range before {
		if s.times[item] == 0 {
			skipped[s.cursors[item]]--
			require.GreaterOrEqual(s.t, skipped[s.cursors[item]], 0, "item %d is neither done nor skipped: %s", item, data)
		}
	}
}

// run is one attempt, which may be cut off.
func (s *sim) run(attempt int) (Result[int], error) {
	ctx, cancel := context.WithCancelCause(s.t.Context())
	defer cancel(nil)
	s.dead, s.healed = false, attempt > 20
	s.tolls.Runs++
	if s.chance(2) {
		crash := s.chance(2)
		end := time.AfterFunc(time.Duration(s.r.Int64N(int64(100*time.Millisecond))), func() {
			s.mu.Lock()
			s.dead = crash
			s.mu.Unlock()
			s.note(map[bool]*int{true: &s.tolls.Crashes, false: &s.tolls.Shutdowns}[crash])
			cancel(errors.New("the end"))
		})
		defer end.Stop()
	}
	return Run(ctx, s.work, s, testHooks[int]())
}

func simulate(t *testing.T, seed uint64) tolls {
	var s *sim
	synctest.Test(t, func(t *testing.T) {
		s = newSim(t, seed)
		var result Result[int]
		err := errors.New("not begun")
		for attempt := 1; err != nil || s.dead; attempt++ {
			require.LessOrEqual(t, attempt, 30, "it does not end: %v", err)
			result, err = s.run(attempt)
		}
		s.requireEnd(result)
	})
	return s.tolls
}

func (s *sim) requireEnd(result Result[int]) {
	p, err := decode[int](s.disk)
	require.NoError(s.t, err)
	require.True(s.t, p.finished)
	require.Equal(s.t, len(s.cursors), result.Done+len(result.Skipped))
	require.LessOrEqual(s.t, len(result.Skipped), s.work.MaxSkipped)
	for item, times := range s.times {
		if times == 0 {
			require.Contains(s.t, fmt.Sprint(result.Skipped), fmt.Sprintf("{%d ", s.cursors[item]), "item %d was lost", item)
		}
	}
	s.tolls.Items += len(s.cursors)
	s.tolls.Skipped += len(result.Skipped)
}
