package cluster

import (
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/runtocompletion/batch"
)

// What an error means is found out in the pod, and carried to the failure policy of the
// Job by exit codes that nothing else uses.
const (
	firstReserved = 200
	exitPermanent = 200 // see batch.Permanent
	exitSnooze    = 201 // see batch.Snooze
	exitMissing   = 202 // the program lacks the function
	exitBuild     = 203 // the program is of another build
	exitTooLarge  = 204 // what the attempt leaves does not fit
	exitOther     = 205 // a failure whose own code is reserved
	exitBroken    = 206 // the pod does not know what to run
	exitRule      = 210 // plus the number of the rule whose predicate has matched
	lastReserved  = exitRule + mostRules - 1
)

func isReserved(code int) bool { return firstReserved <= code && code <= lastReserved }

// exitCodeOf is the exit code of a pod whose attempt has ended so. The order of the rules
// holds, whether they are about codes or errors.
func exitCodeOf(end *batch.AttemptEnd, policy []batch.FailureRule) int {
	code := 1
	if end.ExitCode != nil {
		code = *end.ExitCode
	}
	if end.Phase == batch.AttemptSucceeded {
		return 0
	}
	byCode := slices.IndexFunc(policy, func(r batch.FailureRule) bool { return matchesCode(r.OnExitCodes, code) })
	switch {
	case end.Rule >= 0 && (byCode < 0 || end.Rule < byCode):
		return exitRule + end.Rule
	case byCode >= 0 && !isReserved(code):
		return code
	case end.Permanent:
		return exitPermanent
	case end.Snoozed:
		return exitSnooze
	case isReserved(code), code <= 0, code > 255:
		return exitOther
	}
	return code
}

func matchesCode(codes *batch.ExitCodes, code int) bool {
	switch {
	case codes == nil:
		return false
	case codes.In != nil:
		return slices.Contains(codes.In, code)
	}
	return !slices.Contains(codes.NotIn, code)
}

// failurePolicy is that of the Job: the rules of the job in their order, and after them
// what the reserved exit codes mean.
func failurePolicy(job *batch.Job) *batchv1.PodFailurePolicy {
	policy := new(batchv1.PodFailurePolicy)
	for i, rule := range job.FailurePolicy {
		policy.Rules = append(policy.Rules, policyRule(i, rule))
	}
	final := batchv1.PodFailurePolicyActionFailJob
	if job.BackoffLimitPerIndex != nil {
		final = batchv1.PodFailurePolicyActionFailIndex
	}
	policy.Rules = append(policy.Rules,
		onCodes(final, exitPermanent, exitTooLarge),
		onCodes(batchv1.PodFailurePolicyActionIgnore, exitSnooze),
		onCodes(batchv1.PodFailurePolicyActionFailJob, exitMissing, exitBuild, exitBroken))
	return policy
}

func onCodes(action batchv1.PodFailurePolicyAction, codes ...int32) batchv1.PodFailurePolicyRule {
	return batchv1.PodFailurePolicyRule{Action: action, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
		Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: codes}}
}

func policyRule(i int, rule batch.FailureRule) batchv1.PodFailurePolicyRule {
	action := batchv1.PodFailurePolicyAction(rule.Action)
	switch {
	case rule.OnExitCodes != nil && rule.OnExitCodes.In != nil:
		return onCodes(action, int32s(rule.OnExitCodes.In)...)
	case rule.OnExitCodes != nil:
		// What the reserved codes stand for, these rules have been asked about in the pod.
		values := int32s(rule.OnExitCodes.NotIn)
		for code := int32(firstReserved); code <= lastReserved; code++ {
			values = append(values, code)
		}
		slices.Sort(values)
		r := onCodes(action, values...)
		r.OnExitCodes.Operator = batchv1.PodFailurePolicyOnExitCodesOpNotIn
		return r
	case len(rule.OnConditions) > 0:
		r := batchv1.PodFailurePolicyRule{Action: action}
		for _, c := range rule.OnConditions {
			r.OnPodConditions = append(r.OnPodConditions, batchv1.PodFailurePolicyOnPodConditionsPattern{
				Type: corev1.PodConditionType(c.Type), Status: corev1.ConditionStatus(c.Status)})
		}
		return r
	}
	return onCodes(action, int32(exitRule+i))
}

func int32s(list []int) []int32 {
	out := make([]int32, len(list))
	for i, n := range list {
		out[i] = int32(n)
	}
	return out
}
