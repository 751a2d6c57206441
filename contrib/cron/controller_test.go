package cron

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A fixture is a controller of CronJobs over one of jobs, in a bubble.
type fixture struct {
	t    *testing.T
	jobs *batch.Controller
	*Controller
	step atomic.Int64 // how far the clock on the wall was set forward
	runs atomic.Int64 // of executors
}

func newFixture(t *testing.T, store batch.Store) *fixture {
	f := &fixture{t: t}
	var err error
	f.jobs, err = batch.New(t.Context(), batch.Options{Store: store})
	require.NoError(t, err)
	f.Controller, err = newController(f.jobs, Options{}, func() time.Time {
		return time.Now().Add(time.Duration(f.step.Load()))
	})
	require.NoError(t, err)
	return f
}

func (f *fixture) close() {
	require.NoError(f.t, f.Shutdown(f.t.Context()))
	require.NoError(f.t, f.jobs.Shutdown(f.t.Context()))
}

// cronJob counts its runs.
func (f *fixture) cronJob(name, schedule string) CronJob {
	return CronJob{Name: name, Schedule: schedule, TimeZone: "UTC", Job: batch.Job{
		Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { f.runs.Add(1); return nil })}}
}

func (f *fixture) get(name string) Status {
	synctest.Wait()
	status, err := f.Get(name)
	require.NoError(f.t, err)
	return status
}

// inBubble runs a test in virtual time with a fixture.
func inBubble(t *testing.T, test func(t *testing.T, f *fixture)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		test(t, f)
		f.close()
	})
}

func TestErrors(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		ctx := t.Context()
		require.NoError(t, f.Create(ctx, f.cronJob("a", "@daily")))
		require.ErrorIs(t, f.Create(ctx, f.cronJob("a", "@daily")), ErrExists)
		_, err := f.Get("b")
		require.ErrorIs(t, err, ErrNotFound)
		require.ErrorIs(t, f.Suspend(ctx, "b"), ErrNotFound)
		require.ErrorIs(t, f.Delete(ctx, "b", batch.DeleteBackground), ErrNotFound)
		require.ErrorContains(t, f.Delete(ctx, "a", "Later"), "must be Background, Foreground or Orphan")
		require.ErrorIs(t, f.Trigger(ctx, "b", "job"), ErrNotFound)
		ended, end := context.WithCancelCause(ctx)
		cause := errors.New("enough")
		end(cause)
		require.ErrorIs(t, f.Create(ended, f.cronJob("c", "@daily")), cause)
		require.ErrorIs(t, f.Suspend(ended, "a"), cause)
		require.NoError(t, f.Shutdown(ctx))
		require.ErrorIs(t, f.Create(ctx, f.cronJob("c", "@daily")), ErrShutdown)
		require.ErrorIs(t, f.Suspend(ctx, "a"), ErrShutdown)
	})
}

func TestUpdate_MayCallBack(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		require.NoError(t, f.Create(t.Context(), f.cronJob("a", "@daily")))
		calls := 0
		require.NoError(t, f.Update(t.Context(), "a", func(j *CronJob) {
			if calls++; calls == 1 { // another is faster
				require.NoError(t, f.Suspend(t.Context(), "a"))
			}
			j.Schedule = "@hourly"
		}))
		require.Equal(t, 2, calls)
		status := f.get("a")
		require.True(t, status.Suspend)
		require.Equal(t, "@hourly", status.Schedule)
		require.Equal(t, int64(3), status.Generation)
	})
}

func TestUpdate_ChangesNothingIfItIsInvalid(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		require.NoError(t, f.Create(t.Context(), f.cronJob("a", "@daily")))
		err := f.Update(t.Context(), "a", func(j *CronJob) { j.Name, j.Schedule, j.Job.Parallelism = "b", "daily", new(-1) })
		invalid, ok := errors.AsType[*ValidationError](err)
		require.True(t, ok)
		require.Len(t, invalid.Fields, 3)
		require.Equal(t, int64(1), f.get("a").Generation)
	})
}

func TestWatch(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		var seen []string
		done := make(chan error)
		go func() {
			for change, err := range f.Watch(t.Context(), 0) {
				if err != nil {
					done <- err
					return
				}
				seen = append(
					seen, fmt.Sprintf("%v %v %s %v", change.Added, change.Deleted, change.Status.Name, change.Status.Suspend),
				)
			}
		}()
		for _, act := range []func() error{
			func() error { return f.Create(t.Context(), f.cronJob("a", "@daily")) },
			func() error { return f.Suspend(t.Context(), "a") },
			func() error { return f.Delete(t.Context(), "a", batch.DeleteBackground) },
		} {
			require.NoError(t, act())
			synctest.Wait()
		}
		require.NoError(t, f.Shutdown(t.Context()))
		require.ErrorIs(t, <-done, ErrShutdown)
		require.Equal(t, "true false a false", seen[0])
		require.Contains(t, seen, "false false a true")
		require.Equal(t, "false true a true", seen[len(seen)-1])
		for _, err := range f.Watch(t.Context(), 1) {
			require.ErrorIs(t, err, ErrTooOld)
		}
	})
}

// TestClockSetBack: no time is started twice (C103).
func TestClockSetBack(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		require.NoError(t, f.Create(t.Context(), f.cronJob("a", "* * * * *")))
		time.Sleep(2*time.Minute + time.Second)
		require.Equal(t, int64(2), f.runs.Load())
		f.step.Add(-int64(time.Hour))
		time.Sleep(59 * time.Minute)
		require.Equal(t, int64(2), f.runs.Load())
		time.Sleep(3 * time.Minute)
		require.Equal(t, int64(4), f.runs.Load())
	})
}

// TestMachineSlept: the clock on the wall goes on while timers stand still. The most
// recent missed time is started at once, by the deadline.
func TestMachineSlept(t *testing.T) {
	for name, test := range map[string]struct {
		deadline *time.Duration
		want     int64
	}{
		"without a deadline":      {want: 1},
		"younger than a deadline": {deadline: new(7 * time.Hour), want: 1},
		"older than a deadline":   {deadline: new(time.Hour), want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fixture) {
				job := f.cronJob("a", "0 2 * * *") // the bubble begins at midnight
				job.StartingDeadline = test.deadline
				require.NoError(t, f.Create(t.Context(), job))
				time.Sleep(30 * time.Second)
				f.step.Add(int64(8 * time.Hour))
				time.Sleep(recheck)
				require.Equal(t, test.want, f.runs.Load())
			})
		})
	}
}

// TestRestart: what the store has goes on once it is declared again.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		f := newFixture(t, &store)
		require.NoError(t, f.Create(t.Context(), f.cronJob("a", "* * * * *")))
		suspended := f.cronJob("b", "* * * * *")
		require.NoError(t, f.Create(t.Context(), suspended))
		require.NoError(t, f.Suspend(t.Context(), "b"))
		time.Sleep(61 * time.Second)
		before := f.get("a")
		f.close()
		time.Sleep(10 * time.Minute)

		f = newFixture(t, &store)
		require.Equal(t, "waits for Apply to declare its executor", f.get("a").Problem)
		require.ErrorIs(t, f.Trigger(t.Context(), "a", "by-hand"), ErrNotDeclared)
		require.Equal(t, int64(0), f.runs.Load())
		status, err := f.Apply(t.Context(), f.cronJob("a", "* * * * *"))
		require.NoError(t, err)
		require.Equal(t, before.UID, status.UID)
		require.Empty(t, status.Problem)
		_, err = f.Apply(t.Context(), f.cronJob("b", "* * * * *"))
		require.NoError(t, err)
		require.True(t, f.get("b").Suspend, "what a user has changed stays")
		require.Equal(t, int64(1), f.runs.Load(), "of ten missed times the last")
		require.Equal(t, 11*time.Minute, f.get("a").LastScheduleTime.Sub(before.CreatedAt))
		f.close()
	})
}

// TestRestart_DeclaresTheJobsThereAre: a job that ran goes on, and knows its time.
func TestRestart_DeclaresTheJobsThereAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store batchtest.MemoryStore
		f := newFixture(t, &store)
		job := f.cronJob("a", "0 1 * * *")
		job.Job.Executor = batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
			<-ctx.Done()
			return ctx.Err()
		})
		require.NoError(t, f.Create(t.Context(), job))
		time.Sleep(61 * time.Minute)
		stopped, stop := context.WithCancel(t.Context())
		stop()
		require.NoError(t, f.Shutdown(t.Context()))
		require.NoError(t, f.jobs.Shutdown(stopped))

		f = newFixture(t, &store)
		var at atomic.Pointer[time.Time]
		job.Job.Executor = batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
			scheduled, _ := ScheduledTime(ctx)
			at.Store(&scheduled)
			return nil
		})
		_, err := f.Apply(t.Context(), job)
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, "2000-01-01T01:00:00Z", at.Load().Format(time.RFC3339))
		f.close()
	})
}

// A fragileStore refuses commits of records of CronJobs' states while it is broken.
type fragileStore struct {
	batchtest.MemoryStore
	broken atomic.Bool
}

func (s *fragileStore) Commit(ctx context.Context, records []batch.Record) error {
	for _, r := range records {
		if s.broken.Load() && r.Job == "" {
			return errors.New("disk full")
		}
	}
	return s.MemoryStore.Commit(ctx, records)
}

// TestStoreFails: no executor runs before it is stored that its job was started.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(fragileStore)
		f := newFixture(t, store)
		require.NoError(t, f.Create(t.Context(), f.cronJob("a", "0 1 * * *")))
		store.broken.Store(true)
		time.Sleep(61 * time.Minute)
		require.Equal(t, int64(0), f.runs.Load())
		status := f.get("a")
		require.Equal(t, "the store fails", status.Problem)
		require.Zero(t, status.LastScheduleTime, "what is not stored is not told")
		store.broken.Store(false)
		time.Sleep(10 * time.Second)
		require.Equal(t, int64(1), f.runs.Load())
		require.Empty(t, f.get("a").Problem)
		f.close()
	})
}

func TestExplain(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		job := f.cronJob("a", "30 2 * * *")
		job.TimeZone = "Europe/Berlin"
		job.Job.Executor = batch.ExecutorFunc(func(context.Context, batch.Attempt) error {
			time.Sleep(4 * time.Minute)
			return nil
		})
		require.NoError(t, f.Create(t.Context(), job))
		require.Equal(t, "every day at 02:30 Europe/Berlin; next in 1h30m", f.get("a").Explain())
		time.Sleep(91 * time.Minute)
		require.Equal(t, "every day at 02:30 Europe/Berlin; next in 23h59m; 1 active", f.get("a").Explain())
		time.Sleep(4 * time.Minute)
		status := f.get("a")
		require.Equal(t, "every day at 02:30 Europe/Berlin; next in 23h55m; last: Complete 4m", status.Explain())
		require.Len(t, status.Next, upcoming)
		require.NoError(t, f.Suspend(t.Context(), "a"))
		require.Equal(t, "every day at 02:30 Europe/Berlin; suspended; last: Complete 4m", f.get("a").Explain())
		require.NoError(t, f.Create(t.Context(), f.cronJob("never", "0 0 30 2 *")))
		require.Equal(
			t, "on day 30 of the month in February at 00:00 UTC; the schedule never comes", f.get("never").Explain(),
		)
	})
}

// TestNameTaken: nothing is started, and the status says why (C97).
func TestNameTaken(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		taken := batch.Job{Name: fmt.Sprintf("a-%d", time.Now().Unix()/60+1), Executor: f.cronJob("a", "").Job.Executor}
		require.NoError(t, f.jobs.Create(t.Context(), taken))
		require.NoError(t, f.Create(t.Context(), f.cronJob("a", "* * * * *")))
		time.Sleep(5 * time.Minute)
		require.Equal(t, int64(1), f.runs.Load())
		require.Contains(t, f.get("a").Problem, "belongs to somebody else")
		require.NoError(t, f.Resume(t.Context(), "a"))
		synctest.Wait()
		require.Equal(t, int64(2), f.runs.Load())
	})
}

// TestOwner: what an owner reference of Kubernetes would say.
func TestOwner(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		require.NoError(t, f.Create(t.Context(), f.cronJob("a", "0 1 * * *")))
		require.NoError(t, f.Trigger(t.Context(), "a", "by-hand"))
		time.Sleep(61 * time.Minute)
		status, err := f.Get("a")
		require.NoError(t, err)
		cronJob := JobRef{"a", status.UID}
		want := map[string]bool{"by-hand": false, "a-15778140": true}
		for status := range f.jobs.All() {
			job, err := f.jobs.Job(status.Name)
			require.NoError(t, err)
			owner, blocks, ok := f.Owner(job)
			require.True(t, ok)
			require.Equal(t, cronJob, owner)
			require.Equal(t, want[status.Name], blocks, status.Name)
		}
		_, _, ok := f.Owner(batch.Job{})
		require.False(t, ok)
	})
}

// TestManyDeletions: more jobs go at once than a watch can tell of, and all are seen
// to be gone.
func TestManyDeletions(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		const n = 3000
		job := f.cronJob("a", "@daily")
		job.Suspend, job.SuccessfulJobsHistoryLimit = true, new(n)
		require.NoError(t, f.Create(t.Context(), job))
		for i := range n {
			require.NoError(t, f.Trigger(t.Context(), "a", fmt.Sprintf("by-hand-%d", i)))
		}
		synctest.Wait()
		require.Equal(t, int64(n), f.runs.Load())
		for i := range n {
			require.NoError(t, f.jobs.Delete(t.Context(), fmt.Sprintf("by-hand-%d", i), batch.DeleteBackground))
		}
		synctest.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		require.Empty(t, f.Controller.runs["a"].engine.Owned())
		require.Empty(t, f.owners)
	})
}

// TestJobsShowWhatTheyRun: who looks at a job finds the executor of the template.
func TestJobsShowWhatTheyRun(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		job := f.cronJob("a", "@daily")
		job.Job.Executor = batch.Command{Args: []string{"true"}}
		job.Suspend, job.Job.Suspend = true, true
		require.NoError(t, f.Create(t.Context(), job))
		require.NoError(t, f.Trigger(t.Context(), "a", "by-hand"))
		made, err := f.jobs.Job("by-hand")
		require.NoError(t, err)
		wrapper, ok := made.Executor.(interface{ Unwrap() batch.Executor })
		require.True(t, ok)
		require.Equal(t, job.Job.Executor, wrapper.Unwrap())
	})
}

// TestValidateIsWhatCreateAndUpdateSay: the answer is known without an attempt.
func TestValidateIsWhatCreateAndUpdateSay(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fixture) {
		good := f.cronJob("a", "@daily")
		require.NoError(t, good.Validate())
		require.NoError(t, f.Create(t.Context(), good))
		bad := good
		bad.Schedule, bad.TimeZone = "TZ=UTC 0 0 * * *", "Mars/Base"
		bad.Name = "b"
		require.Equal(t, f.Create(t.Context(), bad), bad.Validate())
		bad.Name = "a"
		said := f.Update(t.Context(), "a", func(j *CronJob) { j.Schedule, j.TimeZone = bad.Schedule, bad.TimeZone })
		require.Error(t, said)
		require.Equal(t, said, bad.ValidateChange(good))
		bad.TimeZone = ""
		require.Error(t, bad.Validate())
		require.NoError(t, bad.ValidateChange(bad), "what was let in may stay")
	})
}
