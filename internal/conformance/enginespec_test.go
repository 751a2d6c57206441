package conformance

import (
	"cmp"
	"slices"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/engine"
	"github.com/runtocompletion/batch/internal/indexset"
)

// engineSpec resolves a job's spec as the engine wants it.
func engineSpec(job batch.Job, restart string) engine.Spec {
	number := func(p *int, unset int) int {
		if p == nil {
			return unset
		}
		return *p
	}
	duration := func(p *time.Duration) time.Duration {
		if p == nil {
			return engine.None
		}
		return *p
	}
	s := engine.Spec{
		Indexed:              job.CompletionMode == batch.Indexed,
		Completions:          number(job.Completions, engine.None),
		Parallelism:          number(job.Parallelism, 1),
		OnFailure:            restart == batch.RestartOnFailure,
		BackoffLimit:         number(job.BackoffLimit, 6),
		BackoffLimitPerIndex: number(job.BackoffLimitPerIndex, engine.None),
		MaxFailedIndexes:     number(job.MaxFailedIndexes, engine.None),
		ActiveDeadline:       duration(job.ActiveDeadline),
		AttemptTimeout:       engine.None,
		Grace:                30 * time.Second,
		TTL:                  duration(job.TTLAfterFinished),
		Suspend:              job.Suspend,
		ReplaceFailed:        job.ReplacementPolicy == batch.ReplaceFailed || job.FailurePolicy != nil,
		Unmanaged:            job.ManagedBy != nil && *job.ManagedBy != "kubernetes.io/job-controller",
		History:              1 << 30,
		QueuesStarts:         true,
		Container:            cmp.Or(job.ContainerName, "main"),
		Namespace:            "default",
	}
	if job.Completions == nil && job.Parallelism == nil {
		s.Completions = 1
	}
	if job.FailurePolicy != nil {
		s.FailureRules = engineRules(job)
	}
	if job.SuccessPolicy != nil {
		for _, r := range job.SuccessPolicy {
			rule := engine.SuccessRule{Count: number(r.SucceededCount, engine.None)}
			if r.SucceededIndexes != nil {
				set := indexset.ParseLenient(r.SucceededIndexes.String(), -1)
				rule.Indexes = &set
			}
			s.SuccessRules = append(s.SuccessRules, rule)
		}
	}
	return s
}

func engineRules(job batch.Job) []engine.FailureRule {
	actions := map[string]engine.FailureAction{
		batch.ActionCount: engine.Count, batch.ActionIgnore: engine.Ignore,
		batch.ActionFailIndex: engine.FailIndex, batch.ActionFailJob: engine.FailJob}
	var rules []engine.FailureRule
	for _, r := range job.FailurePolicy {
		rule := engine.FailureRule{Action: actions[r.Action]}
		if c := r.OnExitCodes; c != nil {
			rule.Codes, rule.NotIn = slices.Concat(c.In, c.NotIn), c.In == nil
		}
		for _, p := range r.OnConditions {
			want := engine.Condition{Type: p.Type, Status: cmp.Or(p.Status, "True")}
			rule.Conditions = append(rule.Conditions, want)
		}
		rules = append(rules, rule)
	}
	return rules
}
