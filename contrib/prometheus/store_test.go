package prometheus_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/prometheus"
)

// A disk is a store that can be made to fail and to hang.
type disk struct {
	batchtest.MemoryStore

	mu      sync.Mutex // guards the fields below
	err     error
	hanging chan struct{} // nil if it does not
}

// become lets it fail or hang from now on.
func (d *disk) become(err error, hanging chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err, d.hanging = err, hanging
}

func (d *disk) Commit(ctx context.Context, records []batch.Record) error {
	d.mu.Lock()
	err, hanging := d.err, d.hanging
	d.mu.Unlock()
	if hanging != nil {
		<-hanging
	}
	if err != nil {
		return err
	}
	return d.MemoryStore.Commit(ctx, records)
}

func TestStoreKeepsEverything(t *testing.T) {
	batchtest.TestStore(t, func(string) (batch.Store, error) {
		return newMetrics(t, prometheus.Options{}).Store(new(batchtest.MemoryStore)), nil
	})
	require.Nil(t, newMetrics(t, prometheus.Options{}).Store(nil))
}

func TestCommitsAreMeasured(t *testing.T) {
	m := newMetrics(t, prometheus.Options{})
	d := new(disk)
	s := m.Store(d)
	records := []batch.Record{{Job: "u", Key: "a", Value: []byte("1")}, {Job: "u", Key: "b", Value: []byte("2")}}
	require.NoError(t, s.Commit(t.Context(), records))
	full := errors.New("disk full")
	d.become(full, nil)
	require.ErrorIs(t, s.Commit(t.Context(), records), full)
	require.Panics(t, func() { _ = m.Store(explosive{}).Commit(t.Context(), nil) })

	all := samples(t, registry(t, m.Collector(batchtest.NewController(t, batch.Options{}))))
	require.Equal(t, map[string]float64{"{result=ok}": 1, "{result=error}": 2},
		with(all, "batch_store_commit_duration_seconds_count"))
	require.Equal(t, 2.0, all["batch_store_records_total"])
	require.Equal(t, 0.0, all["batch_store_commit_running_seconds"])
}

type explosive struct{}

func (explosive) Load(context.Context) iter.Seq2[batch.Record, error] { return nil }
func (explosive) Commit(context.Context, []batch.Record) error        { panic("boom") }

func TestAScrapeDoesNotWaitForAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics(t, prometheus.Options{})
		d := new(disk)
		c := batchtest.NewController(t, batch.Options{Store: m.Store(d)})
		registry := registry(t, m.Collector(c))
		create(t, c, batch.Job{Name: "a", Executor: m.Executor("a", batchtest.Take(time.Minute))})
		synctest.Wait()
		hanging := make(chan struct{})
		d.become(nil, hanging)
		time.Sleep(11 * time.Minute) // it hangs from the end of the attempt on

		start := time.Now()
		all := samples(t, registry)
		require.Zero(t, time.Since(start))
		require.Equal(t, 600.0, all["batch_store_commit_running_seconds"])
		require.Equal(t, 1.0, all["batch_attempt_duration_seconds_count{executor=a,outcome=succeeded}"])
		require.Equal(t, 1.0, all["batch_jobs{state=Running}"], "what is not stored is not known")

		d.become(nil, nil)
		close(hanging)
		synctest.Wait()
		all = samples(t, registry)
		require.Equal(t, 0.0, all["batch_store_commit_running_seconds"])
		require.Equal(t, 1.0, all["batch_jobs{state=Complete}"])
		require.Equal(t, 600.0, all["batch_store_commit_duration_seconds_sum{result=ok}"])
	})
}

func TestJobsThatWaitForTheStoreAreStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics(t, prometheus.Options{})
		d := new(disk)
		c := batchtest.NewController(t, batch.Options{Store: m.Store(d)})
		registry := registry(t, m.Collector(c))
		create(t, c, batch.Job{Name: "a", Completions: new(3), Executor: batchtest.Take(time.Minute)})
		synctest.Wait()
		d.become(errors.New("disk full"), nil)
		time.Sleep(2 * time.Minute)
		require.Equal(t, 1.0, samples(t, registry)["batch_jobs_stalled{reason=StoreFailed}"])
		d.become(nil, nil)
		time.Sleep(time.Hour)
		all := samples(t, registry)
		require.Equal(t, 0.0, all["batch_jobs_stalled{reason=StoreFailed}"])
		require.Equal(t, 1.0, all["batch_jobs{state=Complete}"])
	})
}
