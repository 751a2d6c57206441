package prometheus

import (
	"context"
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/around"
)

// executions are what is measured of executors.
type executions struct {
	durations *client.HistogramVec
	waits     *client.HistogramVec
	retries   *client.CounterVec
	running   *client.GaugeVec
	debts     debts
	names     names
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
	return executor{Next: next, Observer: observer{m.executions, m.executions.names.label(name)}}
}

type executor = around.Executor[batch.Attempt, batch.Executor, observer]

// An observer measures executions under a name.
type observer struct {
	executions *executions
	name       string
}

// Begin counts an execution that begins, and measures it when it has ended.
func (o observer) Begin(ctx context.Context, a batch.Attempt) (context.Context, func(around.End)) {
	x := o.executions
	running := x.running.WithLabelValues(o.name)
	running.Inc()
	x.waits.WithLabelValues(o.name).Observe(a.Waited().Seconds())
	if kind := x.debts.kindOf(a); kind != "" {
		x.retries.WithLabelValues(o.name, kind).Inc()
	}
	start := time.Now()
	return ctx, func(end around.End) {
		x.durations.WithLabelValues(o.name, end.Outcome).Observe(time.Since(start).Seconds())
		x.debts.ended(a, end.Outcome)
		running.Dec()
	}
}
