package cron

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/race"
)

// many makes a controller with n CronJobs. The clock on the wall is ahead by step.
func many(t testing.TB, n int, schedule string, run batch.ExecutorFunc) (f *fixture) {
	f = &fixture{}
	var err error
	f.jobs, err = batch.New(t.Context(), batch.Options{})
	require.NoError(t, err)
	f.Controller, err = newController(f.jobs, Options{}, func() time.Time {
		return time.Now().Add(time.Duration(f.step.Load()))
	})
	require.NoError(t, err)
	for i := range n {
		require.NoError(t, f.Create(t.Context(), CronJob{Name: fmt.Sprintf("cron-%d", i), Schedule: schedule,
			TimeZone:                   "Europe/Berlin",
			SuccessfulJobsHistoryLimit: new(1), Job: batch.Job{Executor: run}}))
	}
	return f
}

func (f *fixture) end(t testing.TB) {
	require.NoError(t, f.Shutdown(context.Background()))
	require.NoError(t, f.jobs.Shutdown(context.Background()))
}

// TestIdle: what waits costs memory only, and little of it.
func TestIdle(t *testing.T) {
	const n = 20_000
	before := heap()
	f := many(t, n, "30 2 29 2 *", func(context.Context, batch.Attempt) error { return nil })
	settled(t, f)
	each := (heap() - before) / n
	t.Logf("%d bytes a CronJob", each)
	if !race.Enabled { // the race detector has memory of its own
		require.Less(t, each, 2048)
	}
	f.mu.Lock()
	require.Zero(t, f.workers)
	require.Equal(t, n, f.due.Len())
	f.mu.Unlock()
	f.end(t)
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// settled waits until no CronJob has anything to do.
func settled(t testing.TB, f *fixture) {
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.workers == 0
	}, time.Minute, time.Millisecond)
}

// BenchmarkFire lets 10,000 CronJobs start in one minute: until all have been called,
// and the CPU time until all is over.
func BenchmarkFire(b *testing.B) {
	const n = 10_000
	var started sync.WaitGroup
	f := many(b, n, "0 3 * * *", func(context.Context, batch.Attempt) error { started.Done(); return nil })
	settled(b, f)
	before := processorTime(b)
	for b.Loop() {
		started.Add(n)
		f.step.Add(int64(24 * time.Hour))
		f.fire() // as the timer does
		started.Wait()
	}
	settled(b, f)
	b.ReportMetric((processorTime(b)-before).Seconds()/float64(b.N), "cpu-s/op")
	f.end(b)
}

// processorTime is what this process has used up.
func processorTime(t testing.TB) time.Duration {
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
