package batch_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
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

func failsJobIf(f func(error) bool) []batch.FailureRule {
	return []batch.FailureRule{{Action: batch.ActionFailJob, OnError: f}}
}

var hostileCallbacksTests = map[string]struct {
	job  batch.Job
	took time.Duration // for two failures and a success
}{
	"a predicate panics": {
		job: batch.Job{FailurePolicy: failsJobIf(func(error) bool { panic("gotcha") })}, took: 30 * time.Second,
	},
	"a predicate exits": {
		job: batch.Job{FailurePolicy: failsJobIf(func(error) bool { return goexit[bool]() })}, took: 30 * time.Second,
	},
	"a back-off factory panics": {
		job: batch.Job{Backoff: batch.BackoffFunc(panics[backoff.BackOff])}, took: 30 * time.Second,
	},
	"a back-off factory exits": {
		job: batch.Job{Backoff: batch.BackoffFunc(goexit[backoff.BackOff])}, took: 30 * time.Second,
	},
	"a back-off factory gives nil": {
		job: batch.Job{Backoff: batch.BackoffFunc(func() backoff.BackOff { return nil })}, took: 30 * time.Second,
	},
	"a back-off panics": {
		job:  batch.Job{Backoff: batch.BackoffFunc(func() backoff.BackOff { return next(panics[time.Duration]) })},
		took: 30 * time.Second,
	},
	"a back-off exits": {
		job:  batch.Job{Backoff: batch.BackoffFunc(func() backoff.BackOff { return next(goexit[time.Duration]) })},
		took: 30 * time.Second,
	},
	"a back-off is negative": {
		job: batch.Job{
			Backoff: batch.BackoffFunc(func() backoff.BackOff { return next(func() time.Duration { return -time.Hour }) }),
		},
		took: 0,
	},
	"a back-off takes its time": {
		job: batch.Job{
			Backoff: batch.BackoffFunc(func() backoff.BackOff {
				return next(func() time.Duration { time.Sleep(time.Hour); return 0 })
			}),
		},
		took: 2 * time.Hour,
	},
	"a restart back-off panics": {
		job:  batch.Job{RestartPolicy: batch.RestartOnFailure, RestartBackoff: batch.BackoffFunc(panics[backoff.BackOff])},
		took: 10 * time.Second,
	},
	"a restart back-off exits": {
		job:  batch.Job{RestartPolicy: batch.RestartOnFailure, RestartBackoff: batch.BackoffFunc(goexit[backoff.BackOff])},
		took: 10 * time.Second,
	},
	"a restart back-off gives nil": {
		job: batch.Job{
			RestartPolicy: batch.RestartOnFailure, RestartBackoff: batch.BackoffFunc(func() backoff.BackOff { return nil }),
		},
		took: 10 * time.Second,
	},
	"a restart back-off is negative": {
		job: batch.Job{
			RestartPolicy: batch.RestartOnFailure,
			RestartBackoff: batch.BackoffFunc(func() backoff.BackOff {
				return next(func() time.Duration { return -time.Hour })
			}),
		},
		took: 0,
	},
	"a back-off of an index exits": {
		job: batch.Job{
			CompletionMode: batch.Indexed, Completions: new(1), BackoffLimitPerIndex: new(3),
			Backoff: batch.BackoffFunc(goexit[backoff.BackOff]),
		},
		took: 30 * time.Second,
	},
	"a back-off of an index takes it": {
		job: batch.Job{
			CompletionMode: batch.Indexed, Completions: new(1), BackoffLimitPerIndex: new(3),
			Backoff: batch.BackoffFunc(func() backoff.BackOff {
				return next(func() time.Duration { time.Sleep(time.Hour); return 0 })
			}),
		},
		took: 2 * time.Hour,
	},
}

// User code of all kinds panics or exits: the job must come to its end.
func TestHostileCallbacks(t *testing.T) {

	for name, test := range hostileCallbacksTests {
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

func callEverything(c *batch.Controller) {
	ctx := context.Background()
	c.Get("j")
	c.Job("j")
	c.Events(ctx, "j")
	for range c.All() {
		break
	}
	for range c.Watch(ended(errDisk), 0) {
		break
	}
	list, _ := c.Attempts(ctx, "j")
	for _, a := range list {
		for range c.Logs(ctx, "j", a.Name, -1, false) {
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

// callsOfUserCode are what user code may do.
var callsOfUserCode = map[string]func(c *batch.Controller){
	"reads and changes": callEverything,
	"deletes its job": func(c *batch.Controller) {
		c.Delete(context.Background(), "j", batch.DeleteBackground)
		callEverything(c)
	},
	"deletes its job slowly": func(c *batch.Controller) {
		c.Delete(context.Background(), "j", batch.DeleteForeground)
		callEverything(c)
	},
	"orphans itself": func(c *batch.Controller) {
		c.Delete(context.Background(), "j", batch.DeleteOrphan)
		callEverything(c)
	},
	"suspends and resumes its job": func(c *batch.Controller) {
		c.Suspend(context.Background(), "j")
		callEverything(c)
		c.Resume(context.Background(), "j")
	},
	"deletes its attempt": func(c *batch.Controller) {
		list, _ := c.Attempts(context.Background(), "j")
		for _, a := range list {
			c.DeleteAttempt(context.Background(), "j", a.Name)
		}
	},
	"disrupts its attempt": func(c *batch.Controller) {
		list, _ := c.Attempts(context.Background(), "j")
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

// jobsWithUserCode are jobs that call act from each kind of code that a user gives.
func jobsWithUserCode(act func()) map[string]batch.Job {
	return map[string]batch.Job{
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
}

// Everything that is not forbidden may be called from user code.
func TestUserCodeCallsTheController(t *testing.T) {

	for name, change := range callsOfUserCode {
		var c *batch.Controller
		var once sync.Once
		act := func() { once.Do(func() { change(c) }) }
		for where, job := range jobsWithUserCode(act) {
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

// asksItself is a PendingExecutor that is asked under no lock.
type asksItself struct{ ask func() bool }

func (asksItself) Execute(context.Context, batch.Attempt) error { return nil }
func (e asksItself) HoldsPending() bool                         { return e.ask() }

// A handlerFunc is a log handler.
type handlerFunc func(r slog.Record) error

func (f handlerFunc) Enabled(context.Context, slog.Level) bool      { return true }
func (f handlerFunc) Handle(_ context.Context, r slog.Record) error { return f(r) }
func (f handlerFunc) WithAttrs([]slog.Attr) slog.Handler            { return f }
func (f handlerFunc) WithGroup(string) slog.Handler                 { return f }

// TestHostileLogHandlers wants a handler that is slow, panics or exits to delay no
// timer of any job, and to end nothing.
func TestHostileLogHandlers(t *testing.T) {
	release := make(chan struct{})
	for name, handle := range map[string]handlerFunc{
		"it never returns": func(slog.Record) error { <-release; return nil },
		"it is slow":       func(slog.Record) error { time.Sleep(time.Hour); return nil },
		"it panics":        func(slog.Record) error { panic("gotcha") },
		"it exits":         func(slog.Record) error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release = make(chan struct{})
				c, err := batch.New(t.Context(), batch.Options{Logger: slog.New(handle)})
				require.NoError(t, err)
				start := time.Now()
				for _, name := range []string{"a", "b", "c"} {
					mustCreate(t, c, batch.Job{
						Name: name, BackoffLimit: new(2), Backoff: batch.ConstantBackoff(time.Minute), Executor: fails(errDisk),
					})
				}
				for _, name := range []string{"a", "b", "c"} {
					_, err := c.Wait(t.Context(), name)
					failed(t, err, batch.ReasonBackoffLimitExceeded)
					require.WithinDuration(t, start.Add(2*time.Minute), time.Now(), 10*time.Millisecond)
				}
				close(release)
				time.Sleep(100 * time.Hour)
				require.NoError(t, c.Shutdown(ended(errCause)))
			})
		})
	}
}
