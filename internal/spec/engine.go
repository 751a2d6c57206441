package spec

import "github.com/runtocompletion/batch/internal/engine"

// Engine returns j, with its defaults, as the engine wants it. What depends on functions,
// and what the runner decides, is left out.
func (j *Job) Engine() engine.Spec {
	return engine.Spec{
		Indexed:              j.CompletionMode == Indexed,
		Completions:          valueOr(j.Completions, engine.None),
		Parallelism:          *j.Parallelism,
		OnFailure:            j.RestartPolicy == RestartOnFailure,
		BackoffLimit:         *j.BackoffLimit,
		BackoffLimitPerIndex: valueOr(j.BackoffLimitPerIndex, engine.None),
		MaxFailedIndexes:     valueOr(j.MaxFailedIndexes, engine.None),
		ActiveDeadline:       valueOr(j.ActiveDeadline, engine.None),
		AttemptTimeout:       valueOr(j.AttemptTimeout, engine.None),
		ProgressDeadline:     j.ProgressDeadline,
		Grace:                *j.TerminationGracePeriod,
		TTL:                  valueOr(j.TTLAfterFinished, engine.None),
		Suspend:              j.Suspend,
		ReplaceFailed:        j.ReplacementPolicy == ReplaceFailed,
		FailureRules:         failureRules(j.FailurePolicy),
		SuccessRules:         successRules(j.SuccessPolicy),
		Unmanaged:            j.OtherManager() != "",
		History:              *j.History,
		Container:            j.ContainerName,
	}
}

var engineActions = map[string]engine.FailureAction{
	ActionFailJob:   engine.FailJob,
	ActionFailIndex: engine.FailIndex,
	ActionIgnore:    engine.Ignore,
	ActionCount:     engine.Count,
}

// failureRules are the rules as the engine wants them. Matching errors is left to
// the caller of the engine.
func failureRules(policy []FailureRule) []engine.FailureRule {
	if policy == nil {
		return nil
	}
	rules := make([]engine.FailureRule, len(policy))
	for i, r := range policy {
		rules[i].Action = engineActions[r.Action]
		if codes := r.OnExitCodes; codes != nil {
			rules[i].NotIn = codes.In == nil
			rules[i].Codes = codes.In
			if rules[i].NotIn {
				rules[i].Codes = codes.NotIn
			}
		}
		rules[i].Conditions = r.OnConditions
	}
	return rules
}

func successRules(policy []SuccessRule) []engine.SuccessRule {
	if policy == nil {
		return nil
	}
	rules := make([]engine.SuccessRule, len(policy))
	for i, r := range policy {
		rules[i].Count, rules[i].Indexes = valueOr(r.Count, engine.None), r.Indexes
	}
	return rules
}

func valueOr[T any](p *T, unset T) T {
	if p == nil {
		return unset
	}
	return *p
}
