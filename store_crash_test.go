package batch_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

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

func restore(t *testing.T, store batch.Store, commits [][]batch.Record) {
	t.Helper()
	for _, records := range commits {
		require.NoError(t, store.Commit(t.Context(), records))
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

// check looks for invariants of a job that do not hold, unless it has expired.
func check(t *testing.T, c *batch.Controller, name string) {
	t.Helper()
	if err := batch.Check(c, name); !errors.Is(err, batch.ErrNotFound) {
		require.NoError(t, err)
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

// A workload is some jobs, and what has run of them in a process.
type workload struct {
	seed      uint64
	random    *rand.Rand
	maxActive int
	jobs      []batch.Job

	mu     sync.Mutex
	ledger []execution // by their ends
}

type execution struct {
	token string
	index int
	err   error
}

func (e execution) uid() string { return e.token[:strings.IndexByte(e.token, '/')] }

func newWorkload(seed uint64) *workload {
	w := &workload{seed: seed, random: rand.New(rand.NewPCG(seed, 0)), maxActive: int(seed%3) * 2}
	for i := range 5 {
		w.jobs = append(w.jobs, w.randomJob(fmt.Sprintf("job-%d", i)))
	}
	return w
}

func (w *workload) job(name string) *batch.Job {
	for i := range w.jobs {
		if w.jobs[i].Name == name {
			return &w.jobs[i]
		}
	}
	panic(name)
}

func (w *workload) chance(percent int) bool { return w.random.IntN(100) < percent }

func (w *workload) randomJob(name string) batch.Job {
	job := batch.Job{Name: name, Completions: new(1 + w.random.IntN(8)), Parallelism: new(1 + w.random.IntN(3)),
		BackoffLimit: new(w.random.IntN(12)),
		Suspend:      w.chance(10), History: new(100), Executor: batch.ExecutorFunc(w.execute)}
	switch w.random.IntN(4) {
	case 0:
		job.RestartPolicy = batch.RestartOnFailure
	case 1:
		job.FailurePolicy = []batch.FailureRule{
			{Action: batch.ActionIgnore, OnConditions: []batch.Condition{{Type: batch.ConditionDisruptionTarget}}},
			{Action: batch.ActionFailJob, OnExitCodes: &batch.ExitCodes{In: []int{42}}},
			{Action: batch.ActionIgnore, OnError: func(err error) bool { return batch.ExitCode(err) == 2 }},
		}
	case 2:
		if job.Completions = nil; w.chance(50) {
			job.Completions = new(0)
		}
	}
	if job.Completions != nil && w.chance(60) {
		w.makeIndexed(&job)
	}
	if w.chance(20) {
		job.ActiveDeadline = new(time.Duration(w.random.IntN(60)) * time.Second)
	}
	if w.chance(20) {
		job.AttemptTimeout = new(4 * time.Second)
	}
	if w.chance(20) {
		job.TTLAfterFinished = new(time.Duration(w.random.IntN(20)) * time.Second)
	}
	if w.chance(30) {
		job.Backoff = w.backoff()
	}
	if w.chance(30) {
		job.RestartBackoff = w.backoff()
	}
	return job
}

func (w *workload) makeIndexed(job *batch.Job) {
	job.CompletionMode = batch.Indexed
	if w.chance(50) {
		job.BackoffLimitPerIndex = new(w.random.IntN(3))
		job.BackoffLimit = nil
		if w.chance(50) {
			job.MaxFailedIndexes = new(w.random.IntN(1 + *job.Completions))
		}
	}
	if w.chance(30) && *job.Completions > 0 {
		job.SuccessPolicy = []batch.SuccessRule{{SucceededCount: new(1 + w.random.IntN(*job.Completions))}}
	}
}

// backoff is a constant one, or one that grows and gives up.
func (w *workload) backoff() batch.Backoff {
	if w.chance(50) {
		return batch.ConstantBackoff(time.Duration(w.random.IntN(5)) * time.Second)
	}
	return batch.ExponentialBackoff(time.Second, 10*time.Second, 0)
}

// execute does what follows from the attempt's place: it always does the same.
func (w *workload) execute(ctx context.Context, a batch.Attempt) error {
	h := fnv.New64a()
	fmt.Fprint(h, w.seed, a.Job, a.Index, a.Number, a.Restarts)
	r := rand.New(rand.NewPCG(h.Sum64(), 0))
	err := w.outcome(ctx, a, r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ledger = append(w.ledger, execution{a.Token(), a.Index, err})
	return err
}

func (w *workload) outcome(ctx context.Context, a batch.Attempt, r *rand.Rand) error {
	if err := lasts(ctx, time.Duration(r.IntN(5))*time.Duration(r.IntN(2000))*time.Millisecond); err != nil {
		time.Sleep(time.Duration(r.IntN(3)) * time.Second) // its grace period
		return err
	}
	a.SetOutput("output of " + a.Name())
	switch r.IntN(12) {
	case 0, 1:
		return exit(1)
	case 2:
		return exit(2)
	case 3:
		return exit(42)
	case 4:
		panic("boom")
	}
	return nil
}

// meddle is what users do meanwhile.
func (w *workload) meddle(t *testing.T, c *batch.Controller, deleted func(uid string)) {
	for range 25 {
		time.Sleep(time.Duration(w.random.IntN(3000)) * time.Millisecond)
		name := w.jobs[w.random.IntN(len(w.jobs))].Name
		n := w.random.IntN(5)
		var err error
		switch w.random.IntN(10) {
		case 0, 1:
			err = c.Suspend(t.Context(), name)
		case 2, 3:
			err = c.Resume(t.Context(), name)
		case 4:
			err = c.Update(t.Context(), name, func(j *batch.Job) { j.Parallelism = &n })
		case 5:
			err = c.Update(t.Context(), name, func(j *batch.Job) { j.Parallelism, j.Completions = &n, &n })
		case 6:
			var s batch.Status
			if s, err = c.Get(name); err != nil || w.chance(50) {
				break
			}
			p := []string{batch.DeleteBackground, batch.DeleteOrphan, batch.DeleteForeground}[w.random.IntN(3)]
			if err = c.Delete(t.Context(), name, p); err == nil && p != batch.DeleteForeground {
				deleted(s.UID)
			}
		default:
			w.stopOne(t, c, name)
		}
		if err != nil && !errors.Is(err, batch.ErrNotFound) {
			_, invalid := errors.AsType[*batch.ValidationError](err)
			require.True(t, invalid, "%v", err)
		}
	}
}

// stopOne stops an attempt.
func (w *workload) stopOne(t *testing.T, c *batch.Controller, name string) {
	for _, a := range attemptsIfAny(c, name) {
		if a.Phase != batch.AttemptRunning {
			continue
		}
		if w.chance(50) {
			require.NoError(t, c.DeleteAttempt(t.Context(), name, a.UID))
		} else {
			reason := []string{"EvictionByEvictionAPI", "DeletionByPodGC", "TerminationByKubelet"}[w.random.IntN(3)]
			require.NoError(t, c.Disrupt(t.Context(), name, a.UID, reason))
		}
		return
	}
}

// finish lets every job come to its end.
func (w *workload) finish(t *testing.T, c *batch.Controller) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Hour)
	defer cancel()
	for s := range c.All() {
		err := c.Update(ctx, s.Name, func(j *batch.Job) {
			if j.Suspend = false; *j.Parallelism == 0 && (j.Completions == nil || *j.Completions > 0) {
				j.Parallelism = new(1)
			}
		})
		if !errors.Is(err, batch.ErrNotFound) {
			require.NoError(t, err)
		}
		s, err := c.Wait(ctx, s.Name)
		_, fails := errors.AsType[*batch.JobError](err)
		require.True(
			t, err == nil || fails || errors.Is(err, batch.ErrNotFound) || errors.Is(err, batch.ErrDeleted), "%v: %s: %v", s,
			s.Explain(), err,
		)
		w.checkAttempts(t, c, s.Name)
	}
}

// checkAttempts makes sure that no two attempts of a job are alike.
func (w *workload) checkAttempts(t *testing.T, c *batch.Controller, name string) {
	t.Helper()
	seen := make(map[string]bool)
	for _, a := range attemptsIfAny(c, name) {
		for _, id := range []string{a.UID, a.JobUID + a.Name, fmt.Sprint(a.JobUID, "#", a.Ordinal),
			fmt.Sprint(a.JobUID, "/", a.Index, "/", a.Number)} {
			require.False(t, seen[id], "two attempts are %s", id)
			seen[id] = true
		}
	}
}
