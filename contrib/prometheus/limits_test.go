package prometheus_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/prometheus"
)

// TestLimits: of each limit it is shown how many have it, and how many wait for it.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := map[string]batch.Limit{"db": {Active: new(2)}, "api": {Every: time.Hour}}
		c := batchtest.NewController(t, batch.Options{Limits: limits})
		r := registry(t, newMetrics(t, prometheus.Options{Limits: limits}).Collector(c))
		shown := func() map[string]float64 {
			all := with(samples(t, r), "batch_limit_")
			for series, value := range all {
				if value == 0 {
					delete(all, series)
				}
			}
			return all
		}
		require.Equal(t, map[string]float64{"slots{limit=db}": 2}, shown(), "nobody needs one yet")
		create(t, c, batch.Job{Name: "a", Completions: new(3), Parallelism: new(3), Limits: []string{"db"},
			Executor: batchtest.Take(time.Minute)})
		create(t, c, batch.Job{Name: "b", Limits: []string{"db", "api"}, Executor: batchtest.Hang()})
		create(t, c, batch.Job{Name: "free", Executor: batchtest.Hang()})
		synctest.Wait()
		require.Equal(t, map[string]float64{"slots{limit=db}": 2, "attempts{limit=db,phase=running}": 2,
			"attempts{limit=db,phase=pending}": 2, "attempts{limit=api,phase=pending}": 1}, shown())
		time.Sleep(time.Hour)
		require.Equal(t, map[string]float64{"slots{limit=db}": 2, "attempts{limit=db,phase=running}": 1,
			"attempts{limit=api,phase=running}": 1}, shown())
		require.Contains(t, samples(t, r), "batch_limit_attempts{limit=db,phase=pending}", "what was seen stays, as zero")
	})
}

// TestLimitsAreBounded: a controller may have any number of limits.
func TestLimitsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := make(map[string]batch.Limit)
		for i := range 150 {
			limits[fmt.Sprint("limit-", i)] = batch.Limit{Active: new(1)}
		}
		c := batchtest.NewController(t, batch.Options{Limits: limits})
		for name := range limits {
			create(t, c, batch.Job{Name: name, Limits: []string{name}, Executor: batchtest.Hang()})
		}
		synctest.Wait()
		all := with(samples(t, registry(t, newMetrics(t, prometheus.Options{Limits: limits}).Collector(c))), "batch_limit_")
		require.Len(t, all, 100+4*101)
		require.InDelta(t, 50, all["attempts{limit=other,phase=running}"], 0)
	})
}
