package prometheus

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/runtocompletion/batch"
)

// commits are what is measured of a store.
type commits struct {
	durations *client.HistogramVec
	records   client.Counter
	age       *client.Desc
	since     atomic.Pointer[time.Time] // when the present commit began; nil if there is none
}

func newCommits() *commits {
	return &commits{
		durations: client.NewHistogramVec(client.HistogramOpts{
			Name:    "batch_store_commit_duration_seconds",
			Help:    "How long commits to the store took, by whether they failed.",
			Buckets: []float64{0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30},
		}, []string{"result"}),
		records: client.NewCounter(client.CounterOpts{
			Name: "batch_store_records_total",
			Help: "Records in commits that have succeeded.",
		}),
		age: client.NewDesc("batch_store_commit_running_seconds",
			"How long the present commit takes already; zero if there is none.", nil, nil),
	}
}

// Store returns a store that keeps everything in next and measures the commits.
// It is to be given to [batch.New]; next is still closed by whoever has opened it.
// A nil next gives nil. Metrics measure one store.
func (m *Metrics) Store(next batch.Store) batch.Store {
	if next == nil {
		return nil
	}
	measured := &store{next, m.commits}
	if claimer, ok := next.(batch.Claimer); ok {
		return &claimable{measured, claimer}
	}
	return measured
}

type store struct {
	next    batch.Store
	commits *commits
}

// A claimable store is one that can be claimed.
type claimable struct {
	*store
	claimer batch.Claimer
}

// Claim claims the store that is measured.
func (s *claimable) Claim(ctx context.Context, wait func(holder string)) (context.Context, func(), error) {
	return s.claimer.Claim(ctx, wait)
}

func (s *store) Load(ctx context.Context) iter.Seq2[batch.Record, error] { return s.next.Load(ctx) }

func (s *store) Commit(ctx context.Context, records []batch.Record) (err error) {
	start, result := time.Now(), "error" // also if it panics
	s.commits.since.Store(&start)
	defer func() {
		s.commits.since.Store(nil)
		s.commits.durations.WithLabelValues(result).Observe(time.Since(start).Seconds())
	}()
	if err = s.next.Commit(ctx, records); err == nil {
		result = "ok"
		s.commits.records.Add(float64(len(records)))
	}
	return err
}

func (c *commits) collect(ch chan<- client.Metric) {
	c.durations.Collect(ch)
	c.records.Collect(ch)
	age := 0.0
	if since := c.since.Load(); since != nil {
		age = time.Since(*since).Seconds()
	}
	ch <- gauge(c.age, age)
}

func (c *commits) describe(ch chan<- *client.Desc) {
	c.durations.Describe(ch)
	c.records.Describe(ch)
	ch <- c.age
}
