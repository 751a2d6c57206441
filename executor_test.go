package batch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// hostile is an error each of whose methods does what it is told.
type hostile struct {
	text    func() string
	code    func() int
	is      func() bool
	as      func() bool
	wrapped error
}

func (h hostile) Error() string {
	if h.text != nil {
		return h.text()
	}
	return "hostile"
}

func (h hostile) ExitCode() int {
	if h.code != nil {
		return h.code()
	}
	return 7
}

func (h hostile) Is(error) bool { return h.is != nil && h.is() }
func (h hostile) As(any) bool   { return h.as != nil && h.as() }
func (h hostile) Unwrap() error { return h.wrapped }

// uncomparable is an error that == panics on.
type uncomparable []string

func (u uncomparable) Error() string { return strings.Join(u, " ") }

// nilError has methods that work on a nil pointer, and one that does not.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// goexit ends the goroutine in the place of a result.
func goexit[T any]() (zero T) { runtime.Goexit(); return zero }

// panics in the place of a result.
func panics[T any]() T { panic("gotcha") }

var errDisk = errors.New("disk full")

func TestHowExecutorsFail(t *testing.T) {
	type test struct {
		execute func() error
		code    int
		message string // the failure's; a part of it
		is      error  // what the job's error wraps
	}
	tests := map[string]test{
		"an error has code 1": {func() error { return errDisk }, 1, "disk full", errDisk},
		"an error with a code": {
			func() error { return fmt.Errorf("wrapped: %w", exit(42)) }, 42, "wrapped: exit", exit(42),
		},
		"the code 0 of an error is not success": {func() error { return exit(0) }, 1, "exit", exit(0)},
		"a negative code":                       {func() error { return exit(-3) }, -3, "exit", exit(-3)},
		"an error that cannot be compared":      {func() error { return uncomparable{"a", "b"} }, 1, "a b", nil},
		"a nil pointer as an error":             {func() error { return (*nilError)(nil) }, 1, "nil pointer", nil},
		"panic with a text":                     {func() error { panic("boom") }, 2, "executor panicked: boom", nil},
		"panic with an error": {
			func() error { panic(errDisk) }, 2, "executor panicked: disk full", errDisk,
		},
		"panic with nil": {func() error { panic(nil) }, 2, "panic called with nil", nil},
		"a run-time error": {
			func() error { return []error{nil}[len(t.Name())] }, 2, "index out of range", nil,
		},
		"runtime.Goexit": {goexit[error], 2, "runtime.Goexit", batch.ErrGoexit},
		"an error whose text panics": {
			func() error { return hostile{text: panics[string]} }, 7, "whose text cannot be had: panic: gotcha", nil,
		},
		"an error whose text exits": {
			func() error { return hostile{text: goexit[string]} }, 2, "runtime.Goexit", nil,
		},
		"an error whose exit code panics": {func() error { return hostile{code: panics[int]} }, 1, "hostile", nil},
		"an error whose exit code exits": {
			func() error { return hostile{code: goexit[int]} }, 2, "runtime.Goexit", nil,
		},
		"an error whose As panics": {func() error { return hostile{as: panics[bool]} }, 7, "hostile", nil},
		"an error whose Is panics": {func() error { return hostile{is: panics[bool]} }, 7, "hostile", nil},
		"an error whose As lies": {
			func() error { return hostile{as: func() bool { return true }} }, 7, "hostile", nil,
		},
		"a panic with an error whose As panics": {func() error { panic(hostile{as: panics[bool]}) }, 2, "panicked", nil},
		"an error with a text without end": {
			func() error { return hostile{text: func() string { return strings.Repeat("x", 1<<20) }} }, 7,
			strings.Repeat("x", 4096), nil,
		},
		"an error whose text is cut in a letter": {
			func() error { return errors.New(strings.Repeat("ä", 1<<12) + "x") }, 1, strings.Repeat("ä", 2048), nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				mustCreate(t, c, batch.Job{Name: "j", BackoffLimit: new(0),
					// A rule that looks at every error, and does not match.
					FailurePolicy: []batch.FailureRule{
						{Action: batch.ActionIgnore, OnError: batch.ErrorIs(context.DeadlineExceeded)}},
					Executor: fn(func(context.Context) error { return test.execute() })})
				status, err := c.Wait(t.Context(), "j")
				jobErr := failed(t, err, batch.ReasonBackoffLimitExceeded)
				require.Equal(t, 1, status.Failed)
				require.Zero(t, status.Active+status.Terminating)
				require.Equal(t, test.code, status.LastFailure.ExitCode)
				require.Contains(t, status.LastFailure.Message, test.message)
				require.LessOrEqual(t, len(status.LastFailure.Message), 4096)
				require.Len(t, jobErr.Attempts, 1)
				require.Equal(t, test.code, jobErr.Attempts[0].ExitCode)
				if test.is != nil {
					require.ErrorIs(t, err, test.is)
				}
				a := attemptsOf(t, c, "j")[0]
				require.Equal(t, batch.AttemptFailed, a.Phase)
				require.Equal(t, test.code, *a.ExitCode)
				require.Contains(t, a.Message, test.message)
			})
		})
	}
}

func TestPanicHasItsStack(t *testing.T) {
	_, err := batch.Run(t.Context(), batch.Job{
		Name: "j", BackoffLimit: new(0), Executor: fn(func(context.Context) error { panics[int](); return nil }),
	})
	panicked, ok := errors.AsType[*batch.PanicError](err)
	require.True(t, ok)
	require.Equal(t, "gotcha", panicked.Value)
	require.Contains(t, string(panicked.Stack), "panics[...]")
}

// User code of all kinds panics or exits: the job must come to its end.
func TestHostileCallbacks(t *testing.T) {
	rules := func(f func(error) bool) []batch.FailureRule {
		return []batch.FailureRule{{Action: batch.ActionFailJob, OnError: f}}
	}
	tests := map[string]struct {
		job  batch.Job
		took time.Duration // for two failures and a success
	}{
		"a predicate panics": {
			batch.Job{FailurePolicy: rules(func(error) bool { panic("gotcha") })}, 30 * time.Second,
		},
		"a predicate exits": {
			batch.Job{FailurePolicy: rules(func(error) bool { return goexit[bool]() })}, 30 * time.Second,
		},
		"a back-off factory panics": {batch.Job{Backoff: batch.BackoffFunc(panics[backoff.BackOff])}, 30 * time.Second},
		"a back-off factory exits":  {batch.Job{Backoff: batch.BackoffFunc(goexit[backoff.BackOff])}, 30 * time.Second},
		"a back-off factory gives nil": {
			batch.Job{Backoff: batch.BackoffFunc(func() backoff.BackOff { return nil })}, 30 * time.Second,
		},
		"a back-off panics": {
			batch.Job{Backoff: batch.BackoffFunc(func() backoff.BackOff { return next(panics[time.Duration]) })},
			30 * time.Second,
		},
		"a back-off exits": {
			batch.Job{Backoff: batch.BackoffFunc(func() backoff.BackOff { return next(goexit[time.Duration]) })},
			30 * time.Second,
		},
		"a back-off is negative": {
			batch.Job{
				Backoff: batch.BackoffFunc(func() backoff.BackOff { return next(func() time.Duration { return -time.Hour }) }),
			},
			0,
		},
		"a back-off takes its time": {
			batch.Job{
				Backoff: batch.BackoffFunc(func() backoff.BackOff {
					return next(func() time.Duration { time.Sleep(time.Hour); return 0 })
				}),
			},
			2 * time.Hour,
		},
		"a restart back-off panics": {
			batch.Job{RestartPolicy: batch.RestartOnFailure, RestartBackoff: batch.BackoffFunc(panics[backoff.BackOff])},
			10 * time.Second,
		},
		"a restart back-off exits": {
			batch.Job{RestartPolicy: batch.RestartOnFailure, RestartBackoff: batch.BackoffFunc(goexit[backoff.BackOff])},
			10 * time.Second,
		},
		"a restart back-off gives nil": {
			batch.Job{
				RestartPolicy: batch.RestartOnFailure, RestartBackoff: batch.BackoffFunc(func() backoff.BackOff { return nil }),
			},
			10 * time.Second,
		},
		"a restart back-off is negative": {
			batch.Job{
				RestartPolicy: batch.RestartOnFailure,
				RestartBackoff: batch.BackoffFunc(func() backoff.BackOff {
					return next(func() time.Duration { return -time.Hour })
				}),
			},
			0,
		},
		"a back-off of an index exits": {
			batch.Job{
				CompletionMode: batch.Indexed, Completions: new(1), BackoffLimitPerIndex: new(3),
				Backoff: batch.BackoffFunc(goexit[backoff.BackOff]),
			},
			30 * time.Second,
		},
		"a back-off of an index takes it": {
			batch.Job{
				CompletionMode: batch.Indexed, Completions: new(1), BackoffLimitPerIndex: new(3),
				Backoff: batch.BackoffFunc(func() backoff.BackOff {
					return next(func() time.Duration { time.Sleep(time.Hour); return 0 })
				}),
			},
			2 * time.Hour,
		},
	}
	for name, test := range tests {
		for _, limit := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, MaxActive %d", name, limit), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newController(t, batch.Options{MaxActive: limit})
					var calls atomic.Int32
					test.job.Name = "j"
					test.job.Executor = fn(func(context.Context) error {
						if calls.Add(1) <= 2 {
							return errDisk
						}
						return nil
					})
					start := time.Now()
					mustCreate(t, c, test.job)
					ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
					defer cancel()
					_, err := c.Wait(ctx, "j")
					require.NoError(t, err)
					require.Equal(t, test.took, time.Since(start))
				})
			})
		}
	}
}

// next is a back-off of one function.
type next func() time.Duration

func (f next) NextBackOff() time.Duration { return f() }
func (f next) Reset()                     {}

func TestGoexitLosesNoSlot(t *testing.T) {
	for _, limit := range []int{0, 1, 3} {
		t.Run(fmt.Sprintf("MaxActive %d", limit), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{MaxActive: limit, Logger: slog.New(slog.DiscardHandler)})
				const jobs, size = 5, 50
				var calls atomic.Int32
				for i := range jobs {
					mustCreate(t, c, batch.Job{Name: fmt.Sprint("j", i), CompletionMode: batch.Indexed, Completions: new(size),
						Parallelism:          new(4),
						BackoffLimitPerIndex: new(3), Backoff: batch.ConstantBackoff(time.Second),
						Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
							calls.Add(1)
							if a.Number < 2 {
								runtime.Goexit()
							}
							return nil
						})})
				}
				for i := range jobs {
					status, err := c.Wait(t.Context(), fmt.Sprint("j", i))
					require.NoError(t, err)
					require.Equal(t, 2*size, status.Failed)
				}
				require.EqualValues(t, 3*jobs*size, calls.Load())
				if limit > 0 { // every slot is still there
					var running, most atomic.Int32
					mustCreate(t, c, batch.Job{
						Name: "last", Completions: new(20), Parallelism: new(10), Executor: counted(&running, &most, takes(time.Second)),
					})
					_, err := c.Wait(t.Context(), "last")
					require.NoError(t, err)
					require.EqualValues(t, limit, most.Load())
				}
			})
		})
	}
}

// counted counts the executors that run, and how many were the most.
func counted(running, most *atomic.Int32, e batch.Executor) batch.Executor {
	return batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		return e.Execute(ctx, a)
	})
}

// stops are the ways in which an attempt of job "j" is asked to stop, each by
// the cause that its context then has. The job has two attempts at once.
var stops = map[string]struct {
	cause error
	do    func(ctx context.Context, c *batch.Controller, attempt string) error
}{
	"a user deletes it": {batch.ErrDeleted, func(ctx context.Context, c *batch.Controller, attempt string) error {
		return c.DeleteAttempt(ctx, "j", attempt)
	}},
	"its job is deleted": {batch.ErrDeleted, func(ctx context.Context, c *batch.Controller, _ string) error {
		return c.Delete(ctx, "j", batch.DeleteBackground)
	}},
	"its job is being deleted": {batch.ErrDeleted, func(ctx context.Context, c *batch.Controller, _ string) error {
		return c.Delete(ctx, "j", batch.DeleteForeground)
	}},
	"its job fails": {batch.ErrJobFinished, func(ctx context.Context, c *batch.Controller, _ string) error {
		return c.Update(ctx, "j", func(j *batch.Job) { j.ActiveDeadline = new(time.Nanosecond) })
	}},
	"its job is suspended": {batch.ErrSuspended, func(ctx context.Context, c *batch.Controller, _ string) error {
		return c.Suspend(ctx, "j")
	}},
	"its job needs none": {batch.ErrScaledDown, func(ctx context.Context, c *batch.Controller, _ string) error {
		return c.Update(ctx, "j", func(j *batch.Job) { j.Parallelism = new(0) })
	}},
	"its index is cut off": {batch.ErrScaledDown, func(ctx context.Context, c *batch.Controller, _ string) error {
		return c.Update(ctx, "j", func(j *batch.Job) { j.Completions, j.Parallelism = new(0), new(0) })
	}},
	"it is evicted": {batch.ErrDisrupted, func(ctx context.Context, c *batch.Controller, attempt string) error {
		return c.Disrupt(ctx, "j", attempt, "EvictionByEvictionAPI")
	}},
	"it is killed": {batch.ErrDisrupted, func(ctx context.Context, c *batch.Controller, attempt string) error {
		return c.Disrupt(ctx, "j", attempt, "TerminationByKubelet")
	}},
	"it is lost": {batch.ErrDisrupted, func(ctx context.Context, c *batch.Controller, attempt string) error {
		return c.Disrupt(ctx, "j", attempt, "DeletionByPodGC")
	}},
	"its time is over": {batch.ErrAttemptTimeout, func(context.Context, *batch.Controller, string) error {
		time.Sleep(time.Hour)
		return nil
	}},
	"the controller is shut down": {batch.ErrShutdown, func(ctx context.Context, c *batch.Controller, _ string) error {
		return c.Shutdown(ended(errDisk))
	}},
}

func TestWhyAContextEnds(t *testing.T) {
	for name, stop := range stops {
		for _, early := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, asked before: %v", name, early), func(t *testing.T) {
				bubble(t, func(t *testing.T) { testCause(t, stop.cause, stop.do, early) })
			})
		}
	}
}

// testCause stops the attempt of index 0. Its executor looks at its context
// before that, or only when it is over.
func testCause(t *testing.T, cause error, stop func(context.Context, *batch.Controller, string) error, early bool) {
	c := newController(t, batch.Options{})
	look := make(chan struct{})
	var causes, after atomic.Int32
	mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(2),
		AttemptTimeout: new(time.Hour), TerminationGracePeriod: new(time.Minute),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if !early {
				<-look
			}
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			context.AfterFunc(child, func() { after.Add(1) })
			if early && a.Index == 0 && a.Number == 0 && (child.Err() != nil || context.Cause(child) != nil) {
				t.Errorf("the context is done too early: %v", context.Cause(child))
			}
			<-child.Done()
			if a.Index == 0 && a.Number == 0 {
				for _, ctx := range []context.Context{ctx, child, context.WithoutCancel(ctx)} {
					if errors.Is(context.Cause(ctx), cause) {
						causes.Add(1)
					}
				}
			}
			return ctx.Err()
		})})
	synctest.Wait()
	attempt := attemptsOf(t, c, "j")[0].Name
	done := make(chan error, 1)
	go func() { done <- stop(t.Context(), c, attempt) }()
	if cause == batch.ErrAttemptTimeout {
		time.Sleep(time.Hour)
	}
	synctest.Wait()
	close(look)
	require.NoError(t, <-done)
	settle()
	require.EqualValues(t, 2, causes.Load(), "contexts with that cause")
	require.NotZero(t, after.Load(), "functions called after the end")
}

func TestContextBelongsToTheAttempt(t *testing.T) {
	type key struct{}
	bubble(t, func(t *testing.T) {
		start := time.Now()
		ctx := context.WithValue(t.Context(), key{}, "value")
		var child, background context.Context
		job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(1),
			AttemptTimeout: new(time.Minute), ActiveDeadline: new(time.Hour), BackoffLimit: new(0),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				require.Equal(t, "value", ctx.Value(key{}))
				require.Nil(t, ctx.Value("another"))
				deadline, ok := ctx.Deadline()
				require.True(t, ok)
				require.Equal(t, start.Add(time.Minute), deadline)
				var cancel context.CancelFunc
				child, cancel = context.WithTimeout(ctx, time.Hour)
				t.Cleanup(cancel) // but the attempt's end comes first
				background = ctx
				deadline, _ = child.Deadline()
				require.Equal(t, start.Add(time.Minute), deadline, "the child's is no later")
				found, ok := batch.AttemptFrom(child)
				require.True(t, ok)
				require.Equal(t, a, found)
				require.NoError(t, child.Err())
				return nil
			})}
		_, err := batch.Run(ctx, job)
		require.NoError(t, err)
		require.ErrorIs(t, context.Cause(child), batch.ErrAttemptEnded)
		require.ErrorIs(t, context.Cause(background), batch.ErrAttemptEnded)
		require.Equal(t, context.Canceled, background.Err())
		require.Equal(t, "value", background.Value(key{}))

		_, ok := batch.AttemptFrom(t.Context())
		require.False(t, ok)
	})
}

func TestDeadline(t *testing.T) {
	tests := map[string]struct {
		job  batch.Job
		want time.Duration // 0: none
	}{
		"none":                   {batch.Job{}, 0},
		"the attempt's":          {batch.Job{AttemptTimeout: new(time.Minute)}, time.Minute},
		"the job's":              {batch.Job{ActiveDeadline: new(time.Minute)}, time.Minute},
		"the job's is first":     {batch.Job{ActiveDeadline: new(time.Minute), AttemptTimeout: new(time.Hour)}, time.Minute},
		"the attempt's is first": {batch.Job{ActiveDeadline: new(time.Hour), AttemptTimeout: new(time.Minute)}, time.Minute},
	}
	for name, test := range tests {
		for _, pending := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, pending: %v", name, pending), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					start := time.Now()
					run := func(ctx context.Context, a batch.Attempt) error {
						if pending {
							a.Started()
						}
						deadline, ok := ctx.Deadline()
						require.Equal(t, test.want != 0, ok)
						if ok {
							require.Equal(t, test.want, deadline.Sub(start))
						}
						return nil
					}
					test.job.Name, test.job.Executor = "j", batch.ExecutorFunc(run)
					if pending {
						test.job.Executor = pendingFunc(run)
					}
					_, err := batch.Run(t.Context(), test.job)
					require.NoError(t, err)
				})
			})
		}
	}
}

// A pending attempt's timeout has not begun to run (R231).
func TestDeadlineOfAPendingAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, err := batch.Run(t.Context(), batch.Job{Name: "j", AttemptTimeout: new(time.Minute), BackoffLimit: new(0),
			Executor: pendingFunc(func(ctx context.Context, a batch.Attempt) error {
				if deadline, ok := ctx.Deadline(); ok {
					return fmt.Errorf("has a deadline: %v", deadline)
				}
				return nil
			})})
		require.NoError(t, err)
	})
}

// A pendingFunc is a function as a [batch.PendingExecutor].
type pendingFunc func(ctx context.Context, a batch.Attempt) error

func (f pendingFunc) Execute(ctx context.Context, a batch.Attempt) error { return f(ctx, a) }
func (f pendingFunc) HoldsPending() bool                                 { return true }

// An executor leaves goroutines behind that use its context, or its attempt,
// only when it has returned.
func TestWhatIsLeftBehind(t *testing.T) {
	for _, result := range []error{nil, errDisk} {
		t.Run(fmt.Sprint("result ", result), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				var wg sync.WaitGroup
				var attempt batch.Attempt
				var stdout interface{ Write([]byte) (int, error) }
				left := make(chan error, 3)
				mustCreate(t, c, batch.Job{Name: "j", BackoffLimit: new(0),
					Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
						attempt, stdout = a, a.Stdout()
						wg.Go(func() { time.Sleep(time.Minute); <-ctx.Done(); left <- context.Cause(ctx) })
						wg.Go(func() { time.Sleep(time.Minute); left <- ctx.Err() })
						wg.Go(func() {
							time.Sleep(time.Minute)
							child, cancel := context.WithCancel(ctx)
							defer cancel()
							left <- context.Cause(child)
						})
						return result
					})})
				before, err := c.Wait(t.Context(), "j")
				require.ErrorIs(t, err, result)
				wg.Wait()
				for range 3 {
					err := <-left
					require.True(t, errors.Is(err, batch.ErrAttemptEnded) || errors.Is(err, context.Canceled), "%v", err)
				}
				testEndedAttempt(t, attempt)
				_, err = stdout.Write([]byte("late\n"))
				require.ErrorIs(t, err, batch.ErrAttemptEnded)

				after := get(t, c, "j")
				before.Revision, after.Revision = 0, 0
				require.Equal(t, before, after)
				status := attemptsOf(t, c, "j")[0]
				require.Empty(t, status.Output)
				require.Empty(t, status.Conditions)
				require.Zero(t, status.Progress)
				for range c.Logs(t.Context(), "j", status.Name, batch.LogOptions{}) {
					t.Error("a late line is in the log")
				}
			})
		})
	}
}

// testEndedAttempt calls all methods of an attempt that has ended.
func testEndedAttempt(t *testing.T, a batch.Attempt) {
	t.Helper()
	a.Started()
	a.SetReady(false)
	a.SetOutput("late")
	a.Progress(1, 2, "late")
	require.ErrorIs(t, a.SetCondition(batch.Condition{Type: "late", Status: "True"}), batch.ErrAttemptEnded)
	dir, err := a.Dir()
	require.ErrorIs(t, err, batch.ErrAttemptEnded)
	require.Empty(t, dir)
	for _, w := range []interface{ Write([]byte) (int, error) }{a.Stdout(), a.Stderr()} {
		n, err := w.Write([]byte("late\n"))
		require.ErrorIs(t, err, batch.ErrAttemptEnded)
		require.Zero(t, n)
	}
	a.Logger().Debug("late")
}

func TestZeroAttempt(t *testing.T) {
	var a batch.Attempt
	testEndedAttempt(t, a)
	require.Empty(t, a.Name())
	require.Empty(t, a.UID())
	require.Empty(t, a.Token())
	require.Error(t, batch.Command{Args: []string{"true"}}.Execute(ended(errDisk), a))
}

// After a restart in place, the attempt of the run before has no say.
func TestAttemptOfAnEarlierRun(t *testing.T) {
	for _, limit := range []int{0, 1} {
		t.Run(fmt.Sprint("MaxActive ", limit), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{MaxActive: limit})
				var first batch.Attempt
				mustCreate(t, c, batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure,
					Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
						if a.Restarts == 0 {
							first = a
							return errDisk
						}
						testEndedAttempt(t, first)
						a.SetOutput("mine")
						return a.SetCondition(batch.Condition{Type: "mine", Status: "True"})
					})})
				_, err := c.Wait(t.Context(), "j")
				require.NoError(t, err)
				require.Equal(t, "mine", attemptsOf(t, c, "j")[0].Output)
			})
		})
	}
}

// Whatever an executor does long after it was given up is nothing to anybody.
func TestLateReturns(t *testing.T) {
	returns := map[string]func() error{
		"succeeds": func() error { return nil },
		"fails":    func() error { return exit(3) },
		"panics":   func() error { panic("late") },
		"exits":    goexit[error],
	}
	for name, stop := range stops {
		if stop.cause == batch.ErrShutdown || name == "its time is over" {
			continue // see TestShutdown
		}
		for how, result := range returns {
			t.Run(name+", and it "+how, func(t *testing.T) {
				bubble(t, func(t *testing.T) { testLateReturn(t, stop.do, result) })
			})
		}
	}
}

func testLateReturn(t *testing.T, stop func(context.Context, *batch.Controller, string) error, result func() error) {
	c := newController(t, batch.Options{Logger: slog.New(slog.DiscardHandler)})
	release := make(chan struct{})
	job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(1), History: new(0),
		TerminationGracePeriod: new(time.Second),
		Executor:               fn(func(ctx context.Context) error { <-release; return result() })}
	mustCreate(t, c, job)
	synctest.Wait()
	old := attemptsOf(t, c, "j")[0]
	require.NoError(t, stop(t.Context(), c, old.Name))
	if _, err := c.Get("j"); errors.Is(err, batch.ErrNotFound) { // R116
		mustCreate(t, c, job)
		fresh := get(t, c, "j")
		require.NotEqual(t, old.JobUID, fresh.UID)
		require.Equal(t, 1, fresh.Active)
		require.Zero(t, fresh.Terminating+fresh.Failed)
	}
	time.Sleep(5 * time.Second)
	before := get(t, c, "j")
	require.LessOrEqual(t, before.Failed, 1)
	close(release)
	settle()
	after, err := c.Get("j")
	if !before.DeletedAt.IsZero() {
		require.ErrorIs(t, err, batch.ErrNotFound)
		return
	}
	require.NoError(t, err)
	require.LessOrEqual(t, after.Failed, before.Failed+1) // of a replacement that returns, too
	require.LessOrEqual(t, after.Succeeded, 1)
	require.Zero(t, after.Terminating)
	require.Zero(t, after.Abandoned)
	for _, a := range attemptsOf(t, c, "j") {
		require.NotEqual(t, old.UID, a.UID, "with no history, nothing is left of it")
	}
}

func TestAbandonedAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lockedBuffer
		c := newController(t, batch.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		release := make(chan struct{})
		mustCreate(t, c, batch.Job{Name: "j", TerminationGracePeriod: new(time.Minute), Parallelism: new(1),
			Completions: new(1),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Number == 0 {
					stuckHere(release)
				}
				return nil
			})})
		synctest.Wait()
		require.NoError(t, c.DeleteAttempt(t.Context(), "j", attemptsOf(t, c, "j")[0].UID))
		time.Sleep(time.Minute - time.Millisecond)
		require.Equal(t, 0, get(t, c, "j").Abandoned)
		require.Equal(t, 1, get(t, c, "j").Failed)
		time.Sleep(2 * time.Millisecond)
		status := get(t, c, "j")
		require.Equal(t, 1, status.Abandoned)
		require.Equal(t, 1, status.Terminating)
		require.Equal(t, 1, status.Succeeded, "its replacement did the work")
		require.False(t, status.Finished(), "R258")
		require.True(t, attemptsOf(t, c, "j")[0].Abandoned)
		require.Contains(t, log.String(), "level=ERROR msg=\"attempt abandoned")
		require.Contains(t, log.String(), "stuckHere", "the log has the stack")
		close(release)
		status, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
		require.Zero(t, status.Abandoned+status.Terminating)
		require.Equal(t, 1, status.Succeeded)
		require.Equal(t, 1, status.Failed)
	})
}

// A lockedBuffer collects what several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex // guards the field below
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

//go:noinline
func stuckHere(release chan struct{}) { <-release }

// Everything that is not forbidden may be called from user code.
func TestUserCodeCallsTheController(t *testing.T) {
	everything := func(c *batch.Controller) {
		ctx := context.Background()
		c.Get("j")
		c.Job("j")
		c.Events(t.Context(), "j")
		for range c.All() {
			break
		}
		for range c.Watch(ended(errDisk), 0) {
			break
		}
		list, _ := c.Attempts(t.Context(), "j")
		for _, a := range list {
			for range c.Logs(ctx, "j", a.Name, batch.LogOptions{}) {
				break
			}
		}
		c.Wait(ended(errDisk), "j")
		c.Create(ctx, batch.Job{Name: "j", Executor: succeed})
		c.Create(ctx, batch.Job{Name: "other", Executor: succeed})
		c.Delete(ctx, "other", batch.DeleteBackground)
		c.Update(ctx, "j", func(j *batch.Job) {
			if j.Labels == nil {
				j.Labels = map[string]string{}
				c.Update(ctx, "j", func(j *batch.Job) { j.Labels = map[string]string{"a": "b"} })
			}
		})
	}
	changes := map[string]func(c *batch.Controller){
		"reads and changes": everything,
		"deletes its job": func(c *batch.Controller) {
			c.Delete(context.Background(), "j", batch.DeleteBackground)
			everything(c)
		},
		"deletes its job slowly": func(c *batch.Controller) {
			c.Delete(context.Background(), "j", batch.DeleteForeground)
			everything(c)
		},
		"orphans itself": func(c *batch.Controller) {
			c.Delete(context.Background(), "j", batch.DeleteOrphan)
			everything(c)
		},
		"suspends and resumes its job": func(c *batch.Controller) {
			c.Suspend(context.Background(), "j")
			everything(c)
			c.Resume(context.Background(), "j")
		},
		"deletes its attempt": func(c *batch.Controller) {
			list, _ := c.Attempts(t.Context(), "j")
			for _, a := range list {
				c.DeleteAttempt(context.Background(), "j", a.Name)
			}
		},
		"disrupts its attempt": func(c *batch.Controller) {
			list, _ := c.Attempts(t.Context(), "j")
			for _, a := range list {
				c.Disrupt(context.Background(), "j", a.UID, "TerminationByKubelet")
			}
		},
		"scales its job to nothing and back": func(c *batch.Controller) {
			for n := range 2 {
				c.Update(context.Background(), "j", func(j *batch.Job) { j.Parallelism = new(n) })
			}
		},
	}
	for name, change := range changes {
		var c *batch.Controller
		var once sync.Once
		act := func() { once.Do(func() { change(c) }) }
		jobs := map[string]batch.Job{
			"Execute":      {Executor: fn(func(context.Context) error { act(); return nil })},
			"an error":     {Executor: fails(hostile{text: func() string { act(); return "" }})},
			"an exit code": {Executor: fails(hostile{code: func() int { act(); return 3 }})},
			"a predicate": {Executor: fails(errDisk), FailurePolicy: []batch.FailureRule{
				{Action: batch.ActionFailJob, OnError: func(error) bool { act(); return true }}}},
			"a back-off": {Executor: fails(errDisk), Backoff: batch.BackoffFunc(func() backoff.BackOff {
				act()
				return next(func() time.Duration { act(); return backoff.Stop })
			})},
			"a restart back-off": {Executor: fails(errDisk), RestartPolicy: batch.RestartOnFailure,
				RestartBackoff: batch.BackoffFunc(func() backoff.BackOff {
					act()
					return next(func() time.Duration { act(); return backoff.Stop })
				})},
		}
		for where, job := range jobs {
			for _, limit := range []int{0, 1} {
				t.Run(fmt.Sprintf("%s %s, MaxActive %d", where, name, limit), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						c, once = newController(t, batch.Options{MaxActive: limit}), sync.Once{}
						job.Name, job.BackoffLimit, job.Completions, job.Parallelism = "j", new(3), new(2), new(1)
						mustCreate(t, c, job)
						time.Sleep(time.Hour)
						synctest.Wait()
						for _, a := range attemptsIfAny(c, "j") {
							require.Contains(t, []string{batch.AttemptSucceeded, batch.AttemptFailed}, a.Phase)
						}
						if s, err := c.Get("j"); err == nil {
							require.True(t, s.Finished(), "%v", s)
						}
					})
				})
			}
		}
	}
}

func attemptsIfAny(c *batch.Controller, job string) []batch.AttemptStatus {
	list, _ := c.Attempts(context.Background(), job)
	return list
}

func TestRestartInPlace(t *testing.T) {
	for _, limit := range []int{0, 1} {
		t.Run(fmt.Sprint("MaxActive ", limit), func(t *testing.T) {
			bubble(t, func(t *testing.T) { testRestarts(t, limit) })
		})
	}
}

func testRestarts(t *testing.T, limit int) {
	c := newController(t, batch.Options{MaxActive: limit})
	start := time.Now()
	var uids, dirs, names []string
	var starts []time.Duration
	mustCreate(t, c, batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure,
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			require.Equal(t, len(uids), a.Restarts)
			require.Zero(t, a.Number)
			dir, err := a.Dir()
			require.NoError(t, err)
			again, err := a.Dir()
			require.NoError(t, err)
			require.Equal(t, dir, again)
			fmt.Fprintln(a.Stdout(), "run", a.Restarts)
			a.SetOutput(fmt.Sprint("output ", a.Restarts))
			starts = append(starts, time.Since(start))
			uids, dirs, names = append(uids, a.UID()), append(dirs, dir), append(names, a.Name())
			if a.Restarts == 3 {
				return nil
			}
			return exit(3)
		})})
	time.Sleep(time.Second)
	synctest.Wait()
	a := attemptsOf(t, c, "j")[0]
	require.Equal(t, batch.AttemptRunning, a.Phase)
	require.Equal(t, 1, a.Restarts)
	require.Equal(t, start.Add(10*time.Second), a.RestartAt)
	require.Equal(t, 3, *a.ExitCode)
	require.False(t, a.Ready)
	require.Equal(t, "output 1", a.Output)
	require.DirExists(t, dirs[0])

	status, err := c.Wait(t.Context(), "j")
	require.NoError(t, err)
	require.Equal(t, 0, status.Failed, "restarts are not failures")
	require.Equal(t, []time.Duration{0, 0, 10 * time.Second, 30 * time.Second}, starts, "R191")
	for _, list := range [][]string{uids, dirs, names} {
		require.Len(t, list, 4)
		for _, x := range list {
			require.Equal(t, list[0], x)
		}
	}
	a = attemptsOf(t, c, "j")[0]
	require.Equal(t, 3, a.Restarts)
	require.Zero(t, a.RestartAt)
	require.Equal(t, 0, *a.ExitCode)
	require.Equal(t, "output 3", a.Output)
	require.Equal(t, []string{"run 0", "run 1", "run 2", "run 3"}, logOf(t, c, "j", a.Name))
	require.NoDirExists(t, dirs[0])
}

// logOf returns the text of an attempt's log.
func logOf(t *testing.T, c *batch.Controller, job, attempt string) (lines []string) {
	t.Helper()
	for line, err := range c.Logs(t.Context(), job, attempt, batch.LogOptions{}) {
		require.NoError(t, err)
		lines = append(lines, line.Text)
	}
	return lines
}

// An attempt's directory goes with it, however it ends.
func TestScratchDirectoryIsRemoved(t *testing.T) {
	tests := map[string]func(t *testing.T, c *batch.Controller, attempt string){
		"deleted while it waits for its restart": func(t *testing.T, c *batch.Controller, attempt string) {
			require.NoError(t, c.DeleteAttempt(t.Context(), "j", attempt))
		},
		"evicted while it waits for its restart": func(t *testing.T, c *batch.Controller, attempt string) {
			require.NoError(t, c.Disrupt(t.Context(), "j", attempt, "PreemptionByScheduler"))
		},
		"lost while it waits for its restart": func(t *testing.T, c *batch.Controller, attempt string) {
			require.NoError(t, c.Disrupt(t.Context(), "j", attempt, "DeletionByPodGC"))
		},
		"its job is deleted while it waits for its restart": func(t *testing.T, c *batch.Controller, _ string) {
			require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteBackground))
		},
		"its job is orphaned while it waits for its restart": func(t *testing.T, c *batch.Controller, _ string) {
			require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteOrphan))
			time.Sleep(time.Minute)
			synctest.Wait()
		},
		"its job is suspended while it waits for its restart": func(t *testing.T, c *batch.Controller, _ string) {
			require.NoError(t, c.Suspend(t.Context(), "j"))
		},
		"its time is over while it waits for its restart": func(t *testing.T, c *batch.Controller, _ string) {
			time.Sleep(9 * time.Second)
			synctest.Wait()
		},
		"the controller is shut down while it waits for its restart": func(t *testing.T, c *batch.Controller, _ string) {
			require.NoError(t, c.Shutdown(t.Context()))
		},
	}
	for name, end := range tests {
		for _, limit := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, MaxActive %d", name, limit), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newController(t, batch.Options{MaxActive: limit})
					dir := ""
					mustCreate(t, c, batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure, AttemptTimeout: new(9 * time.Second),
						Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
							if a.Number > 0 || a.Restarts > 1 {
								return nil
							}
							var err error
							dir, err = a.Dir()
							require.NoError(t, err)
							return exit(3)
						})})
					time.Sleep(time.Second)
					synctest.Wait()
					list := attemptsOf(t, c, "j")
					require.Len(t, list, 1)
					require.NotZero(t, list[0].RestartAt)
					require.DirExists(t, dir)
					end(t, c, list[0].Name)
					synctest.Wait()
					require.NoDirExists(t, dir)
				})
			})
		}
	}
}

func TestRunRemovesScratchDirectories(t *testing.T) {
	for range 20 { // what Run does when its context ends must not be left to chance
		bubble(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			dir := ""
			_, err := batch.Run(ctx, batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure,
				Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) (err error) {
					dir, err = a.Dir()
					require.NoError(t, err)
					return exit(3)
				})})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NoDirExists(t, dir)
		})
	}
}

func TestDirIsMadeOnce(t *testing.T) {
	var dirs sync.Map
	status, err := batch.Run(t.Context(), batch.Job{Name: "j",
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					dir, err := a.Dir()
					if err != nil {
						t.Error(err)
					}
					dirs.Store(dir, true)
				})
			}
			wg.Wait()
			return nil
		})})
	require.NoError(t, err)
	require.Equal(t, 1, status.Succeeded)
	n := 0
	for dir := range dirs.Range {
		n++
		require.NoDirExists(t, dir.(string))
	}
	require.Equal(t, 1, n)
}

// AttemptTimeout goes on over restarts in place (R231).
func TestAttemptTimeout(t *testing.T) {
	tests := map[string]struct {
		policy  string
		execute func(ctx context.Context, a batch.Attempt) error
		took    time.Duration
		code    int
	}{
		"it returns the context's error": {execute: untilDone.Execute, took: time.Minute, code: 143},
		"it returns the cause": {
			execute: func(ctx context.Context, _ batch.Attempt) error { <-ctx.Done(); return context.Cause(ctx) },
			took:    time.Minute, code: 143,
		},
		"it says that all is well": {
			execute: func(ctx context.Context, _ batch.Attempt) error { <-ctx.Done(); return nil }, took: time.Minute, code: 0,
		},
		"it says something else": {
			execute: func(ctx context.Context, _ batch.Attempt) error { <-ctx.Done(); return exit(9) }, took: time.Minute,
			code: 9,
		},
		"it does not listen": {execute: takes(70 * time.Second).Execute, took: 70 * time.Second, code: 0},
		"it was restarted": {
			policy:  batch.RestartOnFailure,
			execute: func(ctx context.Context, _ batch.Attempt) error { return sleep(ctx, 20*time.Second) }, took: time.Minute,
			code: 143,
		},
		"it waits for its restart": {
			policy: batch.RestartOnFailure, execute: fails(exit(3)).Execute, took: time.Minute, code: 3,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				start := time.Now()
				mustCreate(t, c, batch.Job{Name: "j", RestartPolicy: test.policy, BackoffLimit: new(0),
					AttemptTimeout: new(time.Minute),
					Executor:       batch.ExecutorFunc(test.execute)})
				if test.policy == batch.RestartOnFailure { // the first restart would fail the job (R173)
					require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.BackoffLimit = new(100) }))
					time.Sleep(time.Second)
					require.NoError(t, c.Update(t.Context(), "j", func(j *batch.Job) { j.BackoffLimit = new(100) }))
				}
				time.Sleep(test.took - time.Since(start) + time.Second)
				a := attemptsOf(t, c, "j")[0]
				require.Equal(t, batch.AttemptFailed, a.Phase)
				require.Equal(t, batch.ReasonDeadlineExceeded, a.Reason)
				require.Equal(t, start.Add(test.took), a.FinishedAt)
				require.Equal(t, test.code, *a.ExitCode)
				require.Equal(t, 1, get(t, c, "j").Failed)
				if test.policy == "" {
					_, err := c.Wait(t.Context(), "j")
					require.ErrorIs(t, failed(t, err, batch.ReasonBackoffLimitExceeded), batch.ErrAttemptTimeout)
				}
			})
		})
	}
}

// sleep fails after d, or when ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return exit(3)
	}
}

func TestPendingExecutor(t *testing.T) {
	for _, limit := range []int{0, 1} {
		t.Run(fmt.Sprint("MaxActive ", limit), func(t *testing.T) {
			bubble(t, func(t *testing.T) { testPending(t, limit) })
		})
	}
}

func testPending(t *testing.T, limit int) {
	c := newController(t, batch.Options{MaxActive: limit})
	start := time.Now()
	mustCreate(t, c, batch.Job{Name: "j", AttemptTimeout: new(time.Hour),
		Executor: pendingFunc(func(ctx context.Context, a batch.Attempt) error {
			a.SetReady(true) // has no effect yet
			if err := sleep(ctx, 2*time.Hour); err != exit(3) {
				return err
			}
			a.Started()
			a.Started() // again changes nothing
			if err := sleep(ctx, 30*time.Minute); err != exit(3) {
				return err
			}
			a.SetReady(false)
			if err := sleep(ctx, 10*time.Minute); err != exit(3) {
				return err
			}
			return nil
		})})
	synctest.Wait()
	status := get(t, c, "j")
	require.Equal(t, []int{1, 1, 0}, []int{status.Active, status.Pending, status.Ready})
	a := attemptsOf(t, c, "j")[0]
	require.Equal(t, batch.AttemptPending, a.Phase)
	require.Zero(t, a.StartedAt)

	time.Sleep(2*time.Hour + time.Minute)
	status = get(t, c, "j")
	require.Equal(t, []int{1, 0, 1}, []int{status.Active, status.Pending, status.Ready})
	a = attemptsOf(t, c, "j")[0]
	require.Equal(t, batch.AttemptRunning, a.Phase)
	require.Equal(t, start.Add(2*time.Hour), a.StartedAt)
	require.True(t, a.Ready)

	time.Sleep(31 * time.Minute)
	status = get(t, c, "j")
	require.Equal(t, []int{1, 0, 0}, []int{status.Active, status.Pending, status.Ready})

	_, err := c.Wait(t.Context(), "j")
	require.NoError(t, err, "the timeout begins with the start")
	require.Equal(t, start.Add(2*time.Hour+40*time.Minute), attemptsOf(t, c, "j")[0].FinishedAt)
}

// A PendingExecutor may end, or be stopped, without ever having started.
func TestPendingExecutorThatNeverStarts(t *testing.T) {
	tests := map[string]struct {
		policy  string
		execute pendingFunc
		phase   string
		code    int
	}{
		"it succeeds": {"", func(context.Context, batch.Attempt) error { return nil }, batch.AttemptSucceeded, 0},
		"it fails":    {"", func(context.Context, batch.Attempt) error { return exit(3) }, batch.AttemptFailed, 3},
		"it is deleted": {"", func(ctx context.Context, _ batch.Attempt) error { <-ctx.Done(); return ctx.Err() },
			batch.AttemptFailed, 137},
		"it is restarted": {batch.RestartOnFailure, func(_ context.Context, a batch.Attempt) error {
			if a.Restarts < 2 {
				return exit(3)
			}
			a.Started()
			a.SetOutput("it can speak")
			return a.SetCondition(batch.Condition{Type: "it-can-speak", Status: "True"})
		}, batch.AttemptSucceeded, 0},
	}
	for name, test := range tests {
		for _, limit := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, MaxActive %d", name, limit), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newController(t, batch.Options{MaxActive: limit})
					mustCreate(t, c, batch.Job{Name: "j", RestartPolicy: test.policy, Executor: test.execute})
					time.Sleep(time.Second)
					if name == "it is deleted" {
						require.NoError(t, c.DeleteAttempt(t.Context(), "j", attemptsOf(t, c, "j")[0].Name))
					}
					time.Sleep(time.Minute)
					a := attemptsOf(t, c, "j")[0]
					require.Equal(t, test.phase, a.Phase)
					require.Equal(t, test.code, *a.ExitCode)
					if test.policy == batch.RestartOnFailure {
						require.Equal(t, 2, a.Restarts)
						require.Equal(t, "it can speak", a.Output)
					}
				})
			})
		}
	}
}

// asksItself is a PendingExecutor that is asked under no lock.
type asksItself struct{ ask func() bool }

func (asksItself) Execute(context.Context, batch.Attempt) error { return nil }
func (e asksItself) HoldsPending() bool                         { return e.ask() }

func TestHoldsPendingMayCallTheController(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		mustCreate(t, c, batch.Job{Name: "j", Suspend: true, Executor: asksItself{func() bool {
			c.Get("j")
			c.Wait(ended(errDisk), "j")
			return false
		}}})
		require.NoError(t, c.Resume(t.Context(), "j"))
		_, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
	})
}

func TestSetCondition(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		start := time.Now()
		mustCreate(t, c, batch.Job{Name: "j", Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			set := func(c batch.Condition) { require.NoError(t, a.SetCondition(c)) }
			require.ErrorContains(
				t, a.SetCondition(batch.Condition{Type: "not a name", Status: "True"}), `batch: condition type "not a name"`,
			)
			require.ErrorContains(
				t, a.SetCondition(batch.Condition{Type: "ok", Status: "true"}), `must be True, False or Unknown`,
			)
			set(batch.Condition{
				Type: "example.com/warm", Status: "True", Reason: "First", LastTransitionTime: start.Add(time.Hour),
			})
			set(batch.Condition{Type: "another", Status: "Unknown"})
			time.Sleep(time.Minute)
			set(batch.Condition{Type: "example.com/warm", Status: "True", Reason: "Second", Message: "still"})
			set(batch.Condition{Type: "another", Status: "False"})
			return nil
		})})
		_, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
		require.Equal(t, []batch.Condition{
			{Type: "example.com/warm", Status: "True", Reason: "Second", Message: "still", LastTransitionTime: start},
			{Type: "another", Status: "False", LastTransitionTime: start.Add(time.Minute)},
		}, attemptsOf(t, c, "j")[0].Conditions)
	})
}

func TestFailureRules(t *testing.T) {
	isDisk := batch.FailureRule{Action: batch.ActionIgnore, OnError: batch.ErrorIs(errDisk)}
	isExit := batch.FailureRule{Action: batch.ActionFailJob, OnError: batch.ErrorAs[exit]()}
	code3 := batch.FailureRule{Action: batch.ActionCount, OnExitCodes: &batch.ExitCodes{In: []int{3}}}
	always := batch.FailureRule{Action: batch.ActionFailJob, OnError: func(error) bool { return true }}
	condition := batch.FailureRule{
		Action: batch.ActionFailJob, OnConditions: []batch.Condition{{Type: "example.com/corrupt"}},
	}
	wrongCode := batch.FailureRule{Action: batch.ActionIgnore, OnExitCodes: &batch.ExitCodes{NotIn: []int{1, 3}}}
	tests := map[string]struct {
		rules   []batch.FailureRule
		err     error
		reason  string // of the first failure; empty: the job goes on
		message string
		failed  int
	}{
		"no rule": {nil, errDisk, "", "", 1},
		"ErrorIs": {
			[]batch.FailureRule{isExit, isDisk, always}, fmt.Errorf("wrapped: %w", errDisk), "", "", 0,
		},
		"ErrorAs": {
			[]batch.FailureRule{isDisk, isExit}, fmt.Errorf("wrapped: %w", exit(9)), batch.ReasonPodFailurePolicy,
			"Pod default/NAME failed with an error matching FailJob rule at index 1", 1,
		},
		"an exit code before an error": {[]batch.FailureRule{code3, isExit}, exit(3), "", "", 1},
		"an error before an exit code": {
			[]batch.FailureRule{isExit, code3}, exit(3), batch.ReasonPodFailurePolicy,
			"Pod default/NAME failed with an error matching FailJob rule at index 0", 1,
		},
		"a predicate": {
			[]batch.FailureRule{always}, errDisk, batch.ReasonPodFailurePolicy,
			"Pod default/NAME failed with an error matching FailJob rule at index 0", 1,
		},
		"a predicate sees a panic": {
			[]batch.FailureRule{{Action: batch.ActionIgnore, OnError: batch.ErrorAs[*batch.PanicError]()}}, nil, "", "", 0,
		},
		"a condition, which the executor set": {
			[]batch.FailureRule{isDisk, condition, always}, exit(3), batch.ReasonPodFailurePolicy,
			"Pod default/NAME has condition example.com/corrupt matching FailJob rule at index 1", 1,
		},
		"a code that is not in a list": {[]batch.FailureRule{wrongCode, always}, exit(4), "", "", 0},
		"Permanent, and no rule matches": {
			[]batch.FailureRule{isDisk}, batch.Permanent(exit(3)), batch.ReasonPodFailurePolicy,
			"Pod default/NAME failed with a permanent error", 1,
		},
		"Permanent, and a rule matches": {[]batch.FailureRule{isDisk}, batch.Permanent(errDisk), "", "", 0},
		"Permanent of package backoff": {
			nil, fmt.Errorf("wrapped: %w", backoff.Permanent(errDisk)), batch.ReasonPodFailurePolicy,
			"Pod default/NAME failed with a permanent error", 1,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				mustCreate(t, c, batch.Job{Name: "j", FailurePolicy: test.rules,
					Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
						if a.Number > 0 {
							return nil
						}
						require.NoError(t, a.SetCondition(batch.Condition{Type: "example.com/corrupt", Status: "True"}))
						if test.err == nil {
							panic("boom")
						}
						return test.err
					})})
				status, err := c.Wait(t.Context(), "j")
				require.Equal(t, test.failed, status.Failed)
				if test.reason == "" {
					require.NoError(t, err)
					return
				}
				message := failed(t, err, test.reason).Message
				require.Equal(t, test.message, strings.ReplaceAll(message, attemptsOf(t, c, "j")[0].Name, "NAME"))
			})
		})
	}
}

func TestPermanentFailsItsIndex(t *testing.T) {
	bubble(t, func(t *testing.T) {
		status, err := batch.Run(t.Context(), batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(3),
			BackoffLimitPerIndex: new(5),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				if a.Index == 1 {
					return batch.Permanent(errDisk)
				}
				return nil
			})})
		failed(t, err, batch.ReasonFailedIndexes)
		require.ErrorIs(t, err, errDisk)
		require.Equal(t, "1", status.FailedIndexes.String())
		require.Equal(t, "0,2", status.CompletedIndexes.String())
		require.Equal(t, 1, status.Failed)
	})
}

func TestPermanentIsNotRestarted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		status, err := batch.Run(t.Context(), batch.Job{
			Name: "j", RestartPolicy: batch.RestartOnFailure, Executor: fails(batch.Permanent(errDisk)),
		})
		failed(t, err, batch.ReasonPodFailurePolicy)
		require.Equal(t, 1, status.Failed)
	})
	require.NoError(t, batch.Permanent(nil))
}

func TestBackoff(t *testing.T) {
	second := time.Second
	tests := map[string]struct {
		backoff batch.Backoff
		waits   []time.Duration // before each further attempt
		reason  string
	}{
		"Kubernetes' own": {
			nil, []time.Duration{10 * second, 20 * second, 40 * second, 80 * second}, batch.ReasonBackoffLimitExceeded,
		},
		"constant": {
			batch.ConstantBackoff(5 * second), []time.Duration{5 * second, 5 * second, 5 * second, 5 * second},
			batch.ReasonBackoffLimitExceeded,
		},
		"none": {batch.ConstantBackoff(0), []time.Duration{0, 0, 0, 0}, batch.ReasonBackoffLimitExceeded},
		"constant, negative": {
			batch.ConstantBackoff(-second), []time.Duration{0, 0, 0, 0}, batch.ReasonBackoffLimitExceeded,
		},
		"exponential": {
			batch.ExponentialBackoff(second, 3*second, 0), []time.Duration{second, 2 * second, 3 * second, 3 * second},
			batch.ReasonBackoffLimitExceeded,
		},
		"stops at once": {
			batch.BackoffFunc(func() backoff.BackOff { return &backoff.StopBackOff{} }), nil, batch.ReasonBackoffLimitExceeded,
		},
		"stops after two": {
			batch.BackoffFunc(func() backoff.BackOff { return backoff.WithMaxRetries(backoff.NewConstantBackOff(second), 2) }),
			[]time.Duration{second, second}, batch.ReasonBackoffLimitExceeded,
		},
		"ten years, all of it": {
			batch.ConstantBackoff(10 * 365 * 24 * time.Hour),
			[]time.Duration{87600 * time.Hour, 87600 * time.Hour, 87600 * time.Hour, 87600 * time.Hour},
			batch.ReasonBackoffLimitExceeded,
		},
	}
	for name, test := range tests {
		for _, perIndex := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, per index: %v", name, perIndex), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					var starts []time.Time
					job := batch.Job{Name: "j", Backoff: test.backoff, BackoffLimit: new(4),
						Executor: fn(func(context.Context) error { starts = append(starts, time.Now()); return errDisk })}
					if perIndex {
						job.CompletionMode, job.Completions = batch.Indexed, new(1)
						job.BackoffLimit, job.BackoffLimitPerIndex = nil, new(4)
						test.reason = batch.ReasonFailedIndexes
					}
					status, err := batch.Run(t.Context(), job)
					failed(t, err, test.reason)
					require.Equal(t, len(test.waits)+1, status.Failed)
					var waits []time.Duration
					for i := range starts[1:] {
						waits = append(waits, starts[i+1].Sub(starts[i]))
					}
					require.Equal(t, test.waits, waits)
				})
			})
		}
	}
}

// A success ends the sequence (R184); another index does not (R190).
func TestBackoffBeginsAnew(t *testing.T) {
	for _, perIndex := range []bool{false, true} {
		t.Run(fmt.Sprint("per index: ", perIndex), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				start, made := time.Now(), 0
				var starts []string
				job := batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2), BackoffLimit: new(10),
					Backoff: batch.BackoffFunc(func() backoff.BackOff {
						made++
						return batch.ExponentialBackoff(time.Second, time.Hour, 0).BackOff()
					}),
					Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
						starts = append(starts, fmt.Sprintf("%d at %v", a.Index, time.Since(start)))
						time.Sleep(time.Second)
						if a.Number < 2 {
							return errDisk
						}
						return nil
					})}
				if perIndex {
					job.BackoffLimitPerIndex = new(5)
				}
				_, err := batch.Run(t.Context(), job)
				require.NoError(t, err)
				require.Equal(t, []string{"0 at 0s", "0 at 2s", "0 at 5s", "1 at 6s", "1 at 8s", "1 at 11s"}, starts)
				require.Equal(t, 2, made)
			})
		})
	}
}

func TestRestartBackoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		start, made := time.Now(), 0
		var starts []time.Duration
		status, err := batch.Run(t.Context(), batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure,
			BackoffLimit: new(5), Backoff: batch.ConstantBackoff(time.Minute),
			RestartBackoff: batch.BackoffFunc(func() backoff.BackOff {
				made++
				return backoff.WithMaxRetries(backoff.NewConstantBackOff(time.Second), 2)
			}),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				starts = append(starts, time.Since(start))
				if a.Number == 1 && a.Restarts == 1 {
					return nil
				}
				return errDisk
			})})
		require.NoError(t, err)
		require.Equal(t, 1, status.Failed, "an attempt that may not be restarted has failed")
		require.Equal(t, 2, made, "one for each attempt")
		s := time.Second
		require.Equal(t, []time.Duration{0, s, 2 * s, 62 * s, 63 * s}, starts)
	})
}

// An answer that comes late must not reach another attempt (R116, R212).
func TestSlowRestartBackoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		start := time.Now()
		var asked atomic.Int32
		var starts []string
		mustCreate(t, c, batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure, BackoffLimit: new(5),
			Backoff: batch.ConstantBackoff(0), History: new(0),
			RestartBackoff: batch.BackoffFunc(func() backoff.BackOff {
				return next(func() time.Duration {
					if asked.Add(1) == 1 {
						time.Sleep(time.Minute)
						return time.Second
					}
					time.Sleep(time.Second)
					return time.Hour
				})
			}),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				starts = append(starts, fmt.Sprintf("%d.%d at %v", a.Number, a.Restarts, time.Since(start).Truncate(time.Second)))
				if a.Restarts == 1 {
					return nil
				}
				return errDisk
			})})
		time.Sleep(10 * time.Second)
		require.NoError(t, c.DeleteAttempt(t.Context(), "j", attemptsOf(t, c, "j")[0].Name))
		_, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
		require.Equal(t, []string{"0.0 at 0s", "1.0 at 10s", "1.1 at 1h0m10s"}, starts)
	})
}

// With a back-off of the job's own, a delay that falls due as another attempt
// succeeds is found all the same.
func TestDelayThatASuccessBringsUp(t *testing.T) {
	for range 20 {
		bubble(t, func(t *testing.T) {
			c := newController(t, batch.Options{})
			mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(2),
				BackoffLimitPerIndex: new(5),
				Backoff:              batch.ConstantBackoff(time.Second),
				Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
					switch {
					case a.Index == 1:
						time.Sleep(time.Second + time.Millisecond) // when the deletion begins to count
					case a.Number == 0:
						time.Sleep(time.Minute)
						return errDisk
					}
					return nil
				})})
			time.Sleep(time.Second)
			require.NoError(t, c.DeleteAttempt(t.Context(), "j", attemptsOf(t, c, "j")[0].Name))
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			_, err := c.Wait(ctx, "j")
			require.NoError(t, err)
		})
	}
}

func TestLogFlood(t *testing.T) {
	c := newController(t, batch.Options{})
	line := append(bytes.Repeat([]byte("x"), 4095), '\n')
	var before, after runtime.MemStats
	mustCreate(t, c, batch.Job{Name: "j", LogLimit: new(64 << 10),
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			w := a.Stdout()
			runtime.GC()
			runtime.ReadMemStats(&before)
			for range 64 << 20 / len(line) {
				w.Write(line)
			}
			w.Write(bytes.Repeat([]byte("y"), 8<<20)) // one line
			runtime.GC()
			runtime.ReadMemStats(&after)
			a.SetOutput(strings.Repeat("z", 1<<20))
			return nil
		})})
	_, err := c.Wait(t.Context(), "j")
	require.NoError(t, err)
	a := attemptsOf(t, c, "j")[0]
	size := 0
	for _, text := range logOf(t, c, "j", a.Name) {
		size += len(text)
	}
	require.LessOrEqual(t, size, 64<<10)
	require.Len(t, a.Output, 4096)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(2<<20))
}

// An executor that does not look at its context costs no allocation.
func TestNoAllocations(t *testing.T) {
	run := func(n int) float64 {
		return testing.AllocsPerRun(3, func() {
			_, err := batch.Run(context.Background(), batch.Job{
				Name: "j", CompletionMode: batch.Indexed, Completions: new(n), Parallelism: new(2), Executor: succeed,
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	const few, many = 5_000, 25_000
	perAttempt := (run(many) - run(few)) / (many - few)
	require.Less(t, perAttempt, 0.01)
}

func TestAttemptIdentity(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lockedBuffer
		c := newController(t, batch.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		seen := map[string]bool{}
		mustCreate(t, c, batch.Job{Name: "j", CompletionMode: batch.Indexed, Completions: new(2),
			Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
				for _, id := range []string{a.Name(), a.UID(), a.Token()} {
					require.False(t, seen[id], id)
					seen[id] = true
				}
				require.Regexp(t, fmt.Sprintf(`^j-%d-[bcdfghjklmnpqrstvwxz2456789]{5}$`, a.Index), a.Name(), "R117")
				require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, a.UID())
				require.Equal(t, fmt.Sprintf("%s/%d/%d", get(t, c, "j").UID, a.Index, a.Number), a.Token())
				a.Logger().Info("hello", "number", a.Number)
				a.Progress(1, 2, "half")
				if a.Number == 0 && a.Index == 1 {
					return errDisk
				}
				return nil
			})})
		_, err := c.Wait(t.Context(), "j")
		require.NoError(t, err)
		list := attemptsOf(t, c, "j")
		require.Len(t, list, 3)
		for _, a := range list {
			require.True(t, seen[a.Name] && seen[a.UID])
			require.Equal(t, batch.Progress{Done: 1, Total: 2, Phase: "half"}, a.Progress)
			lines := logOf(t, c, "j", a.Name)
			require.Len(t, lines, 1)
			require.Contains(t, lines[0], "msg=hello number=")
			require.Equal(t, lines, logOf(t, c, "j", a.UID))
			require.Contains(
				t, log.String(), fmt.Sprintf("msg=hello job=j attempt=%s index=%d number=%d", a.Name, a.Index, a.Number),
			)
		}
	})
}

func TestExitCode(t *testing.T) {
	killed := exec.Command("sh", "-c", "kill -KILL $$").Run()
	exited := exec.Command("sh", "-c", "exit 42").Run()
	tests := map[string]struct {
		err  error
		want int
	}{
		"success":                        {nil, 0},
		"any error":                      {errDisk, 1},
		"an error with a code":           {exit(42), 42},
		"a wrapped one":                  {fmt.Errorf("a: %w", errors.Join(errDisk, exit(42), exit(43))), 42},
		"0 is not the code of an error":  {exit(0), 1},
		"a panic":                        {&batch.PanicError{Value: "x"}, 2},
		"a panic with an error of code":  {&batch.PanicError{Value: exit(42)}, 2},
		"a program that exited":          {fmt.Errorf("a: %w", exited), 42},
		"a program that was killed":      {fmt.Errorf("a: %w", killed), 137},
		"a permanent error keeps a code": {batch.Permanent(exit(42)), 42},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, batch.ExitCode(test.err)) })
	}
}

// sh makes a command of a shell script.
func sh(script string) batch.Command { return batch.Command{Args: []string{"sh", "-c", script}} }

func TestCommand(t *testing.T) {
	t.Setenv("BATCH_OUTER", "outer")
	t.Setenv("BATCH_BOTH", "outer")
	dir := t.TempDir()
	with := func(c batch.Command, change func(*batch.Command)) batch.Command { change(&c); return c }
	tests := map[string]struct {
		command batch.Command
		index   bool
		code    int
		log     []string
	}{
		"it succeeds, and prints": {
			sh("echo out; echo err >&2; printf unfinished"), false, 0, []string{"stdout out", "stderr err", "stdout unfinished"},
		},
		"it fails":            {sh("echo sorry >&2; exit 42"), false, 42, []string{"stderr sorry"}},
		"it dies of a signal": {sh("kill -TERM $$"), false, 143, nil},
		"it does not exist":   {batch.Command{Args: []string{"/nonexistent/program"}}, false, 127, nil},
		"it cannot be run":    {batch.Command{Args: []string{dir}}, false, 126, nil},
		"the environment is that of the process": {with(sh("echo $BATCH_OUTER $BATCH_BOTH $BATCH_NEW"),
			func(c *batch.Command) { c.Env = []string{"BATCH_BOTH=inner", "BATCH_NEW=new"} }),
			false, 0, []string{"stdout outer inner new"}},
		"the index and the host name (R118, R120)": {
			sh("echo $JOB_COMPLETION_INDEX $HOSTNAME"), true, 0, []string{"stdout 0 j-0"},
		},
		"no index (R124)": {sh("echo ${JOB_COMPLETION_INDEX-none}"), false, 0, []string{"stdout none"}},
		"Env has the last word (R120)": {with(sh("echo $JOB_COMPLETION_INDEX $HOSTNAME"),
			func(c *batch.Command) { c.Env = []string{"JOB_COMPLETION_INDEX=x", "HOSTNAME=y"} }),
			true, 0, []string{"stdout x y"}},
		"the directory": {with(sh("pwd -P"), func(c *batch.Command) { c.Dir = "/" }), false, 0, []string{"stdout /"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newController(t, batch.Options{})
			job := batch.Job{Name: "j", BackoffLimit: new(0), Executor: test.command}
			if test.index {
				job.CompletionMode, job.Completions = batch.Indexed, new(1)
			}
			mustCreate(t, c, job)
			_, err := c.Wait(t.Context(), "j")
			require.Equal(t, test.code == 0, err == nil, "%v", err)
			a := attemptsOf(t, c, "j")[0]
			require.Equal(t, test.code, *a.ExitCode)
			var log []string
			for line, err := range c.Logs(t.Context(), "j", a.Name, batch.LogOptions{}) {
				require.NoError(t, err)
				log = append(log, line.Stream+" "+line.Text)
			}
			require.ElementsMatch(t, test.log, log) // two streams have no order
		})
	}
}

func TestCommandWritesElsewhereToo(t *testing.T) {
	var out, err lockedBuffer
	command := sh("echo out; echo err >&2")
	command.Stdout, command.Stderr = &out, &err
	c := newController(t, batch.Options{})
	mustCreate(t, c, batch.Job{Name: "j", Executor: command})
	_, waitErr := c.Wait(t.Context(), "j")
	require.NoError(t, waitErr)
	require.Equal(t, "out\n", out.String())
	require.Equal(t, "err\n", err.String())
	require.ElementsMatch(t, []string{"out", "err"}, logOf(t, c, "j", attemptsOf(t, c, "j")[0].Name))
}

func TestCommandIsStopped(t *testing.T) {
	tests := map[string]struct {
		script string
		grace  time.Duration
		code   int
		log    []string
	}{
		"it ends of SIGTERM": {"echo ready; exec sleep 60", time.Minute, 143, []string{"ready"}},
		"it ends in its own way": {
			"trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done", time.Minute, 5, []string{"ready", "bye"},
		},
		"its children end, too": {"sleep 60 & echo ready; wait", time.Minute, 143, []string{"ready"}},
		"SIGKILL follows the grace": {
			"trap '' TERM; echo ready; while :; do sleep 0.01; done", 50 * time.Millisecond, 137, []string{"ready"},
		},
		"there is no grace": {"trap '' TERM; echo ready; while :; do sleep 0.01; done", 0, 137, []string{"ready"}},
	}
	for name, test := range tests {
		for how, stop := range map[string]func(c *batch.Controller, attempt string) error{
			"deleted":   func(c *batch.Controller, attempt string) error { return c.DeleteAttempt(t.Context(), "j", attempt) },
			"shut down": func(c *batch.Controller, _ string) error { return c.Shutdown(ended(errDisk)) },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				var log lockedBuffer
				c := newController(t, batch.Options{
					Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})),
				})
				mustCreate(t, c, batch.Job{
					Name: "j", BackoffLimit: new(0), TerminationGracePeriod: &test.grace, Executor: sh(test.script),
				})
				attempt := attemptsOf(t, c, "j")[0].Name
				var lines []string
				for line, err := range c.Logs(t.Context(), "j", attempt, batch.LogOptions{Follow: true}) {
					require.NoError(t, err)
					if lines = append(lines, line.Text); len(lines) == 1 {
						go func() {
							if err := stop(c, attempt); err != nil {
								t.Error(err)
							}
						}()
					}
				}
				lines = slices.DeleteFunc(lines, func(line string) bool { return line == "Terminated" }) // says the shell
				require.Equal(t, test.log, lines)
				a := attemptsOf(t, c, "j")[0]
				require.Equal(t, batch.AttemptFailed, a.Phase)
				if test.grace > 0 { // without, the signals race
					require.Equal(t, test.code, *a.ExitCode)
				}
				if how == "deleted" {
					_, err := c.Wait(t.Context(), "j")
					failed(t, err, batch.ReasonBackoffLimitExceeded)
				}
				require.NotContains(t, log.String(), "abandoned", "a program is killed, not abandoned")
			})
		}
	}
}

// TestALateErrorDoesNotChangeAFinishedJob lets the executor of a lost attempt return an
// error when its job has failed.
func TestALateErrorDoesNotChangeAFinishedJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := make(chan struct{})
		c, err := batch.New(t.Context(), batch.Options{})
		require.NoError(t, err)
		require.NoError(t, c.Create(t.Context(), batch.Job{Name: "j", BackoffLimit: new(0),
			Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
				<-late
				return errors.New("late")
			})}))
		synctest.Wait()
		list, err := c.Attempts(t.Context(), "j")
		require.NoError(t, err)
		require.NoError(t, c.Disrupt(t.Context(), "j", list[0].UID, "TerminationByKubelet"))
		before, failed := c.Wait(t.Context(), "j")
		require.Error(t, failed)

		close(late)
		synctest.Wait()
		after, err := c.Get("j")
		require.NoError(t, err)
		require.Equal(t, before, after)
		_, again := c.Wait(t.Context(), "j")
		require.Equal(t, failed.Error(), again.Error())
		require.NoError(t, c.Shutdown(t.Context()))
	})
}

// standHere is where the executor of TestStack can be found.
//
//go:noinline
func standHere(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 2})
		stand := func(ctx context.Context, a batch.Attempt) error { return standHere(ctx) }
		elsewhere := func(ctx context.Context, a batch.Attempt) error { <-ctx.Done(); return nil }
		for _, job := range []batch.Job{
			{Name: "stands", Executor: batch.ExecutorFunc(stand)},
			{Name: "elsewhere", Executor: batch.ExecutorFunc(elsewhere)},
			{Name: "waits", Executor: batch.ExecutorFunc(stand)},
		} {
			mustCreate(t, c, job)
			synctest.Wait()
		}
		stack := func(job string) string {
			text, err := c.Stack(job, attemptsOf(t, c, job)[0].UID)
			require.NoError(t, err)
			return text
		}
		require.Contains(t, stack("stands"), "batch_test.standHere")
		require.NotContains(t, stack("elsewhere"), "standHere")
		require.NotContains(t, stack("elsewhere"), "\n\n", "the stack of one goroutine")
		require.Empty(t, stack("waits"), "no executor runs")

		attempt := attemptsOf(t, c, "stands")[0].Name
		require.NoError(t, c.DeleteAttempt(t.Context(), "stands", attempt))
		synctest.Wait()
		_, err := c.Stack("stands", attempt)
		require.ErrorIs(t, err, batch.ErrAttemptEnded)
		_, err = c.Stack("stands", "another")
		require.ErrorIs(t, err, batch.ErrNotFound)
		_, err = c.Stack("another", attempt)
		require.ErrorIs(t, err, batch.ErrNotFound)
	})
}
