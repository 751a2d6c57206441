package cluster

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/runtocompletion/batch"
)

// Manager is what [batch.Job.ManagedBy] names for a job that is to run on a cluster.
const Manager = "cluster.runtocompletion.dev/manager"

// Limits of what crosses.
const (
	mostIndexes = 100_000
	mostInput   = 64 << 10
	mostRules   = 14 // Kubernetes allows 20, of which some are needed here
)

// Check returns everything in a job that cannot be handed to a cluster, as a
// [*batch.ValidationError], or nil. It belongs in [batch.Options.Managers], under the
// name [Manager]: then Create refuses such a job.
func Check(job batch.Job) error {
	c := &check{job: &job}
	c.checkFunctions()
	c.checkNumbers()
	c.checkDurations()
	c.checkPolicy()
	c.checkSharing()
	if len(c.faults) == 0 {
		return nil
	}
	return &batch.ValidationError{Job: job.Name, Fields: c.faults}
}

type check struct {
	job    *batch.Job
	faults []batch.FieldError
}

func (c *check) forbid(wrong bool, field string, value any, detail string) {
	if wrong {
		c.faults = append(c.faults, batch.FieldError{Field: field, Kind: "Forbidden", Value: value, Detail: detail})
	}
}

func (c *check) checkFunctions() {
	// A job that was found in a store has no functions yet.
	c.forbid(c.job.Executor != nil && nameOfExecutor(c.job.Executor) == "", "spec.executor", nil,
		"a pod cannot find a function without a name: see Functions.Executor")
	c.forbid(c.job.LimitKey != nil, "spec.limitKey", nil, "a cluster knows no limits of this controller")
	c.forbid(c.job.Backoff != nil, "spec.backoff", nil, "Kubernetes has its own: 10 seconds, doubling up to 10 minutes")
	c.forbid(c.job.RestartBackoff != nil, "spec.restartBackoff", nil, "Kubernetes has its own")
	c.forbid(c.job.RestartPolicy == batch.RestartOnFailure, "spec.template.spec.restartPolicy", c.job.RestartPolicy,
		"Kubernetes allows no failure policy with it, so that errors that are permanent would be tried again")
}

func (c *check) checkNumbers() {
	count := func(field string, n *int, most int) {
		c.forbid(n != nil && *n > most, field, valueOf(n), fmt.Sprintf("a cluster takes at most %d", most))
	}
	j := c.job
	if j.CompletionMode == batch.Indexed {
		count("spec.completions", j.Completions, mostIndexes)
	}
	count("spec.completions", j.Completions, math.MaxInt32)
	count("spec.parallelism", j.Parallelism, math.MaxInt32)
	count("spec.backoffLimit", j.BackoffLimit, math.MaxInt32)
	count("spec.backoffLimitPerIndex", j.BackoffLimitPerIndex, math.MaxInt32)
	count("spec.maxFailedIndexes", j.MaxFailedIndexes, mostIndexes)
	if j.Input != nil {
		data, err := json.Marshal(j.Input)
		c.forbid(err != nil || len(data) > mostInput, "spec.input", nil,
			fmt.Sprintf("at most %d bytes of JSON cross to a cluster, not %d", mostInput, len(data)))
	}
}

// valueOf is what p points to, or nil.
func valueOf[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// checkDurations wants whole seconds, which is all that Kubernetes has.
func (c *check) checkDurations() {
	whole := func(field string, d *time.Duration) {
		c.forbid(d != nil && *d%time.Second != 0, field, valueOf(d), "Kubernetes counts whole seconds")
	}
	j := c.job
	whole("spec.activeDeadlineSeconds", j.ActiveDeadline)
	whole("spec.template.spec.activeDeadlineSeconds", j.AttemptTimeout)
	whole("spec.template.spec.terminationGracePeriodSeconds", j.TerminationGracePeriod)
}

func (c *check) checkPolicy() {
	c.forbid(len(c.job.FailurePolicy) > mostRules, "spec.podFailurePolicy.rules", len(c.job.FailurePolicy),
		fmt.Sprintf("a cluster takes at most %d", mostRules))
	for i, rule := range c.job.FailurePolicy {
		path := fmt.Sprintf("spec.podFailurePolicy.rules[%d]", i)
		c.forbid(rule.OnError != nil && nameOfPredicate(rule.OnError) == "", path+".onError", nil,
			"a pod cannot find a predicate without a name: see Functions.Predicate")
		if rule.OnExitCodes == nil {
			continue
		}
		for k, code := range slices.Concat(rule.OnExitCodes.In, rule.OnExitCodes.NotIn) { // one of them is empty
			c.forbid(isReserved(code), fmt.Sprintf("%s.onExitCodes.values[%d]", path, k), code,
				fmt.Sprintf("exit codes from %d to %d are those of package cluster", firstReserved, lastReserved))
		}
	}
}

func (c *check) checkSharing() {
	j := c.job
	c.forbid(len(j.Limits) > 0, "spec.limits", nil, "a cluster knows no limits of this controller")
	c.forbid(len(j.After) > 0, "spec.after", nil, "a cluster does not know the other jobs")
	c.forbid(j.Priority != 0, "spec.priority", j.Priority, "a cluster has priority classes: see Options.Template")
}
