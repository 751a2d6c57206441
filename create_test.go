package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

func TestOptions(t *testing.T) {
	c, err := batch.New(t.Context(), batch.Options{MaxActive: -1})
	require.Nil(t, c)
	require.EqualError(t, err, "batch: Options.MaxActive: -1: must not be negative")
}

func TestCreateReportsEverythingAtOnce(t *testing.T) {
	c := newController(t, batch.Options{})
	second := -time.Second
	err := c.Create(t.Context(), batch.Job{Name: "No", Completions: new(-1), ActiveDeadline: &second,
		TTLAfterFinished:       &second,
		TerminationGracePeriod: &second, AttemptTimeout: new(time.Duration(0)), History: new(-1), LogLimit: new(-1)})
	invalid, ok := errors.AsType[*batch.ValidationError](err)
	require.True(t, ok)
	require.Equal(t, "No", invalid.Job)
	var fields []string
	for _, f := range invalid.Fields {
		fields = append(fields, f.Field)
	}
	require.Equal(t, []string{"metadata.name", "spec.completions", "spec.activeDeadlineSeconds",
		"spec.ttlSecondsAfterFinished",
		"spec.template.spec.activeDeadlineSeconds", "spec.template.spec.terminationGracePeriodSeconds",
		"spec.executor", "spec.history", "spec.logLimit"}, fields)
	for range c.All() {
		t.Error("a job was created")
	}
}

// fullJob is a job with a value in each field that is a pointer, a map or a slice.
func fullJob(executor batch.Executor) batch.Job {
	return batch.Job{Name: "j", Labels: map[string]string{"a": "b"}, CompletionMode: batch.Indexed, Completions: new(2),
		Parallelism: new(1), BackoffLimit: new(0), BackoffLimitPerIndex: new(0),
		FailurePolicy: []batch.FailureRule{{Action: batch.ActionCount, OnExitCodes: &batch.ExitCodes{In: []int{3}}}},
		SuccessPolicy: []batch.SuccessRule{{SucceededIndexes: indexes("0-1"), SucceededCount: new(2)}},
		Executor:      executor}
}

// spoil changes everything that a copy of a job could share with it.
func spoil(j *batch.Job) {
	j.Labels["a"] = "spoilt"
	*j.Completions, *j.Parallelism, *j.BackoffLimit = 99, 99, 99
	j.FailurePolicy[0].Action = batch.ActionFailJob
	j.FailurePolicy[0].OnExitCodes.In[0] = 99
	*j.SuccessPolicy[0].SucceededIndexes = *indexes("99")
	*j.SuccessPolicy[0].SucceededCount = 99
}

// A job that goes in or comes out is not shared with the controller.
func TestJobsAreCopies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		job := fullJob(fails(exit(3)))
		mustCreate(t, c, job)
		spoil(&job)
		job, err := c.Job("j")
		require.NoError(t, err)
		require.Equal(t, 2, *job.Completions)
		require.Equal(t, "b", job.Labels["a"])
		before := job.Labels
		spoil(&job)
		job, err = c.Job("j")
		require.NoError(t, err)
		require.Equal(t, "b", job.Labels["a"])
		require.Equal(t, 2, *job.Completions)
		require.Equal(t, 1, *job.Parallelism)
		require.Equal(t, 0, *job.BackoffLimit)
		require.Equal(t, batch.ActionCount, job.FailurePolicy[0].Action)
		require.Equal(t, []int{3}, job.FailurePolicy[0].OnExitCodes.In)
		require.Equal(t, "0,1", job.SuccessPolicy[0].SucceededIndexes.String())
		require.Equal(t, 2, *job.SuccessPolicy[0].SucceededCount)
		require.NotEqual(t, "b", before["a"])

		var kept *batch.Job
		require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { kept = j }))
		spoil(kept)
		fresh, err := c.Job("j")
		require.NoError(t, err)
		require.Equal(t, job.Labels, fresh.Labels)
		require.Equal(t, 1, *fresh.Parallelism)
	})
}

// What a controller shows of a job is not shared with it.
func TestCopies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, fullJob(batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			a.SetCondition(batch.Condition{Type: "mine", Status: "True"})
			return exit(3)
		})))
		status, err := c.Wait(t.Context(), "j")
		failed(t, err, batch.ReasonBackoffLimitExceeded)
		status.Conditions[0].Type = "spoilt"
		*status.Completions = 99
		*status.FailedIndexes = batch.IndexSet{}
		status.LastFailure.Message = "spoilt"
		status = get(t, c, "j")
		require.Equal(t, batch.ConditionFailureTarget, status.Conditions[0].Type)
		require.Equal(t, 2, *status.Completions)
		require.Equal(t, "0", status.FailedIndexes.String())
		require.Equal(t, "exit", status.LastFailure.Message)

		attempts := attemptsOf(t, c, "j")
		*attempts[0].ExitCode = 99
		attempts[0].Conditions[0].Type = "spoilt"
		attempts = attemptsOf(t, c, "j")
		require.Equal(t, 3, *attempts[0].ExitCode)
		require.Equal(t, "mine", attempts[0].Conditions[0].Type)

		events, err := c.Events(t.Context(), "j")
		require.NoError(t, err)
		events[0].Message = "spoilt"
		events, err = c.Events(t.Context(), "j")
		require.NoError(t, err)
		require.NotEqual(t, "spoilt", events[0].Message)

		_, err = c.Wait(t.Context(), "j")
		jobErr := failed(t, err, batch.ReasonBackoffLimitExceeded)
		jobErr.Reason, jobErr.Attempts[0] = "spoilt", nil
		_, err = c.Wait(t.Context(), "j")
		jobErr = failed(t, err, batch.ReasonBackoffLimitExceeded)
		require.NotNil(t, jobErr.Attempts[0])
	})
}

func TestJobHasItsDefaultsResolved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", Suspend: true, Executor: succeed})
		job, err := c.Job("j")
		require.NoError(t, err)
		require.Equal(t, 1, *job.Completions)
		require.Equal(t, 6, *job.BackoffLimit)
		require.Equal(t, 30*time.Second, *job.TerminationGracePeriod)
		require.Equal(t, batch.NonIndexed, job.CompletionMode)
	})
}

func TestAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		for _, name := range []string{"b", "c", "a"} {
			mustCreate(t, c, batch.Job{Name: name, Suspend: true, Executor: succeed})
		}
		var names []string
		for s := range c.All() {
			names = append(names, s.Name)
			c.Delete(t.Context(), "b", batch.DeleteBackground) // does not disturb the walk
		}
		require.Equal(t, []string{"a", "b", "c"}, names)
		for range c.All() {
			break
		}
	})
}

// Jobs by the thousand, from many goroutines, lose nothing.
func TestTenThousandJobs(t *testing.T) {
	for _, limit := range []int{0, 16} {
		t.Run(fmt.Sprint("MaxActive ", limit), func(t *testing.T) {
			c := newController(t, batch.Options{MaxActive: limit, Logger: slog.New(slog.DiscardHandler)})
			const workers, each = 50, 100
			var ran atomic.Int64
			executor := batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				ran.Add(1)
				if a.Index == 1 && a.Number == 0 {
					return errDisk
				}
				return nil
			})
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() {
					for i := range each {
						name := fmt.Sprintf("j%d-%d", w, i)
						err := c.Create(t.Context(), batch.Job{Name: name, CompletionMode: batch.Indexed, Completions: new(3),
							Parallelism: new(2),
							Backoff:     batch.ConstantBackoff(0), Executor: executor})
						status, waitErr := c.Wait(t.Context(), name)
						if err != nil || waitErr != nil || status.Succeeded != 3 || status.Failed != 1 {
							t.Errorf("%v, %v: %v", err, waitErr, status)
						}
						if err := c.Delete(t.Context(), name, batch.DeleteBackground); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			require.EqualValues(t, workers*each*4, ran.Load())
			for s := range c.All() {
				t.Errorf("%v is left", s)
			}
		})
	}
}

// A job is told of, as it was created, from the moment on that it can be seen.
func TestCreatedJobIsNeverHalfThere(t *testing.T) {
	for range 200 {
		bubble(t, func(t *testing.T) {
			var store disk
			c := newController(t, batch.Options{Store: &store})
			watched, seen := make(chan string, 1), make(chan string, 1)
			go func() {
				for change := range c.Watch(t.Context(), 0) {
					watched <- change.Status.String()
					return
				}
			}()
			go func() {
				for {
					if s, err := c.Get("j"); err == nil {
						seen <- s.String()
						return
					}
					runtime.Gosched()
				}
			}()
			mustCreate(t, c, batch.Job{Name: "j", Suspend: true, Executor: succeed})
			require.Equal(t, "j: Suspended, 0/1 succeeded, 0 failed", <-seen)
			require.Equal(t, "j: Suspended, 0/1 succeeded, 0 failed", <-watched)
		})
	}
}

// No lock is held while user code runs, also while a job is being stored.
func TestExecutorLooksAtItsJobWhileItIsStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		c := newController(t, batch.Options{Store: &store})
		mustCreate(t, c, batch.Job{Name: "j", Executor: curious{untilDone, func() { _, _ = c.Get("j") }}})
		require.NoError(t, c.Suspend(t.Context(), "j"))
	})
}

// curious is an executor that looks at its job when it is asked what it is.
type curious struct {
	batch.Executor
	look func()
}

func (e curious) HoldsPending() bool { e.look(); return false }

// A job that could not be stored was not created, whatever became of the commit.
func TestCreateWithAFailingStore(t *testing.T) {
	create := func(ctx context.Context, c *batch.Controller, job batch.Job) error { return c.Create(ctx, job) }
	apply := func(ctx context.Context, c *batch.Controller, job batch.Job) error {
		_, err := c.Apply(ctx, job)
		return err
	}
	cases := map[string]struct {
		create  func(ctx context.Context, c *batch.Controller, job batch.Job) error
		respond func(apply func() error) error
	}{
		"Create, not stored": {create: create, respond: failing},
		"Create, stored nevertheless": {
			create: create, respond: func(apply func() error) error { return errors.Join(apply(), errFull) },
		},
		"Apply, not stored": {create: apply, respond: failing},
		"Apply, stored nevertheless": {
			create: apply, respond: func(apply func() error) error { return errors.Join(apply(), errFull) },
		},
		"Create, in a store that hangs": {
			create: create, respond: func(func() error) error { time.Sleep(time.Hour); return errFull },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var store disk
				var ran atomic.Int32
				job := batch.Job{
					Name: "j", ActiveDeadline: new(time.Minute), Executor: fn(func(context.Context) error { ran.Add(1); return nil }),
				}
				c := newController(t, batch.Options{Store: &store})
				empty := recorded(t, &store)
				store.set(tc.respond)
				answers := make(chan error, 1)
				go func() { answers <- tc.create(t.Context(), c, job) }()
				synctest.Wait()
				if len(answers) == 0 { // it hangs
					require.ErrorIs(t, c.Create(t.Context(), job), batch.ErrExists)
				}
				storeError(t, <-answers, errFull)
				_, err := c.Get("j")
				require.ErrorIs(t, err, batch.ErrNotFound)
				require.Empty(t, slices.Collect(c.All()))
				storeError(t, tc.create(t.Context(), c, job), errFull) // at once, and not because the name is taken

				store.set(nil)
				time.Sleep(time.Minute)
				require.Equal(t, empty, recorded(t, &store))
				require.Zero(t, ran.Load())
				require.NoError(t, tc.create(t.Context(), c, job))
				require.Equal(t, 1, complete(t, c, "j").Succeeded)
				require.EqualValues(t, 1, ran.Load())
				require.Equal(t, "Complete", get(t, fresh(t, &store), "j").State())
			})
		})
	}
}
