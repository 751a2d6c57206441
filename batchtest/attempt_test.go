package batchtest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// These tests show that a controller sees what the steps say.

var asTheControllerSeesThemTests = map[string]struct {
	script   batchtest.Script
	attempts string
}{
	"an exit code": {
		script: batchtest.Script{batchtest.Exit(137), batchtest.Succeed()},
		attempts: `
				index number phase     exit started
				-     0      Failed    137  0s
				-     1      Succeeded 0    10s`,
	},
	"a panic": {
		script: batchtest.Script{batchtest.Panic("disk"), batchtest.Succeed()},
		attempts: `
				number phase     exit
				0      Failed    2
				1      Succeeded 0`,
	},
	"the end of the goroutine": {
		script: batchtest.Script{batchtest.Goexit(), batchtest.Succeed()},
		attempts: `
				number phase     exit
				0      Failed    2
				1      Succeeded 0`,
	},
	"a disruption": {
		script: batchtest.Script{batchtest.Disrupted("EvictionByEvictionAPI"), batchtest.Succeed()},
		attempts: `
				number phase     exit conditions       error
				0      Failed    143  DisruptionTarget batch: attempt disrupted: EvictionByEvictionAPI
				1      Succeeded 0    -                -`,
	},
	"a killed node": {
		script: batchtest.Script{batchtest.Disrupted("TerminationByKubelet"), batchtest.Succeed()},
		attempts: `
				number phase     exit conditions
				0      Failed    137  DisruptionTarget
				1      Succeeded 0    -`,
	},
	"a condition of the user's own": {
		script: batchtest.Script{batchtest.Condition("acme.io/DiskFull")},
		attempts: `
				number phase     conditions
				0      Succeeded acme.io/DiskFull`,
	},
	"a condition that is not valid": {
		script: batchtest.Script{batchtest.Condition("disk full"), batchtest.Succeed()},
		attempts: `
				number phase     conditions
				0      Failed    -
				1      Succeeded -`,
	},
	"output and progress": {
		script: batchtest.Script{batchtest.Do(batchtest.Progress(3, 10, "verifying"), batchtest.Output("3 rows"))},
		attempts: `
				number phase     progress         output
				0      Succeeded "3/10 verifying" 3 rows`,
	},
	"time": {
		script: batchtest.Script{batchtest.Do(batchtest.Take(time.Hour), batchtest.Exit(1)), batchtest.Take(time.Minute)},
		attempts: `
				number phase     started finished took
				0      Failed    0s      1h       1h
				1      Succeeded 1h0m10s 1h1m10s  1m`,
	},
	"time as Pending": {
		script: batchtest.Script{batchtest.Do(batchtest.Pending(time.Minute), batchtest.Take(time.Hour))},
		attempts: `
				number phase     created started finished
				0      Succeeded 0s      1m      61m`,
	},
	"time as Pending in some attempts": {
		script: batchtest.Script{batchtest.Exit(1), batchtest.Pending(time.Minute)},
		attempts: `
				number phase     created started
				0      Failed    0s      0s
				1      Succeeded 10s     70s`,
	},
}

func TestSteps_AsTheControllerSeesThem(t *testing.T) {
	for name, tt := range asTheControllerSeesThemTests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := batchtest.NewController(t, batch.Options{})
				status, err := runIn(t, c, batch.Job{Name: "report", Executor: tt.script})
				require.NoError(t, err)
				batchtest.WantComplete(t, status)
				attempts, err := c.Attempts(t.Context(), "report")
				require.NoError(t, err)
				batchtest.WantAttempts(t, attempts, tt.attempts)
			})
		})
	}
}

func runIn(t *testing.T, c *batch.Controller, job batch.Job) (batch.Status, error) {
	t.Helper()
	require.NoError(t, c.Create(t.Context(), job))
	return c.Wait(t.Context(), job.Name)
}

func TestStdoutAndStderr_WriteLinesOfTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := batchtest.NewController(t, batch.Options{})
		_, err := runIn(t, c, batch.Job{
			Name:     "report",
			Executor: batchtest.Do(batchtest.Stdout("one", "two"), batchtest.Stderr("three")),
		})
		require.NoError(t, err)
		attempts, err := c.Attempts(t.Context(), "report")
		require.NoError(t, err)

		var lines []string
		for line, err := range c.Logs(t.Context(), "report", attempts[0].Name, -1, false) {
			require.NoError(t, err)
			lines = append(lines, line.Stream+" "+line.Text)
		}
		require.Equal(t, []string{"stdout one", "stdout two", "stderr three"}, lines)
	})
}

func TestScript_GoesOnWithARestartInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := batchtest.Record(batchtest.Script{batchtest.Exit(3), batchtest.Exit(4), batchtest.Succeed()})
		status, err := batchtest.Run(t, batch.Job{Name: "report", RestartPolicy: batch.RestartOnFailure, Executor: rec})
		require.NoError(t, err)
		batchtest.WantComplete(t, status)
		batchtest.WantExecutions(t, rec.Executions(), `
			number restarts start error
			0      0        0s    exit status 3
			0      1        0s    exit status 4
			0      2        10s   -
		`)
		executions := rec.Executions()
		require.NotEmpty(t, executions[0].UID)
		require.Equal(t, executions[0].UID, executions[2].UID)
	})
}

func TestByIndex_FailsOneIndexOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status, err := batchtest.Run(t, batch.Job{
			Name:        "thumbnails",
			Completions: new(10), Parallelism: new(10), CompletionMode: batch.Indexed,
			BackoffLimitPerIndex: new(1),
			Executor:             batchtest.ByIndex{7: {batchtest.Exit(3)}},
		})
		require.Error(t, err)
		batchtest.WantFailed(t, status, batch.ReasonFailedIndexes)
		batchtest.WantStatus(t, status, `
			state             Failed
			reason            FailedIndexes
			succeeded         9
			failed            2
			completedIndexes  0-6,8,9
			failedIndexes     7
			took              10s
		`)
	})
}

func TestHang_IsEndedWithTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := batchtest.Record(batchtest.Script{batchtest.Hang()})
		status, err := batchtest.Run(t, batch.Job{Name: "report", ActiveDeadline: new(time.Hour), Executor: rec})
		require.Error(t, err)
		batchtest.WantFailed(t, status, batch.ReasonDeadlineExceeded)
		batchtest.WantExecutions(t, rec.Executions(), `
			start end error
			0s    1h  batch: deadline of the job exceeded
		`)
	})
}

func TestIgnoreCancel_IsAbandonedAfterTheGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := batchtest.NewController(t, batch.Options{})
		require.NoError(t, c.Create(t.Context(), batch.Job{
			Name:           "report",
			ActiveDeadline: new(time.Minute),
			Executor:       batchtest.IgnoreCancel(batchtest.Take(time.Hour)),
		}))
		time.Sleep(2 * time.Minute)
		status, err := c.Get("report")
		require.NoError(t, err)
		batchtest.WantStatus(t, status, `
			terminating  1
			abandoned    1
		`)
		time.Sleep(time.Hour) // by then it has returned
	})
}

func TestFunc_IsTheAttemptOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		render := batchtest.Func(batchtest.Script{batchtest.Exit(3), batchtest.Succeed()})
		rec := batchtest.Record(batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error { return render(ctx) }))
		_, err := batchtest.Run(t, batch.Job{Name: "report", Executor: rec})
		require.NoError(t, err)
		batchtest.WantExecutions(t, rec.Executions(), `
			number error
			0      exit status 3
			1      -
		`)
	})
}
