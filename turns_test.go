package batch_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

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

func TestPriority(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 1})
		began := make(chan string, 100)
		notes := batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			began <- a.Job
			time.Sleep(10 * time.Second)
			return nil
		})
		mustCreate(t, c, sharing("first", 1, notes))
		mustCreate(t, c, sharing("low", 2, notes))
		high := sharing("high", 20, notes)
		high.Priority = 1
		mustCreate(t, c, high)
		complete(t, c, "low")
		var order []string
		for range len(began) {
			order = append(order, <-began)
		}
		text := strings.Join(order, " ")
		require.True(t, strings.HasPrefix(text, "first high high high"), text)
		require.LessOrEqual(t, len(order), 1+2*8, "an attempt of low has its turn after a minute: %s", text)
		require.NoError(t, c.Update(t.Context(), "high", func(j *batch.Job) { j.Priority = -5 }))
		complete(t, c, "high")
	})
}

// Ten thousand jobs in line have no goroutine and no timer, and what takes long takes as
// long as that.
func TestManyJobsInLine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{Limits: map[string]batch.Limit{"db": {Active: new(1)}}})
		release, err := c.Acquire(t.Context(), "", "db")
		require.NoError(t, err)
		before := runtime.NumGoroutine()
		const n = 10_000
		for i := range n {
			mustCreate(t, c, sharing(fmt.Sprint("j", i), 1, succeed, "db"))
		}
		synctest.Wait()
		// The runtime's count may be off by some dozens while goroutines end.
		require.Less(t, runtime.NumGoroutine()-before, n/100)
		time.Sleep(1000 * time.Hour)
		start := time.Now()
		release()
		for i := range n {
			complete(t, c, fmt.Sprint("j", i))
		}
		require.Zero(t, time.Since(start))
	})
}

// TestExplainNamesWhoHoldsTheSlots wants an executor that waits for another job under
// MaxActive to be found out.
func TestExplainNamesWhoHoldsTheSlots(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newController(t, batch.Options{MaxActive: 1})
		mustCreate(t, c, batch.Job{Name: "outer", Executor: fn(func(ctx context.Context) error {
			_, err := c.Run(ctx, batch.Job{Name: "inner", Executor: succeed})
			return err
		})})
		settle()
		require.Equal(
			t, "1 of 1 slots busy, 1 of them not started yet: MaxActive of 1 is reached by outer (1)",
			get(t, c, "inner").Explain(),
		)
		require.Equal(t, "no job", batch.Status{}.String())
	})
}

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

	c = newController(t, batch.Options{Store: left})
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
