package batch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/race"
)

// newController returns a controller that logs to the test and is shut down,
// hard, at its end: then nothing of it may be left.
func newController(t *testing.T, o batch.Options) *batch.Controller {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	c, err := batch.New(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Shutdown(ended(errors.New("the test is over")))) })
	return c
}

// mustCreate creates a job that must be valid.
func mustCreate(t *testing.T, c *batch.Controller, job batch.Job) {
	t.Helper()
	require.NoError(t, c.Create(t.Context(), job))
}

func get(t *testing.T, c *batch.Controller, name string) batch.Status {
	t.Helper()
	s, err := c.Get(name)
	require.NoError(t, err)
	return s
}

func attemptsOf(t *testing.T, c *batch.Controller, name string) []batch.AttemptStatus {
	t.Helper()
	list, err := c.Attempts(t.Context(), name)
	require.NoError(t, err)
	return list
}

// failed is the error of a job that failed for that reason.
func failed(t *testing.T, err error, reason string) *batch.JobError {
	t.Helper()
	jobErr, ok := errors.AsType[*batch.JobError](err)
	require.True(t, ok, "not a JobError: %v", err)
	require.Equal(t, reason, jobErr.Reason)
	return jobErr
}

// ended returns a context that is done, for that cause.
func ended(cause error) context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	return ctx
}

// fn makes an executor of a function that needs no attempt.
func fn(f func(ctx context.Context) error) batch.Executor {
	return batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error { return f(ctx) })
}

// Executors that need no state.
var (
	succeed   = fn(func(context.Context) error { return nil })
	untilDone = fn(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
)

// exit is an error with an exit code.
type exit int

func (e exit) Error() string { return "exit" }
func (e exit) ExitCode() int { return int(e) }

// fails returns err, always.
func fails(err error) batch.Executor { return fn(func(context.Context) error { return err }) }

// takes succeeds after some time, however it is asked to stop.
func takes(d time.Duration) batch.Executor {
	return fn(func(context.Context) error { time.Sleep(d); return nil })
}

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// settle waits until nothing can happen before time passes; what is decided
// within a millisecond of an event is decided then.
func settle() {
	synctest.Wait()
	time.Sleep(2 * time.Millisecond)
	synctest.Wait()
}

func TestOptions(t *testing.T) {
	c, err := batch.New(t.Context(), batch.Options{MaxActive: -1})
	require.Nil(t, c)
	require.EqualError(t, err, "batch: Options.MaxActive: -1: must not be negative")
}

var errCause = errors.New("the user's cause")

// What every method that can fail answers, and that nothing is half done then.
func TestMethodErrors(t *testing.T) {
	type call = func(ctx context.Context, c *batch.Controller, job string) error
	changes := map[string]call{
		"Create": func(ctx context.Context, c *batch.Controller, job string) error {
			return c.Create(ctx, batch.Job{Name: job, Executor: succeed})
		},
		"Update": func(ctx context.Context, c *batch.Controller, job string) error {
			return c.Update(ctx, job, func(j *batch.Job) { j.Parallelism = new(7) })
		},
		"Suspend": func(ctx context.Context, c *batch.Controller, job string) error { return c.Suspend(ctx, job) },
		"Resume":  func(ctx context.Context, c *batch.Controller, job string) error { return c.Resume(ctx, job) },
		"Delete": func(ctx context.Context, c *batch.Controller, job string) error {
			return c.Delete(ctx, job, batch.DeleteBackground)
		},
		"DeleteAttempt": func(ctx context.Context, c *batch.Controller, job string) error {
			return c.DeleteAttempt(ctx, job, "attempt")
		},
		"Disrupt": func(ctx context.Context, c *batch.Controller, job string) error {
			return c.Disrupt(ctx, job, "attempt", "EvictionByEvictionAPI")
		},
		"Cancel": func(ctx context.Context, c *batch.Controller, job string) error { return c.Cancel(ctx, job, errCause) },
		"Again": func(ctx context.Context, c *batch.Controller, job string) error {
			_, err := c.Again(ctx, job, batch.AgainOptions{})
			return err
		},
	}
	reads := map[string]call{
		"Get": func(_ context.Context, c *batch.Controller, job string) error { _, err := c.Get(job); return err },
		"Job": func(_ context.Context, c *batch.Controller, job string) error { _, err := c.Job(job); return err },
		"Attempts": func(_ context.Context, c *batch.Controller, job string) error {
			_, err := c.Attempts(t.Context(), job)
			return err
		},
		"Events": func(_ context.Context, c *batch.Controller, job string) error {
			_, err := c.Events(t.Context(), job)
			return err
		},
		"Wait": func(ctx context.Context, c *batch.Controller, job string) error {
			_, err := c.Wait(ctx, job)
			return err
		},
		"Logs": func(ctx context.Context, c *batch.Controller, job string) (err error) {
			for _, e := range c.Logs(ctx, job, "attempt", batch.LogOptions{}) {
				err = e
			}
			return err
		},
	}
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "there", Suspend: true, Executor: succeed})
		before := get(t, c, "there")
		for _, calls := range []map[string]call{changes, reads} {
			for name, call := range calls {
				if name != "Create" {
					require.ErrorIs(t, call(t.Context(), c, "missing"), batch.ErrNotFound, name)
				}
			}
		}
		for name, call := range changes {
			require.ErrorIs(t, call(ended(errCause), c, "there"), errCause, name)
		}
		require.ErrorIs(t, changes["Create"](ended(errCause), c, "fresh"), errCause)
		require.ErrorIs(t, reads["Wait"](ended(errCause), c, "there"), errCause)
		require.ErrorIs(t, changes["Create"](t.Context(), c, "there"), batch.ErrExists)
		require.ErrorIs(t, changes["DeleteAttempt"](t.Context(), c, "there"), batch.ErrNotFound)

		require.NoError(t, c.Shutdown(t.Context()))
		for name, call := range changes {
			require.ErrorIs(t, call(t.Context(), c, "there"), batch.ErrShutdown, name)
		}
		require.ErrorIs(t, changes["Create"](t.Context(), c, "fresh"), batch.ErrShutdown)
		require.ErrorIs(t, reads["Wait"](t.Context(), c, "there"), batch.ErrShutdown)
		for _, name := range []string{"Get", "Job", "Attempts", "Events"} {
			require.NoError(t, reads[name](t.Context(), c, "there"), name)
			require.ErrorIs(t, reads[name](t.Context(), c, "missing"), batch.ErrNotFound, name)
		}
		_, err := c.Get("fresh")
		require.ErrorIs(t, err, batch.ErrNotFound)
		after := get(t, c, "there")
		require.Equal(t, before.Conditions, after.Conditions)
		require.Equal(t, before.Generation, after.Generation)
	})
}

func TestErrorTexts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "backup", Executor: succeed})
		_, err := c.Wait(t.Context(), "backup")
		require.NoError(t, err)
		attempt := attemptsOf(t, c, "backup")[0].Name
		_, err = c.Get("restore")
		require.EqualError(t, err, `batch: not found: job "restore"`)
		require.EqualError(
			t, c.Create(t.Context(), batch.Job{Name: "backup", Executor: succeed}), `batch: job exists: "backup"`,
		)
		require.EqualError(t, c.DeleteAttempt(t.Context(), "backup", "x"), `batch: not found: attempt "x" of job "backup"`)
		err = c.DeleteAttempt(t.Context(), "backup", attempt)
		require.ErrorIs(t, err, batch.ErrAttemptEnded)
		require.EqualError(t, err, `batch: attempt ended: "`+attempt+`"`)
		require.EqualError(
			t, c.Delete(t.Context(), "backup", "Sideways"),
			`batch: propagation "Sideways": must be Background, Foreground or Orphan`,
		)
		require.EqualError(
			t, c.Delete(t.Context(), "backup", ""), `batch: propagation "": must be Background, Foreground or Orphan`,
		)
		require.EqualError(t, c.Create(t.Context(), batch.Job{Name: "restore"}),
			`batch: job "restore" is invalid: Executor: Required value: a job needs something to run`)
	})
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

// Nothing that goes in or comes out is shared with the controller.
func TestCopies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		job := batch.Job{Name: "j", Labels: map[string]string{"a": "b"}, CompletionMode: batch.Indexed, Completions: new(2),
			Parallelism:  new(1),
			BackoffLimit: new(0), BackoffLimitPerIndex: new(0), ManagedBy: nil,
			FailurePolicy: []batch.FailureRule{{Action: batch.ActionCount, OnExitCodes: &batch.ExitCodes{In: []int{3}}}},
			SuccessPolicy: []batch.SuccessRule{{SucceededIndexes: indexes("0-1"), SucceededCount: new(2)}},
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				a.SetCondition(batch.Condition{Type: "mine", Status: "True"})
				return exit(3)
			})}
		spoil := func(j *batch.Job) {
			j.Labels["a"] = "spoilt"
			*j.Completions, *j.Parallelism, *j.BackoffLimit = 99, 99, 99
			j.FailurePolicy[0].Action = batch.ActionFailJob
			j.FailurePolicy[0].OnExitCodes.In[0] = 99
			*j.SuccessPolicy[0].SucceededIndexes = *indexes("99")
			*j.SuccessPolicy[0].SucceededCount = 99
		}
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
		require.NotEqual(t, "b", before["a"])

		var kept *batch.Job
		require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { kept = j }))
		spoil(kept)
		fresh, err := c.Job("j")
		require.NoError(t, err)
		require.Equal(t, job.Labels, fresh.Labels)
		require.Equal(t, 1, *fresh.Parallelism)

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

func TestUpdate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", Completions: new(3), Suspend: true, Executor: succeed})
		require.EqualValues(t, 1, get(t, c, "j").Generation)
		err := c.Update(t.Context(), "j", func(j *batch.Job) { j.Name, j.Completions, j.Parallelism = "k", new(4), new(-1) })
		invalid, ok := errors.AsType[*batch.ValidationError](err)
		require.True(t, ok)
		require.Equal(t, "j", invalid.Job)
		require.Len(t, invalid.Fields, 3)
		require.EqualValues(t, 1, get(t, c, "j").Generation, "nothing has changed")

		calls := 0
		require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) {
			if calls++; calls == 1 {
				require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.BackoffLimit = new(17) }))
			}
			require.Equal(t, 3, *j.Completions)
			j.Parallelism = new(*j.BackoffLimit)
		}))
		require.Equal(t, 2, calls, "the job was updated meanwhile")
		job, err := c.Job("j")
		require.NoError(t, err)
		require.Equal(t, 17, *job.Parallelism, "and the change saw that")
		require.EqualValues(t, 3, get(t, c, "j").Generation)

		require.ErrorIs(t, c.Update(t.Context(), "j", func(*batch.Job) {
			require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteBackground))
		}), batch.ErrNotFound, "deleted meanwhile")
		require.Panics(t, func() {
			mustCreate(t, c, batch.Job{Name: "j", Suspend: true, Executor: succeed})
			c.Update(t.Context(), "j", func(*batch.Job) { panic("gotcha") })
		})
		require.NoError(t, c.Suspend(t.Context(), "j"), "a panic leaves nothing locked")
	})
}

// An update must not reach a new job of the same name unseen (R116).
func TestUpdateOfARecreatedJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", Suspend: true, BackoffLimit: new(1), Executor: succeed})
		var seen []int
		require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) {
			if seen = append(seen, *j.BackoffLimit); len(seen) == 1 {
				require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteBackground))
				mustCreate(t, c, batch.Job{Name: "j", Suspend: true, BackoffLimit: new(2), Executor: succeed})
			}
			j.BackoffLimit = new(*j.BackoffLimit + 10)
		}))
		require.Equal(t, []int{1, 2}, seen)
		job, err := c.Job("j")
		require.NoError(t, err)
		require.Equal(t, 12, *job.BackoffLimit)
	})
}

// A change that changes nothing is none (R112).
func TestUpdateOfNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", Suspend: true, Executor: succeed})
		require.NoError(t, c.Suspend(t.Context(), "j"))
		require.NoError(t, c.Update(t.Context(), "j", func(*batch.Job) {}))
		require.EqualValues(t, 1, get(t, c, "j").Generation)
	})
}

// Executors of any type may stay, and be replaced: they are not compared.
func TestUpdateWithStrangeExecutors(t *testing.T) {
	executors := map[string]batch.Executor{
		"a function":            fn(func(context.Context) error { return nil }),
		"an uncomparable value": uncomparableExecutor{[]int{1}, map[string]int{"a": 1}, func() {}},
		"a nil pointer":         (*pointerExecutor)(nil),
		"a pointer":             &pointerExecutor{},
		"a command":             batch.Command{Args: []string{"true"}},
	}
	for name, executor := range executors {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				mustCreate(t, c, batch.Job{Name: "j", BackoffLimit: new(0), Suspend: true, Executor: executor})
				require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Parallelism = new(3) }))
				if name != "a command" { // real programs and virtual time do not mix
					require.NoError(t, c.Resume(t.Context(), "j"))
					synctest.Wait()
				}
				require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Executor = succeed }))
				if name == "a command" {
					require.NoError(t, c.Resume(t.Context(), "j"))
				}
				_, err := c.Wait(t.Context(), "j")
				require.Equal(t, name == "a nil pointer", err != nil, "%v", err)
			})
		})
	}
}

type uncomparableExecutor struct {
	list []int
	m    map[string]int
	f    func()
}

func (e uncomparableExecutor) Execute(context.Context, batch.Attempt) error { e.f(); return nil }

type pointerExecutor struct{ n int }

func (e *pointerExecutor) Execute(context.Context, batch.Attempt) error { e.n++; return nil }

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

func TestSuspendAndResume(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		start := time.Now()
		mustCreate(t, c, batch.Job{Name: "j", Completions: new(4), Parallelism: new(2), ActiveDeadline: new(3 * time.Hour),
			Executor: fn(func(ctx context.Context) error {
				if err := sleep(ctx, time.Hour); err != exit(3) {
					return err
				}
				return nil
			})})
		time.Sleep(time.Minute)
		require.NoError(t, c.Suspend(t.Context(), "j"))
		synctest.Wait()
		s := get(t, c, "j")
		require.Zero(t, s.Active+s.Failed+s.Terminating)
		require.Zero(t, s.StartTime, "R234")
		require.Equal(t, "Suspended", s.State())
		require.Nil(t, s.LastFailure, "nothing has failed")
		require.Equal(t, []batch.Condition{{Type: batch.ConditionSuspended, Status: "True", Reason: "JobSuspended",
			Message: "Job suspended", LastTransitionTime: start.Add(time.Minute)}}, s.Conditions)
		time.Sleep(24 * time.Hour)
		require.NoError(t, c.Resume(t.Context(), "j"))
		s = get(t, c, "j")
		require.Equal(t, 2, s.Active)
		require.Equal(t, time.Now(), s.StartTime)
		s, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
		require.Equal(t, start.Add(26*time.Hour+time.Minute), s.CompletionTime)
		require.Equal(t, "False", s.Conditions[0].Status)

		var events []string
		list, err := c.Events(t.Context(), "j")
		require.NoError(t, err)
		for _, e := range list {
			events = append(events, e.Reason)
		}
		require.Equal(t, []string{"SuccessfulCreate", "SuccessfulCreate", "SuccessfulDelete", "SuccessfulDelete", "Suspended",
			"SuccessfulCreate", "SuccessfulCreate", "Resumed", "SuccessfulCreate", "SuccessfulCreate", "Completed"}, events)
	})
}

func TestElasticJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		var runs [6]int
		var mu sync.Mutex
		mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(4), Parallelism: new(4),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				mu.Lock()
				runs[a.Index]++
				mu.Unlock()
				if a.Index%2 == 1 {
					return nil
				}
				if err := sleep(ctx, time.Hour); err != exit(3) {
					return err
				}
				return nil
			})})
		resize := func(n int) batch.Status {
			t.Helper()
			time.Sleep(time.Minute)
			require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.Completions, j.Parallelism = new(n), new(n) }))
			settle()
			return get(t, c, "j")
		}
		s := resize(3)
		require.Equal(t, "1", s.CompletedIndexes.String())
		require.Equal(t, 2, s.Active)
		s = resize(1)
		require.Empty(t, s.CompletedIndexes.String(), "R152")
		require.Equal(t, 1, s.Active)
		require.Zero(t, s.Succeeded+s.Failed)
		s = resize(6)
		require.Equal(t, "1,3,5", s.CompletedIndexes.String())
		require.Equal(t, 3, s.Active)
		_, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, [6]int{1, 2, 2, 2, 1, 1}, runs, "R153")
	})
}

func TestTTL(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "now", TTLAfterFinished: new(time.Duration(0)), Executor: takes(time.Second)})
		mustCreate(t, c, batch.Job{Name: "later", TTLAfterFinished: new(time.Hour), Executor: succeed})
		mustCreate(t, c, batch.Job{Name: "never", Executor: succeed})
		s, err := c.Wait(t.Context(), "now")
		require.NoError(t, err)
		require.True(t, s.Is(batch.ConditionComplete))
		_, err = c.Get("now")
		require.ErrorIs(t, err, batch.ErrNotFound)
		_, err = c.Wait(t.Context(), "now")
		require.ErrorIs(t, err, batch.ErrNotFound)

		time.Sleep(time.Hour - 2*time.Second)
		synctest.Wait()
		get(t, c, "later")
		require.NoError(
			t, c.Update(t.Context(), "later", func(j *batch.Job) { j.TTLAfterFinished = new(2 * time.Hour) }), "R292",
		)
		time.Sleep(time.Hour)
		synctest.Wait()
		get(t, c, "later")
		require.NoError(
			t, c.Update(t.Context(), "never", func(j *batch.Job) { j.TTLAfterFinished = new(time.Minute) }), "R292",
		)
		synctest.Wait()
		_, err = c.Get("never")
		require.ErrorIs(t, err, batch.ErrNotFound, "its time is over")
		time.Sleep(time.Hour)
		synctest.Wait()
		for s := range c.All() {
			t.Errorf("%s is left", s.Name)
		}
	})
}

func TestDelete(t *testing.T) {
	tests := map[string]struct {
		propagation string
		gone        bool // at once
		ended       time.Duration
		phase       string
		by          string
	}{
		"background": {batch.DeleteBackground, true, 10 * time.Second, batch.AttemptFailed, "gc"},
		"foreground": {batch.DeleteForeground, false, 10 * time.Second, batch.AttemptFailed, "gc"},
		"orphan":     {batch.DeleteOrphan, true, time.Hour, batch.AttemptRunning, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				job := batch.Job{Name: "j", Completions: new(3),
					Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
						if a.Number == 0 {
							return nil
						}
						fmt.Fprintln(a.Stdout(), "hello")
						if err := sleep(ctx, time.Hour); err != exit(3) {
							time.Sleep(10 * time.Second)
							return err
						}
						return nil
					})}
				mustCreate(t, c, job)
				synctest.Wait()
				old := attemptsOf(t, c, "j")[1]
				waited := make(chan error, 1)
				go func() { _, err := c.Wait(t.Context(), "j"); waited <- err }()
				synctest.Wait()
				require.NoError(t, c.Delete(t.Context(), "j", test.propagation))
				if test.gone {
					require.ErrorIs(t, <-waited, batch.ErrDeleted)
					_, err := c.Get("j")
					require.ErrorIs(t, err, batch.ErrNotFound)
					_, err = c.Events(t.Context(), "j")
					require.ErrorIs(t, err, batch.ErrNotFound)

					// R116: the name is free, and both are listed.
					mustCreate(t, c, job)
					synctest.Wait()
					list := attemptsOf(t, c, "j")
					require.Len(t, list, 3, "the old one that has not ended, and two new ones")
					require.Equal(t, old.UID, list[0].UID)
					require.NotEqual(t, list[0].JobUID, list[1].JobUID)
					require.Equal(t, []string{"hello"}, logOf(t, c, "j", old.Name))
					require.Equal(t, 1, get(t, c, "j").Succeeded)
					require.Equal(t, 0, get(t, c, "j").Terminating)
				} else {
					require.Equal(t, "Terminating", get(t, c, "j").State())
					require.NotZero(t, get(t, c, "j").DeletedAt)
					require.ErrorIs(t, c.Create(t.Context(), job), batch.ErrExists)
					require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteForeground), "asked again")
				}
				if test.by != "" {
					list := attemptsOf(t, c, "j")
					i := slices.IndexFunc(list, func(a batch.AttemptStatus) bool { return a.UID == old.UID })
					require.Equal(t, test.by, list[i].DeletedBy)
				}
				time.Sleep(test.ended + time.Millisecond)
				synctest.Wait()
				for _, a := range attemptsIfAny(c, "j") {
					require.NotEqual(t, old.UID, a.UID, "%v is still listed", a)
				}
				if !test.gone {
					require.ErrorIs(t, <-waited, batch.ErrDeleted)
					_, err := c.Get("j")
					require.ErrorIs(t, err, batch.ErrNotFound)
				}
			})
		})
	}
}

func TestDeleteFreesTheNameAtOnceManyTimes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		for range 100 {
			mustCreate(t, c, batch.Job{Name: "j", Parallelism: new(3), Executor: takes(time.Minute)})
			require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteBackground))
		}
		require.Len(t, attemptsOf(t, c, "j"), 300)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		_, err := c.Attempts(t.Context(), "j")
		require.ErrorIs(t, err, batch.ErrNotFound)
	})
}

func TestDisrupt(t *testing.T) {
	tests := map[string]struct {
		code    int // -1: none
		by      string
		settled bool // ended at once
	}{
		"PreemptionByScheduler":  {143, "eviction", false},
		"DeletionByTaintManager": {143, "eviction", false},
		"EvictionByEvictionAPI":  {143, "eviction", false},
		"DeletionByPodGC":        {-1, "podgc", true},
		"TerminationByKubelet":   {137, "", true},
	}
	for reason, test := range tests {
		t.Run(reason, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				mustCreate(t, c, batch.Job{Name: "j", BackoffLimit: new(0),
					FailurePolicy: []batch.FailureRule{{
						Action: batch.ActionIgnore, OnConditions: []batch.Condition{{Type: batch.ConditionDisruptionTarget}},
					}},
					Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
						if a.Number > 0 {
							return nil
						}
						<-ctx.Done()
						time.Sleep(time.Second)
						return ctx.Err()
					})})
				synctest.Wait()
				require.NoError(t, c.Disrupt(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, reason))
				a := attemptsOf(t, c, "j")[0]
				require.Equal(t, test.settled, a.Phase == batch.AttemptFailed)
				require.Equal(
					t,
					[]batch.Condition{{
						Type: batch.ConditionDisruptionTarget, Status: "True", Reason: reason, LastTransitionTime: time.Now(),
					}},
					a.Conditions,
				)
				s, err := c.Wait(t.Context(), "j")
				require.NoError(t, err)
				require.Zero(t, s.Failed, "the rule ignores it")
				a = attemptsOf(t, c, "j")[0]
				require.Equal(t, test.by, a.DeletedBy)
				code := -1
				if a.ExitCode != nil {
					code = *a.ExitCode
				}
				require.Equal(t, test.code, code)
			})
		})
	}
}

func TestMaxActive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 5, Logger: slog.New(slog.DiscardHandler)})
		var running, most atomic.Int32
		const jobs = 20
		for i := range jobs {
			mustCreate(t, c, batch.Job{Name: fmt.Sprint("j", i), CompletionMode: batch.Indexed, Completions: new(10),
				Parallelism:   new(3 + i),
				RestartPolicy: []string{batch.RestartNever, batch.RestartOnFailure}[i%2],
				BackoffLimit:  new(1000), Backoff: batch.ConstantBackoff(time.Second),
				RestartBackoff: batch.ConstantBackoff(time.Second),
				Executor: counted(&running, &most, batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
					time.Sleep(time.Duration(a.Index) * time.Second)
					if a.Number+a.Restarts < a.Index%3 {
						return errDisk
					}
					return nil
				}))})
		}
		synctest.Wait()
		require.EqualValues(t, 5, running.Load())
		for i := range jobs {
			s, err := c.Wait(t.Context(), fmt.Sprint("j", i))
			require.NoError(t, err)
			require.Equal(t, 10, s.Succeeded)
		}
		require.EqualValues(t, 5, most.Load())
		require.Zero(t, running.Load())
	})
}

// TestWaited: an attempt knows how long it was in line for its slot, also one that is
// restarted in place, whose back-off is not part of it.
func TestWaited(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 1})
		waits := make(chan time.Duration, 10)
		minute := batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			waits <- a.Waited()
			time.Sleep(time.Minute)
			if a.Job == "b" && a.Restarts == 0 {
				return errDisk
			}
			return nil
		})
		mustCreate(t, c, batch.Job{Name: "a", Executor: minute})
		mustCreate(t, c, batch.Job{Name: "b", Executor: minute, RestartPolicy: batch.RestartOnFailure,
			RestartBackoff: batch.ConstantBackoff(20 * time.Second)})
		mustCreate(t, c, batch.Job{Name: "c", Executor: minute})
		for _, want := range []time.Duration{0, time.Minute, 2 * time.Minute, 40 * time.Second} { // a, b, c, b again
			require.Equal(t, want, <-waits)
		}
		_, err := c.Wait(t.Context(), "b")
		require.NoError(t, err)
		require.Zero(t, batch.Attempt{}.Waited())
	})
}

func TestMaxActiveIsFair(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 2})
		mustCreate(t, c, batch.Job{Name: "big", Completions: new(1000), Parallelism: new(1000), Executor: takes(time.Second)})
		mustCreate(t, c, batch.Job{Name: "small", Completions: new(10), Executor: takes(time.Second)})
		start := time.Now()
		s := get(t, c, "big")
		require.Equal(t, []int{1000, 998, 2}, []int{s.Active, s.Pending, s.Ready})
		_, err := c.Wait(t.Context(), "small")
		require.NoError(t, err)
		require.LessOrEqual(t, time.Since(start), 21*time.Second, "one second in line for each in a slot")
		_, err = c.Wait(t.Context(), "big")
		require.NoError(t, err)
		require.Equal(t, 505*time.Second, time.Since(start), "no slot was idle")
	})
}

// Pending attempts that are stopped make room for others, and are nothing but
// pending before.
func TestMaxActivePendingAttempts(t *testing.T) {
	tests := map[string]func(t *testing.T, c *batch.Controller){
		"suspended": func(t *testing.T, c *batch.Controller) { require.NoError(t, c.Suspend(t.Context(), "waits")) },
		"deleted": func(t *testing.T, c *batch.Controller) {
			require.NoError(t, c.Delete(t.Context(), "waits", batch.DeleteBackground))
		},
		"orphaned": func(t *testing.T, c *batch.Controller) {
			require.NoError(t, c.Delete(t.Context(), "waits", batch.DeleteOrphan))
			for _, a := range attemptsOf(t, c, "waits") {
				require.NoError(t, c.DeleteAttempt(t.Context(), "waits", a.UID))
			}
		},
		"scaled": func(t *testing.T, c *batch.Controller) {
			require.NoError(t, c.Update(t.Context(), "waits", func(j *batch.Job) { j.Parallelism = new(0) }))
		},
		"failed": func(t *testing.T, c *batch.Controller) {
			require.NoError(t, c.Update(t.Context(), "waits", func(j *batch.Job) { j.ActiveDeadline = new(time.Duration(0)) }))
		},
	}
	for name, stop := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{MaxActive: 1})
				var ran atomic.Int32
				mustCreate(t, c, batch.Job{Name: "runs", Executor: takes(time.Hour)})
				mustCreate(t, c, batch.Job{
					Name: "waits", Parallelism: new(10), Completions: new(20),
					Executor: fn(func(context.Context) error { ran.Add(1); return nil }),
				})
				mustCreate(t, c, batch.Job{Name: "last", Executor: succeed})
				require.Equal(t, 10, get(t, c, "waits").Pending)
				for _, a := range attemptsOf(t, c, "waits") {
					require.Equal(t, batch.AttemptPending, a.Phase)
					require.Zero(t, a.StartedAt)
					require.False(t, a.Ready)
				}
				stop(t, c)
				if s, err := c.Get("waits"); err == nil {
					require.Zero(t, s.Active+s.Pending+s.Terminating)
				}
				_, err := c.Wait(t.Context(), "last")
				require.NoError(t, err)
				require.Zero(t, ran.Load())
			})
		})
	}
}

// The record of an ended attempt serves another one: nothing of the old one may
// show in that while it waits for its turn.
func TestPendingAttemptHasNoPast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 1})
		mustCreate(t, c, batch.Job{Name: "j", History: new(0), Backoff: batch.ConstantBackoff(0),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Number > 0 {
					return nil
				}
				time.Sleep(time.Second)
				fmt.Fprintln(a.Stdout(), "old")
				a.SetOutput("old")
				a.Progress(1, 2, "old")
				return errDisk
			})})
		mustCreate(t, c, batch.Job{Name: "other", Executor: untilDone})
		time.Sleep(time.Minute)
		synctest.Wait()
		list := attemptsOf(t, c, "j")
		require.Len(t, list, 1)
		a := list[0]
		require.Equal(t, batch.AttemptPending, a.Phase)
		require.NoError(t, a.Err)
		require.Empty(t, a.Message+a.Output)
		require.Zero(t, a.Progress)
		require.Empty(t, logOf(t, c, "j", a.Name))
		require.Equal(t, "disk full", get(t, c, "j").LastFailure.Message)
	})
}

// A follower of an attempt that waits for its turn sees it run.
func TestLogsOfAPendingAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 1})
		mustCreate(t, c, batch.Job{Name: "other", Executor: takes(time.Hour)})
		mustCreate(t, c, batch.Job{Name: "j", Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			fmt.Fprintln(a.Stdout(), "hello")
			return nil
		})})
		var lines []string
		for line, err := range c.Logs(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, batch.LogOptions{Follow: true}) {
			require.NoError(t, err)
			lines = append(lines, line.Text)
		}
		require.Equal(t, []string{"hello"}, lines)
	})
}

func TestLogs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		start := time.Now()
		mustCreate(t, c, batch.Job{Name: "j", Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			for i := range 5 {
				fmt.Fprintf(a.Stdout(), "line %d\n", i)
				time.Sleep(time.Second)
			}
			fmt.Fprint(a.Stderr(), "the end")
			return nil
		})})
		synctest.Wait()
		name := attemptsOf(t, c, "j")[0].Name
		read := func(ctx context.Context, o batch.LogOptions, most int) (lines []string, err error) {
			for line, e := range c.Logs(ctx, "j", name, o) {
				if e != nil {
					return lines, e
				}
				if lines = append(lines, line.Text); len(lines) == most {
					break
				}
			}
			return lines, nil
		}
		time.Sleep(2500 * time.Millisecond)
		lines, err := read(t.Context(), batch.LogOptions{}, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"line 0", "line 1", "line 2"}, lines)
		lines, err = read(t.Context(), batch.LogOptions{Tail: new(2)}, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"line 1", "line 2"}, lines)
		lines, err = read(t.Context(), batch.LogOptions{Tail: new(-1)}, 0)
		require.NoError(t, err)
		require.Empty(t, lines)
		lines, err = read(t.Context(), batch.LogOptions{Follow: true, Tail: new(0)}, 1)
		require.NoError(t, err)
		require.Equal(t, []string{"line 3"}, lines)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		lines, err = read(ctx, batch.LogOptions{Follow: true, Tail: new(1)}, 0)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, []string{"line 3"}, lines)
		lines, err = read(t.Context(), batch.LogOptions{Follow: true, Tail: new(1)}, 0)
		require.NoError(t, err)
		require.Equal(t, []string{"line 3", "line 4", "the end"}, lines)
		lines, err = read(t.Context(), batch.LogOptions{Follow: true}, 0)
		require.NoError(t, err)
		require.Len(t, lines, 6)
		_, err = read(ended(errCause), batch.LogOptions{}, 0)
		require.ErrorIs(t, err, errCause)

		var first batch.LogLine
		for line := range c.Logs(t.Context(), "j", name, batch.LogOptions{Tail: new(1)}) {
			first = line
		}
		require.Equal(t, batch.LogLine{Time: start.Add(5 * time.Second), Stream: "stderr", Text: "the end"}, first)
	})
}

// TestCutLines wants what was cut to be one line again.
func TestCutLines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		long := strings.Repeat("x", 40_000)
		mustCreate(t, c, batch.Job{Name: "j", Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			fmt.Fprintln(a.Stdout(), long)
			fmt.Fprintln(a.Stdout(), "end")
			return nil
		})})
		_, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
		var cut []bool
		text := ""
		for line, err := range c.Logs(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, batch.LogOptions{}) {
			require.NoError(t, err)
			cut = append(cut, line.Cut)
			if text += line.Text; !line.Cut {
				text += "\n"
			}
		}
		require.Equal(t, []bool{true, true, false, false}, cut)
		require.Equal(t, long+"\nend\n", text)
	})
}

func TestLogsThatAreDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		for _, limit := range []int{0, 200} {
			mustCreate(t, c, batch.Job{Name: fmt.Sprint("j", limit), LogLimit: &limit,
				Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
					for i := range 100 {
						fmt.Fprintln(a.Stdout(), i)
					}
					return nil
				})})
		}
		_, err := c.Wait(t.Context(), "j200")
		require.NoError(t, err)
		kept := 0
		for line := range c.Logs(t.Context(), "j200", attemptsOf(t, c, "j200")[0].Name, batch.LogOptions{}) {
			if kept == 0 {
				require.Equal(t, line.Text, fmt.Sprint(line.Dropped))
			}
			kept++
		}
		require.Positive(t, kept)
		_, err = c.Wait(t.Context(), "j0")
		require.NoError(t, err)
		require.Empty(t, logOf(t, c, "j0", attemptsOf(t, c, "j0")[0].Name))
	})
}

func TestEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		start := time.Now()
		events := func(job string) []batch.Event {
			list, err := c.Events(t.Context(), job)
			require.NoError(t, err)
			attempts := attemptsOf(t, c, job)
			for i := range list {
				list[i].At = time.Time{}.Add(list[i].At.Sub(start))
				for _, a := range attempts {
					list[i].Message = strings.ReplaceAll(list[i].Message, a.Name, fmt.Sprint("attempt ", a.Number))
				}
			}
			return list
		}
		at := func(d time.Duration) time.Time { return time.Time{}.Add(d) }
		mustCreate(t, c, batch.Job{Name: "fails", BackoffLimit: new(1), Executor: fails(errDisk)})
		_, err := c.Wait(t.Context(), "fails")
		failed(t, err, batch.ReasonBackoffLimitExceeded)
		require.Equal(t, []batch.Event{
			{Type: "Normal", Reason: "SuccessfulCreate", Message: "Created pod: attempt 0", At: at(0)},
			{Type: "Normal", Reason: "SuccessfulCreate", Message: "Created pod: attempt 1", At: at(10 * time.Second)},
			{
				Type: "Warning", Reason: batch.ReasonBackoffLimitExceeded, Message: "Job has reached the specified backoff limit",
				At: at(10 * time.Second),
			},
		}, events("fails"))

		start = time.Now()
		mustCreate(t, c, batch.Job{Name: "stops", Suspend: true, Executor: takes(time.Second)})
		time.Sleep(time.Millisecond)
		require.NoError(t, c.Resume(t.Context(), "stops"))
		time.Sleep(time.Millisecond)
		require.NoError(t, c.Suspend(t.Context(), "stops"))
		time.Sleep(time.Millisecond)
		require.NoError(t, c.Resume(t.Context(), "stops"))
		_, err = c.Wait(t.Context(), "stops")
		require.NoError(t, err)
		require.Equal(t, []batch.Event{
			{Type: "Normal", Reason: "Suspended", Message: "Job suspended", At: at(0 * time.Millisecond)},
			{Type: "Normal", Reason: "SuccessfulCreate", Message: "Created pod: attempt 0", At: at(1 * time.Millisecond)},
			{Type: "Normal", Reason: "Resumed", Message: "Job resumed", At: at(1 * time.Millisecond)},
			{Type: "Normal", Reason: "SuccessfulDelete", Message: "Deleted pod: attempt 0", At: at(2 * time.Millisecond)},
			{Type: "Normal", Reason: "Suspended", Message: "Job suspended", At: at(2 * time.Millisecond)},
			{Type: "Normal", Reason: "SuccessfulCreate", Message: "Created pod: attempt 1", At: at(3 * time.Millisecond)},
			{Type: "Normal", Reason: "Resumed", Message: "Job resumed", At: at(3 * time.Millisecond)},
			{Type: "Normal", Reason: "Completed", Message: "Job completed", At: at(1003 * time.Millisecond)},
		}, events("stops"))

		mustCreate(t, c, batch.Job{Name: "many", Completions: new(1000), Executor: succeed})
		_, err = c.Wait(t.Context(), "many")
		require.NoError(t, err)
		list := events("many")
		require.LessOrEqual(t, len(list), 300)
		require.Equal(t, "Completed", list[len(list)-1].Reason)
	})
}

// The last failure's text is that of the last failure.
func TestLastFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(2),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				if a.Index == 0 {
					return errDisk
				}
				<-ctx.Done()
				return errors.New("I was stopped")
			})})
		synctest.Wait()
		require.NoError(t, c.Suspend(t.Context(), "j"))
		settle()
		f := get(t, c, "j").LastFailure
		f.Attempt = ""
		require.Equal(t, batch.AttemptError{Index: 0, Failures: 1, ExitCode: 1, Message: "disk full", At: f.At}, *f)
	})
}

func TestWatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "a", Suspend: true, Executor: takes(time.Second)})
		since := get(t, c, "a").Revision
		require.NoError(t, c.Resume(t.Context(), "a")) // between Get and Watch
		var seen []string
		last := since
		for change, err := range c.Watch(t.Context(), since) {
			require.NoError(t, err)
			require.Greater(t, change.Status.Revision, last)
			last = change.Status.Revision
			seen = append(seen, fmt.Sprintf("%s %s %s", kindOf(change), change.Status.Name, change.Status.State()))
			switch len(seen) {
			case 2:
				mustCreate(t, c, batch.Job{Name: "b", Suspend: true, Executor: succeed})
			case 3:
				require.NoError(t, c.Delete(t.Context(), "b", batch.DeleteBackground))
				require.NoError(t, c.Delete(t.Context(), "a", batch.DeleteBackground))
			}
			if len(seen) == 5 {
				break
			}
		}
		require.Equal(
			t,
			[]string{
				"MODIFIED a Running", "MODIFIED a Complete", "ADDED b Suspended", "DELETED b Terminating", "DELETED a Complete",
			},
			seen,
		)
	})
}

func TestWatchEnds(t *testing.T) {
	for range 10 { // which of several reasons comes first is not up to chance
		bubble(t, func(t *testing.T) {
			c := newController(t, batch.Options{})
			mustCreate(t, c, batch.Job{Name: "a", Executor: succeed})
			_, err := c.Wait(t.Context(), "a")
			require.NoError(t, err)
			watch := func(ctx context.Context, since uint64) (n int, err error) {
				for change, e := range c.Watch(ctx, since) {
					if err = e; err == nil {
						require.NotZero(t, change.Status.Revision)
						n++
					}
				}
				return n, err
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errCause)
			defer cancel()
			n, err := watch(ctx, 0)
			require.Equal(t, 1, n)
			require.ErrorIs(t, err, errCause)
			go func() {
				time.Sleep(time.Hour)
				c.Shutdown(context.Background())
			}()
			_, err = watch(t.Context(), get(t, c, "a").Revision) // the shutdown may be a change
			require.ErrorIs(t, err, batch.ErrShutdown)
			n, err = watch(t.Context(), 0)
			require.Equal(t, 1, n, "jobs can still be read")
			require.ErrorIs(t, err, batch.ErrShutdown)
		})
	}
}

func TestWatchTooOld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "first", Suspend: true, Executor: succeed})
		since := get(t, c, "first").Revision
		for range 1100 {
			mustCreate(t, c, batch.Job{Name: "j", Suspend: true, Executor: succeed})
			get(t, c, "j")
			require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteBackground))
		}
		n := 0
		for _, err := range c.Watch(t.Context(), since) {
			n++
			require.ErrorIs(t, err, batch.ErrTooOld)
		}
		require.Equal(t, 1, n)
		for change, err := range c.Watch(t.Context(), 0) {
			require.NoError(t, err)
			require.True(t, change.Added)
			require.Equal(t, "first", change.Status.Name)
			break
		}
	})
}

// Watchers that come, go and resume anywhere learn how every job ended.
func TestManyWatchers(t *testing.T) {
	c := newController(t, batch.Options{Logger: slog.New(slog.DiscardHandler)})
	const jobs, watchers = 100, 8
	mustCreate(t, c, batch.Job{Name: "first", Suspend: true, Executor: succeed})
	since := get(t, c, "first").Revision
	var wg sync.WaitGroup
	for range watchers {
		wg.Go(func() {
			final := map[string]batch.Status{}
			last := since
			for len(final) < jobs {
				n := 0
				for change, err := range c.Watch(t.Context(), last) {
					if err != nil || change.Status.Revision <= last {
						t.Errorf("revision %d after %d: %v", change.Status.Revision, last, err)
						return
					}
					last = change.Status.Revision
					if change.Deleted {
						final[change.Status.Name] = change.Status
					}
					if n++; n%7 == 0 || len(final) == jobs {
						break // and resume
					}
				}
			}
			for name, s := range final {
				if s.Succeeded != 20 || !s.Is(batch.ConditionComplete) {
					t.Errorf("%s: %v", name, s)
				}
			}
		})
	}
	for i := range jobs {
		wg.Go(func() {
			name := fmt.Sprint("j", i)
			if err := c.Create(t.Context(), batch.Job{Name: name, Completions: new(20), Parallelism: new(2),
				Executor: succeed}); err != nil {
				t.Error(err)
			}
			if _, err := c.Wait(t.Context(), name); err != nil {
				t.Error(err)
			}
			if err := c.Delete(t.Context(), name, batch.DeleteBackground); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestSoftShutdown(t *testing.T) {
	for _, limit := range []int{0, 3} {
		t.Run(fmt.Sprint("MaxActive ", limit), func(t *testing.T) {
			bubble(t, func(t *testing.T) { testSoftShutdown(t, limit) })
		})
	}
}

func testSoftShutdown(t *testing.T, limit int) {
	c := newController(t, batch.Options{MaxActive: limit})
	mustCreate(t, c, batch.Job{Name: "runs", Completions: new(2), Executor: takes(time.Hour)})
	mustCreate(t, c, batch.Job{Name: "retries", Executor: fails(errDisk)})
	mustCreate(t, c, batch.Job{Name: "restarts", RestartPolicy: batch.RestartOnFailure, Executor: fails(errDisk)})
	mustCreate(t, c, batch.Job{Name: "suspended", Suspend: true, Executor: succeed})
	mustCreate(t, c, batch.Job{
		Name: "timed", AttemptTimeout: new(10 * time.Minute), BackoffLimit: new(0), Executor: untilDone,
	})
	time.Sleep(time.Second)
	mustCreate(t, c, batch.Job{Name: "pending", Parallelism: new(9), Completions: new(9), Executor: takes(2 * time.Hour)})
	start := time.Now()
	time.AfterFunc(time.Minute, func() {
		if err := c.Create(t.Context(), batch.Job{Name: "late", Executor: succeed}); !errors.Is(err, batch.ErrShutdown) {
			t.Errorf("Create during the shutdown: %v", err)
		}
		if _, err := c.Get("runs"); err != nil {
			t.Errorf("Get during the shutdown: %v", err)
		}
	})
	waited := make(chan error, 1)
	go func() { _, err := c.Wait(t.Context(), "retries"); waited <- err }()
	require.NoError(t, c.Shutdown(t.Context()))
	require.ErrorIs(t, <-waited, batch.ErrShutdown)
	want := 2 * time.Hour
	if limit > 0 {
		want = time.Hour - time.Second // its slots were taken: "pending" got one that "retries" gave back
	}
	require.GreaterOrEqual(t, time.Since(start), want)
	synctest.Wait()
	for s := range c.All() {
		require.Zero(t, s.Active+s.Pending+s.Terminating, "%v", s)
		require.NotEmpty(t, s.Explain())
	}
	require.Equal(t, 1, get(t, c, "runs").Succeeded, "what ran was let run")
	require.False(t, get(t, c, "runs").Finished())
	require.Zero(t, get(t, c, "restarts").Failed, "what waited does not count")
	_, err := c.Wait(t.Context(), "timed")
	failed(t, err, batch.ReasonBackoffLimitExceeded)
	require.Equal(t, start.Add(10*time.Minute-time.Second), attemptsOf(t, c, "timed")[0].FinishedAt, "timeouts go on")
	require.NoError(t, c.Shutdown(ended(errCause)), "again")
}

func TestHardShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		obeys := fn(func(ctx context.Context) error { <-ctx.Done(); time.Sleep(4 * time.Second); return context.Cause(ctx) })
		mustCreate(t, c, batch.Job{
			Name: "obeys", Parallelism: new(3), Completions: new(5), BackoffLimit: new(0), Executor: obeys,
		})
		mustCreate(t, c, batch.Job{Name: "succeeds", Parallelism: new(1), Completions: new(2),
			TerminationGracePeriod: new(time.Minute),
			Executor: fn(func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Minute - time.Second)
				return nil
			})})
		mustCreate(t, c, batch.Job{
			Name: "restarts", RestartPolicy: batch.RestartOnFailure, BackoffLimit: new(0), Executor: obeys,
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		require.NoError(t, c.Shutdown(ctx))
		require.Equal(t, time.Hour+time.Minute-time.Second, time.Since(start))
		for s := range c.All() {
			require.Zero(t, s.Failed+s.Succeeded+s.Active+s.Terminating, "%v", s)
			require.False(t, s.Finished())
		}
		for _, a := range attemptsOf(t, c, "obeys") {
			require.Equal(t, batch.AttemptFailed, a.Phase)
			require.ErrorIs(t, a.Err, batch.ErrShutdown)
		}
	})
}

func TestShutdownAbandons(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, err := batch.New(t.Context(), batch.Options{Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		release := make(chan struct{})
		stuck := fn(func(context.Context) error { <-release; return nil })
		for i := range 7 {
			mustCreate(t, c, batch.Job{Name: fmt.Sprint("stuck", i), TerminationGracePeriod: new(time.Minute), Executor: stuck})
		}
		mustCreate(t, c, batch.Job{Name: "deleted", TerminationGracePeriod: new(time.Hour), Executor: stuck})
		mustCreate(t, c, batch.Job{Name: "lost", BackoffLimit: new(0), Executor: stuck})
		mustCreate(t, c, batch.Job{Name: "obeys", Executor: untilDone})
		synctest.Wait()
		var names []string
		for s := range c.All() {
			if s.Name != "obeys" {
				names = append(names, attemptsOf(t, c, s.Name)[0].Name)
			}
		}
		slices.Sort(names)
		require.NoError(t, c.Disrupt(t.Context(), "lost", attemptsOf(t, c, "lost")[0].Name, "DeletionByPodGC"))
		require.NoError(t, c.Delete(t.Context(), "deleted", batch.DeleteBackground))
		time.Sleep(2 * time.Hour)

		start := time.Now()
		err = c.Shutdown(ended(errCause))
		abandoned, ok := errors.AsType[*batch.AbandonedError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, names, abandoned.Attempts)
		require.Regexp(t, `^batch: executors that have not returned: (\S+, ){4}\S+ and 4 more$`, err.Error())
		require.WithinDuration(t, start.Add(time.Minute), time.Now(), time.Second)
		require.Equal(t, 1, get(t, c, "stuck0").Terminating)

		_, err = c.Wait(t.Context(), "stuck0")
		require.ErrorIs(t, err, batch.ErrShutdown, "nobody waits for what never ends")
		for _, err := range c.Watch(t.Context(), get(t, c, "stuck0").Revision) {
			if err != nil {
				require.ErrorIs(t, err, batch.ErrShutdown)
			}
		}
		again := make(chan error, 1)
		go func() { again <- c.Shutdown(t.Context()) }()
		synctest.Wait()
		close(release)
		require.NoError(t, <-again)
		require.Equal(t, 0, get(t, c, "stuck0").Terminating)
		require.Equal(t, 0, get(t, c, "stuck0").Succeeded)
	})
}

func TestConcurrentShutdowns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 2})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				for k := range 20 {
					err := c.Create(t.Context(), batch.Job{
						Name: fmt.Sprintf("j%d-%d", i, k), Completions: new(3), Parallelism: new(2), Executor: takes(time.Second),
					})
					if err != nil && !errors.Is(err, batch.ErrShutdown) {
						t.Error(err)
					}
					time.Sleep(time.Millisecond)
				}
			})
			wg.Go(func() {
				time.Sleep(10 * time.Millisecond)
				if err := c.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for s := range c.All() {
			require.Zero(t, s.Active+s.Terminating)
		}
	})
}

// A shutdown before anything began, and with nothing ever.
func TestShutdownOfNothing(t *testing.T) {
	c, err := batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	require.NoError(t, c.Shutdown(t.Context()))
	require.NoError(t, c.Shutdown(ended(errCause)))
}

func TestRun(t *testing.T) {
	tests := map[string]struct {
		job    batch.Job
		within time.Duration // of the context; 0: long
		state  string
		reason string
		err    error
	}{
		"it completes": {batch.Job{Executor: succeed}, 0, "Complete", "", nil},
		"it fails": {
			batch.Job{BackoffLimit: new(1), Executor: fails(errDisk)}, 0, "Failed", batch.ReasonBackoffLimitExceeded, errDisk,
		},
		"it needs nothing": {batch.Job{Completions: new(0), Executor: fails(errDisk)}, 0, "Complete", "", nil},
		"it has no time": {
			batch.Job{ActiveDeadline: new(time.Duration(0)), Executor: fails(errDisk)}, 0, "Failed",
			batch.ReasonDeadlineExceeded, nil,
		},
		"it is removed at once": {
			batch.Job{TTLAfterFinished: new(time.Duration(0)), Executor: succeed}, 0, "Complete", "", nil,
		},
		"it fails and is removed": {
			batch.Job{TTLAfterFinished: new(time.Duration(0)), BackoffLimit: new(0), Executor: fails(errDisk)}, 0, "Failed",
			batch.ReasonBackoffLimitExceeded, errDisk,
		},
		"its context ends": {batch.Job{Executor: untilDone}, time.Minute, "Running", "", errCause},
		"it succeeds when cancelled": {
			batch.Job{Executor: fn(func(ctx context.Context) error { <-ctx.Done(); return nil })}, time.Minute, "Running", "",
			errCause,
		},
		"its context ends in a wait": {
			batch.Job{Backoff: batch.ConstantBackoff(time.Hour), Executor: fails(errDisk)}, time.Minute, "Running", "", errCause,
		},
		"it was suspended": {batch.Job{Suspend: true, Executor: succeed}, time.Minute, "Suspended", "", errCause},
		"it is paused":     {batch.Job{Parallelism: new(0), Executor: succeed}, time.Minute, "Running", "", errCause},
		"it is another's": {
			batch.Job{ManagedBy: new("example.com/other"), Executor: succeed}, time.Minute, "Running", "", errCause,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), 24*time.Hour, errors.New("it never ends"))
				defer cancel()
				if test.within > 0 {
					ctx, cancel = context.WithTimeoutCause(t.Context(), test.within, errCause)
					defer cancel()
				}
				test.job.Name = "j"
				status, err := batch.Run(ctx, test.job)
				require.Equal(t, test.state, status.State())
				require.Zero(t, status.Active+status.Terminating)
				if test.reason == "" {
					require.ErrorIs(t, err, test.err)
				} else {
					failed(t, err, test.reason)
					require.True(t, test.err == nil || errors.Is(err, test.err))
				}
			})
		})
	}
}

func TestRunDoesNotBegin(t *testing.T) {
	status, err := batch.Run(t.Context(), batch.Job{Name: "j"})
	_, ok := errors.AsType[*batch.ValidationError](err)
	require.True(t, ok)
	require.Zero(t, status)
	_, err = batch.Run(ended(errCause), batch.Job{Name: "j",
		Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
			t.Error("it ran")
			return nil
		})})
	require.ErrorIs(t, err, errCause)
}

func TestRunAbandons(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errCause)
		defer cancel()
		start := time.Now()
		status, err := batch.Run(ctx, batch.Job{
			Name: "j", TerminationGracePeriod: new(time.Minute),
			Executor: fn(func(context.Context) error { <-release; return nil }),
		})
		require.ErrorIs(t, err, errCause)
		_, ok := errors.AsType[*batch.AbandonedError](err)
		require.True(t, ok)
		require.Equal(t, 1, status.Terminating)
		require.WithinDuration(t, start.Add(2*time.Minute), time.Now(), time.Second)
		close(release)
	})
}

func TestMap(t *testing.T) {
	double := func(_ context.Context, n int) (int, error) { return 2 * n, nil }
	tests := map[string]struct {
		job    batch.Job
		items  []int
		fn     func(ctx context.Context, n int) (int, error)
		want   []int
		reason string
		took   time.Duration
	}{
		"all is well": {batch.Job{Parallelism: new(3)}, []int{1, 2, 3, 4, 5}, double, []int{2, 4, 6, 8, 10}, "", 0},
		"no items":    {batch.Job{}, nil, double, []int{}, "", 0},
		"one at a time": {
			batch.Job{Parallelism: new(1)}, []int{1, 2, 3},
			func(context.Context, int) (int, error) { time.Sleep(time.Second); return 1, nil }, []int{1, 1, 1}, "",
			3 * time.Second,
		},
		"an item is retried": {batch.Job{Backoff: batch.ExponentialBackoff(10*time.Second, time.Hour, 0)}, []int{1, 2},
			func(ctx context.Context, n int) (int, error) {
				a, ok := batch.AttemptFrom(ctx)
				require.True(t, ok)
				if n == 1 && a.Number < 2 {
					return 77, errDisk
				}
				return a.Number, nil
			}, []int{2, 0}, "", 30 * time.Second},
		"an item fails for good": {batch.Job{Parallelism: new(3), BackoffLimitPerIndex: new(1),
			Backoff: batch.ConstantBackoff(10 * time.Second)}, []int{1, 2, 3}, func(_ context.Context, n int) (int, error) {
			if n == 2 {
				return 77, errDisk
			}
			return n, nil
		}, []int{1, 0, 3}, batch.ReasonFailedIndexes, 10 * time.Second},
		"an item panics": {batch.Job{Parallelism: new(3), BackoffLimitPerIndex: new(0)}, []int{1, 2, 3},
			func(_ context.Context, n int) (int, error) {
				if n == 2 {
					panic("gotcha")
				}
				return n, nil
			}, []int{1, 0, 3}, batch.ReasonFailedIndexes, 0},
		"a common limit": {batch.Job{Parallelism: new(1), BackoffLimit: new(0)}, []int{1, 2, 3},
			func(_ context.Context, n int) (int, error) {
				if n == 2 {
					return 0, errDisk
				}
				return n, nil
			}, []int{1, 0, 0}, batch.ReasonBackoffLimitExceeded, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				test.job.Name = "map"
				start := time.Now()
				got, err := batch.Map(t.Context(), test.job, test.items, test.fn)
				require.Equal(t, test.want, got)
				require.Equal(t, test.took, time.Since(start))
				if test.reason == "" {
					require.NoError(t, err)
				} else {
					failed(t, err, test.reason)
				}
			})
		})
	}
}

func TestMapIsCancelled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errCause)
		defer cancel()
		got, err := batch.Map(ctx, batch.Job{Name: "map", Parallelism: new(3)}, []int{1, 100, 2},
			func(ctx context.Context, n int) (string, error) {
				return fmt.Sprint(n), func() error {
					if err := sleep(ctx, time.Duration(n)*time.Second); err != exit(3) {
						return err
					}
					return nil
				}()
			})
		require.ErrorIs(t, err, errCause)
		require.Equal(t, []string{"1", "", "2"}, got)
	})
}

func TestMapForbids(t *testing.T) {
	_, err := batch.Map(t.Context(), batch.Job{Name: "map", Executor: succeed, Completions: new(1),
		CompletionMode: batch.NonIndexed},
		[]int{1}, (func(context.Context, int) (int, error))(nil))
	require.EqualError(t, err, `batch: job "map" is invalid: Executor: Required value: the function of Map is nil; `+
		`Executor: Forbidden: is set by Map; Completions: Forbidden: is set by Map; CompletionMode: Forbidden: is set by Map`)
	_, err = batch.Map(t.Context(), batch.Job{}, []int{1}, func(context.Context, int) (int, error) { return 0, nil })
	require.ErrorContains(t, err, "Name: Required value: a job needs a name")
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

// Everything at once, on a few names: it only has to end well.
func TestConcurrentUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 8, Logger: slog.New(slog.DiscardHandler)})
		names := []string{"a", "b", "c"}
		executor := batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			fmt.Fprintln(a.Stdout(), "hello")
			a.Progress(1, 2, "x")
			switch a.Number % 4 {
			case 0:
				return sleep(ctx, 5*time.Millisecond)
			case 1:
				panic("boom")
			}
			a.SetReady(false)
			return nil
		})
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				ctx := t.Context()
				for i := range 60 {
					name := names[(w+i)%len(names)]
					c.Create(ctx, batch.Job{Name: name, CompletionMode: batch.Indexed, Completions: new(5), Parallelism: new(5),
						Backoff:      batch.ConstantBackoff(time.Millisecond),
						BackoffLimit: new(100), RestartPolicy: []string{batch.RestartNever, batch.RestartOnFailure}[i%2],
						Executor: executor})
					switch (w + i) % 8 {
					case 0:
						c.Suspend(ctx, name)
					case 1:
						c.Resume(ctx, name)
					case 2:
						c.Update(ctx, name, func(j *batch.Job) { j.Completions, j.Parallelism = new(i%7), new(i%7) })
					case 3:
						c.Delete(ctx, name, []string{batch.DeleteBackground, batch.DeleteForeground, batch.DeleteOrphan}[i%3])
					case 4, 5:
						for _, a := range attemptsIfAny(c, name) {
							c.Disrupt(ctx, name, a.UID, []string{"EvictionByEvictionAPI", "DeletionByPodGC", "TerminationByKubelet"}[i%3])
							for range c.Logs(ctx, name, a.Name, batch.LogOptions{}) {
							}
						}
					case 6:
						for s := range c.All() {
							_, _ = s.Explain(), s.String()
						}
						c.Events(t.Context(), name)
					case 7:
						c.Resume(ctx, name)
						ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
						c.Wait(ctx, name)
						cancel()
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Minute)
		for _, name := range names {
			if s, err := c.Get(name); err == nil && !s.Finished() {
				require.NoError(
					t,
					c.Update(t.Context(), name, func(j *batch.Job) {
						j.Suspend, j.Completions, j.Parallelism = false, new(5), new(5)
					}),
				)
				s, err = c.Wait(t.Context(), name)
				require.True(t, err != nil || s.Succeeded == 5, "%v", s)
			}
			if s, err := c.Get(name); err == nil {
				require.Zero(t, s.Active+s.Terminating+s.Abandoned, "%v", s)
			}
		}
	})
}

// A sightings knows what was seen of a job at each revision.
type sightings struct {
	mu  sync.Mutex
	all map[uint64]string
}

// add takes in a status. Whoever sees the same revision sees the same.
func (s *sightings) add(t *testing.T, status batch.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprint(
		status.Succeeded, status.Failed, status.Active, status.Ready, status.CompletedIndexes.Len(), status.State(),
	)
	if before, ok := s.all[status.Revision]; ok && before != text {
		t.Errorf("revision %d is %s and %s", status.Revision, before, text)
	}
	s.all[status.Revision] = text
}

// Attempts that take no time are counted apart from the job, until somebody looks
// at it.
func TestLookingAtAFastJob(t *testing.T) {
	n := 1_000_000
	if race.Enabled {
		n = 100_000
	}
	for _, mode := range []string{batch.NonIndexed, batch.Indexed} {
		for _, meddled := range []bool{false, true} {
			t.Run(fmt.Sprint(mode, " ", meddled), func(t *testing.T) {
				c := newController(t, batch.Options{Logger: slog.New(slog.DiscardHandler)})
				defer func() { require.NoError(t, c.Shutdown(t.Context())) }()
				var calls, failures atomic.Int64
				job := batch.Job{Name: "job", CompletionMode: mode, Completions: new(n), Parallelism: new(5), BackoffLimit: new(n),
					Backoff: batch.ConstantBackoff(0), History: new(100),
					Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
						switch call := calls.Add(1); {
						case call%5003 == 0:
							failures.Add(1)
							return errors.New("now and then")
						case call%4001 == 0:
							return ctx.Err() // it asks its context, which costs more
						case call%3001 == 0:
							fmt.Fprintln(a.Stdout(), "hello")
						case call%2003 == 0:
							runtime.Gosched()
						}
						return nil
					})}
				mustCreate(t, c, job)
				seen := sightings{all: make(map[uint64]string)}
				var lookers sync.WaitGroup
				lookers.Go(func() {
					for last := (batch.Status{}); !last.Finished(); {
						status := get(t, c, "job")
						if status.Revision < last.Revision || status.Succeeded < last.Succeeded {
							t.Errorf("%v goes back to %v", last, status)
						}
						seen.add(t, status)
						last = status
					}
				})
				lookers.Go(func() {
					last := uint64(0)
					for change, err := range c.Watch(t.Context(), 0) {
						if err != nil || change.Status.Revision <= last {
							t.Errorf("revision %d after %d: %v", change.Status.Revision, last, err)
							return
						}
						last = change.Status.Revision
						seen.add(t, change.Status)
						if change.Status.Finished() {
							return
						}
					}
				})
				if meddled {
					lookers.Go(func() { meddle(t, c) })
				}
				status, err := c.Wait(t.Context(), "job")
				require.NoError(t, err)
				lookers.Wait()
				require.NoError(t, batch.Check(c, "job"))
				require.Equal(t, n, status.Succeeded)
				attempts, err := c.Attempts(t.Context(), "job")
				require.NoError(t, err)
				require.Len(t, attempts, 100)
				if !meddled {
					require.Equal(t, int64(n)+failures.Load(), calls.Load())
					require.Equal(t, int(failures.Load()), status.Failed)
				}
			})
		}
	}
}

// meddle looks at a job closely, and changes it, until it has finished.
func meddle(t *testing.T, c *batch.Controller) {
	ctx := t.Context()
	for i := 0; ; i++ {
		if err := batch.Check(c, "job"); err != nil {
			t.Error(err)
		}
		attempts, err := c.Attempts(t.Context(), "job")
		if err != nil {
			t.Error(err)
		}
		switch i % 4 {
		case 0:
			err = c.Suspend(ctx, "job")
		case 1:
			err = c.Resume(ctx, "job")
		case 2:
			err = c.Update(ctx, "job", func(j *batch.Job) { j.Parallelism = new(1 + i%7) })
		case 3:
			if last := attempts[len(attempts)-1]; last.Phase == batch.AttemptRunning {
				err = c.Disrupt(ctx, "job", last.UID, "EvictionByEvictionAPI")
			}
		}
		switch {
		case err == nil, errors.Is(err, batch.ErrNotFound):
		case errors.Is(err, batch.ErrAttemptEnded):
			if get(t, c, "job").Finished() {
				return
			}
		default:
			t.Error(err)
			return
		}
		if get(t, c, "job").Finished() {
			return
		}
		for range 100 { // what runs gets on between two changes
			runtime.Gosched()
		}
	}
}

// Who watches a fast job is told when it goes on, although attempts that take no
// time are counted apart from it.
func TestFastJobIsWatched(t *testing.T) {
	for _, mode := range []string{batch.NonIndexed, batch.Indexed} {
		t.Run(string(mode), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				const n, first, second = 1000, 500, 501
				watched, goOn := make(chan struct{}), make(chan struct{})
				calls := 0
				mustCreate(t, c, batch.Job{Name: "job", CompletionMode: mode, Completions: new(n),
					Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
						switch calls++; calls {
						case first:
							<-watched
						case second:
							<-goOn
						}
						return nil
					})})
				synctest.Wait()
				var seen []int
				for change, err := range c.Watch(t.Context(), 0) {
					require.NoError(t, err)
					seen = append(seen, change.Status.Succeeded)
					if len(seen) == 2 {
						break
					}
					close(watched)
				}
				require.Equal(t, []int{first - 1, second - 1}, seen)
				close(goOn)
				status, err := c.Wait(t.Context(), "job")
				require.NoError(t, err)
				require.Equal(t, n, status.Succeeded)
			})
		})
	}
}
