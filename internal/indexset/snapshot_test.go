package indexset

import (
	"math/rand/v2"
	"sync"
	"testing"
)

func TestSnapshotIsIsolated(t *testing.T) {
	var original Set
	original.AddRange(0, 99_999)
	snapshot := original.Snapshot()
	copied := snapshot // allowed: not modified yet

	original.Remove(5)
	original.Add(200_000)
	wantText(t, original, "0-4,6-99999,200000")
	snapshot.Remove(70_000)
	wantText(t, snapshot, "0-69999,70001-99999")
	copied.Truncate(50)
	wantText(t, copied, "0-49")

	second := original.Snapshot()
	original.Clear()
	original.Add(3)
	wantText(t, original, "3")
	wantText(t, second, "0-4,6-99999,200000")
	wantText(t, snapshot, "0-69999,70001-99999")
}

// TestSnapshotsOfSnapshots modifies a random one of many related sets at each
// step and checks that the others keep their indexes.
func TestSnapshotsOfSnapshots(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	sets := make([]Set, 12)
	models := make([]map[int]bool, len(sets))
	for k := range models {
		models[k] = map[int]bool{}
	}
	near := 0
	for step := range 6000 {
		from, k := rng.IntN(len(sets)), rng.IntN(len(sets))
		if from != k && rng.IntN(8) == 0 {
			sets[k] = sets[from].Snapshot()
			clear(models[k])
			for i := range models[from] {
				models[k][i] = true
			}
		}
		near++
		i := near + rng.IntN(64)
		if rng.IntN(3) == 0 {
			i = rng.IntN(20_000)
		}
		if rng.IntN(4) > 0 {
			sets[k].Add(i)
			models[k][i] = true
		} else {
			sets[k].Remove(i)
			delete(models[k], i)
		}
		if step%500 == 499 {
			for k, s := range sets {
				wantIndexes(t, s, models[k])
			}
		}
	}
}

// TestSnapshotsAreReadWhileOriginalIsWritten has the race detector look for
// writes to memory that snapshots share.
func TestSnapshotsAreReadWhileOriginalIsWritten(t *testing.T) {
	const indexes, readers = 20_000, 3
	var (
		mu  sync.Mutex // guards the field below
		set Set

		done = make(chan struct{})
		wg   sync.WaitGroup
	)
	for range readers {
		wg.Go(func() {
			for {
				mu.Lock()
				snapshot := set.Snapshot()
				mu.Unlock()
				checkFromTwoGoroutines(t, snapshot)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range indexes {
		mu.Lock()
		set.Add(i)
		set.Add(rng.IntN(indexes)) // mostly outside the window
		if i%3000 == 2999 {
			set.Truncate(i / 2)
		}
		mu.Unlock()
	}
	close(done)
	wg.Wait()
}

// checkFromTwoGoroutines reads one snapshot in two goroutines, which also take
// snapshots of it and modify those.
func checkFromTwoGoroutines(t *testing.T, snapshot Set) {
	var wg sync.WaitGroup
	defer wg.Wait()
	read := func() {
		count := 0
		for range snapshot.All() {
			count++
		}
		if got := snapshot.Len(); got != count || snapshot.CountBelow(MaxIndex) != count {
			t.Errorf("Len() = %d, but All() yields %d", got, count)
		}
		mine := snapshot.Snapshot()
		last, _ := mine.Max()
		for i := 0; i <= last; i += 500 {
			mine.Remove(i)
		}
		if last > 0 && mine.Equal(snapshot) && snapshot.Contains(0) {
			t.Errorf("removing from a copy removed from the snapshot")
		}
	}
	wg.Go(read)
	read()
}
