package prometheus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/prometheus"
)

var second = batchtest.Take(time.Second)

// An outcomeCase is a job, what is done to it, and what is counted.
type outcomeCase struct {
	job  batch.Job
	act  func(*testing.T, *batch.Controller) // after half a second
	want map[string]float64                  // counts and sums of the outcomes
}

var outcomeCases = map[string]outcomeCase{
	"success": {
		job:  batch.Job{Completions: new(3), Executor: second},
		want: map[string]float64{"_count{succeeded}": 3, "_sum{succeeded}": 3},
	},
	"failures that are retried": {
		job: batch.Job{Executor: batchtest.Script{
			batchtest.Do(second, batchtest.Exit(3)).Times(2), batchtest.Succeed()}},
		want: map[string]float64{"_count{failed}": 2, "_sum{failed}": 2, "_count{succeeded}": 1, "_sum{succeeded}": 0},
	},
	"restarts in place": {
		job: batch.Job{RestartPolicy: batch.RestartOnFailure, Executor: batchtest.Script{
			batchtest.Do(second, batchtest.Exit(3)).Times(2), second}},
		want: map[string]float64{"_count{failed}": 2, "_sum{failed}": 2, "_count{succeeded}": 1, "_sum{succeeded}": 1},
	},
	"a panic, and a call of Goexit": {
		job: batch.Job{Executor: batchtest.Script{
			batchtest.Panic("disk"), batchtest.Goexit(), batchtest.Succeed()}},
		want: map[string]float64{"_count{panicked}": 2, "_sum{panicked}": 0, "_count{succeeded}": 1, "_sum{succeeded}": 0},
	},
	"the timeout of an attempt, whatever it returns": {
		job: batch.Job{AttemptTimeout: new(time.Second), BackoffLimit: new(0), Executor: batch.ExecutorFunc(
			func(ctx context.Context, _ batch.Attempt) error { <-ctx.Done(); return nil })},
		want: map[string]float64{"_count{timed_out}": 1, "_sum{timed_out}": 1},
	},
	"an eviction": {
		job: batch.Job{BackoffLimit: new(0), Executor: batchtest.Hang()},
		act: func(t *testing.T, c *batch.Controller) {
			attempts, err := c.Attempts(t.Context(), "j")
			require.NoError(t, err)
			require.NoError(t, c.Disrupt(t.Context(), "j", attempts[0].Name, "EvictionByEvictionAPI"))
		},
		want: map[string]float64{"_count{disrupted}": 1, "_sum{disrupted}": 0.5},
	},
	"a deletion": {
		job: batch.Job{Executor: batchtest.Hang()},
		act: func(t *testing.T, c *batch.Controller) {
			require.NoError(t, c.Delete(t.Context(), "j", batch.DeleteBackground))
		},
		want: map[string]float64{"_count{stopped}": 1, "_sum{stopped}": 0.5},
	},
	"attempts that no history keeps, of a job that is gone at once": {
		job: batch.Job{Completions: new(100), Parallelism: new(10), History: new(0),
			TTLAfterFinished: new(time.Duration(0)), Executor: succeed},
		want: map[string]float64{"_count{succeeded}": 100, "_sum{succeeded}": 0},
	},
}

func TestEveryExecutionCountsOnceByItsOutcome(t *testing.T) {
	for name, c := range outcomeCases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMetrics(t, prometheus.Options{})
				controller := batchtest.NewController(t, batch.Options{})
				c.job.Name, c.job.Executor = "j", m.Executor("", c.job.Executor)
				create(t, controller, c.job)
				time.Sleep(time.Second / 2)
				if c.act != nil {
					c.act(t, controller)
				}
				time.Sleep(time.Hour)
				all := samples(t, registry(t, m.Collector(controller)))
				want := make(map[string]float64)
				for series, value := range c.want {
					want[outcome(series)] = value
				}
				require.Equal(t, want, with(all, "batch_attempt_duration_seconds"))
			})
		})
	}
}

// outcome makes `_sum{outcome=failed}` of `_sum{failed}`.
func outcome(short string) string {
	var kind, value string
	if _, err := fmt.Sscanf(short, "_count{%s", &value); err == nil {
		kind = "_count"
	} else if _, err := fmt.Sscanf(short, "_sum{%s", &value); err == nil {
		kind = "_sum"
	}
	return kind + "{outcome=" + value
}

// TestTimeInLine: of three attempts for one slot the second waits a second and the
// third two.
func TestTimeInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics(t, prometheus.Options{MaxActive: 1})
		controller := batchtest.NewController(t, batch.Options{MaxActive: 1})
		create(t, controller, batch.Job{
			Name: "j", Completions: new(3), Parallelism: new(3), Executor: m.Executor("x", second),
		})
		time.Sleep(time.Minute)
		all := samples(t, registry(t, m.Collector(controller)))
		want := map[string]float64{"_count{executor=x}": 3, "_sum{executor=x}": 3}
		require.Equal(t, want, with(all, "batch_attempt_wait_seconds"))
	})
}

func TestRetriesAreTold(t *testing.T) {
	fails := func(times int) batchtest.Script {
		return batchtest.Script{batchtest.Exit(1).Times(times), batchtest.Succeed()}
	}
	failsOnce := batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		if a.Restarts == 0 {
			return batchtest.ErrFailed
		}
		return nil
	})
	for name, c := range map[string]struct {
		job  batch.Job
		want map[string]float64
	}{
		"none": {job: batch.Job{Completions: new(5), Parallelism: new(2), Executor: succeed}, want: map[string]float64{}},
		"of indexes": {
			job: batch.Job{
				CompletionMode: batch.Indexed,
				Completions:    new(2),
				Executor:       batchtest.ByIndex{0: fails(1), 1: fails(2)},
			},
			want: map[string]float64{"{kind=attempt}": 3},
		},
		"of a job without indexes": {
			job:  batch.Job{Completions: new(4), Executor: fails(2)},
			want: map[string]float64{"{kind=attempt}": 2},
		},
		"until the job has failed": {
			job:  batch.Job{Completions: new(4), BackoffLimit: new(3), Executor: fails(9)},
			want: map[string]float64{"{kind=attempt}": 3},
		},
		"in place, beside attempts that begin": {
			job: batch.Job{
				RestartPolicy: batch.RestartOnFailure,
				Completions:   new(4),
				Parallelism:   new(2),
				Executor:      failsOnce,
			},
			want: map[string]float64{"{kind=restart}": 4},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMetrics(t, prometheus.Options{})
				controller := batchtest.NewController(t, batch.Options{})
				registry := registry(t, m.Collector(controller))
				c.job.Name, c.job.Executor = "j", m.Executor("", c.job.Executor)
				create(t, controller, c.job)
				time.Sleep(time.Hour)
				samples(t, registry) // a scrape forgets what finished jobs owe
				require.Equal(t, c.want, with(samples(t, registry), "batch_attempt_retries_total"))
			})
		})
	}
}

func TestWhatAJobOwesIsForgottenWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics(t, prometheus.Options{})
		c := batchtest.NewController(t, batch.Options{})
		registry := registry(t, m.Collector(c))
		var executor batch.Executor = batchtest.Exit(1)
		create(t, c, batch.Job{Name: "a", BackoffLimit: new(0), Executor: m.Executor("", executor)})
		synctest.Wait()
		require.Equal(t, 1, m.Debtors())
		samples(t, registry)
		require.Zero(t, m.Debtors())
	})
}

func TestExecutorChangesNothing(t *testing.T) {
	m := newMetrics(t, prometheus.Options{})
	require.Nil(t, m.Executor("", nil), "so that the job is refused")

	failure := errors.New("disk full")
	wrapped := m.Executor("x", batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return failure }))
	require.Same(t, failure, wrapped.Execute(t.Context(), batch.Attempt{}))
	require.Implements(t, (*interface{ Unwrap() batch.Executor })(nil), wrapped)

	t.Run("an executor that holds its attempts pending", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := batchtest.NewController(t, batch.Options{})
			slow := batchtest.Script{batchtest.Do(batchtest.Pending(time.Minute), batchtest.Take(time.Minute))}
			create(t, c, batch.Job{Name: "slow", Executor: m.Executor("slow", slow)},
				batch.Job{Name: "fast", Executor: m.Executor("fast", batchtest.Take(time.Hour))})
			time.Sleep(time.Second)
			all := samples(t, registry(t, m.Collector(c)))
			require.Equal(t, map[string]float64{"pending}": 1, "running}": 1, "terminating}": 0, "abandoned}": 0},
				with(all, "batch_attempts{phase="))
			require.Equal(t, map[string]float64{"slow}": 1, "fast}": 1, "x}": 0}, with(all, "batch_executors_running{executor="))
		})
	})

	t.Run("a declaration that is made again", func(t *testing.T) {
		c := batchtest.NewController(t, batch.Options{})
		declare := func(name string) error {
			_, err := c.Apply(t.Context(), batch.Job{Name: "j", Suspend: true, Executor: m.Executor(name, succeed)})
			return err
		}
		require.NoError(t, declare("a"))
		require.NoError(t, declare("a"))
	})
}

func TestNamesOfExecutorsAreBounded(t *testing.T) {
	m := newMetrics(t, prometheus.Options{})
	c := batchtest.NewController(t, batch.Options{})
	for i := range 250 {
		name := fmt.Sprintf("job-%d", i)
		create(t, c, batch.Job{Name: name, Executor: m.Executor(name, succeed)})
		_, err := c.Wait(t.Context(), name)
		require.NoError(t, err)
	}
	counts := with(samples(t, registry(t, m.Collector(c))), "batch_attempt_duration_seconds_count")
	require.Len(t, counts, 101)
	require.Equal(t, 150.0, counts["{executor=other,outcome=succeeded}"])
}
