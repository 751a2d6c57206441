package prometheus

import (
	"maps"
	"slices"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/runtocompletion/batch"
)

// Collector returns the collector of everything that is measured, to be registered
// with a registry. A scrape looks at each job of c; it takes no lock for longer than
// one look, and does not wait for the store. Metrics have one collector: a further
// one would show the executors and the store again.
func (m *Metrics) Collector(c *batch.Controller) client.Collector {
	m.executions.debts.controller.Store(c)
	return &collector{metrics: m, controller: c, whole: newWhole()}
}

type collector struct {
	metrics    *Metrics
	controller *batch.Controller
	whole      *whole
}

func (c *collector) Describe(ch chan<- *client.Desc) {
	for _, f := range c.metrics.jobs {
		ch <- f.desc
	}
	for _, f := range c.metrics.cronJobs {
		ch <- f.desc
	}
	c.metrics.executions.describe(ch)
	c.metrics.commits.describe(ch)
	c.metrics.limits.describe(ch)
	c.whole.describe(ch)
}

func (c *collector) Collect(ch chan<- client.Metric) {
	m := c.metrics
	chosen := c.collectWhole(ch)
	for i := range chosen {
		j := job{Status: chosen[i]}
		// The spec of another job, of the same name, would be a mixture.
		if spec, err := c.controller.Job(j.Name); err == nil && c.isStill(j) {
			j.spec = &spec
		}
		m.collectJob(&j, ch)
	}
	m.collectCronJobs(ch)
	m.executions.collect(ch)
	m.commits.collect(ch)
}

// isStill reports whether a job has not been removed.
func (c *collector) isStill(j job) bool {
	now, err := c.controller.Get(j.Name)
	return err == nil && now.UID == j.UID
}

// collectWhole looks at every job and returns those that have series of their own.
func (c *collector) collectWhole(ch chan<- client.Metric) []batch.Status {
	debts := &c.metrics.executions.debts
	gone := debts.debtors() // before the walk, which may miss newer jobs
	sums, chosen := newSums(), selection{most: c.metrics.options.MaxJobs}
	phases := make(map[string]map[string]int) // by limit
	for status := range c.controller.All() {
		if !status.Finished() {
			delete(gone, status.UID)
		}
		sums.add(&status)
		if status.Active+status.Terminating > 0 {
			spec, _ := c.controller.Job(status.Name) // none if it was removed meanwhile
			c.metrics.limits.count(phases, &status, spec.Limits)
		}
		chosen.add(status)
	}
	debts.forgive(gone)
	chosen.cut()
	c.metrics.limits.collect(ch, c.metrics.options.Limits, phases)
	c.whole.collect(ch, sums, len(chosen.jobs), c.metrics.options.MaxActive)
	return chosen.jobs
}

func (x *executions) describe(ch chan<- *client.Desc) {
	x.durations.Describe(ch)
	x.waits.Describe(ch)
	x.retries.Describe(ch)
	x.running.Describe(ch)
}

func (x *executions) collect(ch chan<- client.Metric) {
	x.durations.Collect(ch)
	x.waits.Collect(ch)
	x.retries.Collect(ch)
	x.running.Collect(ch)
}

// sums are taken over all jobs.
type sums struct {
	jobs        int
	states      map[string]int
	phases      map[string]int
	completions map[string]int
	stalled     map[string]int
	backingOff  int
}

// newSums has a zero for whatever may be counted, as a series that appears with its
// first value has no rate.
func newSums() *sums {
	return &sums{
		states: zeros("Complete", "Failed", "FailureTarget", "Running", "SuccessCriteriaMet", "Suspended",
			"Terminating"),
		phases:      noPhases(),
		completions: zeros("succeeded", "failed"),
		stalled:     zeros(string(batch.ReasonExecutorNotDeclared), string(batch.ReasonStoreFailed)),
	}
}

func (s *sums) add(j *batch.Status) {
	s.jobs++
	s.states[j.State()]++
	addPhases(s.phases, j)
	s.completions["succeeded"] += j.Succeeded
	s.completions["failed"] += j.Failed
	if c, ok := j.Condition(batch.ConditionStalled); ok && c.Status == "True" {
		s.stalled[c.Reason]++
	}
	if !j.NextRetry.IsZero() {
		s.backingOff++
	}
}

func zeros(keys ...string) map[string]int {
	m := make(map[string]int, len(keys))
	for _, key := range keys {
		m[key] = 0
	}
	return m
}

func noPhases() map[string]int { return zeros("pending", "running", "terminating", "abandoned") }

// addPhases counts the attempts of a job.
func addPhases(phases map[string]int, j *batch.Status) {
	phases["pending"] += j.Pending
	phases["running"] += j.Active - j.Pending
	phases["terminating"] += j.Terminating - j.Abandoned
	phases["abandoned"] += j.Abandoned
}

// whole are the metrics of all jobs together.
type whole struct {
	jobs, attempts, completions, stalled *client.Desc
	backingOff, without, limit           *client.Desc
}

func newWhole() *whole {
	desc := func(name, help string, labels ...string) *client.Desc {
		return client.NewDesc(name, help, labels, nil)
	}
	return &whole{
		jobs:        desc("batch_jobs", "Jobs by state.", "state"),
		attempts:    desc("batch_attempts", "Attempts that have not ended, by phase; pending ones are in line.", "phase"),
		completions: desc("batch_completions", "Successes and failures that count, of the jobs there are.", "result"),
		stalled:     desc("batch_jobs_stalled", "Jobs that wait for their executor or the store.", "reason"),
		backingOff:  desc("batch_jobs_backing_off", "Jobs in which a delay holds back an attempt."),
		without:     desc("batch_jobs_without_series", "Jobs that have no series of their own."),
		limit:       desc("batch_executors_limit", "The most executors that may run at once."),
	}
}

func (w *whole) describe(ch chan<- *client.Desc) {
	for _, d := range []*client.Desc{w.jobs, w.attempts, w.completions, w.stalled, w.backingOff, w.without, w.limit} {
		ch <- d
	}
}

func (w *whole) collect(ch chan<- client.Metric, s *sums, shown, limit int) {
	give := func(d *client.Desc, value int, labels ...string) { ch <- gauge(d, float64(value), labels...) }
	each := func(d *client.Desc, values map[string]int) {
		for _, key := range slices.Sorted(maps.Keys(values)) {
			give(d, values[key], key)
		}
	}
	each(w.jobs, s.states)
	each(w.attempts, s.phases)
	each(w.completions, s.completions)
	each(w.stalled, s.stalled)
	give(w.backingOff, s.backingOff)
	give(w.without, s.jobs-shown)
	if limit > 0 {
		give(w.limit, limit)
	}
}
