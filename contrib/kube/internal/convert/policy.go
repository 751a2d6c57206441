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
func failurePolicy(spec *batchv1.JobSpec) *batch.FailurePolicy {
	if spec.PodFailurePolicy == nil {
		return nil
	}
	policy := new(batch.FailurePolicy)
	for _, r := range spec.PodFailurePolicy.Rules {
		rule := batch.FailureRule{Action: batch.FailureAction(r.Action)}
		for _, c := range r.OnPodConditions {
			rule.OnConditions = append(rule.OnConditions, batch.ConditionPattern{
				Type: batch.ConditionType(c.Type), Status: batch.ConditionStatus(c.Status)})
		}
		switch {
		case r.OnExitCodes == nil:
		case len(spec.Template.Spec.InitContainers) > 0:
			rule.OnError = matchCode(r.OnExitCodes)
		default:
			rule.OnExitCodes = exitCodes(r.OnExitCodes)
		}
		policy.Rules = append(policy.Rules, rule)
	}
	return policy
}

func exitCodes(on *batchv1.PodFailurePolicyOnExitCodesRequirement) *batch.ExitCodes {
	codes := &batch.ExitCodes{
		ContainerName: valueOr(on.ContainerName, ""),
		Operator:      batch.ExitCodeOperator(on.Operator),
	}
	for _, code := range on.Values {
		codes.Values = append(codes.Values, int(code))
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

func successPolicy(p *batchv1.SuccessPolicy) *batch.SuccessPolicy {
	if p == nil {
		return nil
	}
	policy := new(batch.SuccessPolicy)
	for _, r := range p.Rules {
		rule := batch.SuccessRule{SucceededCount: count(r.SucceededCount)}
		if r.SucceededIndexes != nil {
			// Kubernetes reads numbers with a sign, package batch does not.
			rule.SucceededIndexes = new(strings.ReplaceAll(*r.SucceededIndexes, "+", ""))
		}
		policy.Rules = append(policy.Rules, rule)
	}
	return policy
}

// onError is the condition by which a manifest shows that a rule of the failure
// policy looks at the attempt's error. No attempt has it.
const onError corev1.PodConditionType = "kube.runtocompletion.dev/OnError"

// failurePolicyOf is failurePolicy backwards, for jobs made by Go code.
func failurePolicyOf(p *batch.FailurePolicy) *batchv1.PodFailurePolicy {
	if p == nil {
		return nil
	}
	policy := &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{}}
	for _, r := range p.Rules {
		rule := batchv1.PodFailurePolicyRule{
			Action: batchv1.PodFailurePolicyAction(r.Action), OnExitCodes: exitCodesOf(r.OnExitCodes)}
		for _, c := range r.OnConditions {
			rule.OnPodConditions = append(rule.OnPodConditions, batchv1.PodFailurePolicyOnPodConditionsPattern{
				Type: corev1.PodConditionType(c.Type), Status: corev1.ConditionStatus(c.Status)})
		}
		if r.OnError != nil {
			rule.OnPodConditions = []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: onError, Status: corev1.ConditionTrue}}
		}
		policy.Rules = append(policy.Rules, rule)
	}
	return policy
}

func exitCodesOf(e *batch.ExitCodes) *batchv1.PodFailurePolicyOnExitCodesRequirement {
	if e == nil {
		return nil
	}
	on := &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOperator(e.Operator)}
	if e.ContainerName != "" {
		on.ContainerName = new(e.ContainerName)
	}
	for _, code := range e.Values {
		on.Values = append(on.Values, int32(code))
	}
	return on
}

func successPolicyOf(p *batch.SuccessPolicy) *batchv1.SuccessPolicy {
	if p == nil {
		return nil
	}
	policy := new(batchv1.SuccessPolicy)
	for _, r := range p.Rules {
		policy.Rules = append(policy.Rules, batchv1.SuccessPolicyRule{
			SucceededIndexes: r.SucceededIndexes, SucceededCount: narrowed(r.SucceededCount)})
	}
	return policy
}
