package batchtest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

var errDown = errors.New("database is down")

func TestStep_EndsTheAttemptAsItSays(t *testing.T) {
	tests := map[string]struct {
		step batchtest.Step
		err  error  // found by errors.Is
		text string // of the error
		exit int
	}{
		"the zero step succeeds": {step: batchtest.Step{}},
		"succeed":                {step: batchtest.Succeed()},
		"fail with an error":     {step: batchtest.Fail(errDown), err: errDown, text: "database is down", exit: 1},
		"fail for no reason": {
			step: batchtest.Fail(nil), err: batchtest.ErrFailed, text: "batchtest: scripted failure", exit: 1,
		},
		"fail with an exit code": {step: batchtest.Exit(3), text: "exit status 3", exit: 3},
		"exit code 0 is success": {step: batchtest.Exit(0)},
		"a call's error": {
			step: batchtest.Call(func(context.Context, batch.Attempt) error { return errDown }), err: errDown,
			text: "database is down", exit: 1,
		},
		"a call of nothing succeeds": {step: batchtest.Call(nil)},
		"do of nothing succeeds":     {step: batchtest.Do()},
		"do ends with the first failure": {
			step: batchtest.Do(batchtest.Succeed(), batchtest.Exit(4), batchtest.Exit(5)), text: "exit status 4", exit: 4,
		},
		"do leaves out what is there never": {
			step: batchtest.Do(batchtest.Exit(4).Times(0), batchtest.Exit(5)), text: "exit status 5", exit: 5,
		},
		"no time passes in take 0":  {step: batchtest.Take(0)},
		"no time passes in take -1": {step: batchtest.Take(-1)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.step.Execute(t.Context(), batch.Attempt{})
			require.Equal(t, tt.text, text(err))
			require.True(t, errors.Is(err, tt.err) || tt.err == nil, "%v is not %v", err, tt.err)
			require.Equal(t, tt.exit, batch.ExitCode(err))
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestPanic_PanicsWithItsValue(t *testing.T) {
	require.PanicsWithValue(t, "disk", func() { _ = batchtest.Panic("disk").Execute(t.Context(), batch.Attempt{}) })
}

func TestGoexit_EndsTheGoroutine(t *testing.T) {
	returned, exited := false, make(chan struct{})
	go func() {
		defer close(exited)
		_ = batchtest.Goexit().Execute(t.Context(), batch.Attempt{})
		returned = true
	}()
	<-exited
	require.False(t, returned)
}

func TestStep_WaitsAsItSays(t *testing.T) {
	cause := errors.New("enough")
	after := func(d time.Duration) batchtest.Step {
		return batchtest.Call(func(ctx context.Context, a batch.Attempt) error {
			ready := make(chan struct{})
			defer time.AfterFunc(d, func() { close(ready) }).Stop()
			return batchtest.Until(ready).Execute(ctx, a)
		})
	}
	tests := map[string]struct {
		step batchtest.Step
		took time.Duration // the attempt is cancelled after an hour
		err  error
	}{
		"take takes its time":                 {step: batchtest.Take(time.Minute), took: time.Minute},
		"take notices the end of the context": {step: batchtest.Take(2 * time.Hour), took: time.Hour, err: cause},
		"steps take their times together": {
			step: batchtest.Do(batchtest.Take(1), batchtest.Take(2), batchtest.Take(4)), took: 7,
		},
		"times repeats within an attempt": {
			step: batchtest.Do(batchtest.Take(time.Minute).Times(3)), took: 3 * time.Minute,
		},
		"until waits no longer than it must":     {step: after(time.Minute), took: time.Minute},
		"until notices the end of the context":   {step: after(2 * time.Hour), took: time.Hour, err: cause},
		"hang waits for the end of the context":  {step: batchtest.Hang(), took: time.Hour, err: cause},
		"pending takes its time":                 {step: batchtest.Pending(time.Minute), took: time.Minute},
		"pending notices the end of the context": {step: batchtest.Pending(2 * time.Hour), took: time.Hour, err: cause},
		"who ignores the cancellation goes on": {
			step: batchtest.IgnoreCancel(batchtest.Take(2 * time.Hour)), took: 2 * time.Hour,
		},
		"and ends as it would have": {
			step: batchtest.IgnoreCancel(batchtest.Take(2*time.Hour), batchtest.Fail(errDown)), took: 2 * time.Hour,
			err: errDown,
		},
		"steps after what was cancelled do not run": {
			step: batchtest.Do(batchtest.Hang(), batchtest.Take(time.Minute)), took: time.Hour, err: cause,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Hour, func() { cancel(cause) })
				start := time.Now()
				err := tt.step.Execute(ctx, batch.Attempt{})
				require.ErrorIs(t, err, tt.err)
				require.Equal(t, tt.took, time.Since(start))
			})
		})
	}
}

func TestIgnoreCancel_CanBeReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		time.AfterFunc(time.Hour, func() { close(release) })
		start := time.Now()
		require.NoError(t, batchtest.IgnoreCancel(batchtest.Until(release)).Execute(ctx, batch.Attempt{}))
		require.Equal(t, time.Hour, time.Since(start))
	})
}

func TestHoldsPending_FindsAPendingStep(t *testing.T) {
	pending := batchtest.Pending(time.Second)
	tests := map[string]struct {
		executor batch.Executor
		want     bool
	}{
		"a pending step":                    {executor: pending, want: true},
		"in do":                             {executor: batchtest.Do(batchtest.Succeed(), pending), want: true},
		"in ignore cancel":                  {executor: batchtest.IgnoreCancel(pending), want: true},
		"several times":                     {executor: pending.Times(2), want: true},
		"in a script":                       {executor: batchtest.Script{batchtest.Succeed(), pending}, want: true},
		"in the script of an index":         {executor: batchtest.ByIndex{3: {pending}}, want: true},
		"in what is recorded":               {executor: batchtest.Record(pending), want: true},
		"another step":                      {executor: batchtest.Take(time.Second)},
		"never taken":                       {executor: batchtest.Script{pending.Times(0)}},
		"a script without one":              {executor: batchtest.Script{batchtest.Succeed()}},
		"no script":                         {executor: batchtest.ByIndex{}},
		"a recorder of nothing":             {executor: &batchtest.Recorder{}},
		"a recorder of another executor":    {executor: batchtest.Record(batch.ExecutorFunc(nil))},
		"in do, but its times are no times": {executor: batchtest.Do(pending.Times(0))},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, tt.executor.(batch.PendingExecutor).HoldsPending())
		})
	}
}
