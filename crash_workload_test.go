package batch_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// A workload is some jobs, and what has run of them in a process.
type workload struct {
	seed      uint64
	random    *rand.Rand
	maxActive int
	jobs      []batch.Job

	mu     sync.Mutex
	ledger []execution // by their ends
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
