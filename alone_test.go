package batch_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// What an executor sees of an attempt whose job is somewhere else is what it would see
// there.
func TestRunAttempt(t *testing.T) {
	var out bytes.Buffer
	saved := map[string][]byte{"": []byte("half")}
	var progress batch.Progress
	o := batch.AttemptOptions{
		Job: batch.Job{Name: "far", CompletionMode: batch.Indexed, Completions: new(9), Parallelism: new(3),
			Labels: map[string]string{"team": "a"}, Input: []string{"x"}, Limits: []string{"db"},
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				input, err := batch.Input[[]string](a)
				require.NoError(t, err)
				require.Equal(t, []string{"x"}, input)
				require.Equal(t, []any{"far", 7, 2, "far-7-abcde", "uid", "token", "a", "half"}, []any{
					a.Job, a.Index, a.Number, a.Name(), a.UID(), a.Token(), a.Labels()["team"], string(a.Checkpoint())})
				require.NoError(t, a.SaveCheckpoint(ctx, []byte("more")))
				a.Progress(3, 4, "copying")
				a.SetOutput("bye")
				_, err = a.Stdout().Write([]byte("hello\n"))
				require.NoError(t, err)
				return a.SetResult(49)
			})},
		Name: "far-7-abcde", UID: "uid", Token: "token", Index: 7, Number: 2, Stdout: &out,
		Checkpoint:     func(name string) []byte { return saved[name] },
		SaveCheckpoint: func(_ context.Context, name string, data []byte) error { saved[name] = data; return nil },
		Progress:       func(p batch.Progress) { progress = p },
	}
	end, err := batch.RunAttempt(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, []any{"Succeeded", "far-7-abcde", 7, "bye", "49", 0}, []any{
		end.Phase, end.Name, end.Index, end.Output, string(end.Result), *end.ExitCode})
	require.Equal(t, "hello\n", out.String())
	require.Equal(t, "more", string(saved[""]))
	require.Equal(t, batch.Progress{Done: 3, Total: 4, Phase: "copying"}, progress)
}

// How an attempt fails says what its job makes of that.
func TestRunAttemptFails(t *testing.T) {
	quota := errors.New("quota")
	for name, test := range map[string]struct {
		executor           batch.ExecutorFunc
		code, rule         int
		permanent, snoozed bool
		text               string
	}{
		"plainly": {func(context.Context, batch.Attempt) error { return errors.New("no disk") }, 1, -1, false, false,
			"no disk"},
		"for good": {func(context.Context, batch.Attempt) error { return batch.Permanent(errors.New("no")) },
			1, -1, true, false, "no"},
		"as a rule says": {func(context.Context, batch.Attempt) error { return quota }, 1, 1, false, false, "quota"},
		"with a snooze": {func(context.Context, batch.Attempt) error {
			return batch.Snooze(errors.New("later"),
				time.Second)
		},
			1, -1, false, true, "later"},
		"in a panic": {func(context.Context, batch.Attempt) error { panic("oh") }, 2, -1, false, false,
			"batch: executor panicked: oh"},
	} {
		t.Run(name, func(t *testing.T) {
			end, err := batch.RunAttempt(t.Context(), batch.AttemptOptions{Index: -1, Job: batch.Job{Name: "far",
				Executor: test.executor, FailurePolicy: []batch.FailureRule{
					{Action: batch.ActionFailJob, OnExitCodes: &batch.ExitCodes{In: []int{77}}},
					{Action: batch.ActionIgnore, OnError: func(err error) bool { return errors.Is(err, quota) }}}}})
			require.NoError(t, err)
			require.Equal(t, []any{"Failed", test.code, test.rule, test.permanent, test.snoozed, test.text},
				[]any{end.Phase, *end.ExitCode, end.Rule, end.Permanent, end.Snoozed, end.Message})
		})
	}
}

// The end of the context is the attempt's, with the same cause and a grace period, and an
// attempt that succeeds nevertheless has its result.
func TestRunAttemptIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(batch.ErrDeleted) })
		end, err := batch.RunAttempt(ctx, batch.AttemptOptions{Index: -1, Job: batch.Job{Name: "far",
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				<-ctx.Done()
				require.ErrorIs(t, context.Cause(ctx), batch.ErrDeleted)
				time.Sleep(20 * time.Second)
				return a.SetResult("still")
			})}})
		require.NoError(t, err)
		require.Equal(t, []string{"Succeeded", `"still"`}, []string{end.Phase, string(end.Result)})
	})
}
