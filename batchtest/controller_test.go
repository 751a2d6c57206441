package batchtest_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

func TestRun_TakesVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		rec := batchtest.Record(batchtest.Script{batchtest.Exit(3)})
		status, err := batchtest.Run(t, batch.Job{Name: "report", Executor: rec})
		require.Error(t, err)
		batchtest.WantFailed(t, status, batch.ReasonBackoffLimitExceeded)
		require.Equal(t, (10+20+40+80+160+320)*time.Second, time.Since(start))
		batchtest.WantExecutions(t, rec.Executions(), `
			index number start error
			-     0      0s    exit status 3
			-     1      10s   exit status 3
			-     2      30s   exit status 3
			-     3      70s   exit status 3
			-     4      150s  exit status 3
			-     5      310s  exit status 3
			-     6      630s  exit status 3
		`)
	})
}

func TestRun_ReturnsTheErrorOfCreate(t *testing.T) {
	got := failing(func(t testing.TB) {
		_, err := batchtest.Run(t, batch.Job{Executor: batchtest.Succeed()})
		if _, ok := err.(*batch.ValidationError); !ok {
			t.Errorf("Run of a job without a name: %v", err)
		}
	})
	require.Empty(t, got.failure())
}

func TestRun_EndsWithTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		fake := &fakeTB{ctx: ctx}
		_, err := batchtest.Run(fake, batch.Job{Name: "report", Executor: batchtest.Hang()})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		fake.end()
		require.Empty(t, fake.failure())
	})
}

func TestNewController_LogsToTheTest(t *testing.T) {
	got := failing(func(t testing.TB) {
		_, _ = batchtest.Run(t, batch.Job{Name: "report", Executor: batchtest.Succeed()})
	})
	require.Contains(t, got.log.String(), "report")
}

func TestNewController_KeepsTheLoggerItIsGiven(t *testing.T) {
	got := failing(func(t testing.TB) {
		c := batchtest.NewController(t, batch.Options{Logger: slog.New(slog.DiscardHandler)})
		_ = c.Create(t.Context(), batch.Job{Name: "report", Executor: batchtest.Succeed()})
		_, _ = c.Wait(t.Context(), "report")
	})
	require.Empty(t, got.log.String())
}

func TestNewController_EndsTheTestIfOptionsAreNotValid(t *testing.T) {
	got := failing(func(t testing.TB) {
		batchtest.NewController(t, batch.Options{MaxActive: -1})
		t.Errorf("the test goes on")
	})
	require.Len(t, got.failures, 1)
	require.Contains(t, got.failure(), "batchtest.NewController: ")
}

func TestNewController_StopsWhatStillRunsWhenTheTestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := batchtest.Record(batchtest.Hang())
		got := failing(func(t testing.TB) {
			c := batchtest.NewController(t, batch.Options{})
			_ = c.Create(t.Context(), batch.Job{Name: "report", Executor: rec})
			synctest.Wait()
		})
		require.Empty(t, got.failure())
		require.Zero(t, rec.Running())
		require.ErrorIs(t, rec.Executions()[0].Cause, batch.ErrShutdown)
	})
}

func TestNewController_StopsWhatHasNoGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := failing(func(t testing.TB) {
			c := batchtest.NewController(t, batch.Options{})
			_ = c.Create(t.Context(), batch.Job{
				Name:                   "report",
				TerminationGracePeriod: new(time.Duration(0)),
				Executor:               batchtest.Do(batchtest.Hang(), batchtest.Exit(1)),
			})
			synctest.Wait()
		})
		require.Empty(t, got.failure())
	})
}

func TestNewController_MayBeShutDownByTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := failing(func(t testing.TB) {
			c := batchtest.NewController(t, batch.Options{})
			if err := c.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
		require.Empty(t, got.failure())
	})
}

func TestNewController_ReportsExecutorsThatLeak(t *testing.T) {
	tests := map[string]struct {
		grace *time.Duration
		took  time.Duration
	}{
		"after the usual grace period": {took: 30 * time.Second},
		"without a grace period":       {grace: new(time.Duration(0)), took: time.Second + 20*time.Millisecond},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, release := time.Now(), make(chan struct{})
				defer close(release)
				rec := batchtest.Record(batchtest.IgnoreCancel(batchtest.Until(release)))
				got := failing(func(t testing.TB) {
					c := batchtest.NewController(t, batch.Options{})
					_ = c.Create(t.Context(), batch.Job{Name: "report", TerminationGracePeriod: tt.grace, Executor: rec})
					synctest.Wait()
				})
				require.Equal(t, []string{
					"batchtest: executors leaked: these attempts were cancelled and have not returned within their grace period: " +
						rec.Executions()[0].Attempt,
				}, got.failures)
				require.Equal(t, tt.took, time.Since(start))
			})
		})
	}
}
