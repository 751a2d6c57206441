package batch_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

func restore(t *testing.T, store batch.Store, commits [][]batch.Record) {
	t.Helper()
	for _, records := range commits {
		require.NoError(t, store.Commit(t.Context(), records))
	}
}

// A crash is tried after every commit of a random workload, and of another
// process that goes on with it: the next process finds what was stored until
// then, and has to keep every word that was given before.
func TestCrashAfterEveryCommit(t *testing.T) {
	seeds := 8
	if testing.Short() {
		seeds = 2
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			var first, second recording
			bubble(t, func(t *testing.T) { first.record(t, seed) })
			crashes := first.crashes(t, seed)
			half := len(first.commits) / 2
			second.commits, second.begun = first.commits[:half:half], first.moments[half].at
			bubble(t, func(t *testing.T) { second.record(t, seed) })
			crashes += second.crashes(t, seed)
			t.Logf("%d crashes", crashes)
		})
	}
}

// A moment is what had been told just before a commit.
type moment struct {
	at      time.Time
	told    []batch.Status
	deleted []string // UIDs of the jobs whose deletion was told
}

// A recording is what a process stores, and what it tells meanwhile.
type recording struct {
	begun   time.Time        // when the process does
	commits [][]batch.Record // also those of processes before it
	moments []moment         // before each commit of this process, and at its end

	mu      sync.Mutex        // guards the fields below, and moments while recording
	c       *batch.Controller // nil until there is one
	deleted []string
	over    bool
}

// look takes down what has been told.
func (r *recording) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	m := moment{at: time.Now(), deleted: slices.Clone(r.deleted)}
	if r.c != nil {
		m.told = slices.Collect(r.c.All())
	}
	r.moments = append(r.moments, m)
}

// with calls f with the lock.
func (r *recording) with(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// record lets a process go on with what was recorded before.
func (r *recording) record(t *testing.T, seed uint64) {
	store := disk{commits: r.commits}
	restore(t, &store.memory, r.commits)
	time.Sleep(time.Until(r.begun))
	store.set(func(apply func() error) error { r.look(); return apply() })
	w := newWorkload(seed)
	c := newController(t, batch.Options{Store: &store, MaxActive: w.maxActive})
	r.with(func() { r.c = c })
	for _, job := range w.jobs {
		apply(t, c, job)
	}
	w.meddle(t, c, func(uid string) { r.with(func() { r.deleted = append(r.deleted, uid) }) })
	w.finish(t, c)
	settle()
	r.look()
	r.with(func() { r.over = true })
	r.commits = slices.Clone(store.commits)
	for _, job := range w.jobs {
		check(t, c, job.Name)
	}
}

// crashes tries a crash at every moment of the process, and says how many those
// are.
func (r *recording) crashes(t *testing.T, seed uint64) int {
	before := len(r.commits) - (len(r.moments) - 1)
	for i, m := range r.moments {
		bubble(t, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("after %d commits and %d more", before, i)
				}
			}()
			goOn(t, seed, r.commits[:before+i], m)
		})
	}
	return len(r.moments)
}

// goOn is the life of the process after the crash.
func goOn(t *testing.T, seed uint64, commits [][]batch.Record, m moment) {
	var store batchtest.MemoryStore
	restore(t, &store, commits)
	w := newWorkload(seed)
	r := rand.New(rand.NewPCG(seed, uint64(len(commits))))
	time.Sleep(time.Until(m.at) + time.Duration(r.IntN(3))*time.Duration(r.IntN(1000))*10*time.Millisecond)
	c := newController(t, batch.Options{Store: &store, MaxActive: w.maxActive})
	for s := range c.All() {
		require.NotContains(t, m.deleted, s.UID, "a deleted job is back")
		check(t, c, s.Name)
	}
	for _, told := range m.told {
		w.checkKept(t, told, c)
	}
	known := w.endedAttempts(t, c)
	time.Sleep(time.Duration(r.IntN(2)) * time.Duration(r.IntN(5000)) * time.Millisecond)
	require.Empty(t, w.ledger, "a job ran before it was declared")
	for _, job := range w.jobs {
		apply(t, c, job)
		check(t, c, job.Name)
	}
	w.finish(t, c)
	for _, told := range m.told {
		w.checkOutcome(t, told, c)
	}
	for _, run := range w.ledger {
		require.NotContains(t, known, run.token, "an attempt that had ended runs again")
	}
}

// checkKept compares a job, as another process finds it, with what was told
// before the crash.
func (w *workload) checkKept(t *testing.T, told batch.Status, c *batch.Controller) {
	t.Helper()
	is, err := c.Get(told.Name)
	if errors.Is(err, batch.ErrNotFound) || is.UID != told.UID {
		gone := !told.DeletedAt.IsZero() || w.job(told.Name).TTLAfterFinished != nil
		require.True(t, gone, "%v is lost", told)
		return
	}
	told, is = stored(told), stored(is)
	if told.Finished() {
		require.Equal(t, told, is)
		return
	}
	require.False(t, told.DeletedAt.IsZero() != is.DeletedAt.IsZero())
	require.Equal(t, told.CompletedIndexes.String(), is.CompletedIndexes.String())
	require.Equal(t, told.Succeeded, is.Succeeded)
	require.GreaterOrEqual(t, is.Failed, told.Failed)
	require.GreaterOrEqual(t, len(is.Conditions), len(told.Conditions))
	if len(told.Conditions) > 0 {
		require.Equal(t, told.Conditions, is.Conditions[:len(told.Conditions)])
	}
	if told.FailedIndexes != nil {
		for i := range told.FailedIndexes.All() {
			require.True(t, is.FailedIndexes.Contains(i), "index %d has not failed any more", i)
		}
	}
	if told.LastFailure != nil {
		require.NotNil(t, is.LastFailure)
	}
	require.LessOrEqual(t, is.Active, told.Active)
	require.Zero(t, is.Terminating+is.Ready)
	is.Active, is.Pending, is.Terminating = told.Active, told.Pending, told.Terminating
	is.Ready, is.Abandoned = told.Ready, told.Abandoned
	is.Failed, is.FailedIndexes = told.Failed, told.FailedIndexes
	is.Conditions, is.LastFailure = told.Conditions, told.LastFailure
	// equal, see above; what is lost may end it
	is.CompletedIndexes, is.CompletionTime = told.CompletedIndexes, told.CompletionTime
	require.Equal(t, told, is)
}

// endedAttempts are the tokens of the attempts that are known to have ended.
func (w *workload) endedAttempts(t *testing.T, c *batch.Controller) map[string]bool {
	t.Helper()
	ended := make(map[string]bool)
	for s := range c.All() {
		for _, a := range attemptsIfAny(c, s.Name) {
			if a.Phase == batch.AttemptFailed || a.Phase == batch.AttemptSucceeded {
				ended[fmt.Sprintf("%s/%d/%d", a.JobUID, a.Index, a.Number)] = true
			} else {
				require.Zero(t, a.Ready, "it cannot run")
			}
		}
	}
	return ended
}

// checkOutcome looks at how a job went on after the crash.
func (w *workload) checkOutcome(t *testing.T, told batch.Status, c *batch.Controller) {
	t.Helper()
	successes := 0
	for _, run := range w.ledger {
		if run.uid() != told.UID {
			continue
		}
		require.False(t, told.Finished(), "%v runs again", told)
		require.False(t, told.CompletedIndexes.Contains(run.index), "index %d of %v runs again", run.index, told)
		if run.err == nil {
			successes++
		}
	}
	is, err := c.Get(told.Name)
	if err != nil || is.UID != told.UID {
		return // it has expired since
	}
	require.GreaterOrEqual(t, is.Succeeded, told.Succeeded)
	require.GreaterOrEqual(t, is.Failed, told.Failed)
	require.LessOrEqual(t, is.Succeeded-told.Succeeded, successes, "a success that nobody has seen")
	if is.Is(
		batch.ConditionComplete,
	) && !told.Finished() && is.Completions != nil && w.job(told.Name).SuccessPolicy == nil {
		require.GreaterOrEqual(t, is.Succeeded, *is.Completions)
	}
}
