package convert

import (
	"errors"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/pod"
)

// failurePolicy is the policy of a job with the given spec. If there are init
// containers, which package batch does not know, rules by exit code look for
// the container in the error.
func failurePolicy(spec *batchv1.JobSpec) []batch.FailureRule {
	if spec.PodFailurePolicy == nil {
		return nil
	}
	policy := []batch.FailureRule{}
	for _, r := range spec.PodFailurePolicy.Rules {
		rule := batch.FailureRule{Action: string(r.Action)}
		for _, c := range r.OnPodConditions {
			rule.OnConditions = append(rule.OnConditions, batch.Condition{
				Type: string(c.Type), Status: string(c.Status)})
		}
		switch {
		case r.OnExitCodes == nil:
		case len(spec.Template.Spec.InitContainers) > 0:
			rule.OnError = matchCode(r.OnExitCodes)
		default:
			rule.OnExitCodes = exitCodes(r.OnExitCodes)
		}
		policy = append(policy, rule)
	}
	return policy
}

func exitCodes(on *batchv1.PodFailurePolicyOnExitCodesRequirement) *batch.ExitCodes {
	codes := &batch.ExitCodes{ContainerName: valueOr(on.ContainerName, "")}
	list := &codes.NotIn
	if on.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn {
		list = &codes.In
	}
	for _, code := range on.Values {
		*list = append(*list, int(code))
	}
	return codes
}

// matchCode matches the exit code of the container that failed, in the error of a pod
// with init containers.
func matchCode(on *batchv1.PodFailurePolicyOnExitCodesRequirement) func(error) bool {
	return func(err error) bool {
		failed, ok := errors.AsType[*pod.ContainerError](err)
		if on.ContainerName != nil && (!ok || *on.ContainerName != failed.Container) {
			return false
		}
		listed := slices.Contains(on.Values, int32(batch.ExitCode(err)))
		return listed == (on.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn)
	}
}

func successPolicy(p *batchv1.SuccessPolicy) []batch.SuccessRule {
	if p == nil {
		return nil
	}
	policy := []batch.SuccessRule{}
	for _, r := range p.Rules {
		rule := batch.SuccessRule{SucceededCount: count(r.SucceededCount)}
		if r.SucceededIndexes != nil {
			rule.SucceededIndexes = new(parseIndexes(*r.SucceededIndexes))
		}
		policy = append(policy, rule)
	}
	return policy
}

// parseIndexes reads a valid text. Kubernetes takes numbers with a sign, package batch
// does not.
func parseIndexes(text string) batch.IndexSet {
	set, _ := batch.ParseIndexSet(strings.ReplaceAll(text, "+", ""))
	return set
}

// onError is the condition by which a manifest shows that a rule of the failure
// policy looks at the attempt's error. No attempt has it.
const onError corev1.PodConditionType = "kube.runtocompletion.dev/OnError"

// failurePolicyOf is failurePolicy backwards, for jobs made by Go code.
func failurePolicyOf(p []batch.FailureRule) *batchv1.PodFailurePolicy {
	if p == nil {
		return nil
	}
	policy := &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{}}
	for _, r := range p {
		rule := batchv1.PodFailurePolicyRule{
			Action: batchv1.PodFailurePolicyAction(r.Action), OnExitCodes: exitCodesOf(r.OnExitCodes)}
		for _, c := range r.OnConditions {
			rule.OnPodConditions = append(rule.OnPodConditions, batchv1.PodFailurePolicyOnPodConditionsPattern{
				Type: corev1.PodConditionType(c.Type), Status: corev1.ConditionStatus(c.Status)})
		}
		if r.OnError != nil {
			rule.OnPodConditions = []batchv1.PodFailurePolicyOnPodConditionsPattern{{
				Type: onError, Status: corev1.ConditionTrue,
			}}
		}
		policy.Rules = append(policy.Rules, rule)
	}
	return policy
}

func exitCodesOf(e *batch.ExitCodes) *batchv1.PodFailurePolicyOnExitCodesRequirement {
	if e == nil {
		return nil
	}
	on := &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOpIn}
	if e.In == nil {
		on.Operator = batchv1.PodFailurePolicyOnExitCodesOpNotIn
	}
	if e.ContainerName != "" {
		on.ContainerName = new(e.ContainerName)
	}
	for _, code := range slices.Concat(e.In, e.NotIn) {
		on.Values = append(on.Values, int32(code))
	}
	return on
}

func successPolicyOf(p []batch.SuccessRule) *batchv1.SuccessPolicy {
	if p == nil {
		return nil
	}
	policy := new(batchv1.SuccessPolicy)
	for _, r := range p {
		rule := batchv1.SuccessPolicyRule{SucceededCount: narrowed(r.SucceededCount)}
		if r.SucceededIndexes != nil {
			rule.SucceededIndexes = new(r.SucceededIndexes.String())
		}
		policy.Rules = append(policy.Rules, rule)
	}
	return policy
}
