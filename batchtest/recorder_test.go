package batchtest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

func TestRecorder_RemembersHowAnExecutionEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := batchtest.Record(batchtest.Do(batchtest.Take(time.Minute), batchtest.Fail(errDown)))
		err := rec.Execute(t.Context(), batch.Attempt{Job: "report", Index: 7, Number: 2, Restarts: 1})
		require.Equal(t, errDown, err)

		want := batchtest.Execution{
			Job: "report", Index: 7, Number: 2, Restarts: 1,
			Start: time.Now().Add(-time.Minute), End: time.Now(),
			Err: errDown, Active: 1, ActiveIndex: 1,
		}
		require.Equal(t, []batchtest.Execution{want}, rec.Executions())
	})
}

func TestRecorder_RemembersWhyAnExecutionWasCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(batch.ErrSuspended)
	rec := batchtest.Record(batchtest.Succeed())
	require.NoError(t, rec.Execute(ctx, batch.Attempt{}))
	require.Equal(t, batch.ErrSuspended, rec.Executions()[0].Cause)
}

func TestRecorder_RemembersWhatDidNotReturn(t *testing.T) {
	rec := batchtest.Record(batchtest.Panic("disk"))
	require.PanicsWithValue(t, "disk", func() { _ = rec.Execute(t.Context(), batch.Attempt{}) })

	got := rec.Executions()[0]
	require.Equal(t, batchtest.ErrNoReturn, got.Err)
	require.False(t, got.Running())
	require.Zero(t, rec.Running())
}

func TestRecorder_CountsWhatRunsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		rec := batchtest.Record(batchtest.Take(time.Minute))
		execute := func(index int) {
			wg.Go(func() { _ = rec.Execute(t.Context(), batch.Attempt{Index: index}) })
		}
		execute(0)
		execute(1)
		execute(1)
		synctest.Wait()
		require.Equal(t, 3, rec.Running())
		require.True(t, rec.Executions()[0].Running())
		wg.Wait()
		execute(0)
		wg.Wait()

		require.Zero(t, rec.Running())
		require.Equal(t, 4, rec.Len())
		require.Equal(t, 3, rec.MaxActive())
		require.Equal(t, 2, rec.MaxActivePerIndex())
		require.Len(t, rec.Of(1), 2)
		require.Equal(t, 1, rec.Executions()[3].Active)
	})
}

func TestRecorder_SortsWhatStartedAtTheSameInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &batchtest.Recorder{}
		for _, a := range []batch.Attempt{
			{Job: "b"}, {Job: "a", Index: 1}, {Job: "a", Index: 0, Number: 1}, {Job: "a", Index: 0},
		} {
			require.NoError(t, rec.Execute(t.Context(), a))
		}
		time.Sleep(time.Second)
		require.NoError(t, rec.Execute(t.Context(), batch.Attempt{Job: "a"}))
		batchtest.WantExecutions(t, rec.Executions(), `
			start  job  index  number
			0s     a    0      0
			0s     a    0      1
			0s     a    1      0
			0s     b    0      0
			1s     a    0      0
		`)
	})
}

func TestRecorder_PrintsItsExecutions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := batchtest.Record(batchtest.Script{
			batchtest.Do(batchtest.Take(time.Minute), batchtest.Fail(errors.New("no space left"))),
			batchtest.Succeed(),
		})
		for n := range 2 {
			_ = rec.Execute(t.Context(), batch.Attempt{Job: "report", Index: -1, Number: n})
			time.Sleep(10 * time.Second)
		}
		want := "" +
			"job     index  number  restarts  active  start  end    took  cause  error\n" +
			"report  -      0       0         1       0s     1m     1m    -      no space left\n" +
			"report  -      1       0         1       1m10s  1m10s  0s    -      -"
		require.Equal(t, want, rec.String())
		batchtest.WantExecutions(t, rec.Executions(), want)
	})
}

func TestRecorder_OfNothingIsEmpty(t *testing.T) {
	var rec batchtest.Recorder
	require.Empty(t, rec.Executions())
	require.Zero(t, rec.MaxActive())
	require.NoError(t, rec.Execute(t.Context(), batch.Attempt{}))
	require.Equal(t, 1, rec.Len())
}
