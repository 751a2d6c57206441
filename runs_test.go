package batch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

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
