package batch_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

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

// exits fails so often with exit code 1, 2, ..., each after a second, and then lasts.
func exits(times int) batch.ExecutorFunc {
	return func(ctx context.Context, a batch.Attempt) error {
		if a.Restarts >= times {
			<-ctx.Done()
			return ctx.Err()
		}
		time.Sleep(time.Second)
		return exitCode(a.Restarts + 1)
	}
}

type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }
func (e exitCode) ExitCode() int { return int(e) }

// TestRunsOfAnAttempt: each run of an attempt that is restarted in place is seen with its
// own times and exit code, also in a process that finds it in the store.
func TestRunsOfAnAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var store disk
		c := newController(t, batch.Options{Store: &store})
		job := batch.Job{Name: "j", RestartPolicy: batch.RestartOnFailure, Executor: exits(2)}
		apply(t, c, job)
		start := time.Now()
		settle()
		require.Nil(t, attemptsOf(t, c, "j")[0].Runs)
		time.Sleep(time.Second + 1) // it was restarted at once
		second := start.Add(time.Second)
		first := batch.AttemptRun{StartedAt: start, FinishedAt: second, ExitCode: new(1)}
		require.Equal(t, []batch.AttemptRun{first, {StartedAt: second}}, attemptsOf(t, c, "j")[0].Runs)
		time.Sleep(2 * time.Second) // it waits
		end := second.Add(time.Second)
		runs := []batch.AttemptRun{first, {StartedAt: second, FinishedAt: end, ExitCode: new(2)}}
		require.Equal(t, runs, attemptsOf(t, c, "j")[0].Runs)
		time.Sleep(10 * time.Second)
		runs = append(runs, batch.AttemptRun{StartedAt: end.Add(10 * time.Second)})
		require.Equal(t, runs, attemptsOf(t, c, "j")[0].Runs)

		left := crash(t, c, &store)
		at := time.Now()
		c = newController(t, batch.Options{Store: left})
		runs[2].FinishedAt = at // the process has ended under it: there is no exit code
		for i, run := range attemptsOf(t, c, "j")[0].Runs {
			require.WithinDuration(t, runs[i].StartedAt, run.StartedAt, 0)
			require.WithinDuration(t, runs[i].FinishedAt, run.FinishedAt, 0)
			require.Equal(t, runs[i].ExitCode, run.ExitCode)
		}
	})
}

func ExampleAttemptRun() {
	c, err := batch.New(context.Background(), batch.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	flaky := func(_ context.Context, a batch.Attempt) error {
		if a.Restarts == 0 {
			return errors.New("not yet")
		}
		return nil
	}
	ctx := context.Background()
	_, err = c.Apply(ctx, batch.Job{
		Name: "import", RestartPolicy: batch.RestartOnFailure, Executor: batch.ExecutorFunc(flaky),
	})
	if err == nil {
		_, err = c.Wait(ctx, "import")
	}
	attempts, _ := c.Attempts(ctx, "import")
	for _, run := range attempts[0].Runs {
		fmt.Println("exit code", *run.ExitCode)
	}
	fmt.Println(err, c.Shutdown(ctx))
	// Output:
	// exit code 1
	// exit code 0
	// <nil> <nil>
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
