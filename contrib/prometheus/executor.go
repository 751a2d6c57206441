package prometheus

import (
	"context"
	"errors"
	"sync"
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/runtocompletion/batch"
)

// The values of the label outcome of batch_attempt_duration_seconds.
const (
	outcomeSucceeded = "succeeded" // it returned nil
	outcomeFailed    = "failed"    // it returned an error
	outcomePanicked  = "panicked"  // it panicked, or called runtime.Goexit
	outcomeTimedOut  = "timed_out" // it ran into batch.Job.AttemptTimeout
	outcomeDisrupted = "disrupted" // it was evicted or lost, and did not return nil
	outcomeStopped   = "stopped"   // it was stopped for another reason, and did not return nil
)

const (
	maxNames  = 100
	otherName = "other"
)

// executions are what is measured of executors.
type executions struct {
	durations *client.HistogramVec
	waits     *client.HistogramVec
	retries   *client.CounterVec
	running   *client.GaugeVec
	debts     debts

	mu    sync.Mutex
	names map[string]struct{}
}

func newExecutions(buckets []float64) *executions {
	return &executions{
		durations: client.NewHistogramVec(client.HistogramOpts{
			Name:    "batch_attempt_duration_seconds",
			Help:    "How long executions of attempts took, by outcome.",
			Buckets: buckets,
		}, []string{"executor", "outcome"}),
		waits: client.NewHistogramVec(client.HistogramOpts{
			Name:    "batch_attempt_wait_seconds",
			Help:    "How long executions waited in line for a free slot before.",
			Buckets: buckets,
		}, []string{"executor"}),
		retries: client.NewCounterVec(client.CounterOpts{
			Name: "batch_attempt_retries_total",
			Help: "Executions that repeat an earlier one: new attempts, and restarts in place.",
		}, []string{"executor", "kind"}),
		running: client.NewGaugeVec(client.GaugeOpts{
			Name: "batch_executors_running",
			Help: "Executors that are at work, also for attempts that were given up.",
		}, []string{"executor"}),
		names: make(map[string]struct{}),
	}
}

// Executor returns an executor that runs next and measures each execution: a
// restart in place is one more. It changes nothing of what next returns, panics
// with, or says as a [batch.PendingExecutor], whose time to get going is part of
// the duration. Name is the label executor, such as "thumbnails": it may be empty,
// should not depend on data, and is "other" from the 101st name on. Executors of
// the same name and next are the same to [batch.Controller.Apply]. A nil next
// gives nil. The cost is a few microseconds an execution.
func (m *Metrics) Executor(name string, next batch.Executor) batch.Executor {
	if next == nil {
		return nil
	}
	return executor{m.executions, m.executions.label(name), next}
}

// label is a name, or otherName if there are too many.
func (x *executions) label(name string) string {
	name = valid(name)
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.names[name]; !ok && len(x.names) >= maxNames {
		return otherName
	}
	x.names[name] = struct{}{}
	return name
}

type executor struct {
	executions *executions
	name       string
	next       batch.Executor
}

// HoldsPending is next's.
func (e executor) HoldsPending() bool {
	p, ok := e.next.(batch.PendingExecutor)
	return ok && p.HoldsPending()
}

// Unwrap returns next, for those who look for what is executed in the end.
func (e executor) Unwrap() batch.Executor { return e.next }

func (e executor) Execute(ctx context.Context, a batch.Attempt) (err error) {
	x := e.executions
	running := x.running.WithLabelValues(e.name)
	running.Inc()
	x.waits.WithLabelValues(e.name).Observe(a.Waited().Seconds())
	if kind := x.debts.kindOf(a); kind != "" {
		x.retries.WithLabelValues(e.name, kind).Inc()
	}
	start, returned := time.Now(), false
	defer func() {
		outcome := outcomeOf(ctx, err, returned)
		x.durations.WithLabelValues(e.name, outcome).Observe(time.Since(start).Seconds())
		x.debts.ended(a, outcome)
		running.Dec()
	}()
	err = e.next.Execute(ctx, a)
	returned = true
	return err
}

func outcomeOf(ctx context.Context, err error, returned bool) string {
	cause := context.Cause(ctx)
	switch {
	case errors.Is(cause, batch.ErrAttemptTimeout):
		return outcomeTimedOut
	case !returned:
		return outcomePanicked
	case err == nil:
		return outcomeSucceeded
	case errors.Is(cause, batch.ErrDisrupted), errors.Is(err, batch.ErrDisrupted):
		return outcomeDisrupted
	case cause != nil:
		return outcomeStopped
	}
	return outcomeFailed
}
