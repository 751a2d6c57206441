package batch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

var neverAgain = fn(func(context.Context) error { panic("it runs again") })

var errNoise = fmt.Errorf("line 1\nline 2 <&> \"quoted\" %s", "ü\u2028\x00")

var outcomes = map[string]batch.Job{
	"complete":          {Executor: succeed, Completions: new(3), Parallelism: new(3)},
	"nothing to do":     {Executor: neverAgain, Completions: new(0)},
	"too many failures": {Executor: fails(errNoise), BackoffLimit: new(2), Backoff: batch.ConstantBackoff(time.Second)},
	"without history":   {Executor: fails(exit(7)), BackoffLimit: new(0), History: new(0)},
	"a short history": {
		Executor: fails(exit(7)), BackoffLimit: new(3), History: new(1), Backoff: batch.ConstantBackoff(0),
	},
	"deadline":           {Executor: untilDone, ActiveDeadline: new(time.Second)},
	"attempt timeout":    {Executor: untilDone, BackoffLimit: new(0), AttemptTimeout: new(time.Second)},
	"permanent":          {Executor: fails(backoff.Permanent(errNoise))},
	"restarted in place": {Executor: fails(exit(3)), RestartPolicy: batch.RestartOnFailure, BackoffLimit: new(1)},
	"a panic":            {Executor: fn(func(context.Context) error { panic("boom") }), BackoffLimit: new(0)},
	"a rule": {Executor: fails(exit(42)), FailurePolicy: []batch.FailureRule{
		{Action: batch.ActionFailJob, OnExitCodes: &batch.ExitCodes{In: []int{42}}}}},
	"an error's rule": {Executor: fails(errCause), FailurePolicy: []batch.FailureRule{
		{Action: batch.ActionFailJob, OnError: batch.ErrorIs(errCause)}}},
	"failed indexes": {CompletionMode: batch.Indexed, Completions: new(6), Parallelism: new(2),
		BackoffLimitPerIndex: new(0),
		Executor: batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
			a.SetOutput("wrote " + a.Token()[37:])
			if a.Index%2 > 0 {
				return exit(a.Index)
			}
			return nil
		})},
	"success policy": {CompletionMode: batch.Indexed, Completions: new(6), Parallelism: new(2),
		SuccessPolicy: []batch.SuccessRule{{SucceededCount: new(2)}}, Executor: takes(time.Second)},
}

// A finished job keeps its outcome: it is known at once, declared or not, and
// nothing runs again.
func TestFinishedJobStaysFinished(t *testing.T) {

	for name, job := range outcomes {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				job.Name = "j"
				var store disk
				c := newController(t, batch.Options{Store: &store})
				apply(t, c, job)
				before, beforeErr := c.Wait(t.Context(), "j")
				attempts := attemptsOf(t, c, "j")
				events, err := c.Events(t.Context(), "j")
				require.NoError(t, err)
				shut(t, c)
				time.Sleep(time.Hour)

				c = newController(t, batch.Options{Store: &store})
				for range 2 {
					s, err := c.Wait(t.Context(), "j")
					require.Equal(t, stored(before), stored(s))
					require.Equal(t, stored(before), stored(get(t, c, "j")))
					require.Equal(t, before.Explain(), s.Explain())
					sameOutcome(t, beforeErr, err)
					after := attemptsOf(t, c, "j")
					require.Equal(t, withoutErrors(attempts), withoutErrors(after))
					again, err := c.Events(t.Context(), "j")
					require.NoError(t, err)
					require.Equal(t, events, again)
					job.Executor = neverAgain
					require.Equal(t, stored(before), stored(apply(t, c, job)))
					settle()
				}
			})
		})
	}
}

// sameOutcome compares the errors of a job before and after a restart: of those
// that executors returned, the texts are left.
func sameOutcome(t *testing.T, before, after error) {
	t.Helper()
	if before == nil {
		require.NoError(t, after)
		return
	}
	require.EqualError(t, after, before.Error())
	was, ok := errors.AsType[*batch.JobError](before)
	require.True(t, ok)
	is, ok := errors.AsType[*batch.JobError](after)
	require.True(t, ok)
	require.Equal(t, was.Reason, is.Reason)
	require.Len(t, is.Attempts, len(was.Attempts))
	for i, a := range is.Attempts {
		require.EqualError(t, a, was.Attempts[i].Error())
		require.Equal(t, errors.Is(was.Attempts[i], batch.ErrAttemptTimeout), errors.Is(a, batch.ErrAttemptTimeout))
	}
}

// withoutErrors are attempts except their errors, whose texts are in Message.
func withoutErrors(list []batch.AttemptStatus) []batch.AttemptStatus {
	for i := range list {
		list[i].Err = nil
	}
	return list
}
