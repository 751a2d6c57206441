package batch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
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
	"github.com/runtocompletion/batch/batchtest"
)

// TestNothingOfARunningJobStartsAfterShutdown lets the calls that end an attempt, or
// make room for one, run against Shutdown, while attempts are retried without a delay.
func TestNothingOfARunningJobStartsAfterShutdown(t *testing.T) {
	calls := map[string]func(ctx context.Context, c *batch.Controller){
		"DeleteAttempt": func(ctx context.Context, c *batch.Controller) {
			for _, a := range attemptsIfAny(c, "busy") {
				_ = c.DeleteAttempt(ctx, "busy", a.Name) // it may have ended
			}
		},
		"Disrupt": func(ctx context.Context, c *batch.Controller) {
			for _, a := range attemptsIfAny(c, "busy") {
				_ = c.Disrupt(ctx, "busy", a.Name, "DeletionByPodGC") // it may have ended
			}
		},
		"Update": func(ctx context.Context, c *batch.Controller) {
			for n := range 5 {
				_ = c.Update(ctx, "busy", func(j *batch.Job) { j.Parallelism = new(n) })
			}
		},
		"Cancel": func(ctx context.Context, c *batch.Controller) { _ = c.Cancel(ctx, "busy", errCause) },
		"Again": func(ctx context.Context, c *batch.Controller) {
			_, _ = c.Again(ctx, "over", batch.AgainOptions{})
		},
		"Run": func(ctx context.Context, c *batch.Controller) {
			_, _ = c.Run(ctx, batch.Job{Name: "new", Executor: succeed})
		},
	}
	for name, call := range calls {
		for _, limit := range []int{0, 2} {
			t.Run(fmt.Sprintf("%s, MaxActive %d", name, limit), func(t *testing.T) {
				for range 30 {
					bubble(t, func(t *testing.T) { busyAgainstShutdown(t, call, limit) })
				}
			})
		}
	}
}

func busyAgainstShutdown(t *testing.T, call func(context.Context, *batch.Controller), limit int) {
	var isDown atomic.Bool
	c := newController(t, batch.Options{MaxActive: limit, Logger: slog.New(slog.DiscardHandler),
		Wrap: func(next batch.Executor) batch.Executor {
			return batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				if isDown.Load() {
					t.Errorf("%s runs after Shutdown", a.Name())
				}
				return next.Execute(ctx, a)
			})
		}})
	mustCreate(t, c, batch.Job{Name: "over", Executor: succeed})
	complete(t, c, "over")
	var calls atomic.Int64
	mustCreate(t, c, batch.Job{Name: "busy", Parallelism: new(3), Completions: new(1 << 30), BackoffLimit: new(1 << 30),
		Backoff: batch.ConstantBackoff(0), Executor: fn(func(ctx context.Context) error {
			switch calls.Add(1) % 3 {
			case 0:
				<-ctx.Done()
				return ctx.Err()
			case 1:
				return errDisk
			}
			return nil
		})})
	var calling sync.WaitGroup
	calling.Go(func() {
		for range 10 {
			call(context.Background(), c)
		}
	})
	require.NoError(t, c.Shutdown(ended(errCause)))
	isDown.Store(true)
	calling.Wait()
	synctest.Wait()
}

// TestLineThatIsGone opens a store without MaxActive that a controller with it has left:
// what had waited in line starts as any attempt does.
func TestLineThatIsGone(t *testing.T) {
	jobs := map[string]batch.Job{
		"for its start": {},
		"for its restart": {RestartPolicy: batch.RestartOnFailure, RestartBackoff: batch.ConstantBackoff(0),
			ReplacementPolicy: batch.ReplaceFailed},
	}
	for name, job := range jobs {
		t.Run(name, func(t *testing.T) {
			eachEnd(t, func(t *testing.T, end func(*testing.T, *batch.Controller, batch.Store) *batchtest.MemoryStore) {
				testLineThatIsGone(t, job, end)
			})
		})
	}
}

func testLineThatIsGone(t *testing.T, job batch.Job,
	end func(*testing.T, *batch.Controller, batch.Store) *batchtest.MemoryStore) {
	var store disk
	var running, most atomic.Int32
	fail := make(chan struct{})
	isFirst := atomic.Bool{}
	isFirst.Store(job.RestartPolicy == batch.RestartOnFailure)
	job.Name, job.AttemptTimeout = "waits", new(time.Minute)
	job.Executor = counted(&running, &most, fn(func(ctx context.Context) error {
		if isFirst.CompareAndSwap(true, false) {
			<-fail
			return errDisk
		}
		<-ctx.Done()
		return ctx.Err()
	}))
	hog := batch.Job{Name: "hog", Executor: untilDone}
	c := newController(t, batch.Options{Store: &store, MaxActive: 1})
	if isFirst.Load() {
		mustCreate(t, c, job)
		settle()
		mustCreate(t, c, hog)
		close(fail)
	} else {
		mustCreate(t, c, hog)
		mustCreate(t, c, job)
	}
	settle()
	require.Zero(t, running.Load(), "it is in line")
	left := end(t, c, &store)

	c, err := batch.New(t.Context(), batch.Options{Store: left})
	require.NoError(t, err)
	apply(t, c, job)
	start := time.Now()
	settle()
	a := attemptsOf(t, c, "waits")[0]
	require.Equal(t, batch.AttemptRunning, a.Phase)
	require.WithinDuration(t, start, a.StartedAt, time.Second)
	require.Zero(t, get(t, c, "waits").Pending)
	require.NoError(t, c.Suspend(t.Context(), "waits"))
	settle()
	require.Zero(t, running.Load(), "it can be stopped")
	require.NoError(t, c.Resume(t.Context(), "waits"))
	time.Sleep(50 * time.Second)
	require.EqualValues(t, 1, running.Load())
	start = attemptsOf(t, c, "waits")[len(attemptsOf(t, c, "waits"))-1].StartedAt
	time.Sleep(time.Until(start.Add(time.Minute + time.Second)))
	list := attemptsOf(t, c, "waits")
	require.True(t, slices.ContainsFunc(list, func(a batch.AttemptStatus) bool {
		return a.Reason == batch.ReasonDeadlineExceeded
	}), "it has a timeout")
	require.EqualValues(t, 1, most.Load(), "at parallelism 1")
	require.NoError(t, c.Shutdown(ended(errCause)))
	require.Zero(t, running.Load())
}

// TestRemovedJobsAreFreed wants nothing to be kept of jobs that others removed, that
// have failed, or that have printed a lot.
func TestRemovedJobsAreFreed(t *testing.T) {
	payload := func() error { return &largeError{make([]byte, 1<<20)} }
	loud := batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		_, err := io.WriteString(a.Stdout(), strings.Repeat(strings.Repeat("x", 1023)+"\n", 1024))
		return err
	})
	ways := map[string]struct {
		options batch.Options
		job     func(job *batch.Job)
		remove  func(c *batch.Controller, name string) error
	}{
		"as too many have finished": {options: batch.Options{FinishedJobs: 1}},
		"that have failed": {
			options: batch.Options{FinishedJobs: 1},
			job: func(job *batch.Job) {
				job.BackoffLimit, job.Executor = new(0), fn(func(context.Context) error { return payload() })
			},
		},
		"that have printed a lot": {
			options: batch.Options{FinishedJobs: 1},
			job:     func(job *batch.Job) { job.LogLimit, job.Executor = new(1<<20), loud },
		},
		"that were stored": {options: batch.Options{Store: new(batchtest.MemoryStore)},
			remove: func(c *batch.Controller, name string) error {
				return c.Delete(t.Context(), name, batch.DeleteBackground)
			}},
		"that ran again": {remove: func(c *batch.Controller, name string) error {
			_, err := c.Again(t.Context(), name, batch.AgainOptions{})
			if err == nil {
				_, err = c.Wait(t.Context(), name)
			}
			return errors.Join(err, c.Delete(t.Context(), name, batch.DeleteBackground))
		}},
		"that were cancelled": {
			job: func(job *batch.Job) { job.Suspend = true },
			remove: func(c *batch.Controller, name string) error {
				return errors.Join(c.Cancel(t.Context(), name, payload()), c.Delete(t.Context(), name, batch.DeleteBackground))
			}},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			c := newController(t, way.options)
			mostGrowth(t, 8, func(i int) {
				job := capturing(i)
				if way.job != nil {
					way.job(&job)
				}
				mustCreate(t, c, job)
				if !job.Suspend {
					_, err := c.Wait(t.Context(), job.Name)
					require.Equal(t, job.BackoffLimit == nil, err == nil, "%v", err)
				}
				if way.remove != nil {
					require.NoError(t, way.remove(c, job.Name))
				}
			})
		})
	}
}

// A largeError keeps a lot of memory.
type largeError struct{ payload []byte }

func (e *largeError) Error() string { return "large" }

// TestProcessExits kills the process under a job, again and again. One exit fails no job,
// however many attempts it takes along; more of them than failures are allowed do.
func TestProcessExits(t *testing.T) {
	for name, c := range map[string]struct {
		job   batch.Job
		exits int
	}{
		"by default":      {batch.Job{}, 7},
		"none may fail":   {batch.Job{BackoffLimit: new(0)}, 2},
		"Indexed":         {batch.Job{CompletionMode: batch.Indexed}, 7},
		"per index":       {batch.Job{CompletionMode: batch.Indexed, BackoffLimitPerIndex: new(1)}, 2},
		"restarts":        {batch.Job{RestartPolicy: batch.RestartOnFailure}, 7},
		"after they stop": {batch.Job{ReplacementPolicy: batch.ReplaceFailed}, 7},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				job := c.job
				job.Name, job.Parallelism, job.Completions, job.Executor = "j", new(9), new(9), untilDone
				var store disk
				first := newController(t, batch.Options{Store: &store})
				apply(t, first, job)
				settle()
				left := crash(t, first, &store)
				for n := 1; ; n++ {
					next := newController(t, batch.Options{Store: left})
					apply(t, next, job)
					time.Sleep(time.Hour)
					s := get(t, next, "j")
					require.Zero(t, s.Failed)
					if s.Finished() {
						require.Equal(t, c.exits, n)
						_, err := next.Wait(t.Context(), "j")
						failed(t, err, batch.ReasonProcessExitLimitExceeded)
						require.ErrorIs(t, err, batch.ErrDisrupted)
						return
					}
					require.Less(t, n, c.exits)
					require.Equal(t, 9, s.Ready)
					left = crash(t, next, left)
				}
			})
		})
	}
}

// TestShutdownsOutOfTime wants executors that do not return to have been taken along by
// the exit of the process: they fail no job the first time, and do in the end.
func TestShutdownsOutOfTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, release := new(batchtest.MemoryStore), make(chan struct{})
		job := batch.Job{Name: "j", Parallelism: new(5), Completions: new(5), BackoffLimit: new(2),
			TerminationGracePeriod: new(time.Second), Executor: fn(func(context.Context) error { <-release; return nil })}
		for n := 1; ; n++ {
			c, err := batch.New(t.Context(), batch.Options{Store: store, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			apply(t, c, job)
			time.Sleep(time.Hour)
			s := get(t, c, "j")
			require.Zero(t, s.Failed)
			if s.Finished() {
				require.Equal(t, 4, n, "after three exits")
				_, err := c.Wait(t.Context(), "j")
				failed(t, err, batch.ReasonProcessExitLimitExceeded)
				require.NoError(t, c.Shutdown(t.Context()))
				close(release)
				settle()
				return
			}
			require.Less(t, n, 4)
			left, ok := errors.AsType[*batch.AbandonedError](c.Shutdown(ended(errCause)))
			require.True(t, ok)
			require.Len(t, left.Attempts, 5)
			store = copyOf(t, store)
		}
	})
}

// TestRestartsWhileAFailureSettles counts the executions of an attempt that is restarted
// without a delay until its job fails.
func TestRestartsWhileAFailureSettles(t *testing.T) {
	for limit, want := range []int{2, 2, 3, 4, 5} {
		for name, b := range map[string]batch.Backoff{
			"constant": batch.ConstantBackoff(0),
			"custom":   batch.BackoffFunc(func() backoff.BackOff { return &backoff.ZeroBackOff{} }),
		} {
			t.Run(fmt.Sprintf("limit %d, %s", limit, name), func(t *testing.T) {
				var calls atomic.Int32
				_, err := batch.Run(t.Context(), batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure,
					BackoffLimit: new(limit), RestartBackoff: b,
					Executor: fn(func(context.Context) error { calls.Add(1); return errDisk })})
				failed(t, err, batch.ReasonBackoffLimitExceeded)
				require.EqualValues(t, want, calls.Load())
			})
		}
	}
}

// TestReturnAtTheTimeout wants the timeout to be taken first by whoever returns exactly
// then, with an error or without.
func TestReturnAtTheTimeout(t *testing.T) {
	for name, result := range map[string]error{"an error": os.ErrDeadlineExceeded, "nothing": nil} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				for range 50 {
					_, err := batch.Run(t.Context(), batch.Job{Name: "j", AttemptTimeout: new(time.Second), BackoffLimit: new(0),
						Executor: fn(func(ctx context.Context) error {
							deadline, _ := ctx.Deadline()
							time.Sleep(time.Until(deadline))
							return result
						})})
					require.ErrorIs(t, err, batch.ErrAttemptTimeout)
				}
			})
		})
	}
}

// TestShutdownReportsEachBackoff wants back-offs of all kinds that do not return to be
// reported, and to hold no slot meanwhile.
func TestShutdownReportsEachBackoff(t *testing.T) {
	for name, job := range map[string]func(b batch.Backoff) batch.Job{
		"of an index": func(b batch.Backoff) batch.Job {
			return batch.Job{Backoff: b, CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(1),
				BackoffLimitPerIndex: new(3)}
		},
		"of restarts": func(b batch.Backoff) batch.Job {
			return batch.Job{RestartBackoff: b, RestartPolicy: batch.RestartOnFailure}
		},
		"asked a second time": func(b batch.Backoff) batch.Job {
			calls := 0
			return batch.Job{Backoff: batch.BackoffFunc(func() backoff.BackOff {
				return next(func() time.Duration {
					if calls++; calls > 1 {
						b.BackOff()
					}
					return 0
				})
			})}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release := make(chan struct{})
				c, err := batch.New(t.Context(), batch.Options{MaxActive: 1, Logger: slog.New(slog.DiscardHandler)})
				require.NoError(t, err)
				slow := job(slowBackoff(release))
				slow.Name, slow.Executor = "slow", fails(errDisk)
				mustCreate(t, c, slow)
				synctest.Wait()
				_, err = c.Run(t.Context(), batch.Job{Name: "other", Executor: succeed})
				require.NoError(t, err)
				left, ok := errors.AsType[*batch.AbandonedError](c.Shutdown(ended(errCause)))
				require.True(t, ok)
				require.Positive(t, left.Calls)
				close(release)
				synctest.Wait()
				require.NoError(t, c.Shutdown(t.Context()))
			})
		})
	}
}

// TestSameJobWrittenTwice declares a job whose functions are written in two places.
func TestSameJobWrittenTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(batchtest.MemoryStore)
		one := batch.Job{Name: "j", Suspend: true, Executor: fn(func(context.Context) error { return fs.ErrExist }),
			Backoff:       batch.BackoffFunc(func() backoff.BackOff { return &backoff.StopBackOff{} }),
			LimitKey:      func(int) string { return "one" },
			FailurePolicy: []batch.FailureRule{{Action: batch.ActionIgnore, OnError: batch.ErrorAs[*fs.PathError]()}}}
		other := one
		other.Executor = fn(func(context.Context) error { return errDisk })
		other.Backoff = batch.BackoffFunc(func() backoff.BackOff { return &backoff.ZeroBackOff{} })
		other.LimitKey = func(int) string { return "other" }
		other.FailurePolicy = []batch.FailureRule{{Action: batch.ActionIgnore, OnError: func(err error) bool {
			return errors.Is(err, errDisk)
		}}}
		for range 2 {
			c := newController(t, batch.Options{Store: store})
			for _, job := range []batch.Job{one, other, one, other} {
				require.Equal(t, int64(1), apply(t, c, job).Generation)
				declared, err := c.Job("j")
				require.NoError(t, err)
				require.Equal(t, job.FailurePolicy[0].OnError(errDisk), declared.FailurePolicy[0].OnError(errDisk))
				require.Equal(t, job.LimitKey(0), declared.LimitKey(0))
			}
			shut(t, c)
		}
	})
}

// TestSlowUserCodeDelaysNobody has all kinds of user code of one job hang: the retries,
// deadlines and removals of others come in time.
func TestSlowUserCodeDelaysNobody(t *testing.T) {
	hang := func() { time.Sleep(time.Hour) }
	failing := func(change func(j *batch.Job)) batch.Job {
		job := batch.Job{Executor: fails(errDisk)}
		change(&job)
		return job
	}
	for name, job := range map[string]batch.Job{
		"the text of an error":      {Executor: fails(hostile{text: func() string { hang(); return "" }})},
		"the exit code of an error": {Executor: fails(hostile{code: func() int { hang(); return 1 }})},
		"Is of an error":            {Executor: fails(hostile{is: func() bool { hang(); return false }})},
		"As of an error":            {Executor: fails(hostile{as: func() bool { hang(); return false }})},
		"an executor that is too late": {AttemptTimeout: new(time.Second), Executor: fn(func(context.Context) error {
			hang()
			return nil
		})},
		"a predicate": failing(func(j *batch.Job) {
			matches := func(error) bool { hang(); return true }
			j.FailurePolicy = []batch.FailureRule{{Action: batch.ActionIgnore, OnError: matches}}
		}),
		"a back-off": failing(func(j *batch.Job) {
			j.Backoff = batch.BackoffFunc(func() backoff.BackOff { hang(); return &backoff.ZeroBackOff{} })
		}),
		"a restart back-off": failing(func(j *batch.Job) {
			j.RestartPolicy = batch.RestartOnFailure
			j.RestartBackoff = batch.BackoffFunc(func() backoff.BackOff { hang(); return &backoff.ZeroBackOff{} })
		}),
		"whether it is pending": {Executor: asksItself{func() bool { hang(); return false }}},
		"the key of a limit": {Limits: []string{"db"}, Executor: succeed, LimitKey: func(int) string {
			hang()
			return ""
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{Logger: slog.New(slog.DiscardHandler),
					Limits: map[string]batch.Limit{"db": {PerKey: true}}})
				job.Name = "hangs"
				var creating sync.WaitGroup
				creating.Go(func() { _ = c.Create(context.Background(), job) })
				othersAreInTime(t, c)
				creating.Wait()
				require.NoError(t, c.Delete(t.Context(), "hangs", batch.DeleteBackground))
				time.Sleep(3 * time.Hour)
			})
		})
	}
}

// othersAreInTime has jobs wait for what only timers bring about.
func othersAreInTime(t *testing.T, c *batch.Controller) {
	t.Helper()
	start := time.Now()
	mustCreate(t, c, batch.Job{Name: "retried", BackoffLimit: new(2), Backoff: batch.ConstantBackoff(time.Minute),
		Executor: fails(errDisk)})
	mustCreate(t, c, batch.Job{Name: "late", ActiveDeadline: new(90 * time.Second), Executor: untilDone})
	mustCreate(t, c, batch.Job{Name: "removed", TTLAfterFinished: new(time.Minute), Executor: succeed})
	for name, reason := range map[string]string{"retried": batch.ReasonBackoffLimitExceeded,
		"late": batch.ReasonDeadlineExceeded} {
		s, err := c.Wait(t.Context(), name)
		failed(t, err, reason)
		want := map[string]time.Duration{"retried": 2 * time.Minute, "late": 90 * time.Second}[name]
		end := s.Conditions[len(s.Conditions)-1].LastTransitionTime
		require.WithinDuration(t, start.Add(want), end, 10*time.Millisecond, name)
	}
	_, err := c.Get("removed")
	require.ErrorIs(t, err, batch.ErrNotFound)
}

// TestTwoJobsOfOneName opens a store that two controllers have written to: the older job
// is kept, the other one removed, and the log says so.
func TestTwoJobsOfOneName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, other := new(batchtest.MemoryStore), new(batchtest.MemoryStore)
		job := batch.Job{Name: "migrate", Suspend: true, Executor: succeed}
		var uids []string
		for _, s := range []batch.Store{store, other} {
			c := newController(t, batch.Options{Store: s})
			uids = append(uids, apply(t, c, job).UID)
			shut(t, c)
			time.Sleep(time.Second)
		}
		for _, r := range recordsOf(t, other) {
			if r.Job != "" {
				require.NoError(t, store.Commit(t.Context(), []batch.Record{r}))
			}
		}
		for _, mentions := range []int{1, 0} { // it has been repaired
			var log lockedBuffer
			c := newController(t, batch.Options{Store: store, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			require.Equal(t, uids[0], get(t, c, "migrate").UID)
			shut(t, c)
			require.Equal(t, mentions, strings.Count(log.String(), `msg="two jobs in the store have one name`), log.String())
			require.Equal(t, mentions, strings.Count(log.String(), "removed="+uids[1]))
		}
	})
}

// TestDatesAfterASleep wants every date of what happens after the machine has slept to be
// what the wall clock shows, and that of what was before to stay.
func TestDatesAfterASleep(t *testing.T) {
	for name, step := range map[string]time.Duration{"it slept": 8 * time.Hour, "it was set back": -8 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{})
				mustCreate(t, c, batch.Job{Name: "before", Executor: succeed})
				before := complete(t, c, "before")
				time.Sleep(time.Minute)
				batch.StepWall(c, step)
				mustCreate(t, c, batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure,
					Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
						return a.SetCondition(batch.Condition{Type: "example.com/seen", Status: "True"})
					})})
				complete(t, c, "j")
				mustCreate(t, c, batch.Job{Name: "waits", Executor: fails(errDisk)})
				settle()
				for what, at := range datesOf(t, c, "j") {
					require.WithinDuration(t, time.Now().Add(step), at, time.Second, what)
				}
				require.WithinDuration(t, time.Now().Add(step+10*time.Second), get(t, c, "waits").NextRetry, time.Second)
				after := get(t, c, "before")
				require.Equal(t, before.CreatedAt, after.CreatedAt)
				require.Equal(t, before.CompletionTime, after.CompletionTime)
			})
		})
	}
}

// datesOf are all dates of a job that has one attempt.
func datesOf(t *testing.T, c *batch.Controller, name string) map[string]time.Time {
	t.Helper()
	s, a := get(t, c, name), attemptsOf(t, c, name)[0]
	dates := map[string]time.Time{"created": s.CreatedAt, "started": s.StartTime, "completed": s.CompletionTime,
		"attempt created": a.CreatedAt, "attempt started": a.StartedAt, "attempt finished": a.FinishedAt}
	for _, condition := range slices.Concat(s.Conditions, a.Conditions) {
		dates["condition "+condition.Type] = condition.LastTransitionTime
	}
	events, err := c.Events(t.Context(), name)
	require.NoError(t, err)
	for _, e := range events {
		dates["event "+e.Reason] = e.At
	}
	require.Greater(t, len(dates), 9)
	return dates
}

// A waitingStore has each commit wait for the end of its context.
type waitingStore struct {
	batchtest.MemoryStore
	waits  atomic.Bool
	causes chan error
}

func (s *waitingStore) Commit(ctx context.Context, records []batch.Record) error {
	if !s.waits.Load() {
		return s.MemoryStore.Commit(ctx, records)
	}
	<-ctx.Done()
	s.causes <- context.Cause(ctx)
	return context.Cause(ctx)
}

// TestCommitEndsWithShutdown wants a commit that goes on to learn that the shutdown is out
// of time.
func TestCommitEndsWithShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &waitingStore{causes: make(chan error, 10)}
		c, err := batch.New(t.Context(), batch.Options{Store: store})
		require.NoError(t, err)
		mustCreate(t, c, batch.Job{Name: "j", Executor: untilDone})
		settle()
		store.waits.Store(true)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errCause)
		defer cancel()
		start := time.Now()
		require.Error(t, c.Shutdown(ctx))
		require.Less(t, time.Since(start), 3*time.Second)
		synctest.Wait()
		require.NotEmpty(t, store.causes, "the commit still waits")
	})
}

// TestEachRecordThatIsRefused wants the job whose record the store refuses to stall, or not
// to be created, and no other one, and it to go when it is deleted.
func TestEachRecordThatIsRefused(t *testing.T) {
	large := strings.Repeat("x", 500<<10)
	for name, job := range map[string]batch.Job{
		"a result": {ResultLimit: new(1 << 20), Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			return a.SetResult(large)
		})},
		"the results of a running job": {ResultLimit: new(1 << 20), Completions: new(2),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				if a.Number == 1 {
					<-ctx.Done()
				}
				return a.SetResult(large)
			})},
		"an input": {Input: large, Executor: succeed},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newController(t, batch.Options{Store: new(limited), Logger: slog.New(slog.DiscardHandler)})
				mustCreate(t, c, batch.Job{Name: "good", Completions: new(1000), Executor: takes(10 * time.Millisecond)})
				job.Name = "bad"
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				created := c.Create(ctx, job)
				if created == nil {
					_, err := c.Wait(ctx, "bad")
					require.Error(t, err)
				}
				require.Equal(t, 1000, complete(t, c, "good").Succeeded)
				require.False(t, get(t, c, "good").Is(batch.ConditionStalled))
				mustCreate(t, c, batch.Job{Name: "new", Executor: succeed})
				complete(t, c, "new")
				if created != nil {
					require.ErrorIs(t, created, errLarge)
				} else {
					require.True(t, get(t, c, "bad").Is(batch.ConditionStalled))
					require.NoError(t, c.Delete(t.Context(), "bad", batch.DeleteBackground))
				}
				_, err := c.Get("bad")
				require.ErrorIs(t, err, batch.ErrNotFound)
			})
		})
	}
}

// TestDefaultOfFinishedJobs wants a controller to keep the 10,000 that finished last.
func TestDefaultOfFinishedJobs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{})
		const kept, more = 10_000, 50
		finishMany(t, c, kept+more, batch.Job{Executor: succeed})
		synctest.Wait()
		names := namesOf(c)
		require.Equal(t, kept, len(names))
		require.Equal(t, fmt.Sprintf("job-%06d", more), names[0])
	})
}

// TestWaitDoesNotHangOnAClosedStore closes a store under callers of all kinds.
func TestWaitDoesNotHangOnAClosedStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := new(disk)
		c, err := batch.New(t.Context(), batch.Options{Store: store, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		mustCreate(t, c, batch.Job{Name: "waits", Backoff: batch.ConstantBackoff(time.Hour), Executor: fails(errDisk)})
		mustCreate(t, c, batch.Job{Name: "runs", Executor: untilDone})
		settle()
		store.set(func(func() error) error { return fs.ErrClosed })
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		for _, name := range []string{"waits", "runs"} {
			waited := make(chan error, 1)
			go func() { _, err := c.Wait(ctx, name); waited <- err }()
			time.Sleep(time.Minute)
			require.NoError(t, nothingElse(c.DeleteAttempt(ctx, name, attemptsIfAny(c, name)[0].Name)))
			require.ErrorIs(t, <-waited, fs.ErrClosed)
		}
		_, err = c.Run(ctx, batch.Job{Name: "new", Executor: succeed})
		require.ErrorIs(t, err, fs.ErrClosed)
		require.ErrorIs(t, c.Shutdown(ended(errCause)), fs.ErrClosed)
	})
}

// nothingElse is err, but for what a closed store and an attempt that has ended lead to.
func nothingElse(err error) error {
	if errors.Is(err, fs.ErrClosed) || errors.Is(err, batch.ErrAttemptEnded) {
		return nil
	}
	return err
}

// TestTerminationMessageSurvivesALateError wants what a lost attempt says late to change
// neither its job, whether that still runs or has finished, nor what the store has.
func TestTerminationMessageSurvivesALateError(t *testing.T) {
	for _, limit := range []int{0, 3} {
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store, late := new(batchtest.MemoryStore), make(chan struct{})
				c := newController(t, batch.Options{Store: store})
				mustCreate(t, c, batch.Job{Name: "j", BackoffLimit: new(limit),
					Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
						if a.Number > 0 {
							<-ctx.Done()
							return ctx.Err()
						}
						<-late
						a.SetOutput("late")
						fmt.Fprintln(a.Stdout(), "late")
						a.Progress(1, 2, "late")
						return errors.Join(errDisk, a.SaveCheckpoint(context.Background(), []byte("late")))
					})})
				settle()
				require.NoError(t, c.Disrupt(t.Context(), "j", attemptsOf(t, c, "j")[0].Name, "TerminationByKubelet"))
				time.Sleep(time.Minute)
				before, attempts, records := get(t, c, "j"), attemptsOf(t, c, "j"), sortedRecords(t, store)
				close(late)
				settle()
				require.Equal(t, before, get(t, c, "j"))
				require.Equal(t, attempts, attemptsOf(t, c, "j"))
				require.Equal(t, records, sortedRecords(t, store))
				require.Empty(t, logOf(t, c, "j", attempts[0].Name))
			})
		})
	}
}

// sortedRecords are the records of a store, as texts.
func sortedRecords(t *testing.T, store batch.Store) (texts []string) {
	t.Helper()
	for _, r := range recordsOf(t, store) {
		texts = append(texts, fmt.Sprintf("%s/%s: %q", r.Job, r.Key, r.Value))
	}
	slices.Sort(texts)
	return texts
}
